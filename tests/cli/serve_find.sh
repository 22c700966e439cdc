#!/bin/sh
# flopcast serve --find gpus and --find price.
. tests/cli/lib.sh

cat >"$work/small.yaml" <<'YAML'
schema: 1
title: "Llama 2 70B on H100"
kind: serving
model: llama2-70b
hardware: {base: h100-ndr, gpus: 8}
serving:
  base: engine-vllm-2025
  tensor: {one_of: [2, 4, 8], source: "which ways to cut"}
  context_limit: 32768
  prompt_tokens: 1155
  output_tokens: 211
  length_sigma: 0.8
  utilisation: 50%
  max_batch: 256
  reader_slow: 8
  reader_fast: 30
prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh, wanted_per_1k: $0.001}
YAML

run 0 serve "$work/small.yaml" --find gpus --load 12 --slo 'ttft<2s,tpot<60ms' --json
json '.found and .best.holds and .best.ttft_p99_s < 2 and .best.tpot_p99_s < 0.06 and .best.rate_per_s == 12'
json '.best.gpus == .best.tensor * .best.pipeline * .best.replicas'
json '.best.gpus as $best | all(.tried[]; (.holds | not) or .gpus >= $best) and ([.tried[].tensor] | unique | length) >= 2'
cp "$work/out" "$work/first"
for jobs in 1 2 7; do
    run 0 serve "$work/small.yaml" --find gpus --load 12 --slo 'ttft<2s,tpot<60ms' --json --jobs $jobs
    cmp -s "$work/out" "$work/first" || fail "--find gpus depends on the number of threads: $jobs"
done
run 1 serve "$work/small.yaml" --find gpus --load 2 --slo 'tpot<1us' --json
json '(.found | not) and .best.worst > 1 and (.tried | length) >= 1'

run 0 serve "$work/small.yaml" --set serving.tensor=8 --set serving.max_batch=64 --set serving.reader_load=90% --find price --slo 'ttft<2s,tpot<60ms' --margin 0.5 --out "$work/price"
stdout_has "lowest cost"; stdout_has "a margin of 50.0%"; stdout_has "At 90% of full load"
screen_fits
[ -s "$work/price/price-speed.png" ] && [ -s "$work/price/price-speed.csv" ] || fail "no curve"
trials=$(wc -l <"$work/price/tried.csv")
[ "$trials" -ge 2 ] || fail "tried.csv holds no trial"
cp "$work/price/serve-find.json" "$work/out"
json '.price_for_margin.usd_per_1k_tokens == 2 * .best.usd_per_1k_tokens'
json '.best.usd_per_1k_tokens as $best | all(.tried[]; (.holds | not) or .usd_per_1k_tokens >= $best)'
json '(.price_speed.points | length) >= 5 and (.price_speed.sentence | length) > 40'

run 2 serve "$work/small.yaml" --find gpus --slo 'ttft<2s'; stderr_has "--load"
run 2 serve "$work/small.yaml" --find gpus --load 3; stderr_has "--slo"
run 2 serve "$work/small.yaml" --find price --load 3 --slo 'ttft<2s'; stderr_has "exclude"
run 2 serve "$work/small.yaml" --load 3 --margin 0.5; stderr_has "--find price"
run 2 serve "$work/small.yaml" --find price --slo 'ttft<2s' --margin 1
run 2 serve "$work/small.yaml" --find price --slo 'ttft<2s' --set serving.reader_load=100%; stderr_has "serving.reader_load"
run 2 serve "$work/small.yaml" --find prices --slo 'ttft<2s'; stderr_has "price"

[ "$failures" -eq 0 ]
