#!/usr/bin/env python3
"""kafka-python, which shares no code with Busway, decodes the segments that Busway's code wrote.

kafka_python_test.py WRITE_SEGMENTS FETCH_KAFKA_PYTHON ENVIRONMENT
Exit 77: kafka-python cannot be had here (ctest shows the test as skipped).
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def check(condition, *what):
    if not condition:
        raise SystemExit("FAILED: " + " ".join(map(str, what)))


def text(data):
    return None if data is None else bytes(data).hex()


def decode(log):
    from kafka.record import MemoryRecords

    records = MemoryRecords(log.read_bytes())
    while (batch := records.next_batch()) is not None:
        check(batch.validate_crc(), log, "checksum")
        for record in batch:
            yield {
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": text(record.key),
                "value": text(record.value),
                "headers": [[name, text(value)] for name, value in record.headers],
            }


def main():
    write_segments, fetch, environment = sys.argv[1:]
    if os.environ.get("BUSWAY_KAFKA_PYTHON") != environment:
        fetched = subprocess.run([fetch, environment])
        if fetched.returncode != 0:
            raise SystemExit(fetched.returncode)
        python = f"{environment}/venv/bin/python"
        os.execve(python, [python, *sys.argv], {**os.environ, "BUSWAY_KAFKA_PYTHON": environment})

    with tempfile.TemporaryDirectory(prefix="busway-kafka-python-") as name:
        directory = pathlib.Path(name)
        subprocess.run([write_segments, name], check=True)
        expected = collections.defaultdict(list)
        for line in (directory / "expected.jsonl").read_text().splitlines():
            record = json.loads(line)
            expected[record.pop("topic")].append(record)
        check(len(expected) == 6, "expected partitions", sorted(expected))
        for topic, records in sorted(expected.items()):
            found = [r for log in sorted((directory / f"{topic}-0").glob("*.log")) for r in decode(log)]
            check(len(found) == len(records), topic, len(found), "records of", len(records))
            for ours, theirs in zip(records, found):
                check(ours == theirs, topic, "written", ours, "decoded", theirs)
            print(f"{topic}: {len(found)} records")


if __name__ == "__main__":
    main()
