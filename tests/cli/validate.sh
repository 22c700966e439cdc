#!/bin/sh
# flopcast validate: shipped table, split, bound, files, bad rows, files that hold no row.
. tests/cli/lib.sh

run 0 validate training_validation.csv --split validation --json
json '.summary.n >= 35 and (.rows | length) == .summary.n'
json '.summary | .median_abs_error <= .p90_abs_error and .p90_abs_error <= .max_abs_error'
json '(.rows | length) + (.skipped | length) == 44'
json 'all(.rows[]; .measured > 0 and .predicted > 0 and (.defaults | type) == "array" and (.fits | type) == "boolean")'
json 'all(.rows[]; ((.predicted / .measured - 1) - .error | fabs) < 1e-12)'
json 'all(.skipped[]; .reason != "")'
json '.groups | has("gpu") and has("source") and has("stack") and has("model")'
json '([.groups.model[].n] | add) == .summary.n'
json '.ratios.summary.n == (.ratios.pairs | length) and ([.ratios.kinds[].n] | add) == .ratios.summary.n'
json 'all(.ratios.pairs[]; ((.predicted / .measured - 1) - .error | fabs) < 1e-12 and .id != .reference)'
json '.regret.n == (.regret.jobs | length) and all(.regret.jobs[]; .regret >= 0 and .layouts >= 2)'
cp "$work/out" "$work/first"
run 0 validate training_validation.csv --split validation --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads"

run 0 validate training_validation.csv --split validation
stdout_has "worst rows"; stdout_has "by stack"; stdout_has "skipped"; stdout_has "regret of the layout"
stdout_has "ratios inside a table"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is wider than 80 columns"
run 1 validate training_validation.csv --split validation --fail-above 0.0001; stderr_has "above"
run 0 validate training_validation.csv --split validation --fail-above 500%
run 2 validate training_validation.csv --fail-above much; stderr_has "0.05"
run 2 validate training_validation.csv --plot; stderr_has "--out"
run 2 validate training_validation.csv --reps 5; stderr_has "--reps"
run 2 validate training_validation.csv --set training.nonsense=1
run 3 validate training_validation.csv --split nonsense; stderr_has "nonsense"
run 3 validate "$work/absent.csv"

run 0 validate training_validation.csv --split validation --quiet --out "$work/files" --plot
for name in report.txt validation.json validation.csv validation-ratios.csv validation.gp validation.dat; do
    [ -s "$work/files/$name" ] || fail "$name is missing"
done
! command -v gnuplot >/dev/null || [ -s "$work/files/validation.png" ] || fail "validation.png is missing"

# A slower kernel predicts less on every row.
run 0 validate training_validation.csv --split validation --json --set training.kernel_overhead=30%
jq -s '.[0].summary.bias > .[1].summary.bias' "$work/first" "$work/out" | grep -q true ||
    fail "kernel_overhead does not slow the prediction"

# What the shipped stacks reach; a change that predicts worse fails here.
run 0 validate training_validation.csv --split validation --json --fail-above 4%
json '.summary | .n >= 43 and .mean_abs_error < 0.065 and .p90_abs_error < 0.14 and .max_abs_error < 0.32'
json '.summary.bias | fabs < 0.02'
run 0 validate training_validation.csv --split pool --json --fail-above 4%
json '.summary | .mean_abs_error < 0.062 and .p90_abs_error < 0.155 and (.bias | fabs) < 0.025'
run 0 validate training_validation.csv --split pool,validation --json
json '.summary.n == 452 and .ratios.summary.median_abs_error < 0.03 and .regret.mean < 0.02'

# The fit of stacks: better than neutral values, the stack's own file with the values in it, bad names.
run 0 validate training_validation.csv --fit zero-bubble-2023 --json --out "$work/fit"
json '.fits | length == 1'
json '.fits[0] | .stack == "stack-zero-bubble-2023" and .after.mean_abs_error < .before.mean_abs_error'
json '.fits[0].parameters | length >= 1 and .kernel_overhead >= 0 and .kernel_overhead <= 1'
cp "$work/out" "$work/first"
grep -q 'kernel_overhead: {value: .*fitted on .* pool rows' "$work/fit/stack-zero-bubble-2023.yaml" ||
    fail "the fitted stack has no fitted value"
run 0 check "$work/fit/stack-zero-bubble-2023.yaml"
run 0 validate training_validation.csv --fit zero-bubble-2023 --json --out "$work/fit" --jobs 1
cmp -s "$work/out" "$work/first" || fail "the fit depends on the number of threads"
run 0 validate training_validation.csv --fit stack-zero-bubble-2023
stdout_has "before"; stdout_has "after"; stdout_has "kernel_overhead"
# Folds: as many rows held out as fitted, whatever the threads; the centre in a file that reads back.
run 0 validate training_validation.csv --fit zero-bubble-2023 --folds 2 --json
json '.fits[0] | .held_out.n == .after.n and .held_out.mean_abs_error >= 0.8 * .after.mean_abs_error and .held_out.mean_abs_error < .before.mean_abs_error'
cp "$work/out" "$work/first"
run 0 validate training_validation.csv --fit zero-bubble-2023 --folds 2 --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the folds depend on the number of threads"
run 0 validate training_validation.csv --fit zero-bubble-2023 --folds 2; stdout_has "held out"
run 2 validate training_validation.csv --fit zero-bubble-2023 --folds 0; stderr_has "folds"
run 2 validate training_validation.csv --folds 2; stderr_has "folds"
run 2 validate collectives --fit all --folds 2; stderr_has "folds"

