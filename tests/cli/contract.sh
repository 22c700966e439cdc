#!/bin/sh
# The JSON contract, determinism over threads, and the files of a report.
. tests/cli/lib.sh

run 0 train gpt4-a100 --quick --json --jobs 1
[ -s "$work/err" ] && fail "something on stderr beside --json"
cp "$work/out" "$work/one"
for path in model.params_total model.params_active model.flops_per_token_forward model.flops_per_token_training \
    memory.weights_bytes memory.gradients_bytes memory.optimizer_bytes memory.activations_bytes memory.overhead_bytes \
    memory.total_bytes memory.capacity_bytes step.seconds step.tokens step.mfu step.hfu step.tflops_per_gpu \
    step.tokens_per_s_per_gpu step.bubble_fraction step.breakdown_s.compute step.pipeline.microbatches \
    step.pipeline.send_s step.pipeline.makespan_s step.pipeline.stages[0].forward_s step.pipeline.stages[0].backward_s \
    step.pipeline.stages[14].params step.pipeline.stages[14].memory_bytes; do
    json ".$path | type == \"number\""
done
json '.memory.fits == true'; json '.step.pipeline.schedule == "1f1b"'
for path in run.days run.goodput run.mfu_effective run.failures run.gpu_hours cost.usd cost.energy_kwh cost.co2_kg; do
    json ".$path | (.mean and .p5 and .p50 and .p95) and .p5 <= .p50 and .p50 <= .p95"
done
json '.run.flops_total'; json '.run.lost_hours | type == "object"'; json '.cost.items_usd | type == "object"'
json '([.step.breakdown_s[]] | add) as $sum | ($sum - .step.seconds) / .step.seconds | fabs < 1e-9'
json '.seed == 1 and .reps == 100 and (.scenario_sha256 | length == 64) and .program_version'
run 0 train gpt4-a100 --quick --json --jobs 3
cmp -s "$work/out" "$work/one" || fail "three threads give other bytes than one"
run 0 train gpt4-a100 --quick --json --seed 2
cmp -s "$work/out" "$work/one" && fail "the seed does not matter"

# both ledgers add up to the wall clock, and every part is known to an interval
run 0 train gpt4-a100 --quick --json --detail folded
json '(([.run.lost_hours[].mean] | add) + .run.useful_hours.mean) as $sum | ($sum * 3600 / .run.wall_s.mean - 1) | fabs < 1e-9'
json '([.run.badput_hours[].mean] | add) / ([.run.lost_hours[].mean] | add) - 1 | fabs < 1e-9'
json '.run.days.ci95 | .mean[0] < .mean[1] and .p50[0] < .p50[1]'
# as many replications as a precision needs are those that --reps gives
run 0 train gpt4-a100 --quick --json --detail folded --precision 'mean(run.days)=1%'
json '.reps > 100 and (.run.days | (.ci95.mean[1] - .ci95.mean[0]) / 2 <= 0.01 * .mean)'
cp "$work/out" "$work/one"
run 0 train gpt4-a100 --reps "$(jq .reps "$work/one")" --json --detail folded
cmp -s "$work/out" "$work/one" || fail "--precision gives other bytes than --reps"
run 2 train gpt4-a100 --quick --precision 'p95(no.such)=1%'
run 2 train gpt4-a100 --quick --precision 'p95(cost.usd)'
run 2 serve gpt4-serve-a100 --precision 'p95(cost.usd)=1%'
run 1 train gpt4-a100 --quick --detail folded --set reliability.init=5min \
    --set 'reliability.classes=[{name: a, unit: job, rate: 15/h, detection: 1s}]'
grep -q 'expected goodput 0: mean time between failures 4 min' "$work/err" || fail "no reason why it does not progress"

# the closed form of the bubble, from outside: equal stages up to embedding and head
run 0 train gpt4-a100 --quick --json --detail folded
json '.step.breakdown_s.jitter == 0'
json '.step.pipeline as $p | ($p.stages | length) as $n | (($n - 1) / ($p.microbatches + $n - 1)) as $ideal | .step.bubble_fraction >= $ideal * 0.99'

run 0 serve gpt4-serve-a100 --quick --json
for path in throughput.input_tokens_per_s throughput.output_tokens_per_s throughput.requests_per_s latency.ttft_s.p50 \
    latency.tpot_s.p90 latency.e2e_s.p99 utilisation.mfu utilisation.mbu kv.bytes_per_token kv.capacity_tokens \
    kv.max_sequences cost.usd_per_1k_tokens cost.usd_per_1m_input cost.usd_per_1m_output; do
    json ".$path"
