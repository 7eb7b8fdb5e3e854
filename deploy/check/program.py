"""What the program understands, read from its sources: tasks, flags and HEADCOUNT_* variables."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def known():
    """Every task, --flag and HEADCOUNT_* variable."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "crates/headcount/src").rglob("*.rs")))
    tasks = re.search(r"enum Task \{\n(.*?)^\}", text, re.S | re.M).group(1)
    words = {name.lower() for name in re.findall(r"^    (\w+)[(,]", tasks, re.M)}
    words |= set(re.findall(r'env = "(HEADCOUNT_\w+)"', text))
    for name, field in re.findall(r'#\[arg\(long(?: = "([\w-]+)")?.*?\)\]\s*pub(?:\(\w+\))? (\w+):', text, re.S):
        words.add("--" + (name or field.replace("_", "-")))
    return frozenset(words)


def unknown(where, words):
    """Tasks, flags and variables the program does not understand."""
    wrong = {word for word in words if word not in known()}
    return [f"{where}: the program knows no {word!r}" for word in sorted(wrong)]


def called(command):
    """The task and the flags of a command line."""
    words = [str(word) for word in command]
    return words[:1] + [word.split("=")[0] for word in words[1:] if word.startswith("--")]


def tag(image):
    """Why an image is not pinned; None when it is."""
    name = image.rsplit("/", 1)[-1]
    if "@sha256:" in name:
        return None
    _, colon, version = name.partition(":")
    return None if colon and re.search(r"\d", version) else f"the image {image} has no version: name one, not latest"
