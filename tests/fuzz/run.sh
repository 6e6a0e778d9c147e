#!/bin/sh
# Runs one fuzz target on its corpus.
#
# usage: tests/fuzz/run.sh FOLDER_OF_PROGRAMS TARGET RUNS [libFuzzer options]
#
# With LIMPID_FUZZ_KEEP=DIR, what the run finds new is kept in DIR/TARGET and taken up by the next; else it is thrown away, and with the fixed
# seed the run is the same every time. The input that makes a target fail is left as ./crash-..., ./oom-... or ./timeout-...
set -eu
programs=$1 target=$2 runs=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
if [ -n "${LIMPID_FUZZ_KEEP:-}" ]; then
  found=$LIMPID_FUZZ_KEEP/$target
  mkdir -p "$found"
else
  found=$(mktemp -d)
  trap 'rm -rf "$found"' EXIT
  set -- -seed=1 "$@"
fi
dictionary=$here/dictionaries/$target.dict
[ ! -f "$dictionary" ] || set -- "-dict=$dictionary" "$@"
"$programs/fuzz_$target" -runs="$runs" -max_len=8192 -timeout=30 -rss_limit_mb=4096 -print_funcs=0 -print_final_stats=1 "$@" "$found" "$here/corpus/$target"
