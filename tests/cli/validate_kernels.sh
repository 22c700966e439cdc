#!/bin/sh
# flopcast validate on tables of kernels: matrix products and MoE layers.
. tests/cli/lib.sh

run 0 validate gemm --json
json '.summary.n == (.rows | length) and .summary.n >= 4000 and .unit == "s"'
json '.summary | .median_abs_error <= .p90_abs_error and .p90_abs_error <= .max_abs_error'
json 'all(.rows[]; ((.predicted / .measured - 1) - .error | fabs) < 1e-12)'
json '.groups | has("gpu") and has("source") and has("time")'
json '([.groups.gpu[].n] | add) == .summary.n'
json '.held_back.n == ([.rows[] | select(.held_back)] | length)'
json '.groups.gpu | map(select(.label == "h100-sxm bf16"))[0].held_back | .n >= 90 and .mean_abs_error < 0.075'
cp "$work/out" "$work/first"
run 0 validate gemm --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads"

run 0 validate gemm
stdout_has "worst rows"; stdout_has "by gpu"; stdout_has "held"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is wider than 80 columns"
run 0 validate moe_layers
stdout_has "T >= 64, EP <= 32"; stdout_has "cutlass_fp8_block"
[ "$(awk 'length > 80 || /\.\.\.$/' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is cut"
run 1 validate gemm --fail-above 0.0001; stderr_has "above"
run 0 validate gemm --fail-above 500%
run 2 validate gemm --plot; stderr_has "--out"
run 2 validate gemm --split pool; stderr_has "held-back"
run 2 validate gemm --set gemm_bf16.nonsense=1

# The fifth held back does not depend on the order of rows or on other rows.
{ head -n 1 configs/measurements/gemm.csv; grep ,H200-SXM,bf16, configs/measurements/gemm.csv | sort -r; } >"$work/h200.csv"
run 0 validate "$work/h200.csv" --split held-back --json
jq -r '.rows[].id' "$work/out" | sort >"$work/held"
jq -r '.rows[] | select(.held_back and .gpu == "h200-sxm bf16") | .id' "$work/first" | sort >"$work/expected"
cmp -s "$work/held" "$work/expected" || fail "the rows held back depend on their order"

run 0 validate "$work/h200.csv" --quiet --out "$work/files" --plot
for name in report.txt validation.json validation.csv validation.gp validation.dat; do
    [ -s "$work/files/$name" ] || fail "$name is missing"
done
! command -v gnuplot >/dev/null || [ -s "$work/files/validation.png" ] || fail "validation.png is missing"

# A slower memory predicts more time.
run 0 validate "$work/h200.csv" --json
cp "$work/out" "$work/first"
run 0 validate "$work/h200.csv" --json --set hardware.gpu.memory_bandwidth=2TB/s
jq -s '.[0].summary.bias < .[1].summary.bias' "$work/first" "$work/out" | grep -q true ||
    fail "memory_bandwidth does not slow the prediction"

# The fit: no worse than what is shipped on the rows that it uses, a file that reads, the same for any number of threads.
run 0 validate "$work/h200.csv" --fit h200-sxm --json --out "$work/fit"
json '.fits | length == 1'
json '.fits[0] | .group == "gemm_bf16" and .errors.used.fitted.mean_abs_error <= .errors.used.shipped.mean_abs_error'
json '.fits[0].errors.held_back.fitted | .n >= 90 and .mean_abs_error < 0.08'
cp "$work/out" "$work/first"
run 0 check "$work/fit/h200-sxm.yaml"
grep -q 'fit to .* rows, judged on .* held back' "$work/fit/h200-sxm.yaml" || fail "the file does not say what was fitted"
run 0 validate "$work/h200.csv" --fit h200-sxm --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the fit depends on the number of threads"
run 0 validate "$work/h200.csv" --fit all
stdout_has "shipped"; stdout_has "k_overhead"
run 3 validate "$work/h200.csv" --fit tpu; stderr_has "gemm_bf16"

# Columns in another order, CRLF; bad rows skipped with their reasons.
printf '%s\r\n' 'time_us,K,dtype,N,M,gpu' '25,8192,bf16,4096,64,H100-SXM' 'x,8192,bf16,4096,64,H100-SXM' \
    '25,8192,bf16,4096,64,TPUv4' '25,8192' >"$work/rows.csv"
run 0 validate "$work/rows.csv" --json
json '(.rows | length) == 1 and (.skipped | length) == 3'
json '.rows[0] | .id == "h100-sxm bf16 64x4096x8192" and (.measured - 25e-6 | fabs) < 1e-15'
json '[.skipped[].reason] | any(contains("TPUv4"))'
printf '%s\n' 'time_us,K,dtype,N,M,gpu' 'x,8192,bf16,4096,64,H100-SXM' >"$work/none.csv"
run 3 validate "$work/none.csv"; stderr_has "no row"
printf '%s\n' 'time_us,dtype,N,M,gpu' '1,bf16,4096,64,H100-SXM' >"$work/none.csv"
run 3 validate "$work/none.csv"; stderr_has "no column 'K'"

[ "$failures" -eq 0 ]
