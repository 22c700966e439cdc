#!/bin/sh
# Fixed-seed runs whose whole output is compared. NAME.args holds the arguments, NAME.txt the output.
# After reading the difference, `make golden` renews them. The version and the scenario's hash, which any new
# key of the schema changes, are not compared (tests/cli and tests/unit hold them).
. tests/cli/lib.sh
update=${2:-}
for args in tests/golden/*.args; do
    name=$(basename "$args" .args)
    # shellcheck disable=SC2046 # the file holds words
    "$program" $(cat "$args") 2>&1 | sed "s#$PWD/##g" | sed -E 's/flopcast [0-9a-f]{7,}(-dirty)?|flopcast unknown/flopcast VERSION/; s/(sha256[a-z ]*:?) [0-9a-f]{12,64}/\1 HASH/; s/"program_version": "[^"]*"/"program_version": "VERSION"/' >"$work/out"
    if [ "$update" = --update ]; then
        cp "$work/out" "tests/golden/$name.txt"
    elif ! diff -u "tests/golden/$name.txt" "$work/out" >"$work/diff"; then
        echo "FAIL: golden $name (make golden renews it after you have read this)"
        head -40 "$work/diff"
        failures=$((failures + 1))
    fi
done

# Blocks of the README between two marks are what the program prints: `block NAME` takes the text
# from $work/NAME.
block() {
    if [ "$update" = --update ]; then
        awk -v block="$work/$1" -v name="$1" '
            $0 == "<!-- " name " -->" { print; while ((getline line < block) > 0) print line; skip = 1; next }
            $0 == "<!-- /" name " -->" { skip = 0 }
            !skip' README.md >"$work/readme" && cp "$work/readme" README.md
    elif ! sed -n "/<!-- $1 -->/,/<!-- \/$1 -->/p" README.md | sed '1d;$d' | diff -u - "$work/$1" >"$work/diff"; then
        echo "FAIL: the README's $1 is not what the program prints (make golden renews it)"
        head -40 "$work/diff"
        failures=$((failures + 1))
    fi
}
{
    echo '```'
    "$program" audit gpt4-leak 2>/dev/null | sed -E 's/, sha256 [^ ]+, flopcast [^ ]+$//'
    echo '```'
} >"$work/audit-screen"
block audit-screen
sh tests/golden/accuracy_tables.sh "$program" >"$work/accuracy"
block accuracy
[ "$failures" -eq 0 ]
