"""Ratios of Palomar against the best Node peer of each round, and against a table of SQL where one was measured: median,
least and most over the rounds.

Reads the JSON lines of `beside-peers.sh`. For rates and for latencies alike, a ratio above 1 means that Palomar is better.
"""
import json
import statistics
import sys

rates, cpu, latency, disk, written = {}, {}, {}, {}, {}
sql = {}
SQL_TABLE, SQL_NAMES = "postgres skip locked", {"drain_c8_batch50": "drain_c50"}
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    who = row.get("engine") or row.get("lib")
    key = (row["what"], row["round"])
    if "written_bytes_per_op" in row:
        written.setdefault(row["what"], []).append(row["written_bytes_per_op"])
    if who == SQL_TABLE and "per_s" in row:
        sql[SQL_NAMES.get(row["what"], row["what"]), row["round"]] = row["per_s"]
    elif row.get("lib", "").startswith("pg"):
        continue
    elif row["what"] == "fdatasync_append_4k":
        disk[row["round"]] = row["per_s"]
    elif "p50_ms" in row and "per_s" not in row:
        latency.setdefault(key, {})[who] = (row["p50_ms"], row["p99_ms"])
    elif "per_s" in row:
        rates.setdefault(key, {})[who] = row["per_s"]
        used = row.get("cpu_us_per_op")
        if used is None:
            used = row.get("node_cpu_us_per_op", 0) + row.get("redis_cpu_us_per_op", 0)
        cpu.setdefault(key, {})[who] = used


def ours(names):
    return next((name for name in names if name.startswith("palomar")), None)


def table(title, values, ratio):
    found = {}
    for (what, _), by_name in sorted(values.items()):
        name = ours(by_name)
        peers = {other: value for other, value in by_name.items() if other != name}
        if name and peers:
            found.setdefault(what, []).append(ratio(by_name[name], list(peers.values())) + (by_name[name],))
    print(title)
    for what, rows in found.items():
        ratios = sorted(row[0] for row in rows)
        print(f"  {what:34} {statistics.median(ratios):7.2f}x  [{ratios[0]:.2f} to {ratios[-1]:.2f}]   "
              f"ours {rows[len(rows) // 2][2]}, best peer {rows[len(rows) // 2][1]}")


table("operations per second", rates, lambda own, peers: (own / max(peers), max(peers)))
table("processor time per operation (all processes)", cpu, lambda own, peers: (min(peers) / max(own, 0.1), min(peers)))
for index, name in ((0, "p50"), (1, "p99")):
    table(f"latency, {name}", {key: {who: laps[index] for who, laps in by.items()} for key, by in latency.items()},
          lambda own, peers: (min(peers) / own, min(peers)))
table("operations per second, beside the table of SQL",
      {key: {ours(by): by[ours(by)], SQL_TABLE: sql[key]} for key, by in rates.items() if ours(by) and key in sql},
      lambda own, peers: (own / max(peers), max(peers)))
print("bytes that we write per operation")
for what, bytes_per_op in written.items():
    print(f"  {what:34} {statistics.median(bytes_per_op):7.0f}")
alone = [rates[key][ours(rates[key])] / disk[key[1]] for key in rates
         if key[0] == "add_one_by_one_c1" and ours(rates[key]) and disk.get(key[1])]
if alone:
    print(f"one caller, share of this disk's flushes: {statistics.median(alone):.0%}")
