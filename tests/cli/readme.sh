#!/bin/sh
# The README's examples are tests: every command in a fenced sh block that starts with build/flopcast must succeed, and every
# path it names must exist.
. tests/cli/lib.sh
sed -n '/^```sh$/,/^```$/p' README.md | grep '^build/flopcast' >"$work/commands"
[ "$(wc -l <"$work/commands")" -ge 5 ] || fail "the README shows fewer than five commands"
mkdir "$work/place"
ln -s "$PWD/configs" "$work/place/configs"
while read -r line; do
    words=${line#build/flopcast }
    words=${words%%#*}
    case $words in *--load* | *--find* | *--fleet* | *--trace*) ;; *--out* | *--report*) words="$words --quick" ;; train* | serve* | audit*) words="$words --quick" ;; esac
    (cd "$work/place" && eval "\"$program\" $words" >"$work/out" 2>"$work/err" </dev/null) || fail "README: $line"
done <"$work/commands"
grep -oE '\]\((sim|models|hw|reports|configs|tests)[^)#]*\)' README.md | tr -d '()]' | while read -r path; do
    [ -e "$path" ] || echo "missing: $path"
done >"$work/missing"
[ -s "$work/missing" ] && fail "README names what is not there: $(cat "$work/missing")"
[ "$failures" -eq 0 ]
