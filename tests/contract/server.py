"""A served store in a folder of its own, with a little in it."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S = 60
STOPS_WITHIN_S = 60


class Server:
    """Starts with `with`; leaves no process behind, and fails where the server does not stop well."""

    def __init__(self, program, folder):
        self.program, self.folder = Path(program).resolve(), Path(folder)

    def __enter__(self):
        log = (self.folder / "log").open("wb")
        addresses = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]
        # The pipe to its standard input ends with us, however we end.
        command = 'trap "" TERM INT; "$@" </dev/null 3<&- & read -r _ <&3; kill -TERM $! 2>/dev/null; wait $!'
        arguments = [self.program, "serve", "--store", f"fjall:{self.folder}/data", *addresses]
        self.process = subprocess.Popen(
            ["bash", "-c", f"exec 3<&0; {command}", "serve", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        self.url = self.metrics_url = None
        watchdog = signal.signal(signal.SIGALRM, self.late)
        signal.alarm(STARTS_WITHIN_S)
        for line in self.process.stdout:
            text = line.decode()
            if found := re.search(r"answers at (http://[0-9.:]+)", text):
                self.url = found[1]
            if found := re.search(r"metrics for Prometheus: (http://[0-9.:]+/metrics)", text):
                self.metrics_url = found[1]
                break
        signal.alarm(0)
        signal.signal(signal.SIGALRM, watchdog)
        if not (self.url and self.metrics_url):
            raise SystemExit(f"the server did not start:\n{self.log()}")
        return self

    def late(self, *_):
        raise SystemExit(f"the server did not start within {STARTS_WITHIN_S} s:\n{self.log()}")

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        status = self.process.wait(timeout=STOPS_WITHIN_S)
        if kind is None and (status or "panicked" in self.log()):
            raise SystemExit(f"the server stopped with status {status}:\n{self.log()[-4000:]}")

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def call(self, path, body=None, **headers):
        """The JSON answered to a GET, or to a POST where there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json", **headers})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def fill(self):
        """A topology, crossings, a correction and a row in quarantine."""
        topology = [self.program, "topology", "apply", "--server", self.url, ROOT / "examples/topology.toml"]
        subprocess.run(topology, check=True, stdout=subprocess.DEVNULL, env={**os.environ})
        minutes = [f"2026-03-02T1{hour}:{minute:02}:00Z" for hour in range(3) for minute in range(60)]
        crossings = [{"at": at, "direction": 1 if seq % 3 else -1, "seq": seq} for seq, at in enumerate(minutes, 1)]
        reports = [
            {"dpu_id": "283", "boot": 1, "crossings": crossings, "heartbeat": {"at": "2026-03-02T13:00:00Z", "last_seq": 180}},
            {"dpu_id": "301", "boot": 1, "crossings": [{"at": "1970-01-01T00:00:01Z", "direction": 1, "seq": 1}]},
        ]
        stored = self.call("/v1/crossings", reports)
        assert (stored["accepted"], len(stored["quarantined"])) == (180, 1), stored
        counted = {"space": "hall", "count": 12, "at": "2026-03-02T12:30:00Z"}
        self.call("/v1/corrections", {"corrections": [counted], "reason": "closing round", "by": "ann"})