done
json '.feasible == true'; json '.kv.bytes_per_token == 61440'

run 0 audit gpt4-leak --quick --json --out "$work/report" --db "$work/runs.db"
json '.claims | length == 55'
json '[.claims[].verdict] - ["reproduced","explained","contradicted","untestable"] | length == 0'
json '[.claims[] | select((.reason | length) < 10)] | length == 0'
json '[.claims[] | has("id") and has("claim") and has("low") and has("high") and has("unit") and has("simulated")] | all'
json '.summary.claims == 55'
json '.claims[] | select(.id == "C08") | .verdict == "explained" and (.reason | test("1000x"))'

for file in report.txt audit.json claims.csv metrics.csv runs.csv gpt4-leak.xlsx step-waterfall.png step-timeline.png \
    cost-days.png step-waterfall.gp cost-days.svg failure-map.png failure-map.csv; do
    [ -s "$work/report/$file" ] || fail "the report lacks $file"
done
find "$work/report" -name '*.tmp*' | grep -q . && fail "temporary files left in the report"
[ "$(sqlite3 "$work/runs.db" 'select count(*) > 4 from runs')" = 1 ] || fail "the store lacks runs"
run 0 list runs --db "$work/runs.db"; stdout_has gpt4-a100

# the same bytes again, with the first screen: 24 lines of 80 columns, no colour codes in a pipe
run 0 audit gpt4-leak --quick --out "$work/again"
[ "$(wc -l <"$work/out")" -le 24 ] || fail "the first screen has more than 24 lines"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the first screen is wider than 80 columns"
grep -q "$(printf '\033')" "$work/out" && fail "colour codes in a pipe"
for file in audit.json claims.csv metrics.csv runs.csv gpt4-leak.xlsx report.txt; do
    cmp -s "$work/report/$file" "$work/again/$file" || fail "$file differs between two runs"
done

run 0 train gpt4-h100-bf16 --reps 5 --detail folded --out "$work/run"
for file in report.txt train.json metrics.csv runs.csv gpt4-h100-bf16.xlsx step-waterfall.png cost-days.png; do
    [ -s "$work/run/$file" ] || fail "the report of a run lacks $file"
done

# no gnuplot: a report without plots and one clear line
mkdir "$work/bin"
cat >"$work/small.yaml" <<'EOF'
schema: 1
title: one claim
headline: run
scenarios:
  run: {scenario: gpt4-a100, reps: 20}
claims:
  - {id: D, claim: days, unit: days, low: 90, high: 100, quantity: run.run.days}
EOF
PATH="$work/bin" "$program" audit "$work/small.yaml" --out "$work/plain" >"$work/out" 2>"$work/err"
[ $? -eq 0 ] || fail "without gnuplot the audit fails"
stderr_has "gnuplot not found"
[ -s "$work/plain/audit.json" ] || fail "without gnuplot there is no report"

# environment failures
run 4 audit "$work/small.yaml" --out /proc/nowhere
run 4 train gpt4-a100 --quick --db /proc/nowhere/x.db
"$program" train gpt4-a100 --quick --json >/dev/full 2>"$work/err"
[ $? -eq 4 ] || fail "a full disk on standard output is not reported"

# Ctrl-C: exit 130, nothing half-written
"$program" train gpt4-a100 --reps 1000000 --out "$work/interrupted" >"$work/out" 2>"$work/err" </dev/null &
pid=$!
sleep 1
kill -INT $pid
wait $pid
[ $? -eq 130 ] || fail "an interrupted run does not exit with 130"
[ ! -e "$work/interrupted" ] || fail "an interrupted run leaves files"

# show, canonical form and hash; formatting does not change the hash
run 0 show gpt4-a100; stdout_has "reliability.interval"; stdout_has "gpt4-a100.yaml:"
run 0 show gpt4-a100 --json; json '.values | length > 50'
"$program" show gpt4-a100 --canonical >"$work/canonical"
hash=$(sha256sum "$work/canonical" | cut -d' ' -f1)
run 0 show gpt4-a100; stdout_has "$hash"
run 0 show gpt4-a100 --set training.tokens=13000G; stdout_has "$hash"
run 0 show gpt4-a100 --set training.tokens=14T; grep -q "$hash" "$work/out" && fail "another value, the same hash"
for kind in scenarios models hw claims; do
    for file in configs/$kind/*.yaml; do run 0 check "$file"; done
done

[ "$failures" -eq 0 ]
