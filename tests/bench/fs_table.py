#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables and a plot of what fs.sh measured: fs_table.py FOLDER MODE BANDWIDTH reads FOLDER/fs.csv and
FOLDER/machine, writes FOLDER/table.md and, with gnuplot, FOLDER/fs.svg. MODE is the open mode that is shipped as the
default, BANDWIDTH the limit of the epochs in bytes a second.

Figures are medians over the rounds. "of native" compares with the same row of native, "of best peer" with the better
of the peers: the default mode, and the best one where that is another.
"""
import csv
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict

PEERS = ("rclone", "s3fs")
# Row of fs.csv: (what it is, unit, aim). A unit is files/s, reads/s or MB/s.
ROWS = {
    "small hot": ("small, hot", "files/s", ">= 95% of native"),
    "small hot python": ("small, hot, Python's open()", "files/s", ""),
    "large hot": ("large, hot", "MB/s", ">= 97% of native"),
    "large hot fio": ("large, hot, fio 4 KiB random", "reads/s", ""),
    "mixed hot": ("mixed, hot", "MB/s", ""),
    "small disk": ("small, from disk", "files/s", ">= 95% of native"),
    "large disk": ("large, from disk", "MB/s", ">= 95% of native"),
    "mixed disk": ("mixed, from disk", "MB/s", ""),
    "small cold": ("small, cold, 8 readers", "files/s", ">= 2x best peer"),
    "large cold": ("large, cold, 8 readers", "MB/s", ">= 2x best peer"),
    "mixed cold": ("mixed, cold, 8 readers", "MB/s", ""),
    "small list": ("first listing, small", "files/s", ""),
    "epoch list": ("first listing, far away", "files/s", ""),
    "epoch cold": ("ImageFolder epoch, far away, 16 workers", "files/s", ">= 2x best peer"),
    "epoch warmed": ("the same, with warm or a plan", "MB/s", ">= 90% of the limit"),
}
KNOBS = 256 << 20  # mem.capacity as shipped; 0 in the rows from disk
CPU_AIMS = {"small hot": "<= 0.33x best peer", "small cold": "<= 0.33x best peer", "large hot": "<= 1.1x native"}
PLOT = ("small hot", "large hot", "small disk", "large disk", "small cold", "large cold", "epoch cold")


class Pass:
    """One row of fs.csv."""

    def __init__(self, row):
        self.files, self.bytes, self.seconds = int(row["files"]), int(row["bytes"]), float(row["seconds"])
        self.cpu = float(row["cpu_reader"]) + float(row["cpu_daemon"])
        self.busy = (self.cpu + float(row["cpu_origin"])) / self.seconds
        self.disk, self.memory = int(row["disk_bytes"]), int(row["memory_bytes"])

    def rate(self, unit):
        return self.bytes / self.seconds / 1e6 if unit == "MB/s" else self.files / self.seconds


def read(path):
    """{row: {system: [Pass...]}}, and the systems in the order of the file's first mention."""
    passes, systems = defaultdict(lambda: defaultdict(list)), []
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            passes[row["row"]][row["system"]].append(Pass(row))
            if row["system"] not in systems:
                systems.append(row["system"])
    order = {"native": 0, "rclone": 2, "s3fs": 3}
    return passes, sorted(systems, key=lambda name: order.get(name, 1))


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def medians(of_row, unit):
    return {system: statistics.median(p.rate(unit) for p in passes) for system, passes in of_row.items()}


def compared(values, reference, mode, better, form):
    """How the default mode and the best one (by better: min or max) stand to the reference."""
    ours = {name: value for name, value in values.items() if name != "native" and name not in PEERS}
    if not ours or not reference:
        return "-"
    top = better(ours, key=ours.get)
    names = [mode, top] if mode in ours and mode != top else [top]
    return ", ".join(f"{name} {form.format(ours[name] / reference)}" for name in names)


def references(values, better):
    """The value of native, and the best peer's; 0 where there is none."""
    peers = [value for name, value in values.items() if name in PEERS]
    return values.get("native", 0), better(peers) if peers else 0


def rate_row(row, of_row, systems, mode, limit):
    what, unit, aim = ROWS[row]
    rates = medians(of_row, unit)
    native, peer = references(rates, max)
    cells = []
    if row == "epoch warmed":
        what, native = f"{what} (the limit: {number(limit / 1e6)})", limit / 1e6
    for system in systems:
        share = f" ({100 * rates[system] / native:.0f}%)" if native and system in rates and system != "native" else ""
        cells.append(number(rates[system]) + share if system in rates else "-")
    return [what, unit, *cells, compared(rates, native, mode, max, "{:.1%}"), compared(rates, peer, mode, max, "{:.1f}x"), aim]


def cpu_row(row, of_row, systems, mode):
    costs = {name: statistics.median(per_gigabyte(p) for p in passes) for name, passes in of_row.items()}
    native, peer = references(costs, min)
    return [ROWS[row][0], *(number(costs[name]) if name in costs else "-" for name in systems),
            compared(costs, native, mode, min, "{:.2f}x"), compared(costs, peer, mode, min, "{:.2f}x"), CPU_AIMS.get(row, "")]


