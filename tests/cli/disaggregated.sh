#!/bin/sh
# flopcast serve on a cluster that reads prompts on some GPUs and answers on others.
. tests/cli/lib.sh
scenario=llama3-70b-disaggregated

run 0 serve $scenario --load 4 --json
json '.load.stable and .load.finished == 20000 and .latency.ttft_s.p50 > 0'
json '.disaggregated | .gpus == 16 and .prefill.gpus_per_replica == 4 and .decode.replicas == 2'
json '.disaggregated | .prefill.maximum_per_s > 0 and .decode.maximum_per_s > 0 and .prefill.busy < 1'
json '.load.stable_maximum_per_s < 1.02 * ([.disaggregated.prefill.maximum_per_s, .disaggregated.decode.maximum_per_s] | min)'
json '.disaggregated.transfer | .count > 19000 and .total_s.p99 >= .total_s.p50 and ((.network_s.mean + .wait_s.mean - .total_s.mean | fabs) < 1e-9)'
json '(.cost.usd_per_1m_input * .throughput.input_tokens_per_s - .cost.usd_per_1m_output * .throughput.output_tokens_per_s) / 32e6 * 3.6 | fabs < 1e-3'
cp "$work/out" "$work/first"
run 0 serve $scenario --load 4 --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads"
run 0 serve $scenario --load 4
stdout_has "limited by"; stdout_has "keys and values sent"; stdout_has "prefill"
screen_fits

# A slow link is what limits; a faster one is not.
run 1 serve $scenario --load 4 --set serving.disaggregated.link.bandwidth=5MB/s --json
json '.disaggregated.limit == "transfer" and (.load.stable | not)'
run 0 serve $scenario --load 4 --set serving.disaggregated.link.overlap=by_layer --json
json '.disaggregated.transfer.wait_s.p99 == 0'

run 0 serve $scenario --slo 'ttft<2s,tpot<30ms' --find ratio --json
json '[.disaggregated.splits[] | [.prefill, .decode]] == [[1, 3], [2, 2], [3, 1]]'
json '[.disaggregated.splits[] | select(.best)] | length == 1'
json '([.disaggregated.splits[].rate_per_s] | max) == .load.rate_per_s'
cp "$work/out" "$work/first"
run 0 serve $scenario --slo 'ttft<2s,tpot<30ms' --find ratio --json --jobs 1
cmp -s "$work/out" "$work/first" || fail "the splits depend on the number of threads"
run 0 serve $scenario --slo 'ttft<2s,tpot<30ms' --find ratio; stdout_has "holds up to"
screen_fits

run 2 serve $scenario --find ratio; stderr_has "--slo"
run 3 serve gpt4-serve-h100 --slo 'ttft<2s' --find ratio; stderr_has "disaggregated"
run 3 serve $scenario; stderr_has "under a load only"
run 3 serve $scenario --load 4 --set serving.disaggregated.decode.tensor=3; stderr_has "serving.disaggregated.decode"
run 2 serve $scenario --load 4 --set serving.disaggregated.prefill.replicas=0
run 2 serve $scenario --load 4 --set serving.disaggregated.link.path=pigeon; stderr_has "fabric"
run 3 serve $scenario --load 4 --set serving.batching=static; stderr_has "exclude"
run 1 serve $scenario --load 4 --set serving.disaggregated.prefill.tensor=1; stderr_has "prefill side"

# What a side does otherwise: a prefix cache where prompts are read, drafts where answers are given, weights of its own.
shared='--set serving.prefix_share=80% --set serving.prefix_tokens=1000 --set serving.prefixes=50'
# shellcheck disable=SC2086 # settings are words
run 0 serve $scenario --load 4 $shared --json
cp "$work/out" "$work/without"
# shellcheck disable=SC2086
run 0 serve $scenario --load 4 $shared --set serving.disaggregated.prefill.prefix_cache=true --json
json '.load.cache_hit_share > 0.5'
cp "$work/out" "$work/with"
jq -es '.[1].latency.ttft_s.p50 < .[0].latency.ttft_s.p50 and .[1].disaggregated.prefill.maximum_per_s > 1.2 * .[0].disaggregated.prefill.maximum_per_s
        and .[1].disaggregated.transfer.bytes_per_s > 0.9 * .[0].disaggregated.transfer.bytes_per_s' "$work/without" "$work/with" >/dev/null ||
    fail "a prefix cache of the prefill side saves nothing"
# shellcheck disable=SC2086
run 0 serve $scenario --load 4 $shared --set serving.prefix_cache=true --json
[ "$(jq -c .latency "$work/out")" = "$(jq -c .latency "$work/with")" ] ||
    fail "serving.prefix_cache is not that of the prefill side"
drafts='--set serving.speculation.length=4 --set serving.speculation.acceptance=70% --set serving.speculation.draft_tensor=1
        --set serving.speculation.draft=llama3-8b'
# shellcheck disable=SC2086
run 0 serve $scenario --load 4 $drafts --set serving.disaggregated.prefill.drafts=none --json
json '.disaggregated.prefill.kv_blocks > 0 and .load.stable and .speculation.tokens_per_round > 2'
cp "$work/out" "$work/decode"
# shellcheck disable=SC2086
run 0 serve $scenario --load 4 $drafts --json
jq -es '.[0].disaggregated.prefill.kv_blocks > .[1].disaggregated.prefill.kv_blocks
        and .[0].disaggregated.prefill.maximum_per_s > .[1].disaggregated.prefill.maximum_per_s
        and .[0].disaggregated.transfer.bytes_per_s < .[1].disaggregated.transfer.bytes_per_s' "$work/decode" "$work/out" >/dev/null ||
    fail "a prefill side without drafts is no lighter"
run 0 serve $scenario --load 4 --set serving.disaggregated.decode.weight_precision=int4 \
    --set serving.disaggregated.decode.weights=weights-int4-hopper --json
json '.disaggregated.decode.weights_bytes < 0.4 * .disaggregated.prefill.weights_bytes'
run 3 serve $scenario --load 4 --set serving.disaggregated.decode.weight_precision=int4; stderr_has "decode: serving.weight_precision: int4 needs"
run 3 serve $scenario --load 4 --set serving.disaggregated.decode.prefix_cache=true; stderr_has "prefill side"
run 2 serve $scenario --load 4 --set serving.disaggregated.decode.drafts=some; stderr_has "as_serving, none"
run 2 serve $scenario --load 4 --set serving.disaggregated.prefill.prefix_cach=true; stderr_has "prefix_cache"
run 0 show $scenario; stdout_has "serving.disaggregated.prefill.drafts"

[ "$failures" -eq 0 ]
