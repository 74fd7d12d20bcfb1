#!/usr/bin/env bash
# Measures a broker of ours and the Node queues in turn, on one machine and at one durability, and prints ratios.
#
#   PEERS=DIR bench/beside-peers.sh            five rounds; DIR holds the peers' scripts (queue_core.mjs and the rest)
#   ROUNDS=1 PARTS=add50,flow PEERS=DIR …      fewer rounds, fewer parts
#   FLUSH=each-second PARTS=flow PEERS=DIR …   once a second, beside Redis with `appendfsync everysec`
#   BROKER=redis PEERS=DIR …                   the Redis broker instead of the embedded one, on the peers' own Redis
#   PG_URL=postgres://… PEERS=DIR …            also beside a table with SKIP LOCKED, in that database
#
# Also: N operations a measurement (8000), CHANNELS and BACKLOG for these parts (1,100,1000 and 10000,100000; what is
# beyond 1,000 channels is measured of ours alone), PALOMAR a binary instead of the one that is built, WORK a folder to keep packages and results in (a new temporary one).
#
# Needs node, npm, redis-server, redis-cli, python3 and cargo. The Redis that it starts listens on 127.0.0.1 and is
# stopped at the end. The database of PG_URL must be one to throw away: its table `job` is dropped.
#
# A round is one run of every engine, so that drift hits all alike; only the ratios within a round count.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${PEERS:?the folder with the scripts of the peers}"
rounds=${ROUNDS:-5} n=${N:-8000} flush=${FLUSH:-each-commit} broker=${BROKER:-embedded}
channels=${CHANNELS:-1,100,1000} backlog=${BACKLOG:-10000,100000}
parts=${PARTS:-add1,add50,bulk,drain,flow,latency}

die() {
    echo "beside-peers: $1" >&2
    exit 2
}

case $flush in
each-commit) fsync=always ;;
each-second) fsync=everysec ;;
*) die "FLUSH is each-commit or each-second, not $flush" ;;
esac
case $broker in embedded | redis) ;; *) die "BROKER is embedded or redis, not $broker" ;; esac
[[ $fsync == always || -z ${PG_URL:-} ]] || die "PG_URL is for FLUSH=each-commit: the table flushes each commit"
# The parts that both sides know.
for part in ${parts//,/ }; do
    case $part in
    add1 | add50 | bulk | drain | flow | priority | retry | limiter | latency | memory | backlog | channels) ;;
    *) die "the peers have no part $part" ;;
    esac
done
for program in node npm redis-server redis-cli python3 cargo; do
    command -v "$program" >/dev/null || die "$program is not installed"
done
[[ -f $PEERS/queue_core.mjs ]] || die "there is no queue_core.mjs in $PEERS"

mkdir -p "${WORK:=$(mktemp -d)}"
work=$(cd "$WORK" && pwd)
mkdir -p "$work/peers"
cp "$PEERS"/*.mjs "$PEERS"/*.sh "$PEERS"/*.json "$work/peers/"
[[ -d $work/peers/node_modules ]] || (cd "$work/peers" && npm install --no-audit --no-fund --loglevel=error)
palomar=${PALOMAR:-${CARGO_TARGET_DIR:-$here/../target}/release/palomar}
[[ -n ${PALOMAR:-} ]] || cargo build --release --package palomar --manifest-path "$here/../Cargo.toml"

port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
(cd "$work/peers" && exec ./redis.sh "$fsync" "$port" "$work/redis") >"$work/redis.log" 2>&1 &
redis=$!
trap 'kill "$redis" 2>/dev/null; wait "$redis" 2>/dev/null || true' EXIT
until redis-cli -p "$port" ping >/dev/null 2>&1; do
    kill -0 "$redis" 2>/dev/null || die "Redis did not start: see $work/redis.log"
    sleep 0.1
done

# Each part in a process of its own: memory that one has freed would be there for the next for nothing.
ours() {
    local where=(--flush "$flush" --dir "$work/data") first=fdatasync part
    [[ $broker == embedded ]] || where=(--redis "redis://127.0.0.1:$port") first=''
    for part in $first ${parts//,/ }; do
        "$palomar" bench broker --n "$n" --only "$part" --channels "$channels" --backlog "$backlog" "${where[@]}"
    done
}
# In a shell of its own: the peers' scripts take what they need from the environment.
peer() (
    cd "$work/peers"
    export REDIS_URL=redis://127.0.0.1:$port N=$n RUNS=1 PARTS=$parts CONCURRENCY=50 BULLMQ=${2:-bullmq}
    # A queue, a worker and three connections for each channel: more than these take them minutes.
    CHANNELS=$(tr , '\n' <<<"$channels" | awk '$1 <= 1000' | paste -sd, -) BACKLOG=$backlog
    export CHANNELS BACKLOG
    node "$1"
)

: >"$work/results.jsonl"
for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds" >&2
    {
        ours
        peer bullmq_queue.mjs
        if [[ $broker == redis ]]; then peer bullmq_queue.mjs bullmq4; fi
        peer bull_queue.mjs
        if [[ -n ${PG_URL:-} ]]; then peer pg_queue.mjs; fi
    } | sed "s/^{/{\"round\":$round,/" >>"$work/results.jsonl"
done
python3 "$here/ratios.py" "$work/results.jsonl"
echo "lines in $work/results.jsonl" >&2
