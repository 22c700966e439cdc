#!/bin/sh
# The README's tables of errors, as `validate` gives them on the shipped rows.
# usage: accuracy_tables.sh PROGRAM
set -eu
program=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for split in validation pool pool,validation; do
    "$program" validate configs/measurements/training_validation.csv --split "$split" --json --quiet >"$work/$split.json"
done
percent='def percent: (. * 1000 | round / 10 | tostring | if test("[.]") then . else . + ".0" end) + "%";
def signed: (if . * 1000 | round > 0 then "+" else "" end) + percent;
def row: "| \(.n) | \(.median_abs_error | percent) | \(.mean_abs_error | percent) | \(.p90_abs_error | percent)";'

echo "| rows | n | median | mean | p90 | worst | bias |"
echo "|---|---|---|---|---|---|---|"
for split in validation pool; do
    title="**pool, fitted**"
    [ $split = pool ] || title="**validation, never fitted**"
    jq -r --arg title "$title" "$percent"' .summary | "| \($title) " + row + " | \(.max_abs_error | percent) | \(.bias | signed) |"' "$work/$split.json"
    jq -r --arg split "$split" "$percent"' .groups.model[] | "| \($split), \(.label) " + row + " | \(.max_abs_error | percent) | \(.bias | signed) |"' "$work/$split.json"
done
echo
echo "| inside one table of a source, what differs between two rows | pairs | median | mean | p90 | bias |"
echo "|---|---|---|---|---|---|"
jq -r "$percent"' .ratios | ({label: "**all**"} + .summary), (.kinds | to_entries[] | {label: .key} + .value | select(.n > 0)) | "| \(.label) " + row + " | \(.bias | signed) |"' "$work/pool,validation.json"
echo
echo "| software stack (configs/calibration) | pool rows | median | mean | bias | validation rows | median | bias |"
echo "|---|---|---|---|---|---|---|---|"
jq -r --slurpfile held "$work/validation.json" "$percent"'
    ($held[0].groups.stack | map({key: .label, value: .}) | from_entries) as $validation
    | .groups.stack[] | $validation[.label] as $other
    | "| \(.label) | \(.n) | \(.median_abs_error | percent) | \(.mean_abs_error | percent) | \(.bias | signed) | "
      + (if $other then "\($other.n) | \($other.median_abs_error | percent) | \($other.bias | signed) |" else "0 | | |" end)' "$work/pool.json"
for split in validation pool; do
    echo
    jq -r --arg split "$split" '"Worst shipped \($split) rows: " + ([.rows | sort_by(-(.error | fabs))[:10][]
        | "\(.id) \(if .error > 0 then "+" else "" end)\(.error * 100 | round)%"] | join(", ")) + "."' "$work/$split.json"
done
