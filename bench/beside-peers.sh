#!/usr/bin/env bash
# Measures the embedded broker and the Node queues in turn, on one machine and at one durability, and prints ratios.
#
#   PEERS=DIR bench/beside-peers.sh            five rounds; DIR holds the peers' scripts (queue_core.mjs and the rest)
#   ROUNDS=1 PARTS=add50,flow PEERS=DIR …      fewer
#   FLUSH=each-second PARTS=flow PEERS=DIR …   once a second, beside Redis with `appendfsync everysec`
#   PG_URL=postgres://… PEERS=DIR …            also beside a table with SKIP LOCKED on that server
#
# Needs node, npm, redis-server, python3, cargo. What it starts listens on 127.0.0.1 and is stopped by it. A round is one
# run of every engine, so that drift hits all alike; only the ratios within a round count.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${PEERS:?the folder with the scripts of the peers}"
rounds=${ROUNDS:-5} n=${N:-8000} parts=${PARTS:-add1,add50,bulk,drain,flow,latency}
flush=${FLUSH:-each-commit} work=${WORK:-$(mktemp -d)}
case $flush in
each-commit) fsync=always ;;
each-second) fsync=everysec ;;
*) echo "FLUSH is each-commit or each-second, not $flush" >&2; exit 2 ;;
esac
mkdir -p "$work/peers"
cp "$PEERS"/*.mjs "$PEERS"/*.sh "$PEERS"/*.json "$work/peers/"
[[ -d $work/peers/node_modules ]] || (cd "$work/peers" && npm install --no-audit --no-fund --loglevel=error)
cargo build --release --manifest-path "$here/../Cargo.toml"
target=${CARGO_TARGET_DIR:-$here/../target}

port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
(cd "$work/peers" && exec ./redis.sh "$fsync" "$port" "$work/redis") >"$work/redis.log" 2>&1 &
redis=$!
trap 'kill "$redis" 2>/dev/null; wait "$redis" 2>/dev/null || true' EXIT
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
export REDIS_URL=redis://127.0.0.1:$port N=$n RUNS=1 PARTS=$parts CONCURRENCY=50

: >"$work/results.jsonl"
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds" >&2
    {
        "$target/release/palomar" bench broker --n "$n" --flush "$flush" --only "fdatasync,$parts" --dir "$work/data"
        (cd "$work/peers" && BULLMQ=bullmq node bullmq_queue.mjs)
        (cd "$work/peers" && node bull_queue.mjs)
        if [[ -n ${PG_URL:-} ]]; then (cd "$work/peers" && node pg_queue.mjs); fi
    } | sed "s/^{/{\"round\":$round,/" >>"$work/results.jsonl"
done
python3 "$here/ratios.py" "$work/results.jsonl"
echo "lines in $work/results.jsonl" >&2
