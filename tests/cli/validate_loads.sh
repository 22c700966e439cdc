#!/bin/sh
# flopcast validate on expert loads: the shipped sample agrees, a wrong row is seen, odd rows are skipped.
. tests/cli/lib.sh

run 0 validate expert_loads.csv --json --fail-above 0
json '.summary.rows == 65 and .summary.not_ok == 0 and (.skipped | length) == 0'
json 'all(.rows[]; .ok and .standard_errors_apart <= 4)'
cp "$work/out" "$work/first"
run 0 validate expert_loads.csv --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads"
run 0 validate expert_loads.csv --out "$work/files" --quiet
stdout_has "max_over_mean"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is wider than 80 columns"
[ -s "$work/files/report.txt" ] && [ -s "$work/files/validation.json" ] || fail "files are missing"

# 16 experts, top 2: a wrong mean, then a right one, then rows that cannot be used.
header='quantity,tokens,model,param,experts,top_k,methodB,seB,nB'
{
    printf '%s\n' "$header" 'max_over_mean,1024,uniform,0,16,2,1.1639,0.0007,4000' \
        'max_over_mean,1024,uniform,0,16,2,1.1539,0.0007,4000' \
        'max_over_mean,1024,pareto,1,16,2,1.2,0.01,4000' \
        'median,1024,uniform,0,16,2,1.2,0.01,4000' \
        'maxrank_EP3,1024,uniform,0,16,2,1.2,0.01,4000' \
        'max_over_mean,1024,uniform,0,16,17,1.2,0.01,4000' \
        'max_over_mean,1e99,uniform,0,16,2,1.2,0.01,4000' \
        'max_over_mean,10.5,uniform,0,16,2,1.2,0.01,4000' \
        'max_over_mean,1024,dirichlet,0,16,2,1.2,0.01,4000' \
        'max_over_mean,1024,uniform,0,16,2,much,0.01,4000' \
        'pad_tile0,1024,uniform,0,16,2,1,0.01,4000' 'short'
} >"$work/loads.csv"
run 0 validate "$work/loads.csv" --json
json '(.rows | length) == 2 and (.skipped | length) == 10'
json '(.rows[0].ok | not) and .rows[1].ok and .summary.not_ok == 1'
json 'all(.skipped[]; .reason != "")'
json '.skipped | map(select(.line == 4))[0].reason | contains("pareto")'
run 1 validate "$work/loads.csv" --fail-above 0.1; stderr_has "not ok"
run 2 validate "$work/loads.csv" --split pool; stderr_has "--split"
{ printf '%s\n' "$header"; printf 'x,1,uniform,0,16,2,1,1,9\n'; } >"$work/none.csv"
run 3 validate "$work/none.csv"; stderr_has "no row"
printf '%s\n' 'model,param,experts,top_k,tokens,quantity' 'uniform,0,16,2,1,cv' >"$work/t.csv"
run 3 validate "$work/t.csv"; stderr_has "methodB"

[ "$failures" -eq 0 ]
