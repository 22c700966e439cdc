#!/bin/sh
# flopcast serve under a load: --load, --trace, --slo, --find; validate on serving measurements.
. tests/cli/lib.sh

cat >"$work/small.yaml" <<'YAML'
schema: 1
title: "Llama 2 70B on 8 H100"
kind: serving
model: llama2-70b
hardware: {base: h100-ndr, gpus: 8}
serving:
  base: engine-vllm-2025
  tensor: 8
  context_limit: 32768
  prompt_tokens: 1155
  output_tokens: 211
  length_sigma: 0.8
  utilisation: 50%
prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh}
YAML

run 0 serve "$work/small.yaml" --load 4 --json
json '.load.stable and .load.rate_per_s == 4 and .load.stable_maximum_per_s > 4'
json '.latency.ttft_s.p50 > 0 and .latency.ttft_s.p50 <= .latency.ttft_s.p99 and .latency.tpot_s.p99 > 0'
json '(.throughput.requests_per_s / 4 - 1 | fabs) < 0.05'
json '.cost.usd_per_1m_output > 0 and .cost.usd_per_1m_input > 0 and .kv.occupancy > 0 and .utilisation.mfu > 0'
run 0 serve "$work/small.yaml" --load 4 --out "$work/loaded"
for file in report.txt serve.json small.xlsx load-over-time.csv; do
    [ -s "$work/loaded/$file" ] || fail "the report of a load lacks $file"
done
rows=$(($(wc -l <"$work/loaded/load-over-time.csv") - 1))
head -1 "$work/loaded/load-over-time.csv" | grep -q '^side,end_s,kv_blocks,kv_occupancy,running,waiting' ||
    fail "load-over-time.csv has other columns"
jq -e --argjson rows "$rows" '.batch.decoding as $decoding | (.over_time.parts | length) == $rows and $rows > 128 and $rows <= 256
      and (.over_time.parts | map(.kv_occupancy) | (max > .[0] and add / length > 0))
      and ([.over_time.parts[].running] | add / length / $decoding | . > 0.8 and . < 1.2) and (.disaggregated == null)' \
    "$work/loaded/serve.json" >/dev/null || fail "the load over time in JSON and CSV"
if command -v gnuplot >/dev/null; then [ -s "$work/loaded/load-over-time.png" ] || fail "no picture of the load over time"; fi
run 0 serve "$work/small.yaml" --load 4 --json
json '.energy.watts > .energy.idle_watts and .energy.idle_watts > 2000 and .energy.watts < 1.1 * 10200'
json '(.energy.joules_per_token * (.throughput.input_tokens_per_s + .throughput.output_tokens_per_s) / .energy.watts - 1 | fabs) < 1e-9'
json '.cost.usd_per_hour > .cost.idle_usd_per_hour and .cost.idle_usd_per_hour > 16 and .cost.margin == 0'
json '(.cost.by_utilisation | length) == 4 and .cost.by_utilisation[0].usd_per_1k_tokens > 3 * .cost.by_utilisation[3].usd_per_1k_tokens'
json '.memory.weights_bytes + .memory.reserved_bytes + .memory.kv_bytes <= .memory.capacity_bytes'
cp "$work/out" "$work/first"
run 0 serve "$work/small.yaml" --load 4 --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads"
run 0 serve "$work/small.yaml" --load 4; stdout_has "memory of a GPU"; stdout_has "20000 requests"; screen_fits

run 0 serve "$work/small.yaml" --load 4 --set 'prices.list_per_1k_input=$0.01' --set 'prices.list_per_1k_output=$30e-3' --json
json '(.cost.margin - (1 - .cost.usd_per_hour / .cost.list_usd_per_hour) | fabs) < 1e-12 and .cost.margin > 0'
run 2 serve "$work/small.yaml" --load 4 --set prices.list_per_1k_input=-1

# Past the stable maximum: an answer, and soon.
run 1 serve "$work/small.yaml" --load 10k --json
json '(.load.stable | not) and .load.stable_maximum_per_s < 10000'
run 1 serve "$work/small.yaml" --load 10k; stdout_has "unstable"; stdout_has "can be served"
screen_fits

run 0 serve "$work/small.yaml" --slo 'ttft<2s,tpot<40ms' --find rate --json
json '.load.found and .load.holds and .latency.ttft_s.p99 < 2 and .latency.tpot_s.p99 < 0.04'
json '.load.rate_per_s < .load.stable_maximum_per_s and (.tried | length) > 3'
cp "$work/out" "$work/first"
for jobs in 1 2 7; do
    run 0 serve "$work/small.yaml" --slo 'ttft<2s,tpot<40ms' --find rate --json --jobs $jobs
    cmp -s "$work/out" "$work/first" || fail "--find rate depends on the number of threads: $jobs"
