"""Ratios of Palomar to its peers: to the best Node peer of each round, and to a table of SQL where one was measured.

    ratios.py FILE      FILE holds the JSON lines that `beside-peers.sh` or `intake-beside-peers.sh` has written

Each ratio is taken within a round; printed are its median, least and most over the rounds. A ratio above 1 means that
Palomar is better, for rates, times and sizes alike. `ours` and `best peer` are from the round in the middle.
"""
import json
import statistics
import sys
from collections import defaultdict

SQL_TABLE = "postgres skip locked"
STATIC = "nginx"
# Measured by the script of the table, and none of what we stand beside.
OTHER_SQL = "pg-boss"


def is_ours(who):
    return who.startswith("palomar")


def processor_time(row):
    """Of all processes together, where the row says it."""
    if "cpu_us_per_op" in row:
        return row["cpu_us_per_op"]
    if "node_cpu_us_per_op" in row:
        return row["node_cpu_us_per_op"] + row["redis_cpu_us_per_op"]
    return None


def figures(row):
    """What a row says, as pairs of a table's name and a value."""
    if "per_s" in row:
        yield "rate", row["per_s"]
        yield "cpu", processor_time(row)
        yield "redis cpu", row.get("redis_cpu_us_per_op")
        yield "redis commands", row.get("redis_commands_per_op")
        yield "written", row.get("written_bytes_per_op")
    elif "bytes" in row:
        yield "memory", row["bytes"]
    yield "p50", row.get("p50_ms")
    yield "p99", row.get("p99_ms")
    yield "resident", row.get("rss_mb")


def read(path):
    """table -> (measurement, round) -> who -> value, and round -> flushes a second of this disk."""
    found, disk = defaultdict(lambda: defaultdict(dict)), {}
    with open(path, encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            who = row.get("engine") or row.get("lib")
            if row["what"] == "fdatasync_append_4k":
                disk[row["round"]] = row["per_s"]
            elif not who.startswith(OTHER_SQL):
                for name, value in figures(row):
                    if value is not None:
                        found[name][row["what"], row["round"]][who] = value
    return found, disk


def is_node(who):
    return not is_ours(who) and who not in (SQL_TABLE, STATIC)


def table(title, values, is_peer, more_is_better):
    """One line a measurement that both sides have."""
    rows = defaultdict(list)
    for (what, _), by_name in sorted(values.items()):
        own = [value for who, value in by_name.items() if is_ours(who)]
        peers = [value for who, value in by_name.items() if is_peer(who)]
        if own and peers:
            best = max(peers) if more_is_better else min(peers)
            # Processor time is counted in hundredths of a second: a short measurement can show none.
            ratio = own[0] / best if more_is_better else best / max(own[0], 0.1)
            rows[what].append((ratio, own[0], best))
    if not rows:
        return
    print(title)
    for what, taken in rows.items():
        taken.sort()
        median = statistics.median(ratio for ratio, _, _ in taken)
        _, own, best = taken[len(taken) // 2]
        print(f"  {what:34} {median:7.2f}x  [{taken[0][0]:.2f} to {taken[-1][0]:.2f}]   ours {own}, best peer {best}")


def written(values):
    """What we write: the peers' scripts do not measure the same."""
    by_measurement = defaultdict(list)
    for (what, _), by_name in values.items():
        by_measurement[what] += [value for who, value in by_name.items() if is_ours(who)]
    if not by_measurement:
        return
    print("bytes that we write per operation")
    for what, values_of in by_measurement.items():
        print(f"  {what:34} {statistics.median(values_of):7.0f}")


def share_of_flushes(rates, disk):
    """What one caller alone reaches of what the disk can flush: a durable add needs one flush."""
    shares = [value / disk[round_] for (what, round_), by_name in rates.items() for who, value in by_name.items()
              if what == "add_one_by_one_c1" and is_ours(who) and round_ in disk]
    if shares:
        print(f"one caller, share of this disk's flushes: {statistics.median(shares):.0%}")


def share_of_static(rates):
    """What 100 connections that bring webhooks reach of what nginx answers them with nothing to do."""
    static = {round_: value for (what, round_), by_name in rates.items() for who, value in by_name.items() if who == STATIC}
    shares = [value / static[round_] for (what, round_), by_name in rates.items() for who, value in by_name.items()
              if what == "durable_c100" and is_ours(who) and round_ in static]
    if shares:
        print(f"100 connections, share of what nginx serves statically: {statistics.median(shares):.0%}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    found, disk = read(sys.argv[1])
    table("operations per second", found["rate"], is_node, more_is_better=True)
    table("processor time per operation, us (all processes)", found["cpu"], is_node, more_is_better=False)
    table("processor time of Redis per operation, us", found["redis cpu"], is_node, more_is_better=False)
    table("commands of Redis per operation", found["redis commands"], is_node, more_is_better=False)
    table("latency, p50, ms", found["p50"], is_node, more_is_better=False)
    table("latency, p99, ms", found["p99"], is_node, more_is_better=False)
    table("memory per job, bytes (of Redis with payloads; of the embedded broker, which has them on disk, without)", found["memory"], is_node,
          more_is_better=False)
    table("resident memory of the server alone, MB", found["resident"], is_node, more_is_better=False)
    table("operations per second, beside the table of SQL", found["rate"], lambda who: who == SQL_TABLE,
          more_is_better=True)
    written(found["written"])
    share_of_flushes(found["rate"], disk)
    share_of_static(found["rate"])


main()
