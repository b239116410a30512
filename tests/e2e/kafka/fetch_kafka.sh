#!/bin/sh
# fetch_kafka.sh DIRECTORY: puts the jars of Kafka's tools into DIRECTORY, once. Exit 77: they cannot be had here.
set -eu
directory=$1
here=$(cd "$(dirname "$0")" && pwd)

skip() {
  echo "SKIPPED: $1" >&2
  exit 77
}

command -v java >/dev/null 2>&1 || skip "there is no java (Debian: default-jre-headless)"
[ -e "$directory/complete" ] && exit 0
command -v mvn >/dev/null 2>&1 || skip "there is no mvn (Debian: maven)"

mkdir -p "$directory" "$HOME/.m2"
# two test runs share Maven's own store
exec 9>"$HOME/.m2/busway-tests.lock"
flock 9
[ -e "$directory/complete" ] && exit 0
timeout 400 mvn -B -q -f "$here/pom.xml" \
  org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
  -DincludeScope=runtime -DoutputDirectory="$directory" >"$directory/mvn.log" 2>&1 ||
  skip "Maven could not fetch Kafka's tools: $(tail -n 1 "$directory/mvn.log")"
touch "$directory/complete"