done
run 1 serve "$work/small.yaml" --slo 'tpot<1us' --find rate; stdout_has "no load holds"
run 1 serve "$work/small.yaml" --load 4 --slo 'ttft.p50<1us'; stdout_has "missed"

run 0 serve "$work/small.yaml" --trace configs/measurements/azure_conversation_2023.csv --json
json '.load.offered == 19366 and .load.finished == 19366 and .load.stable'
run 0 serve "$work/small.yaml" --trace configs/measurements/azure_conversation_2023.csv --load 3 --json
json '.load.rate_per_s == 3'

printf 'arrival_s,input_tokens,output_tokens\n0,10,5\n1,-3,5\n2,10,5\n3,1e12,5\n4,10,5\n' >"$work/bad.csv"
run 3 serve "$work/small.yaml" --trace "$work/bad.csv"; stderr_has "bad.csv:3:3"; stderr_has "-3"
run 0 serve "$work/small.yaml" --trace "$work/bad.csv" --skip-bad --json
json '.load.rows_skipped == 2 and .load.finished == 3'
run 4 serve "$work/small.yaml" --trace "$work/none.csv"
printf 'when,input_tokens,output_tokens\n0,10,5\n' >"$work/header.csv"
run 3 serve "$work/small.yaml" --trace "$work/header.csv"; stderr_has "time of arrival"

run 2 serve "$work/small.yaml" --find rate; stderr_has "--slo"
run 2 serve "$work/small.yaml" --find nothing; stderr_has "one of: rate gpus price ratio"
run 2 serve "$work/small.yaml" --find rate --slo 'ttft<2s' --load 3; stderr_has "exclude"
run 2 serve "$work/small.yaml" --slo 'tttf<2s'; stderr_has "did you mean 'ttft'"
run 2 serve "$work/small.yaml" --load nan
run 2 serve "$work/small.yaml" --load 0
run 2 serve "$work/small.yaml" --load 4 --skip-bad; stderr_has "--trace"
run 2 serve "$work/small.yaml" --skip-bad; stderr_has "--trace"
run 2 serve "$work/small.yaml" --margin 0.5; stderr_has "--find price"
for other in '--quick' '--reps 5' '--detail gpus' "--db $work/runs.db"; do
    # shellcheck disable=SC2086
    run 2 serve "$work/small.yaml" --load 4 $other; stderr_has "${other%% *} does not apply"
done
[ ! -e "$work/runs.db" ] || fail "a refused option left a file"
run 1 serve "$work/small.yaml" --load 4 --set serving.tensor=1; stderr_has "weights need"
run 0 serve gpt4-serve-h100 --load 1 --set serving.weight_precision=fp8 --json
json '.load.stable and .load.finished == 20000'

# Preemption: by reading again, or kept in host memory.
run 0 serve "$work/small.yaml" --load 8 --set serving.reserved=65GB --json
json '.load.preempted > 0 and .load.swapped == 0'
slow=$(jq .latency.e2e_s.mean "$work/out")
run 0 serve "$work/small.yaml" --load 8 --set serving.reserved=65GB --set serving.preemption=swap --json
json ".load.swapped > 0 and .load.swap_share > 0 and .load.swap_share < 0.1 and .latency.e2e_s.mean < $slow"
run 3 serve "$work/small.yaml" --load 6 --set serving.preemption=swap --set hardware.node.host_bandwidth=0
stderr_has "swap needs hardware.node.host_bandwidth"

# Published speeds of engines; bounds a little above what README states.
run 0 validate serving --json
json '(.rows | length) >= 410 and .summary.median_abs_error < 0.08'
json '[.groups[] | select(.by == "kind")] | map({(.label): .all}) | add
      | .throughput.median_abs_error < 0.11 and .throughput.p90_abs_error < 0.30
        and ."time per token".median_abs_error < 0.05 and ."first token".median_abs_error < 0.09 and ."whole batch".median_abs_error < 0.07'
json 'all(.rows[]; ((.predicted / .measured - 1) - .error | fabs) < 1e-9)'
json 'all(.skipped[]; .reason != "")'
run 0 validate serving --split validation --json
json 'all(.rows[]; .held_back)'
run 1 validate serving --fail-above 0.0001
run 0 validate serving --fit deepspeed-2022; stdout_has "each fold of 5 left out once"
run 0 validate serving --fit deepspeed-2022 --split fitted
! grep -q "left out once" "$work/out" || fail "folds of a fit that was asked for none"
run 0 validate serving; stdout_has "by engine"; stdout_has "skipped"
screen_fits

[ "$failures" -eq 0 ]
