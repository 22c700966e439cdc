#!/bin/sh
# Runs everything and closes with one line: "N passed, N failed".
# PROGRAMS_ONLY=1 leaves out what starts the program from a shell.
# usage: run.sh BUILD_DIR UNIT_PROGRAM... -- REPLAY_PROGRAM...
set -u
build=$1
shift
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
note() { # name, status
    if [ "$2" -eq 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED: $1"
        cat "$log"
    fi
}
while [ $# -gt 0 ] && [ "$1" != "--" ]; do
    "$1" >"$log" 2>&1
    status=$?
    # cmocka closes with "[  PASSED  ] N test(s)."; count the tests, not the programs
    count=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s)\.$/\1/p' "$log" | tail -n 1)
    if [ "$status" -eq 0 ] && [ "${count:-0}" -gt 0 ]; then passed=$((passed + count)); else note "$1" 1; fi
    grep -E '^\[  SKIPPED \].*[a-z]' "$log" | sort -u
    shift
done
[ $# -gt 0 ] && shift
for replay in "$@"; do
    name=$(basename "$replay")
    "$replay" "tests/fuzz/corpus/${name#fuzz_}" >"$log" 2>&1
    note "$replay" $?
done
for script in tests/cli/*.sh tests/golden/run.sh tests/layout.sh; do
    [ -f "$script" ] && [ -z "${PROGRAMS_ONLY:-}" ] || continue
    sh "$script" "$build/flopcast" >"$log" 2>&1
    note "$script" $?
    grep '^skipped' "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
