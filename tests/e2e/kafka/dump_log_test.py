#!/usr/bin/env python3
"""Kafka's own dump-log tool over segments that Busway's code wrote.

dump_log_test.py WRITE_SEGMENTS FETCH_KAFKA JARS

The tool tells of mismatches on stderr only and exits with 0 all the same, so the text is what counts.
Exit 77: Kafka's tools cannot be had here (ctest shows the test as skipped).
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

COMPLAINTS = re.compile(r"mismatch|non-consecutive|out of order|not found|exception|error|ignoring", re.IGNORECASE)
LARGE_BATCHES = str(64 * 1024 * 1024)


class Tool:
    def __init__(self, jars):
        self.command = ["java", "-Xmx512m", "-cp", f"{jars}/*", "kafka.tools.DumpLogSegments"]

    def run(self, files, *options):
        done = subprocess.run(
            [*self.command, *options, "--max-message-size", LARGE_BATCHES, "--files", ",".join(map(str, files))],
            capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr


def check(condition, *what):
    if not condition:
        raise SystemExit("FAILED: " + " ".join(map(str, what)))


def files_of(partition):
    """The logs, then the indexes, in order of their offsets."""
    return [path for suffix in (".log", ".index", ".timeindex") for path in sorted(partition.glob(f"*{suffix}"))]


def expected_records(directory):
    records = collections.defaultdict(list)
    for line in (directory / "expected.jsonl").read_text().splitlines():
        record = json.loads(line)
        records[record["topic"]].append(record)
    return records


def size_of(text):
    return -1 if text is None else len(text) // 2


def check_logs(tool, partition, records):
    files = files_of(partition)
    code, out, err = tool.run(files, "--deep-iteration", "--print-data-log")
    check(code == 0, partition.name, "exit", code, err)
    check(not COMPLAINTS.search(err), partition.name, err)

    batches = re.findall(r"^baseOffset: .*", out, re.MULTILINE)
    check(batches and all("isvalid: true" in batch for batch in batches), partition.name, "an invalid batch")
    codecs = {re.search(r"compresscodec: (\w+)", batch)[1].lower() for batch in batches}
    topic = partition.name.rsplit("-", 1)[0]
    check(codecs == ({"none", "gzip", "snappy", "lz4", "zstd"} if topic == "mixed" else {topic}), topic, codecs)

    found = re.findall(r"^\| offset: (\d+) CreateTime: (\d+) keySize: (-?\d+) valueSize: (-?\d+)", out, re.MULTILINE)
    wanted = [(r["offset"], r["timestamp"], size_of(r["key"]), size_of(r["value"])) for r in records]
    check([tuple(map(int, record)) for record in found] == wanted, topic, "other records than were written")
    payloads = re.findall(r"payload: (value of .*)$", out, re.MULTILINE)
    texts = [bytes.fromhex(r["value"]).decode() for r in records if r["value"]]
    check(payloads == [text for text in texts if text.startswith("value of ")], topic, "other values")

    entries = len(re.findall(r"^offset: \d+ position: \d+", out, re.MULTILINE))
    times = len(re.findall(r"^timestamp: \d+ offset: \d+", out, re.MULTILINE))
    size = sum(path.stat().st_size for path in files if path.suffix == ".index") // 8
    time_size = sum(path.stat().st_size for path in files if path.suffix == ".timeindex") // 12
    check(entries == size and size > 3, topic, "offset index entries", entries, size)
    check(times == time_size and time_size > 3, topic, "time index entries", times, time_size)

    code, out, err = tool.run([f for f in files if f.suffix != ".log"], "--index-sanity-check")
    check(code == 0 and not COMPLAINTS.search(err), partition.name, err)
    check(out.count("passed sanity check") == len([f for f in files if f.suffix != ".log"]), partition.name, out)
    print(f"{partition.name}: {len(batches)} batches, {len(found)} records, {entries} + {times} index entries")


def check_that_it_would_complain(tool, partition):
    """The same checks must fail for an index that is wrong by one."""
    for suffix, complaint in ((".index", "Mismatches in"), (".timeindex", "Found timestamp mismatch")):
        path = sorted(partition.glob(f"*{suffix}"))[0]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[3 if suffix == ".index" else 7] ^= 1
        path.write_bytes(bytes(damaged))
        _, _, err = tool.run([path], "--verify-index-only")
        path.write_bytes(whole)
        check(complaint in err, "no complaint about a damaged", suffix, err)
    print("damaged indexes are complained about")


def main():
    write_segments, fetch, jars = sys.argv[1:]
    fetched = subprocess.run([fetch, jars])
    if fetched.returncode != 0:
        raise SystemExit(fetched.returncode)
    tool = Tool(jars)
    with tempfile.TemporaryDirectory(prefix="busway-dump-log-") as name:
        directory = pathlib.Path(name)
        subprocess.run([write_segments, name], check=True)
        records = expected_records(directory)
        check(len(records) == 6, "expected partitions", sorted(records))
        for topic in sorted(records):
            check_logs(tool, directory / f"{topic}-0", records[topic])
        check_that_it_would_complain(tool, directory / "none-0")


if __name__ == "__main__":
    main()
