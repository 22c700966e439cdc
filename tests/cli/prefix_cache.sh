#!/bin/sh
# flopcast serve with a prefix cache: shared beginnings of a drawn mix and of a trace, bad input.
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
  prefix_share: 80%
  prefix_tokens: 1000
  prefixes: 50
prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh}
YAML

run 0 serve "$work/small.yaml" --load 4 --json
json '.load.cache_hit_share == 0'
cp "$work/out" "$work/without"
run 0 serve "$work/small.yaml" --load 4 --set serving.prefix_cache=true --json
cp "$work/out" "$work/with"
# 80% of the prompts share 992 tokens (whole blocks of 16), and all but the first 50 find them.
json '.load.cache_hit_share > 0.5 and .load.cache_hit_share < 0.65'
jq -es '(.[0].load.stable_maximum_per_s < .[1].load.stable_maximum_per_s)
        and (.[0].latency.ttft_s.p50 > .[1].latency.ttft_s.p50)
        and (.[0].throughput.input_tokens_per_s - .[1].throughput.input_tokens_per_s | fabs) < 1' \
    "$work/without" "$work/with" >/dev/null || fail "a prefix cache saves nothing"
run 0 serve "$work/small.yaml" --load 4 --set serving.prefix_cache=true --json --jobs 1
cmp -s "$work/out" "$work/with" || fail "the result depends on the number of threads"
run 0 serve "$work/small.yaml" --load 4 --set serving.prefix_cache=true
stdout_has "of prompt tokens found in the prefix cache"
run 0 serve "$work/small.yaml" --load 4 --set serving.prefix_cache=true --set serving.prefix_tokens=7 --json
json '.load.cache_hit_share == 0'

# A trace in pieces of 512 tokens. 3: the whole of 1. 4: its first piece. 5: the second request's.
cat >"$work/trace.csv" <<'CSV'
timestamp_ms,input_length,output_length,hash_ids
0,1024,5,7 8
10000,1500,5,20 21 22
20000,1100,5,7 8 9
30000,600,5,7 30
40000,1024,5,20 21
CSV
run 0 serve "$work/small.yaml" --trace "$work/trace.csv" --set serving.prefix_cache=true --json
# (1024 + 512 + 1023) of 5248: the last token of a prompt is always read.
json '(.load.cache_hit_share - 2559 / 5248 | fabs) < 1e-9'
run 0 serve "$work/small.yaml" --trace "$work/trace.csv" --json
json '.load.cache_hit_share == 0'
run 0 serve "$work/small.yaml" --trace configs/measurements/azure_conversation_2023.csv \
    --set serving.prefix_cache=true --json
json '.load.cache_hit_share == 0 and .load.finished == 19366'

printf 'timestamp_ms,input_length,output_length,hash_ids\n0,1024,5,7 8\n1,1024,5,9 8\n' >"$work/twice.csv"
run 3 serve "$work/small.yaml" --trace "$work/twice.csv" --set serving.prefix_cache=true
stderr_has "twice.csv:3:10"; stderr_has "follows another one than before"
printf 'timestamp_ms,input_length,output_length,hash_ids\n0,1024,5,7 -8\n1000,512,5,7\n20000,512,5,7\n' >"$work/minus.csv"
run 3 serve "$work/small.yaml" --trace "$work/minus.csv" --set serving.prefix_cache=true
stderr_has "minus.csv:2:"
run 0 serve "$work/small.yaml" --trace "$work/minus.csv" --set serving.prefix_cache=true --skip-bad --json
json '.load.rows_skipped == 1 and .load.cache_hit_share > 0'
printf 'timestamp_ms,input_length,output_length,hash_ids\n0,1024,5,7 99999999999\n1,512,5,7\n' >"$work/far.csv"
run 3 serve "$work/small.yaml" --trace "$work/far.csv" --set serving.prefix_cache=true
run 3 serve "$work/small.yaml" --trace "$work/trace.csv" --set serving.prefix_cache=true --set serving.prefix_piece=500
stderr_has "not whole blocks"
run 2 serve "$work/small.yaml" --load 4 --set serving.prefix_share=180%

[ "$failures" -eq 0 ]
