#!/bin/sh
# Builds what is compared, starts Kafka and Cassandra, and compares; PostgreSQL is started by the comparison itself. Nothing
# of it stays but what was built.
set -eu
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/peers"
out=$(cd "$target/peers" && pwd)
missing() {
  echo "$1 is missing: apt-get install $2 (or your system's like), then try again" >&2
  exit 1
}
command -v mvn >/dev/null || missing Maven maven
command -v "${JAVA_HOME:+$JAVA_HOME/bin/}javac" >/dev/null || missing 'the Java compiler' openjdk-17-jdk-headless

$cargo build --release --package headcount --locked
$cargo build --release --package headcount-peers --locked
# What each is fetched with is pinned, so that every machine has the same.
plugins=org.apache.maven.plugins
mvn -q -B -f bench/peers/streams/pom.xml -Dout="$out" $plugins:maven-compiler-plugin:3.14.0:compile \
  $plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$out/classes/jars"
exec $cargo run --package engines --locked -- run -- "$target/release/headcount-peers" --streams "$out/classes" "$@"
