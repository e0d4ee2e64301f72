#!/usr/bin/env python3
"""Compares laura-migrate with DuckDB, SQLite and the floor of this machine.

    pip install duckdb
    cargo build --release --example generate --bin laura-migrate
    python3 benches/compare.py --docs 1000000 --runs 5 --dir /a/disk

All of them take the same documents to a file with three indexes, one after the other in each round,
so that what else the machine does hits all of them alike:

    laura-migrate  v1 snapshot to a verified, published v2 directory (`--no-validate`: a line of its own)
    duckdb         JSON Lines by read_json into a table, three indexes
    sqlite         JSON Lines into a table (id, text), the id unique, two indexes on expressions
    floor          reads the snapshot, writes and fsyncs as many bytes as data.db has

Printed are medians of CPU seconds (user and system, of the process and its children), of wall clock
seconds, and the largest peak RSS. Each program runs in a process of its own.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def floor(snapshot, out, size):
    block = 1 << 20
    with open(snapshot, "rb", buffering=0) as file:
        while file.read(block):
            pass
    piece = os.urandom(block)
    fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for offset in range(0, size, block):
        os.pwrite(fd, piece[: min(block, size - offset)], offset)
    os.fsync(fd)
    os.close(fd)


def duck(lines, out):
    import duckdb

    connection = duckdb.connect(str(out))
    connection.execute("SET threads TO 2")
    connection.execute(
        "CREATE TABLE docs AS SELECT * FROM read_json(?, format = 'newline_delimited')", [str(lines)]
    )
    connection.execute("CREATE UNIQUE INDEX id_ ON docs (_id)")
    connection.execute("CREATE UNIQUE INDEX email_1 ON docs (email)")
    connection.execute("CREATE INDEX age_1 ON docs (age)")
    connection.execute("CHECKPOINT")
    connection.close()


def lite(lines, out):
    import sqlite3

    connection = sqlite3.connect(out)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE docs (id TEXT PRIMARY KEY, doc TEXT) WITHOUT ROWID")

    def rows():
        with open(lines, encoding="utf-8") as file:
            for line in file:
                # The id is the first member; parsing the line in Python would be Python's time.
                yield line[8 : line.index('"', 8)], line

    with connection:
        connection.executemany("INSERT INTO docs VALUES (?, ?)", rows())
        connection.execute("CREATE UNIQUE INDEX email_1 ON docs (doc ->> 'email')")
        connection.execute("CREATE INDEX age_1 ON docs (doc ->> 'age')")
    connection.close()
    fd = os.open(out, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def measured(command):
    """CPU seconds, wall seconds, peak RSS in bytes."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{error.decode()}")
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * scale


def clear(path):
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def json_lines(snapshot, lines):
    documents = json.load(open(snapshot, encoding="utf-8"))["collections"][0]["documents"]
    with open(lines, "w", encoding="utf-8") as file:
        for document in documents:
            row = {"_id": document["_id"], **document["fields"]}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / "target" / "compare")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        name, *rest = arguments.step
        steps = {"lines": json_lines, "duckdb": duck, "sqlite": lite}
        steps.get(name, lambda s, o, n: floor(s, o, int(n)))(*rest)
        return
    arguments.dir.mkdir(parents=True, exist_ok=True)
    # What lies in the directory already is somebody's.
    work = pathlib.Path(tempfile.mkdtemp(prefix="compare-", dir=arguments.dir))
    try:
        compare(work, arguments)
    finally:
        shutil.rmtree(work)


def compare(work, arguments):
    release = ROOT / "target" / "release"
    source, lines, out = work / "source", work / "docs.jsonl", work / "out"
    generate = [release / "examples" / "generate", source, "--docs", str(arguments.docs)]
    subprocess.run(generate, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    snapshot = source / "snapshot.json"
    # In a process of its own, since what is started counts this one's memory as its own at first.
    own = [sys.executable, __file__, "--step"]
    subprocess.run([*own, "lines", snapshot, lines], check=True)
    migrate = [release / "laura-migrate", source, out, "-q"]
    subprocess.run(migrate, check=True)
    size = (out / "data.db").stat().st_size
    programs = {
        "laura-migrate": migrate,
        "  --no-validate": [*migrate, "--no-validate"],
        "duckdb": [*own, "duckdb", lines, out],
        "sqlite": [*own, "sqlite", lines, out],
        "floor": [*own, "floor", snapshot, out, str(size)],
    }
    figures = {name: [] for name in programs}
    for _ in range(arguments.runs):
        for name, command in programs.items():
            clear(out)
            os.sync()
            figures[name].append(measured(command))
    print(f"{arguments.docs:,} documents, {arguments.runs} rounds, medians")
    print(f"{'':16} {'CPU s':>8} {'wall s':>8} {'peak RSS':>10} {'CPU ratio':>10}")
    own_cpu = statistics.median(cpu for cpu, _, _ in figures["laura-migrate"])
    for name, runs in figures.items():
        cpu = statistics.median(run[0] for run in runs)
        wall = statistics.median(run[1] for run in runs)
        rss = max(run[2] for run in runs)
        print(f"{name:16} {cpu:8.2f} {wall:8.2f} {rss / 2**20:6.0f} MiB {cpu / own_cpu:10.2f}")


if __name__ == "__main__":
    main()
