#!/bin/sh
# Phases, prices and published runs on the command line.
. tests/cli/lib.sh

run 0 train gpt4-course --quiet --reps 20; stdout_has "phase (medians)"; stdout_has "long context"; stdout_has "vision"
run 0 train gpt4-course --json --reps 20
json '.phase.pre_training.days.p50 > .phase.vision.days.p50'
json '.phase.long_context.step_s.p50 > .phase.pre_training.step_s.p50'
json '([.phase[].cost_usd.mean] | add) as $sum | ($sum / .cost.usd.mean - 1 | fabs) < 1e-9'
json '([.cost.items_usd[].mean] | add) as $sum | ($sum / .cost.usd.mean - 1 | fabs) < 1e-9'
json '.cost.items_usd.failures.mean > 0'

# rent by contract and year, and machines of one's own
run 0 train gpt4-a100 --json --reps 20 --set prices.basis=table --set prices.rent=rent-a100-80g --set prices.year=2022
json '(.cost.usd_per_gpu_hour.p50 - 3.885 | fabs) < 1e-9'
run 0 train gpt4-a100 --json --reps 20 --set prices.basis=owned --set prices.own=own-dgx-a100
json '.cost.items_usd.network.mean > 0 and .cost.items_usd.energy.mean > 0 and .cost.items_usd.facility.mean > 0'

# what contradicts itself is said, with its place
run 3 train gpt4-a100 --quick --set prices.basis=table; stderr_has "missing key 'rent'"
run 2 train gpt4-a100 --quick --set prices.basis=table --set prices.rent=rent-a100-80g --set prices.contract=spot; stderr_has "no offer"
run 2 train gpt4-a100 --quick --set prices.rent=rent-a100; stderr_has "rent-a100"
run 3 train gpt4-a100 --quick --set hardware.older_stages=2; stderr_has "older_gpu"
cat >"$work/course.yaml" <<'Y'
schema: 1
base: gpt4-a100
kind: training
course:
  - {name: one, tokens: 20T}
  - {name: two, until: 5d, sequence_lenght: 4096}
Y
run 3 check "$work/course.yaml"; stderr_has "course.yaml:6:"; stderr_has "sequence_length"
sed -i 's/, sequence_lenght: 4096//' "$work/course.yaml"
run 3 train "$work/course.yaml" --quick; stderr_has "training.tokens"

# published runs: every row has a verdict, and none is left out
run 0 audit published-runs --json --reps 60
json '.claims | length == 18 and all(.verdict != "untestable")'
json '[.claims[] | select(.id == "P11")][0].verdict == "reproduced"'

[ "$failures" -eq 0 ]
