#!/usr/bin/env bash
# Headcount on real Kafka and Cassandra, as `make demo-engines` runs it: in an environment where HEADCOUNT_KAFKA and
# HEADCOUNT_STORE say where they are. The program is $1; how long people walk is $2, like 30s.
set -euo pipefail
headcount=$1
server=http://127.0.0.1:8080
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT

"$headcount" migrate --replication 1
"$headcount" --log warn serve &
"$headcount" --log warn ingest --metrics-listen 127.0.0.1:8082 &
until "$headcount" status --server "$server" >/dev/null 2>&1; do sleep 0.5; done

echo "a campus reports to Kafka, with duplicates, delays and outages; look at $server/docs and $server/v1/spaces/campus/count"
"$headcount" --log warn simulate --to "kafka://$HEADCOUNT_KAFKA" --server "$server" --crossings-per-hour 600 --faults --for "${2:-1h}"
"$headcount" count campus --server "$server"
"$headcount" status --server "$server"
