#!/bin/sh
# Runs everything, as many tests at a time as there are cores, and closes with one line: "N passed,
# N failed". What failed is shown in the order of the list, whatever ended first.
# PROGRAMS_ONLY=1 leaves out what starts the program from a shell; JOBS=N runs N at a time.
# A script with a line "# alone: WHY" runs when the others have ended.
# usage: run.sh BUILD_DIR UNIT_PROGRAM... -- REPLAY_PROGRAM...
set -u
build=$1
shift
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
jobs=${JOBS:-$(nproc 2>/dev/null || echo 1)}

# One line a test: its number, and the command with its argument.
count=0
kind=unit
list() { # file, command...
    file=$1
    shift
    count=$((count + 1))
    printf '%s %s\n' "$count" "$*" >>"$logs/$file"
    printf '%s %s %s\n' "$count" "$kind" "$1 ${2:-}" >>"$logs/all"
}
: >"$logs/together"
: >"$logs/alone"
for program in "$@"; do
    case $program in
    --) kind=replay ;;
    *)
        corpus=$(basename "$program")
        if [ $kind = unit ]; then list together "$program"; else list together "$program" "tests/fuzz/corpus/${corpus#fuzz_}"; fi
        ;;
    esac
done
kind=script
for script in tests/cli/*.sh tests/golden/run.sh tests/layout.sh; do
    [ -f "$script" ] && [ -z "${PROGRAMS_ONLY:-}" ] || continue
    [ "$script" != tests/cli/lib.sh ] || continue
    if grep -q '^# alone: ' "$script"; then list alone sh "$script" "$build/flopcast"; else list together sh "$script" "$build/flopcast"; fi
done

# shellcheck disable=SC2016 # expanded by the inner shell
run='number=$1; shift; "$@" >"$LOGS/$number.log" 2>&1; echo $? >"$LOGS/$number.status"'
export LOGS="$logs"
xargs -r -P "$jobs" -L 1 sh -c "$run" test <"$logs/together"
xargs -r -P 1 -L 1 sh -c "$run" test <"$logs/alone"

passed=0
failed=0
fail() { # what
    failed=$((failed + 1))
    echo "FAILED: $1"
    cat "$log"
}
while read -r number kind test; do
    log=$logs/$number.log
    status=$(cat "$logs/$number.status" 2>/dev/null || echo "none")
    case $kind in
    unit) # cmocka closes with "[  PASSED  ] N test(s)."; count the tests, not the programs
        tests=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s)\.$/\1/p' "$log" | tail -n 1)
        if [ "$status" = 0 ] && [ "${tests:-0}" -gt 0 ]; then passed=$((passed + tests)); else fail "$test"; fi
        grep -E '^\[  SKIPPED \].*[a-z]' "$log" | sort -u
        ;;
    *)
        if [ "$status" = 0 ]; then passed=$((passed + 1)); else fail "$test"; fi
        grep '^skipped' "$log"
        ;;
    esac
done <"$logs/all"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
