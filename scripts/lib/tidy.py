#!/usr/bin/env python3
"""clang-tidy over the product's source files of a build directory, in a bounded time.

    tidy.py BUILD_DIRECTORY [--seconds N] [--jobs N]

A file that was clean before is not checked again while it, its headers, its command line and .clang-tidy stay as they
are. What changed last comes first; what is not reached in time is said, and comes first in the next run. Tests are left
out: most of what it says of them is about speed. Ends with status 1 if a file is not clean.
"""
import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def dependencies(build):
    """Object file -> files it was made from, as ninja recorded them."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    found = {}
    current = []
    for line in text.splitlines():
        if line.startswith("    "):
            current.append(line.strip())
        elif ": #deps" in line:
            current = found.setdefault(line.split(": #deps")[0], [])
    return found


def own_files(build, paths):
    for path in paths:
        absolute = (build / path).resolve()
        if ROOT in absolute.parents and absolute.exists():
            yield absolute


def key_of(build, entry, made_from):
    digest = hashlib.sha256(entry["command"].encode())
    for path in sorted({ROOT / ".clang-tidy", Path(entry["file"]), *own_files(build, made_from)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def files_to_check(build, known_clean):
    made_from = dependencies(build)
    todo = []
    known = 0
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if build in Path(entry["file"]).resolve().parents or (ROOT / "tests") in Path(entry["file"]).parents:
            continue  # generated, or a test
        sources = made_from.get(entry.get("output", ""), [])
        key = key_of(build, entry, sources)
        if (known_clean / key).exists():
            known += 1
            continue
        newest = max((path.stat().st_mtime for path in own_files(build, sources)), default=time.time())
        todo.append((-newest, entry["file"], key))
    return known, sorted(todo)


def check(tidy, build, source):
    ran = subprocess.run([tidy, "-p", str(build), "--quiet", source], capture_output=True, text=True, check=False)
    return ran.returncode == 0, ran.stdout + ("" if ran.stdout else ran.stderr)


def main():
    parser = argparse.ArgumentParser(description="clang-tidy in a bounded time")
    parser.add_argument("build", type=lambda text: Path(text).resolve())
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    tidy = shutil.which("clang-tidy-14")
    if tidy is None:
        print("clang-tidy-14 is missing: scripts/install-deps --test", file=sys.stderr)
        return 1
    known_clean = options.build / "tidy"
    known_clean.mkdir(exist_ok=True)
    known, todo = files_to_check(options.build, known_clean)
    give_up = time.monotonic() + options.seconds
    counts = {"clean": 0, "not clean": 0, "not reached": 0}

    def one(item):
        *_, source, key = item
        if time.monotonic() > give_up:
            counts["not reached"] += 1
            return
        clean, words = check(tidy, options.build, source)
        counts["clean" if clean else "not clean"] += 1
        if clean:
            (known_clean / key).touch()
        else:
            print(words, flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, todo))
    words = ", ".join(f"{count} {what}" for what, count in counts.items())
    print(f"clang-tidy: {known} known to be clean, {words} within {options.seconds:.0f} s")
    return 1 if counts["not clean"] else 0


if __name__ == "__main__":
    sys.exit(main())
