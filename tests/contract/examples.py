"""Runs the examples as they stand, and looks at what came of them."""

import json
import os
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone

from server import ROOT

EXAMPLES = ROOT / "examples"


def run(*command, **env):
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **env})
    if ran.returncode:
        sys.exit(f"{command} ended with status {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def check(server, folder):
    curl(server)
    plot(server, folder)
    firmware(server, folder)
    grafana(server)
    print("examples: curl.sh, plot.py, firmware.py and the Grafana dashboard do what they say")


def curl(server):
    shown = run("bash", EXAMPLES / "curl.sh", server.url)
    for part in ('"space":"cafe"', "start,end", "event: count", '"accepted":1', '"id":"c'):
        assert part in shown, f"curl.sh shows no {part}:\n{shown}"
    made = [one for one in server.call("/v1/corrections")["corrections"] if one["reason"] == "closing round by curl"]
    assert len(made) == 1, f"the same Idempotency-Key twice made {len(made)} corrections"


def plot(server, folder):
    picture = folder / "hall.png"
    run(sys.executable, EXAMPLES / "plot.py", server.url, "hall", "2026-03-02", picture, MPLBACKEND="Agg", MPLCONFIGDIR=str(folder))
    assert picture.read_bytes().startswith(b"\x89PNG"), "plot.py made no PNG"


def firmware(server, folder):
    """Two runs over one buffer, people entering at the front door; what a run sent twice counts once."""
    buffer = folder / "crossings.jsonl"
    for _ in range(2):
        run(sys.executable, EXAMPLES / "firmware.py", server.url, "284", buffer, "3")
    dpu = server.call("/v1/dpus/284")
    since = (datetime.now(timezone.utc) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    seen = [one for one in server.call(f"/v1/spaces/hall/crossings?from={since}&limit=1000")["crossings"] if one["dpu_id"] == "284"]
    assert len(seen) == 6, f"firmware.py reported 2 * 3 crossings, but {len(seen)} are there: {dpu}"
    assert len({one["boot"] for one in seen}) == 2, seen
    assert not buffer.read_text(), "what got a 2xx may be forgotten"


def grafana(server):
    """Each panel's address answers, and its paths lead to something."""
    dashboard = json.loads((EXAMPLES / "grafana/headcount.json").read_text())
    with urllib.request.urlopen(server.metrics_url, timeout=20) as answer:
        metrics = answer.read().decode()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            if "expr" in target:
                name = target["expr"].removeprefix("rate(").split("[")[0].split("{")[0]
                assert f"\n{name}" in metrics, f"there is no metric {name}"
                continue
            path = target["url"].replace("${__from:date:iso}", "2026-03-02T10:00:00.000Z").replace("${__to:date:iso}", "2026-03-02T13:00:00.000Z")
            rows = server.call(path.replace("${space}", "hall"))[target["root_selector"]]
            assert rows, path
            for column in target["columns"]:
                value = rows[0]
                for part in column["selector"].split("."):
                    value = value[part]
