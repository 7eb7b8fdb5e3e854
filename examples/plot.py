"""Plots a day of a space: `python plot.py http://127.0.0.1:8080 hall 2026-11-20 hall.png`. Needs matplotlib."""

import json
import sys
from datetime import date, datetime, timedelta
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import matplotlib.pyplot as plt


def buckets(server, space, day):
    """The day (UTC) in buckets of 15 minutes; a long history comes in pages."""
    until = date.fromisoformat(day) + timedelta(days=1)
    query = {"interval": "15m", "from": f"{day}T00:00:00Z", "to": f"{until}T00:00:00Z"}
    while True:
        with urlopen(f"{server}/v1/spaces/{quote(space)}/history?{urlencode(query)}", timeout=30) as answer:
            page = json.load(answer)
        yield from page["buckets"]
        if page["next"] is None:
            return
        query["cursor"] = page["next"]


server, space, day, picture = sys.argv[1:]
found = list(buckets(server, space, day))
start = [datetime.fromisoformat(one["start"]) for one in found]
figure, axes = plt.subplots(figsize=(10, 4))
axes.fill_between(start, [one["min"]["count"] for one in found], [one["max"]["count"] for one in found], step="post", alpha=0.3, label="lowest to highest")
axes.step(start, [one["mean"] for one in found], where="post", label="mean")
axes.set(title=f"{space}, {day} (UTC)", ylabel="people", ylim=(0, None))
axes.legend()
figure.autofmt_xdate()
figure.savefig(picture)
