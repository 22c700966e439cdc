#!/bin/sh
# The whole audit against its budget (5 s, 500 MB), and what a replication costs beside reading and judging alone.
program=${1:-build/flopcast}
command -v /usr/bin/time >/dev/null || { echo "skipped: /usr/bin/time is not installed (apt-get install time)"; exit 0; }
for round in 1 2 3; do
    full=$(/usr/bin/time -f '%e %U %M' "$program" audit gpt4-leak --json 2>&1 >/dev/null | tail -1)
    one=$(/usr/bin/time -f '%e %U %M' "$program" audit gpt4-leak --json --reps 1 2>&1 >/dev/null | tail -1)
    echo "$full $one" | awk -v r="$round" '{
        printf "round %d: audit %.2f s wall, %.2f s CPU, %.0f MB (budget 5 s, 500 MB: %.0f%%, %.0f%%); with one draw each %.2f s: the draws are %.1fx that\n",
               r, $1, $2, $3 / 1024, 100 * $1 / 5, 100 * $3 / 1024 / 500, $4, $1 / $4 }'
done
