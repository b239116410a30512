#!/usr/bin/env bash
# Installs the build into a directory of its own, builds examples/ against it the two ways that a user has, and
# runs what was built with the daemon that was installed.
#
#   installed_library.sh SOURCE BUILD COMPILER SANITIZERS
set -euo pipefail
source_dir=$1 build_dir=$2 compiler=$3 sanitizers=${4:-}

work=$(mktemp -d "${TMPDIR:-/tmp}/busway-install-XXXXXX")
daemon=
cleanup() {
  if [[ -n $daemon ]]; then kill "$daemon" 2>/dev/null || true; wait "$daemon" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

prefix=$work/prefix
cmake --install "$build_dir" --prefix "$prefix" >"$work/install.log" || fail "cmake --install: $(cat "$work/install.log")"
library=$(find "$prefix" -name libbusway.so)
[[ -n $library ]] || fail "no libbusway.so was installed"
flags=()
[[ -z $sanitizers ]] || flags+=("-fsanitize=$sanitizers")

echo "-- by the CMake package"
cmake -G Ninja -S "$source_dir/examples" -B "$work/by-cmake" -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="${flags[*]}" >"$work/configure.log" ||
  fail "$(cat "$work/configure.log")"
cmake --build "$work/by-cmake" >"$work/build.log" || fail "$(cat "$work/build.log")"

echo "-- by pkg-config"
export PKG_CONFIG_PATH=$(dirname "$library")/pkgconfig
pkg-config --exists busway || fail "pkg-config does not find busway"
read -ra pc <<<"$(pkg-config --cflags --libs busway)"
"$compiler" -Wall -Wextra -Werror -H "${flags[@]}" "$source_dir/examples/first.cpp" "${pc[@]}" \
  -o "$work/first" 2>"$work/headers" || fail "$(grep -v '^\.' "$work/headers")"
if grep -F "$source_dir/bus" "$work/headers"; then fail "other headers than the installed ones were used"; fi
grep -q '/include/busway/busway.hpp' "$work/headers" || fail "the compiler named no headers"
if grep -E '/(boost|flatbuffers|liburing)' "$work/headers"; then fail "the public headers pull in foreign ones"; fi

echo "-- nothing but the API is exported"
if nm -DC --defined-only "$library" | grep -E ' [A-Za-z] busway::(client|control|log|memory|read|ring|wait)::'; then
  fail "symbols of the rooms are exported"
fi

echo "-- and they run"
export LD_LIBRARY_PATH=$(dirname "$library") BUSWAY_SOCKET=$work/busway.sock
"$prefix/bin/buswayd" --data-dir "$work/data" --socket "$BUSWAY_SOCKET" 2>"$work/daemon.log" &
daemon=$!
for _ in $(seq 200); do
  "$prefix/bin/busway" topic create greetings 2>/dev/null && break
  sleep 0.05
done
[[ $("$work/by-cmake/first") == "0: hello, world" ]] || fail "the program built with CMake: $(cat "$work/daemon.log")"
[[ $("$work/first") == "0: hello, world"* ]] || fail "the program built with pkg-config"
[[ $("$prefix/bin/busway" sub greetings -e -f '%k %s;') == "en hello, world;en hello, world;" ]] || fail "busway sub"
kill "$daemon"
wait "$daemon" || fail "the daemon did not stop cleanly: $(cat "$work/daemon.log")"
daemon=
echo "-- good"
