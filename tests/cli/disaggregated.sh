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

[ "$failures" -eq 0 ]
