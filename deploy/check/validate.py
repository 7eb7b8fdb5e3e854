"""Documents against JSON schemas. The same document is asked about once."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import kubernetes_validate

import program

# The oldest Kubernetes the operators run on, and the newest whose schemas the validator carries.
VERSIONS = ("1.30", "1.37")


@cache
def schema(name):
    """A schema of this folder, or the compose specification's own, which a package carries."""
    path = program.ROOT / f"deploy/check/schemas/{name}.json"
    if name == "compose":
        path = Path(find_spec("check_jsonschema").origin).parent / "builtin_schemas/vendor/compose-spec.json"
    return json.loads(path.read_text())


def errors(name, document, kind=None):
    """What a schema, or its part for a kind, has against a document: the place and the reason."""
    return _errors(name, kind, json.dumps(document, sort_keys=True, default=str))


@cache
def _errors(name, kind, document):
    rules = schema(name) if kind is None else {"$ref": f"#/$defs/{kind}", "$defs": schema(name)["$defs"]}
    found = map(deepest, jsonschema.Draft202012Validator(rules).iter_errors(json.loads(document)))
    return [f"{place(error)}: {error.message}" for error in found]


def deepest(error):
    """Of alternatives that all fail, the reason of the likeliest."""
    return deepest(jsonschema.exceptions.best_match(error.context)) if error.context else error


def place(error):
    """Where in the document."""
    return ".".join(str(part) for part in error.absolute_path)


def kubernetes_errors(document):
    """What Kubernetes' own schemas have against a document, unknown fields included."""
    return _kubernetes_errors(json.dumps(document, sort_keys=True, default=str))


@cache
def _kubernetes_errors(document):
    return [f"{reason} (Kubernetes {version})" for version in VERSIONS for reason in _kubernetes(json.loads(document), version)]


def _kubernetes(document, version):
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except jsonschema.ValidationError as error:
        yield f"{place(error)}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield error.message
