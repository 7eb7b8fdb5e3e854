"""Every version that is used against the table of docs/deploy.md that says where it comes from."""

import re

import program

COLUMNS = "| image or tool | tag |"


def table(text):
    """The tag of each image or tool of the table."""
    rows = [line.split("|") for line in text.split(COLUMNS)[1].splitlines()[2:] if line.startswith("|")]
    return {row[1].strip(" `"): row[2].strip() for row in rows}


def used(files):
    """Each image or tool with the tag that is used."""
    found = set(re.findall(r"^FROM ([a-z]+):(\S+)", files["Dockerfile"], re.M))
    found |= set(re.findall(r"^# syntax=(\S+):(\S+)", files["Dockerfile"]))
    found |= set(re.findall(r"cargo install (\S+) --locked --version (\S+)", files["Dockerfile"]))
    images = [str(service.get("image", "")) for service in files["compose"].get("services", {}).values()]
    found |= {tuple(image.rsplit(":", 1)) for image in images if ":" in image and not image.startswith("headcount:")}
    for document in (d for documents in files["manifests"].values() for d in documents):
        spec = document.get("spec", {})
        if document["kind"] == "Kafka":
            found.add(("apache/kafka", spec["kafka"]["version"]))
        if document["kind"] == "ScyllaCluster":
            found |= {("scylladb/scylla", spec["version"]), ("scylladb/scylla-manager-agent", spec["agentVersion"])}
    return found


def check(files):
    """Versions that the table does not hold, and rows that nothing uses."""
    known, seen = table((program.ROOT / "docs/deploy.md").read_text()), used(files)
    wrong = [f"docs/deploy.md: its table does not say where {name} {tag} comes from" for name, tag in sorted(seen) if known.get(name) != tag]
    unused = {name for name in known if "/" in name} - {name for name, _ in seen}
    return wrong + [f"docs/deploy.md: its table names {name}, which is not used" for name in sorted(unused)]
