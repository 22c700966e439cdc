#!/bin/sh
# What `make install` lays down works from there, from another directory, without help from the tree.
. tests/cli/lib.sh
unset FLOPCAST_CONFIGS
prefix=$work/usr
mkdir -p "$prefix/bin" "$prefix/share/flopcast"
cp "$program" "$prefix/bin/flopcast"
cp -r configs "$prefix/share/flopcast/configs"
cd "$work" || exit 1
program=$prefix/bin/flopcast
run 0 list scenarios; stdout_has gpt4-a100
run 0 train gpt4-a100 --reps 5 --json; json '.run.days.p50 > 0'
rm -rf "$prefix/share/flopcast"
run 4 list scenarios; stderr_has FLOPCAST_CONFIGS
[ "$failures" -eq 0 ]
