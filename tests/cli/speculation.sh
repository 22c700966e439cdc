#!/bin/sh
# flopcast serve with speculative decoding: what it gains under a load, the map, bad input.
. tests/cli/lib.sh

cat >"$work/draft.yaml" <<'YAML'
schema: 1
title: "Llama 3 70B on 4 H100 with drafts of a 0.5B model"
kind: serving
model: llama3-70b
hardware: {base: h100-ndr, gpus: 8}
serving:
  base: engine-vllm-2025
  tensor: 4
  context_limit: 8192
  prompt_tokens: 220
  output_tokens: 200
  length_sigma: 0.8
  utilisation: 90%
  speculation:
    length: 4
    acceptance: 60%
    draft_tensor: 1
    draft: {layers: 24, d_model: 896, d_ff: 4864, heads: 14, kv_heads: 2, head_dim: 64,
            vocab_size: 128256, gated_mlp: true, tied_embeddings: true}
prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh}
YAML

run 0 serve "$work/draft.yaml" --load 1 --json
cp "$work/out" "$work/one"
# 1 + 0.6 + 0.36 + 0.216 + 0.1296
json '(.speculation.tokens_per_round - 2.3056 | fabs) < 1e-9'
json '(.speculation.tokens_per_round_had / 2.3056 - 1 | fabs) < 0.02'
json '.speculation.speedup_tpot > 1.2 and .speculation.speedup_e2e > 1.2'
json '(.speculation.plain_tpot_s_mean / .latency.tpot_s.mean / .speculation.speedup_tpot - 1 | fabs) < 1e-9'
json '.memory.draft_weights_bytes > 0.8e9 and .memory.draft_weights_bytes < 1.2e9'
json '.memory.weights_bytes + .memory.draft_weights_bytes + .memory.reserved_bytes + .memory.kv_bytes <= .memory.capacity_bytes'
json '.speculation.helps_from == 1 and .speculation.helps_to < 1024'
json '.speculation as $s | all($s.points[]; (.speedup > 1) == (.batch <= $s.helps_to))'
json '.speculation.points | .[0].best_length > .[-1].best_length'
run 0 serve "$work/draft.yaml" --load 1 --json --jobs 1
cmp -s "$work/out" "$work/one" || fail "the result depends on the number of threads"
run 0 serve "$work/draft.yaml" --load 1 --json --seed 2
cmp -s "$work/out" "$work/one" && fail "another seed draws the same"

# The same scenario without drafts is the load that it is held against.
plain=$(jq .speculation.plain_tpot_s_mean "$work/one")
run 0 serve "$work/draft.yaml" --load 1 --json --set serving.speculation.length=0
json "(.latency.tpot_s.mean - $plain | fabs) < 1e-12 and (has(\"speculation\") | not)"

# no gnuplot: all but the picture, and one clear line
mkdir "$work/bin"
PATH="$work/bin" "$program" serve "$work/draft.yaml" --load 1 --out "$work/plain" >"$work/out" 2>"$work/err"
[ $? -eq 0 ] || fail "without gnuplot the load fails"
stderr_has "gnuplot not found"
[ -s "$work/plain/speculation.csv" ] || fail "without gnuplot there is no table"
run 0 serve "$work/draft.yaml" --load 1 --out "$work/out_files"
stdout_has "speculation: 4 drafts a round"; stdout_has "no longer at"
screen_fits
[ "$(wc -l <"$work/out_files/speculation.csv")" -eq "$(($(jq '.speculation.points | length' "$work/one") + 1))" ] ||
    fail "speculation.csv has not one row a batch"
for suffix in gp dat svg png; do
    [ -s "$work/out_files/speculation.$suffix" ] || fail "no speculation.$suffix"
done

# Acceptance by position, relaxed acceptance, a share in place of a model, a limit on the batch.
run 0 serve "$work/draft.yaml" --load 1 --json --set serving.speculation.length=2 \
    --set serving.speculation.acceptance=0 \
    --set 'serving.speculation.positions=[{share: 70%}, {share: 40%}]'
