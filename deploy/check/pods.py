"""What every workload's pods must have."""

import program


def check(workload, found):
    """What is wrong with a Deployment, StatefulSet or Job, given the other documents."""
    namespace, template = workload["metadata"].get("namespace"), workload["spec"]["template"]
    pod, once = template["spec"], workload["kind"] == "Job"
    if pod.get("automountServiceAccountToken") is not False:
        yield "mounts the token of its account: automountServiceAccountToken must be false"
    if not found.has("ServiceAccount", pod.get("serviceAccountName"), namespace):
        yield f"its account {pod.get('serviceAccountName')} does not exist"
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True:
        yield "runAsNonRoot must be true"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile must be RuntimeDefault"
    for container in pod.get("initContainers", []) + pod["containers"]:
        yield from (f"{container['name']}: {reason}" for reason in container_wrong(container, found, namespace, once))
    if once:
        return
    if not pod.get("topologySpreadConstraints"):
        yield "its pods may all stand on one node: topologySpreadConstraints is missing"
    labels = template["metadata"].get("labels", {})
    budgets = [d for d in found.all("PodDisruptionBudget") if d["spec"]["selector"]["matchLabels"].items() <= labels.items()]
    if not budgets:
        yield "has no PodDisruptionBudget"
    if workload["kind"] == "StatefulSet" and not found.has("Service", workload["spec"]["serviceName"], namespace):
        yield f"its Service {workload['spec']['serviceName']} does not exist"


def container_wrong(container, found, namespace, once):
    """What is wrong with one container."""
    yield from filter(None, [program.tag(container["image"])])
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "capabilities must drop ALL, and add none"
    for what in ("requests", "limits"):
        missing = {"cpu", "memory"} - set(container.get("resources", {}).get(what, {}))
        if missing:
            yield f"has no {what} of {', '.join(sorted(missing))}"
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in () if once else ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe not in container:
            yield f"has no {probe}"
        elif container[probe]["httpGet"]["port"] not in ports:
            yield f"its {probe} asks a port that is not there"
    for source in container.get("envFrom", []):
        if not found.has("ConfigMap", source["configMapRef"]["name"], namespace):
            yield f"its settings {source['configMapRef']['name']} do not exist"
    variables = [item["name"] for item in container.get("env", []) if item["name"].startswith("HEADCOUNT_")]
    yield from program.unknown("as it is called", program.called(container["args"]) + variables)


def flag(workload, name):
    """The values of a flag on the command lines of a workload."""
    for container in workload["spec"]["template"]["spec"]["containers"]:
        args = [str(word) for word in container.get("args", [])]
        yield from (value for word, value in zip(args, args[1:]) if word == name)
