"""Checks what deploys Headcount as far as it can be checked without running it; then checks that the checks find mistakes."""

import copy
import subprocess
import sys

import yaml

import compose
import dockerfile
import documented
import kubernetes
import program

OVERLAYS = ("k8s/base", "k8s/overlays/strimzi-scylla")


def read(kustomize):
    """Everything that is checked, as parsed."""
    files = {"manifests": {}}
    for overlay in OVERLAYS:
        built = subprocess.run([kustomize, "build", str(program.ROOT / overlay)], capture_output=True, text=True)
        if built.returncode:
            sys.exit(f"kustomize cannot build {overlay}: {built.stderr.strip()}")
        files["manifests"][overlay] = list(yaml.safe_load_all(built.stdout))
    files["compose"] = yaml.safe_load((program.ROOT / "docker-compose.yml").read_text())
    files["prometheus"] = yaml.safe_load((program.ROOT / "deploy/prometheus.yml").read_text())
    files["Dockerfile"] = (program.ROOT / "Dockerfile").read_text()
    files["ignored"] = (program.ROOT / ".dockerignore").read_text().splitlines()
    return files


def wrong_with(files):
    """What is wrong with any of it."""
    wrong = [reason for documents in files["manifests"].values() for reason in kubernetes.check(documents)]
    wrong += compose.check(files["compose"], files["prometheus"])
    wrong += dockerfile.check(files["Dockerfile"], files["ignored"])
    return sorted(set(wrong)) + documented.check(files)


def broken(files, case):
    """The files with one mistake of refused.yaml in them."""
    files, where = copy.deepcopy(files), case["in"]
    if where == "Dockerfile":
        assert case["text"] in files[where], f"the Dockerfile has no {case['text']!r} that could be broken"
        files[where] = files[where].replace(case["text"], case["put"])
        return files
    if where in ("compose", "prometheus"):
        place(files[where], case)
        return files
    found = [d for documents in files["manifests"].values() for d in documents if kubernetes.named(d).startswith(where)]
    assert found, f"there is no {where} that could be broken"
    for document in found:
        place(document, case)
    return files


def place(document, case):
    """Puts a value into a document, or takes one out."""
    *path, last = case["at"]
    for part in path:
        document = document[part]
    if "put" in case:
        document[last] = case["put"]
    else:
        del document[last]


def main():
    files = read(sys.argv[1])
    wrong = wrong_with(files)
    if wrong:
        sys.exit("\n".join(wrong))
    cases = yaml.safe_load((program.ROOT / "deploy/check/refused.yaml").read_text())
    for case in cases:
        found = wrong_with(broken(files, case))
        if not any(case["says"] in reason for reason in found):
            sys.exit(f"refused.yaml: {case['in']} {case.get('at', case.get('text'))} must be refused with {case['says']!r}, but: {found}")
    count = sum(len(documents) for documents in files["manifests"].values())
    print(f"deploy: {count} manifests, compose, Prometheus and Dockerfile are sound; each of {len(cases)} mistakes is refused")


if __name__ == "__main__":
    main()