# Sources that nobody knows: what they say of their software, then the year.
run 2 validate collectives --leave-out source; stderr_has "training steps"
run 2 validate training_validation.csv --leave-out source --fit all; stderr_has "leave-out"
run 2 validate training_validation.csv --fit unknown --fit all; stderr_has "unknown"
run 2 validate training_validation.csv --fit unknown --folds 2; stderr_has "leave-out"
{
    printf '%s\n' 'id,source,notes,year,model,gpu,n_gpus,tp,pp,dp,n_layers,d_model,n_heads,seq_len,micro_batch,global_batch_seqs,metric,value'
    printf '%s\n' 'w,A report,"trained with torchtitan, FSDP",2025,Llama 3.1 8B,NVIDIA H100 SXM5 80GB,64,1,1,,,,,8k,1,64,tok/s/GPU,"6,500"' \
        'y,A report,,2025,Llama 3.1 8B,GB200,64,1,1,,,,,8192,1,64,tokens/s,"500,000"' \
        'n,A report,,2025,Some model,H100,,1,1,8,,,,8192,1,64,mfu,0.4'
} >"$work/unseen.csv"
run 0 validate "$work/unseen.csv" --json
json '.rows[0].stack == "stack-torchtitan-2024" and .rows[0].measured == 6500'
json '.rows[0].defaults | index("n_layers from model llama3-8b") != null and index("stack") != null'
json '.rows[1].measured == 7812.5 and (.rows[1].defaults | index("gpu: no step measured on it") != null)'
json '.skipped | length == 1 and (.[0].reason | contains("n_layers"))'
run 3 validate training_validation.csv --fit nonsense; stderr_has "nonsense"
run 2 validate training_validation.csv --fit

# Columns in another order, CRLF, quotes; every bad row skipped with its reason, the good one predicted.
header='metric,value,id,gpu,n_gpus,tp,pp,n_layers,d_model,n_heads,seq_len,global_batch_seqs,micro_batch,year,precision'
good='iter_seconds,1.42,"good, one",A100-SXM-80GB,8,8,1,48,6144,64,2048,4,4,2022,bf16'
{
    printf '%s\r\n' "$header" "$good"
    printf '%s\r\n' 'iter_seconds,fast,text,A100-SXM-80GB,8,8,1,48,6144,64,2048,4,4,2022,bf16' \
        'iter_seconds,-1,negative,A100-SXM-80GB,8,8,1,48,6144,64,2048,4,4,2022,bf16' \
        'iter_seconds,1,heads,A100-SXM-80GB,7,7,1,48,6144,64,2048,4,4,2022,bf16' \
        'iter_seconds,1,batch,A100-SXM-80GB,16,8,1,48,6144,64,2048,5,4,2022,bf16' \
        'iter_seconds,1,gpu,TPUv4,8,8,1,48,6144,64,2048,4,4,2022,bf16' \
        'furlongs,1,metric,A100-SXM-80GB,8,8,1,48,6144,64,2048,4,4,2022,bf16' \
        'tflops_per_gpu,50,convention,A100-SXM-80GB,8,8,1,48,6144,64,2048,4,4,2022,bf16' \
        'iter_seconds,1,nothing,A100-SXM-80GB,8,,1,48,6144,64,2048,4,4,2022,bf16' \
        'iter_seconds,1,short' \
        'iter_seconds,1,huge,A100-SXM-80GB,8,8,1,1e300,6144,64,2048,4,4,2022,bf16'
} >"$work/rows.csv"
run 0 validate "$work/rows.csv" --json
json '.rows | length == 1'; json '.rows[0].id == "good, one"'; json '.skipped | length == 10'
json '.skipped | map(select(.id == "text"))[0].reason | contains("fast")'
json '.skipped | map(select(.id == "nothing"))[0].reason | contains("tp")'
json '.skipped | map(select(.id == "batch"))[0].reason | contains("global_batch_seqs")'
json '.rows[0].defaults | index("d_ff") and index("n_kv_heads") and index("stack")'
json '(.rows[0].measured - 4 * 2048 / 1.42 / 8 | fabs) < 1e-9'

{ printf '%s\n' "$header"; printf '%s\n' 'iter_seconds,x,a,A100-SXM-80GB,8,8,1,48,6144,64,2048,4,4,2022,bf16'; } >"$work/none.csv"
run 3 validate "$work/none.csv"; stderr_has "no row"
printf 'id,gpu\nx,y\n' >"$work/t.csv"; run 3 validate "$work/t.csv"; stderr_has "no column"; stderr_has "taken for training steps"
: >"$work/t.csv"; run 3 validate "$work/t.csv"
printf 'id,"open\n' >"$work/t.csv"; run 3 validate "$work/t.csv"; stderr_has "t.csv:1:4"
printf 'id\000gpu\n' >"$work/t.csv"; run 3 validate "$work/t.csv"; stderr_has NUL
run 3 validate "$work"

[ "$failures" -eq 0 ]
