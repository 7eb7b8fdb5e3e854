"""docker-compose.yml and the Prometheus configuration it mounts."""

import program
import validate

# Services that end by themselves.
ONCE = {"migrate", "topics"}
# Consumers have nothing a check within the image could ask; they end when they fail for good.
UNASKED = {"ingest-1", "ingest-2"}


def check(compose, prometheus):
    """What is wrong with the compose file and the scrape configuration."""
    wrong, services = [f"docker-compose.yml: {reason}" for reason in validate.errors("compose", compose)], compose.get("services", {})
    # What follows walks the file, and may count on its form.
    if wrong:
        return wrong
    for name, service in services.items():
        wrong += [f"docker-compose.yml: {name}: {text}" for text in service_wrong(name, service, compose)]
    wrong += [f"docker-compose.yml: the volume {name} is used by nobody" for name in compose.get("volumes", {}) if not used(name, services)]
    return wrong + check_prometheus(prometheus, services)


def service_wrong(name, service, compose):
    """What is wrong with one service, beyond the schema."""
    services, image = compose["services"], str(service.get("image", ""))
    yield from filter(None, [program.tag(image)])
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"the port {port} is published beyond loopback"
    for needed, how in service.get("depends_on", {}).items():
        if needed not in services:
            yield f"depends on {needed}, which is no service"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[needed]:
            yield f"waits for the health of {needed}, which has no health check"
        elif how["condition"] == "service_completed_successfully" and needed not in ONCE:
            yield f"waits for the end of {needed}, which does not end"
    for volume in service.get("volumes", []):
        source = str(volume).split(":")[0]
        if source.startswith(".") and not (program.ROOT / source).exists():
            yield f"mounts {source}, which does not exist"
        elif not source.startswith(".") and source not in compose.get("volumes", {}):
            yield f"uses the volume {source}, which is not declared"
    if "restart" not in service:
        yield "has no restart policy"
    if name not in ONCE | UNASKED and "healthcheck" not in service:
        yield "has no health check"
    if image.startswith("headcount:"):
        yield from ours(service)


def ours(service):
    """What is wrong with a service that runs Headcount."""
    variables = [name for name in service.get("environment", {}) if name.startswith("HEADCOUNT_")]
    yield from program.unknown("as it is called", program.called(service["command"]) + variables)
    if not (service.get("read_only") and service.get("cap_drop") == ["ALL"] and "no-new-privileges:true" in service.get("security_opt", [])):
        yield "may write to its image, has capabilities or may gain privileges"


def used(name, services):
    """Whether a service mounts the volume."""
    return any(str(volume).startswith(f"{name}:") for service in services.values() for volume in service.get("volumes", []))


def check_prometheus(prometheus, services):
    """What is wrong with the scrape configuration, and with whom it asks."""
    wrong = [f"deploy/prometheus.yml: {reason}" for reason in validate.errors("prometheus", prometheus)]
    if wrong:
        return wrong
    asked = {target for job in prometheus["scrape_configs"] for group in job["static_configs"] for target in group["targets"]}
    for target in sorted(asked - {"localhost:9090"}):
        name, port = target.split(":")
        listens = services.get(name, {}).get("environment", {}).get("HEADCOUNT_METRICS_LISTEN", "")
        if not listens.endswith(f":{port}"):
            wrong.append(f"deploy/prometheus.yml: nobody shows metrics at {target}")
    hidden = [name for name, service in services.items() if "HEADCOUNT_METRICS_LISTEN" in service.get("environment", {})
              and not any(target.startswith(f"{name}:") for target in asked)]
    return wrong + [f"deploy/prometheus.yml: {name} is not scraped" for name in hidden]
