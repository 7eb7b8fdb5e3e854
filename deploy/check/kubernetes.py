"""The rendered manifests against the schemas of Kubernetes and of the operators, and each against the others."""

import pods
import program
import validate

CUSTOM = {"Kafka", "KafkaNodePool", "KafkaTopic", "ScyllaCluster"}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}


def named(document):
    """How a document is called in messages."""
    return f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"


def check(documents):
    """What is wrong with the manifests of one overlay."""
    wrong = [reason for document in documents for reason in schema_wrong(document)]
    # What follows walks the documents, and may count on their form.
    return wrong or [f"k8s: {reason}" for reason in together(documents)]


def schema_wrong(document):
    """What the schemas have against a document."""
    kind = document.get("kind")
    found = validate.errors("custom-resources", document, kind) if kind in CUSTOM else validate.kubernetes_errors(document)
    return [f"k8s: {named(document)}: {reason}" for reason in found]


class Documents:
    """The documents of one overlay, found by kind, namespace and name."""

    def __init__(self, documents):
        self.by_kind = {}
        for document in documents:
            self.by_kind.setdefault(document["kind"], []).append(document)

    def all(self, *kinds):
        """Every document of the kinds."""
        return [document for kind in kinds for document in self.by_kind.get(kind, [])]

    def has(self, kind, name, namespace):
        """Whether there is such a document."""
        return any(d["metadata"]["name"] == name and d["metadata"].get("namespace") == namespace for d in self.all(kind))

    def selected(self, selector, namespace):
        """The workloads of the namespace whose pods carry all labels of the selector."""
        found = []
        for document in self.all(*WORKLOADS):
            labels = document["spec"]["template"]["metadata"].get("labels", {})
            if document["metadata"].get("namespace") == namespace and selector.items() <= labels.items():
                found.append(document)
        return found


def together(documents):
    """What is wrong between documents."""
    found = Documents(documents)
    for document in found.all(*WORKLOADS):
        yield from (f"{named(document)}: {reason}" for reason in pods.check(document, found))
    for account in found.all("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{named(account)}: its token is mounted: automountServiceAccountToken must be false"
    for service in found.all("Service"):
        yield from (f"{named(service)}: {reason}" for reason in service_wrong(service, found))
    for document in found.all("NetworkPolicy", "PodDisruptionBudget"):
        key = "podSelector" if document["kind"] == "NetworkPolicy" else "selector"
        if not found.selected(document["spec"][key].get("matchLabels", {}), document["metadata"].get("namespace")):
            yield f"{named(document)}: selects no pod"
    yield from engines_wrong(found)


def service_wrong(service, found):
    """Whom a Service finds, and at which port."""
    selected = found.selected(service["spec"]["selector"], service["metadata"].get("namespace"))
    if not selected:
        yield "selects no pod"
    for workload in selected:
        ports = {port["name"] for container in workload["spec"]["template"]["spec"]["containers"] for port in container.get("ports", [])}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"asks for the port {port['targetPort']} of {named(workload)}, which has none of that name"


def engines_wrong(found):
    """Kafka, its topics and ScyllaDB: what the guarantees rest on."""
    clusters = {kafka["metadata"]["name"]: kafka for kafka in found.all("Kafka")}
    for document in found.all("KafkaNodePool", "KafkaTopic"):
        if document["metadata"].get("labels", {}).get("strimzi.io/cluster") not in clusters:
            yield f"{named(document)}: its label strimzi.io/cluster names no Kafka"
    for kafka in clusters.values():
        config = kafka["spec"]["kafka"].get("config", {})
        for name in ("auto.create.topics.enable", "unclean.leader.election.enable"):
            if config.get(name) is not False:
                yield f"{named(kafka)}: {name} must be false"
    for topic in found.all("KafkaTopic"):
        yield from (f"{named(topic)}: {reason}" for reason in topic_wrong(topic))
    for scylla in found.all("ScyllaCluster"):
        if "--commitlog-sync batch" not in scylla["spec"].get("scyllaArgs", ""):
            yield f"{named(scylla)}: acknowledges writes that are not on disk: --commitlog-sync batch is missing"
        copies = {word for job in found.all("Job") for word in pods.flag(job, "--replication")}
        racks = len(scylla["spec"]["datacenter"]["racks"])
        if copies and copies != {str(racks)}:
            yield f"{named(scylla)}: {racks} racks for {', '.join(sorted(copies))} copies: each rack holds one"
    yield from addresses_wrong(found, clusters.values())


def topic_wrong(topic):
    """What is wrong with a topic."""
    spec, config = topic["spec"], topic["spec"]["config"]
    if 4096 % spec["partitions"]:
        yield f"{spec['partitions']} partitions do not divide the 4,096 slots of the store"
    if spec["replicas"] < 3 or config.get("min.insync.replicas") != 2:
        yield "wants 3 replicas, 2 of them in sync"
    if config.get("unclean.leader.election.enable") is not False:
        yield "unclean.leader.election.enable must be false"
    if topic["metadata"]["name"] == "headcount.crossings" and config.get("message.timestamp.type") != "LogAppendTime":
        yield "message.timestamp.type must be LogAppendTime"
    if topic["metadata"]["name"] == "headcount.counters" and config.get("cleanup.policy") != "compact":
        yield "cleanup.policy must be compact"


def addresses_wrong(found, kafkas):
    """Settings that point past the engines that are there."""
    brokers = {f"{kafka['metadata']['name']}-kafka-bootstrap.{kafka['metadata'].get('namespace')}.svc:{listener['port']}"
               for kafka in kafkas for listener in kafka["spec"]["kafka"]["listeners"]}
    stores = {f"{scylla['metadata']['name']}-client.{scylla['metadata'].get('namespace')}.svc" for scylla in found.all("ScyllaCluster")}
    for settings in found.all("ConfigMap"):
        data = settings["data"]
        yield from (f"{named(settings)}: {reason}" for reason in program.unknown("a setting", data))
        if brokers and data["HEADCOUNT_KAFKA"] not in brokers:
            yield f"{named(settings)}: nobody listens at {data['HEADCOUNT_KAFKA']}"
        if stores and data["HEADCOUNT_STORE"].removeprefix("cql://").split("/")[0] not in stores:
            yield f"{named(settings)}: no store is at {data['HEADCOUNT_STORE']}"
