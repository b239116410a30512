#!/bin/sh
# fetch_kafka_python.sh DIRECTORY: makes a virtual environment there with kafka-python and its codecs, once.
# Exit 77: it cannot be had here.
set -eu
directory=$1

skip() {
  echo "SKIPPED: $1" >&2
  exit 77
}

[ -e "$directory/complete" ] && exit 0
mkdir -p "$directory"
exec 9>"$directory/lock"
flock 9
[ -e "$directory/complete" ] && exit 0
python3 -m venv "$directory/venv" >"$directory/pip.log" 2>&1 ||
  skip "there is no venv module for python3 (Debian: python3-venv)"
timeout 400 "$directory/venv/bin/pip" install -q kafka-python==3.0.12 lz4==4.4.5 zstandard==0.25.0 \
  python-snappy==0.7.3 >>"$directory/pip.log" 2>&1 ||
  skip "pip could not fetch kafka-python: $(tail -n 1 "$directory/pip.log")"
touch "$directory/complete"
