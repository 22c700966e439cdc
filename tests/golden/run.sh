#!/bin/sh
# Fixed-seed runs whose whole output is compared. NAME.args holds the arguments, NAME.txt the output.
# After reading the difference, `make golden` renews them.
. tests/cli/lib.sh
update=${2:-}
for args in tests/golden/*.args; do
    name=$(basename "$args" .args)
    # shellcheck disable=SC2046 # the file holds words
    "$program" $(cat "$args") 2>&1 | sed "s#$PWD/##g" | sed -E 's/flopcast [0-9a-f]{7,}(-dirty)?|flopcast unknown/flopcast VERSION/; s/"program_version": "[^"]*"/"program_version": "VERSION"/' >"$work/out"
    if [ "$update" = --update ]; then
        cp "$work/out" "tests/golden/$name.txt"
    elif ! diff -u "tests/golden/$name.txt" "$work/out" >"$work/diff"; then
        echo "FAIL: golden $name (make golden renews it after you have read this)"
        head -40 "$work/diff"
        failures=$((failures + 1))
    fi
done

# The README shows the real first screen, between two marks.
{
    echo '```'
    "$program" audit gpt4-leak 2>/dev/null | sed -E 's/, flopcast [^ ]+$//'
    echo '```'
} >"$work/screen"
if [ "$update" = --update ]; then
    awk -v screen="$work/screen" '
        /<!-- audit-screen -->/ { print; while ((getline line < screen) > 0) print line; skip = 1; next }
        /<!-- \/audit-screen -->/ { skip = 0 }
        !skip' README.md >"$work/readme" && cp "$work/readme" README.md
elif ! sed -n '/<!-- audit-screen -->/,/<!-- \/audit-screen -->/p' README.md | sed '1d;$d' | diff -u - "$work/screen" >"$work/diff"; then
    echo "FAIL: the README's first screen is not what the program prints (make golden renews it)"
    head -40 "$work/diff"
    failures=$((failures + 1))
fi
[ "$failures" -eq 0 ]
