# syntax=docker/dockerfile:1.7
# The program alone on a small Debian, as a user without rights. docs/deploy.md says where each tag comes from.

FROM rust:1.95.0-slim-trixie AS tools
# OpenSSL's configuration is written in perl, and librdkafka's `make libs` compiles C and C++.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make perl \
 && rm -rf /var/lib/apt/lists/*
RUN cargo install cargo-chef --locked --version 0.1.77
WORKDIR /build

# The recipe holds only what decides the dependencies, so that a change of sources leaves their layer as it is.
FROM tools AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM tools AS build
COPY --from=plan /build/recipe.json recipe.json
RUN cargo chef cook --locked --release --package headcount --recipe-path recipe.json
COPY . .
RUN cargo build --locked --release --package headcount

# The same Debian as above, for the same C library.
FROM debian:13.5-slim
# For brokers and providers with a certificate of a public authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/headcount /usr/local/bin/headcount
COPY LICENSE /usr/share/doc/headcount/LICENSE
# The embedded store's folder; with --store cql://... nothing is written.
RUN install --directory --owner=65532 --group=65532 /data
ENV HEADCOUNT_STORE=fjall:/data
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# No HEALTHCHECK: `headcount status` asks an API, and not every task has one. docker-compose.yml asks it of the APIs.
ENTRYPOINT ["headcount"]
CMD ["serve"]
