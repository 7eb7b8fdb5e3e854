"""A DPU: `python firmware.py http://127.0.0.1:8080 284 crossings.jsonl 10`. Sees 10 people, reports them, ends.

The file is what it has not been thanked for. A crossing is in the file before anything is sent, and leaves it after a 2xx.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone

BATCH_MOST = 1000
WAIT_MOST_S = 60


def now():
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Buffer:
    """Crossings, a line each, on disk before `add` returns."""

    def __init__(self, path):
        self.path = path
        # A line cut short by a power failure was never complete.
        with open(path, "ab+") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)

    def add(self, crossing):
        with open(self.path, "a") as file:
            file.write(json.dumps(crossing) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def first(self):
        """The oldest crossings of one boot."""
        with open(self.path) as file:
            lines = [json.loads(line) for line in file][:BATCH_MOST]
        return [one for one in lines if one["boot"] == lines[0]["boot"]]

    def forget(self, count):
        with open(self.path) as file:
            lines = file.readlines()[count:]
        with open(self.path + ".new", "w") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)


def post(server, report):
    """Sends a report, unchanged and again, until it is durable."""
    body, wait_s = json.dumps(report).encode(), 1
    while True:
        try:
            request = urllib.request.Request(f"{server}/v1/crossings", body, {"content-type": "application/json"})
            return urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            wait_s = int(error.headers.get("retry-after", wait_s))
            print(f"not taken: {error.code} {error.read().decode()}", file=sys.stderr)
        except OSError as error:
            print(f"not reached: {error}", file=sys.stderr)
        time.sleep(min(wait_s, WAIT_MOST_S))
        wait_s = min(wait_s * 2, WAIT_MOST_S)


def main():
    server, dpu, path, people = sys.argv[1:]
    # A boot is a number no earlier run had: here the clock, on a device better a counter in flash.
    boot, buffer = time.time_ns() // 1_000_000, Buffer(path)
    for seq in range(1, int(people) + 1):
        buffer.add({"boot": boot, "at": now(), "direction": 1 if seq % 3 else -1, "seq": seq})
    while batch := buffer.first():
        crossings = [{key: one[key] for key in ("at", "direction", "seq")} for one in batch]
        post(server, {"dpu_id": dpu, "boot": batch[0]["boot"], "crossings": crossings})
        buffer.forget(len(batch))
    # Every half minute or so: a DPU that is not heard counts as silent.
    post(server, {"dpu_id": dpu, "boot": boot, "heartbeat": {"at": now(), "last_seq": int(people)}})


main()
