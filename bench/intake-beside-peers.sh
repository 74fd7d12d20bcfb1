#!/usr/bin/env bash
# Measures our intake of webhooks and the Node peer's in turn, on one machine and at one durability, and prints ratios.
#
#   PEERS=DIR bench/intake-beside-peers.sh     five rounds; DIR holds the peers' scripts (express_webhook.mjs and the rest)
#   ROUNDS=1 CONNS=100 SECS=5 PEERS=DIR …      fewer rounds, other numbers of connections, another length
#
# The peer is Express with Bull on a Redis that flushes each write, answering when the job is in Redis: it verifies,
# knows what comes twice and keeps it before 200, as we do. Both are loaded by the same wrk script, with webhooks that no
# server sees twice. nginx, where it is installed, answers a static GET in the same round: what HTTP costs here anyway.
#
# Also: PALOMAR a binary instead of the one that is built, WORK a folder to keep packages and results in.
# Needs node, npm, wrk, redis-server, redis-cli, python3, curl and cargo; nginx is welcome. All listen on 127.0.0.1 and
# are stopped at the end.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${PEERS:?the folder with the scripts of the peers}"
rounds=${ROUNDS:-5} conns=${CONNS:-1,10,100} secs=${SECS:-3}

die() {
    echo "intake-beside-peers: $1" >&2
    exit 2
}

for program in node npm wrk redis-server redis-cli python3 curl cargo; do
    command -v "$program" >/dev/null || die "$program is not installed"
done
[[ -f $PEERS/express_webhook.mjs ]] || die "there is no express_webhook.mjs in $PEERS"

mkdir -p "${WORK:=$(mktemp -d)}"
work=$(cd "$WORK" && pwd)
mkdir -p "$work/peers"
cp "$PEERS"/*.mjs "$PEERS"/*.lua "$PEERS"/*.sh "$PEERS"/*.json "$work/peers/"
[[ -d $work/peers/node_modules ]] || (cd "$work/peers" && npm install --no-audit --no-fund --loglevel=error)
palomar=${PALOMAR:-${CARGO_TARGET_DIR:-$here/../target}/release/palomar}
[[ -n ${PALOMAR:-} ]] || cargo build --release --package palomar --manifest-path "$here/../Cargo.toml"
# Enough that a fast server sees none twice.
hooks=$work/webhooks.tsv
[[ -f $hooks ]] || (cd "$work/peers" && node gen_webhooks.mjs 400000 "$hooks")

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
started=()
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done' EXIT
redis_port=$(free_port)
(cd "$work/peers" && exec ./redis.sh always "$redis_port" "$work/redis") >"$work/redis.log" 2>&1 &
started+=($!)
until redis-cli -p "$redis_port" ping >/dev/null 2>&1; do
    kill -0 "${started[0]}" 2>/dev/null || die "Redis did not start: see $work/redis.log"
    sleep 0.1
done

# wrk's figures of one run as a JSON line: WHO WHAT CONNECTIONS URL, then more fields.
load() {
    local who=$1 what=$2 width=$3 url=$4 script=${5:-}
    wrk -t 1 -c "$width" -d "${secs}s" ${script:+-s "$script"} --latency "$url" >"$work/wrk.txt"
    # The script's own line comes after wrk's, and says more.
    awk -v who="$who" -v what="$what" '
        /^Requests\/sec/ { line = sprintf("\"per_s\":%d", $2) }
        /^RESULT/ { line = sprintf("\"requests\":%d,\"per_s\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"errors\":%d", $2, $4, $5 / 1000, $6 / 1000, $8 + $9) }
        END { printf "{\"bench\":\"webhook\",\"engine\":\"%s\",\"what\":\"%s\",%s", who, what, line }' "$work/wrk.txt"
}

ours() {
    local width port pid
    for width in ${conns//,/ }; do
        port=$(free_port)
        rm -rf "$work/data"
        PALOMAR__SERVER__RATE_LIMIT=1000000/s "$palomar" serve --listen "127.0.0.1:$port" --data "$work/data" >"$work/palomar.log" 2>&1 &
        pid=$!
        started+=("$pid")
        until curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; do
            kill -0 "$pid" 2>/dev/null || die "palomar did not start: see $work/palomar.log"
            sleep 0.05
        done
        curl -sf -o /dev/null -H "Authorization: Bearer $(cat "$work/data/admin.key")" -H 'Content-Type: application/json' \
            "http://127.0.0.1:$port/api/channels" --data '{"name": "bench", "provider": "cloud_api",
                "settings": {"phoneNumberId": "106540352242922"},
                "credentials": {"token": "token", "appSecret": "app-secret", "verifyToken": "verify"}}'
        HOOK_PATH=/webhooks/bench WEBHOOKS=$hooks load palomar "durable_c$width" "$width" "http://127.0.0.1:$port/" "$work/peers/webhook_load.lua"
        printf ',"rss_mb":%d}\n' "$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$pid/status")"
        kill "$pid"
        wait "$pid" 2>/dev/null || true
    done
}

# The peer, and the memory of its Redis beside what it says of itself.
peer() (
    cd "$work/peers"
    export REDIS_URL=redis://127.0.0.1:$redis_port VARIANTS=durable RUNS=1 CONNS=$conns SECS=$secs WEBHOOKS=$hooks
    node express_webhook.mjs
)

static() {
    command -v nginx >/dev/null || return 0
    local port
    port=$(free_port)
    printf '%s\n' "daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.err;" \
        'events { worker_connections 4096; }' \
        "http { access_log off; keepalive_requests 100000000; server { listen 127.0.0.1:$port backlog=4096; location / { return 200 OK; } } }" >"$work/nginx.conf"
    nginx -c "$work/nginx.conf" &
    local pid=$!
    started+=("$pid")
    until curl -sf "http://127.0.0.1:$port/" >/dev/null; do sleep 0.05; done
    load nginx static_c100 100 "http://127.0.0.1:$port/"
    echo '}'
    kill "$pid"
    wait "$pid" 2>/dev/null || true
}

: >"$work/results.jsonl"
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds" >&2
    # Into a file and not a pipe: what a subshell starts, the trap above would not know.
    {
        ours
        peer
        static
    } >"$work/round.jsonl"
    sed "s/^{/{\"round\":$round,/" "$work/round.jsonl" >>"$work/results.jsonl"
done
python3 "$here/ratios.py" "$work/results.jsonl"
echo "lines in $work/results.jsonl" >&2
