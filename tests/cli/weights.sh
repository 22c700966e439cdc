#!/bin/sh
# flopcast serve with weights in 16, 8 and 4 bits: memory, speed, formats by name, bad input.
. tests/cli/lib.sh

cat >"$work/small.yaml" <<'YAML'
schema: 1
title: "Llama 2 70B on 4 H100"
kind: serving
model: llama2-70b
hardware: {base: h100-ndr, gpus: 4}
serving:
  base: engine-vllm-2025
  tensor: 4
  context_limit: 4096
  prompt_tokens: 1155
  output_tokens: 211
  utilisation: 50%
prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh}
YAML

as() { # file, settings...
    out=$1
    shift
    run 0 serve "$work/small.yaml" --load 2 --json "$@"
    cp "$work/out" "$work/$out"
}
as bf16
as fp8 --set serving.weight_precision=fp8
as w8a8 --set serving.weight_precision=int8 --set serving.weights=weights-int8-w8a8
as w8a16 --set serving.weight_precision=int8 --set serving.weights=weights-int8-wide
as int4 --set serving.weight_precision=int4 --set serving.weights=weights-int4-hopper
as g64 --set serving.weight_precision=int4 --set serving.weights=weights-int4-hopper \
    --set serving.weights.group=64 --set serving.weights.group_bits=32
as awq --set serving.weight_precision=int4 --set serving.weights=weights-int4-awq
all='[.[] | {gb: (.memory.weights_bytes / 1e9), tpot: .latency.tpot_s.p50, ttft: .latency.ttft_s.p50,
              kv: .kv.blocks, most: .load.stable_maximum_per_s}]
     | {bf16: .[0], fp8: .[1], w8a8: .[2], w8a16: .[3], int4: .[4], g64: .[5], awq: .[6]}'
jq -s "$all" "$work"/bf16 "$work"/fp8 "$work"/w8a8 "$work"/w8a16 "$work"/int4 "$work"/g64 "$work"/awq >"$work/out"
cp "$work/out" "$work/table"
# 68.98 billion parameters over 4 GPUs, tables in 16 bits beside int8 and int4.
json '(.bf16.gb - 34.5 | fabs) < 0.1 and (.fp8.gb - 17.25 | fabs) < 0.1
      and (.w8a8.gb - 17.4 | fabs) < 0.1 and (.int4.gb - 9.1 | fabs) < 0.1 and .g64.gb > .int4.gb and .awq.gb > .int4.gb'
# An answer reads fewer bytes; a prompt is faster with 8-bit products alone.
json '.int4.tpot < .w8a16.tpot and .w8a8.tpot < .bf16.tpot and .w8a16.tpot < .bf16.tpot and .int4.tpot < 0.75 * .bf16.tpot
      and .w8a8.ttft < 0.85 * .bf16.ttft and .int4.ttft > 0.95 * .bf16.ttft and .w8a16.ttft > .bf16.ttft'
json '.int4.kv > .w8a8.kv and .w8a8.kv > .bf16.kv and .w8a8.most > .bf16.most'

jq -e '.memory.weight_bits == 4.125' "$work/int4" >/dev/null || fail "bits of a weight in groups of 128"
jq -e '.memory.weight_bits == 4.5' "$work/g64" >/dev/null || fail "bits of a weight in groups of 64"
run 0 serve "$work/small.yaml" --load 2 --set serving.weight_precision=int4 --set serving.weights=weights-int4-hopper
stdout_has "weights in 4.125 bits each, products in 16"
screen_fits
run 0 serve "$work/small.yaml" --load 2 --set serving.weight_precision=int8
stdout_has "weights in 8 bits each, products in 8"

# What a format is, where it comes from, and what is shipped.
run 0 show weights-int4-awq
stdout_has "serving.weights.unpack_tokens"
stdout_has "FP16_MATMUL_HEURISTIC_CONDITION"
run 0 list calibration
stdout_has "weights-int4-gptq"
stdout_has "engine-vllm-2025"
for file in configs/calibration/weights-*.yaml; do run 0 check "$file"; done

# Bad input: a misspelt name, a format of something else, none at all, a GPU without such tensor cores.
refuse() { # words of the message, settings...
    words=$1
    shift
    run "${status:-3}" serve "$work/small.yaml" --load 2 "$@"
    stderr_has "$words"
}
status=2
refuse "did you mean 'weights-int4-gptq'" --set serving.weight_precision=int4 --set serving.weights=weights-int4-gtpq
refuse "did you mean 'int8'" --set serving.weight_precision=int9
refuse "did you mean 'group_bits'" --set serving.weights.group_bit=3
status=3
refuse "int4 needs serving.weights" --set serving.weight_precision=int4
refuse "a format of int4, and serving.weight_precision is bf16" --set serving.weights=weights-int4-gptq
refuse "peak_int8 of v100-sxm2-32g is 0" --set serving.weight_precision=int8 --set hardware=v100-32g-edr
refuse "group_bits is 0" --set serving.weight_precision=int4 --set 'serving.weights={of: int4, group: 128}'
run 0 serve "$work/small.yaml" --load 0.1 --set serving.weight_precision=int8 --set serving.weights=weights-int8-wide \
    --set hardware=v100-32g-edr --json