json '(.speculation.tokens_per_round - 2.1 | fabs) < 1e-9'
run 0 serve "$work/draft.yaml" --load 1 --json --set serving.speculation.rule=relaxed \
    --set serving.speculation.relaxed_acceptance=75% --set serving.speculation.lenience=30%
json '.speculation.tokens_per_round > 3'
run 0 serve "$work/draft.yaml" --load 1 --json --set serving.speculation.most_sequences=1
json '.speculation.speedup_tpot > 1'
run 0 serve gpt4-serve-a100 --load 2 --json --set serving.speculation.length=4 \
    --set serving.speculation.acceptance=70% --set serving.speculation.draft_share=5%
json '.load.stable and .speculation.tokens_per_round_had > 2'

run 3 serve "$work/draft.yaml" --load 1 --set serving.speculation.acceptance=0
stderr_has "no draft is ever accepted"
run 2 serve "$work/draft.yaml" --load 1 --set serving.speculation.acceptance=140%
run 2 serve "$work/draft.yaml" --load 1 --set serving.speculation.length=33
run 2 serve "$work/draft.yaml" --load 1 --set serving.speculation.lenght=3; stderr_has "length"
run 3 serve "$work/draft.yaml" --load 1 --set serving.speculation.draft_tensor=4
stderr_has "do not divide the draft model's 14 heads"
run 3 serve "$work/draft.yaml" --load 1 --set serving.speculation.draft.vocab_size=32000
stderr_has "a draft must speak the model's tokens"
run 3 serve "$work/draft.yaml" --load 1 --set serving.speculation.draft=deepseek-v3
run 1 serve "$work/draft.yaml" --load 1 --set serving.speculation.draft=llama3-70b \
    --set serving.speculation.draft_tensor=0 --set serving.tensor=2
stderr_has "weights need"

# Static batches: what continuous ones are held against.
run 0 serve gpt4-serve-a100 --load 1 --json
continuous=$(jq .load.stable_maximum_per_s "$work/out")
run 0 serve gpt4-serve-a100 --load 1 --json --set serving.batching=static
json ".load.stable_maximum_per_s < $continuous / 2"
run 3 serve gpt4-serve-a100 --set serving.batching=static; stderr_has "static batches are simulated under a load only"

# Without a load the batch is kept full: drafts help a small one.
run 0 serve gpt4-serve-a100 --json --reps 8 --set serving.max_batch=128
none=$(jq .throughput.output_tokens_per_s.p50 "$work/out")
json '.stage_s.drafts == 0'
run 0 serve gpt4-serve-a100-drafts --json --reps 8 --set serving.max_batch=128
json ".throughput.output_tokens_per_s.p50 > 1.3 * $none and .stage_s.drafts > 0"
json '([.stage_s | .weights, .kv, .compute, .collective, .overhead, .drafts] | add) as $sum | ($sum / .stage_s.total - 1) | fabs < 1e-9'
run 0 serve gpt4-serve-a100-drafts --reps 8 --set serving.max_batch=128; stdout_has "drafting"
run 3 serve gpt4-serve-a100-drafts --load 1 --set serving.batching=static; stderr_has "exclude each other"

# Claims over loads.
cat >"$work/claims.yaml" <<'YAML'
schema: 1
title: "two policies"
scenarios:
  whole: {scenario: gpt4-serve-a100, under_load: true, reps: 2, set: [serving.batching=static]}
  drafts: {scenario: gpt4-serve-a100-drafts, under_load: true, reps: 2}
claims:
  - {id: A, claim: "drafts can be served faster", holds: drafts.load.stable_maximum_per_s > whole.load.stable_maximum_per_s}
  - {id: B, claim: "rounds give tokens", holds: drafts.speculation.tokens_per_round > 1}
YAML
run 0 audit "$work/claims.yaml" --json
json '[.claims[].verdict] == ["reproduced", "reproduced"]'

[ "$failures" -eq 0 ]
