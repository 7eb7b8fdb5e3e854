#!/usr/bin/env bash
# The main routes by curl: `examples/curl.sh http://127.0.0.1:8080`, with examples/topology.toml applied.
set -euo pipefail
server=${1:-http://127.0.0.1:8080}
json='content-type: application/json'
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
get() { curl --fail-with-body --silent --show-error "$@"; echo; }

echo "# report a crossing; anything but a 2xx: send it again unchanged"
get --header "$json" --data '{"dpu_id":"283","crossings":[{"at":"'"$now"'","direction":1}]}' "$server/v1/crossings"

echo "# how many people are there, now and at an instant?"
get "$server/v1/spaces/hall/count"
get "$server/v1/counts?space=hall&space=cafe&at=$now"

echo "# and how is that known?"
get "$server/v1/spaces/hall/explain"

echo "# the last 24 hours, as a table"
get --header 'accept: text/csv' "$server/v1/spaces/hall/history?interval=1h"

echo "# somebody counted; the same key may be sent again and makes nothing twice"
for _ in 1 2; do
    get --header "$json" --header "idempotency-key: closing-$now" \
        --data '{"corrections":[{"space":"hall","count":12,"at":"'"$now"'"}],"reason":"closing round by curl","by":"ann"}' "$server/v1/corrections"
done

echo "# counts as they change; without end, so here for two seconds"
curl --silent --no-buffer --max-time 2 "$server/v1/live?space=hall" || [ $? = 28 ]
