"""The Dockerfile and what reaches it."""

import re
import tomllib
from functools import cache

import program

INSTRUCTIONS = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}


def instructions(text):
    """Each instruction with its arguments, lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


def check(text, ignored):
    """What is wrong with the Dockerfile, given the lines of .dockerignore."""
    return [f"Dockerfile: {reason}" for reason in reasons(list(instructions(text)), ignored)]


def reasons(found, ignored):
    """Each thing that is wrong."""
    stages, final = [], []
    for word, rest in found:
        if word not in INSTRUCTIONS:
            yield f"{word} is not one of the instructions used here"
        elif word == "FROM":
            image, _, name = rest.partition(" AS ")
            if image not in stages:
                yield from image_wrong(image)
            stages.append(name)
            final = []
        elif word == "COPY":
            yield from copy_wrong(rest, stages, ignored)
        final.append((word, rest))
    last = {word: rest for word, rest in final}
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", last.get("USER", "")):
        yield f"the last stage runs as {last.get('USER', 'root')!r}: name a number other than 0, as Kubernetes must see that it is not root"
    if last.get("ENTRYPOINT") != '["headcount"]':
        yield "the entry point is not the program itself: signals would not reach it"


def image_wrong(image):
    """Why a base image is not pinned, or not to the toolchain the project pins."""
    yield from filter(None, [program.tag(image)])
    if image.startswith("rust:"):
        channel = tomllib.loads((program.ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        if image.removeprefix("rust:").split("-")[0] != channel:
            yield f"{image} is not the toolchain of rust-toolchain.toml, {channel}"


def copy_wrong(rest, stages, ignored):
    """Sources that are not there, or that .dockerignore keeps out."""
    words = rest.split()
    flags = dict(word.split("=", 1) for word in words if word.startswith("--"))
    sources = [word for word in words if not word.startswith("--")][:-1]
    if "--from" in flags:
        if flags["--from"] not in stages:
            yield f"COPY from {flags['--from']}, which is no stage before"
        return
    kept = {line[1:] for line in ignored if line.startswith("!")}
    for source in sources:
        if not (program.ROOT / source).exists():
            yield f"COPY {source}, which does not exist"
        elif source != "." and "*" in ignored and source.split("/")[0] not in kept:
            yield f"COPY {source}, which .dockerignore keeps out"
    if sources == ["."]:
        needed = {"Cargo.toml", "Cargo.lock"} | workspace()
        yield from (f"the build needs {name}, which .dockerignore keeps out" for name in sorted(needed - kept))


@cache
def workspace():
    """The top folders of the workspace's members, and of the files they include from elsewhere."""
    members = tomllib.loads((program.ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    included = set()
    for path in (program.ROOT / "crates").rglob("*.rs"):
        if "target" not in path.parts:
            for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', path.read_text()):
                included.add((path.parent / name).resolve().relative_to(program.ROOT).parts[0])
    return {member.split("/")[0] for member in members} | included | {"schemas"}
