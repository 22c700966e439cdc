#!/bin/sh
# flopcast validate on published points of deployments: shipped table, JSON, screen, bad files.
. tests/cli/lib.sh

run 0 validate deployments --json
json '(.rows | length) >= 3100'
json 'all(.rows[]; ((.predicted / .measured - 1) - .error | fabs) < 1e-9)'
json 'all(.skipped[]; .reason != "")'
json '[.rows[] | select(.id | endswith("-tpot"))] | length > 700'
json '(.held_back.n / .summary.n) as $share | $share > 0.1 and $share < 0.3'
cp "$work/out" "$work/first"
run 0 validate deployments --json
cmp -s "$work/out" "$work/first" || fail "two runs differ"
run 0 validate deployments --split held-back --json; json 'all(.rows[]; .held_back)'
run 1 validate deployments --fail-above 0.0001
run 0 validate deployments; stdout_has "by engine"; stdout_has "by model"; stdout_has "skipped"; stdout_has "worst"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is wider than 80 columns"

# Bounds a little above what README states, of rows held back from the fits as well.
run 0 validate deployments --json
json '[.groups[] | select(.by == "kind")] | map({(.label): .}) | add
      | ."time per token".all.median_abs_error < 0.065 and .throughput.all.median_abs_error < 0.06
        and ."first token".all.median_abs_error < 0.21
        and ."time per token".held_back.median_abs_error < 0.08
        and .throughput.held_back.median_abs_error < 0.08
        and ."first token".held_back.median_abs_error < 0.25'
run 3 validate deployments --fit nobody; stderr_has "no row"

# Any order of columns, optional ones missing; a bad row is skipped and said.
cat >"$work/few.csv" <<'C'
silicon_tpot_ms,osl,isl,system,model_path,backend,id,concurrency
9,100,500,h200_sxm,meta-llama/Llama-3.1-8B,vllm,good,8
9,-1,500,h200_sxm,meta-llama/Llama-3.1-8B,vllm,bad,8
C
run 0 validate "$work/few.csv" --json
json '(.rows | length) == 1 and (.skipped | length) == 1 and .skipped[0].line == 3'
sed -i '2d' "$work/few.csv"
run 3 validate "$work/few.csv"; stderr_has "isl, osl"
sed -i 's/,backend,/,engine,/' "$work/few.csv"
run 3 validate "$work/few.csv"; stderr_has "backend"

[ "$failures" -eq 0 ]