def cell(passes, value):
    return number(statistics.median(value(p) for p in passes)) if passes else "-"


def spread(passes, unit):
    rates = [p.rate(unit) for p in passes]
    return f"{number(min(rates))} to {number(max(rates))}" if passes else "-"


def per_gigabyte(p):
    return p.cpu / p.bytes * 1e9 if p.bytes else 0


def disk_cell(passes):
    """What the disk has read at least, per cent of the bytes handed out: the proof that they came from it."""
    least = min((100 * p.disk / p.bytes for p in passes), default=0)
    return f"{least:.0f}{'' if least >= 90 else ' (not proved)'}" if passes else "-"


def memory_row(row, of_row, names):
    most = (0 if row.endswith(" disk") else KNOBS) + (64 << 20)
    return [ROWS[row][0], *(cell(of_row.get(name, []), lambda p: p.memory / 1048576) for name in names),
            f"<= {most >> 20}"]


def tables(passes, systems, machine, mode, limit):
    rows = [row for row in ROWS if row in passes]
    read_rows = [row for row in rows if " list" not in row]
    disk_rows = [row for row in rows if row.endswith(" disk")]
    others = [system for system in systems if system != "native"]

    def each(some, names, value):
        return [[ROWS[row][0]] + [value(row, passes[row].get(name, [])) for name in names] for row in some]

    return "\n".join([
        machine,
        table(["what", "unit", *systems, "of native", "of best peer", "aim"],
              [rate_row(row, passes[row], systems, mode, limit) for row in rows]),
        "CPU seconds a GB, of reader and daemon:\n",
        table(["what", *systems, "of native", "of best peer", "aim"],
              [cpu_row(row, passes[row], systems, mode) for row in read_rows]),
        "CPUs busy with it, of reader, daemon and origin together: where all are, the CPUs are the limit:\n",
        table(["what", *systems], each(read_rows, systems, lambda _, p: cell(p, lambda x: x.busy))),
        "Memory of the daemon after the pass (rss, shmem, kernel), MiB:\n",
        table(["what", *others, "aim, cachefs"], [memory_row(row, passes[row], others) for row in rows]),
        "Read by the disk, of the bytes handed out, %, the least of all rounds:\n",
        table(["what", *systems], each(disk_rows, systems, lambda _, p: disk_cell(p))),
        "Least and greatest rate of the rounds:\n",
        table(["what", "unit", *systems],
              [[line[0], ROWS[row][1], *line[1:]] for row, line in
               zip(rows, each(rows, systems, lambda row, p: spread(p, ROWS[row][1])))]),
    ])


def panel(row, of_row, systems):
    """gnuplot's commands for one row: a bar a system, with its rate and its share of native."""
    what, unit, _ = ROWS[row]
    rates = medians(of_row, unit)
    names = [name for name in systems if name in rates]
    native, lines = rates.get("native", 0), []
    for i, name in enumerate(names):
        color = "0x9a9a9a" if name == "native" else "0xd9822b" if name in PEERS else "0x2b6cb0"
        share = f"  {100 * rates[name] / native:.0f}% of native" if native and name != "native" else ""
        lines.append(f'{rates[name]} {len(names) - i} {color} "{name}" "{number(rates[name])}{share}"')
    return "\n".join([
        f"$data << END\n" + "\n".join(lines) + "\nEND",
        f'set title "{what}: {unit}" left offset -8,0',
        f"set xrange [0:{1.75 * max(rates.values())}]", f"set yrange [0.4:{len(names) + 0.6}]",
        "plot $data using (0):2:(0):1:($2-0.38):($2+0.38):3:ytic(4) with boxxyerror lc rgb variable notitle, "
        "$data using 1:2:5 with labels left offset 0.6,0 notitle", ""])


def plot(passes, systems, path):
    rows = [row for row in PLOT if row in passes]
    if not rows or not shutil.which("gnuplot"):
        return
    columns, lines, rounds = 2, (len(rows) + 1) // 2, len(next(iter(passes[rows[0]].values())))
    script = [f'set terminal svg size 900,{210 * lines + 30} font "sans-serif,12" background "white"', f'set output "{path}"',
              "set style fill solid noborder", "unset key", "set border 2 lc rgb '#808080'", "unset xtics",
              "set ytics nomirror scale 0", "set lmargin 12", "set rmargin 1", "set tmargin 3", "set bmargin 0.5",
              f"set multiplot layout {lines},{columns} title 'cachefs in each open mode (blue), peers (orange), the native file '.\\",
              f"'system (grey): medians of {rounds} rounds, longer is better' font ',12'"]
    script += [panel(row, passes[row], systems) for row in rows]
    subprocess.run(["gnuplot"], input="\n".join(script) + "\nunset multiplot\n", text=True, check=True, timeout=60)


def main():
    folder = sys.argv[1]
    passes, systems = read(f"{folder}/fs.csv")
    with open(f"{folder}/machine", encoding="utf-8") as file:
        text = tables(passes, systems, file.read(), sys.argv[2], float(sys.argv[3]))
    with open(f"{folder}/table.md", "w", encoding="utf-8") as file:
        file.write(text)
    plot(passes, systems, f"{folder}/fs.svg")
    print(text)


main()
