#!/bin/sh
# The helper program of the CUDA backend: what it says and how it ends, with a GPU and without.
. tests/cli/lib.sh

if [ ! -x build/flopcast-cuda ]; then
    echo "skipped: build/flopcast-cuda is not built (no nvcc)"
    exit 0
fi
program=$PWD/build/flopcast-cuda

run 64 --nonsense; stderr_has "'--nonsense' is not understood"; stderr_has "usage: flopcast-cuda"
run 64 --device; stderr_has "'--device' is not understood"
run 64 --device 12monkeys; stderr_has "usage:"
run 64 --seed -1; stderr_has "usage:"

"$program" --list >"$work/out" 2>"$work/err"
case $? in
0)
    head -n 1 "$work/out" | grep -q '"record":"provenance","class":"gpu"' || fail "no provenance"
    tail -n 1 "$work/out" | grep -q '"record":"end","points":0' || fail "no end"
    run 0 --check
    run 3 --device 1000; stderr_has "no device 1000: this machine has"
    ;;
3)
    stderr_has "no usable CUDA device"
    [ ! -s "$work/out" ] || fail "records without a device"
    [ "$(wc -l <"$work/err")" -eq 1 ] || fail "more than one line of reason"
    ;;
*) fail "--list ends with neither 0 nor 3" ;;
esac
[ "$failures" -eq 0 ]
