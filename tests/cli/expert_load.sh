#!/bin/sh
# flopcast serve with experts that are not equally popular: serving.expert_load.
. tests/cli/lib.sh

# Four sequences in each of 16 microbatches: so few that popularity tells.
serve() { run 0 serve gpt4-serve-a100 --quick --json --set serving.max_batch=64 "$@"; }

serve
uniform=$(jq .batch.experts_touched "$work/out")
jq 'del(.. | .scenario_sha256?)' "$work/out" >"$work/plain"
serve --set serving.expert_load.model=uniform
jq 'del(.. | .scenario_sha256?)' "$work/out" | jq -c .batch,.cost >"$work/said"
jq -c .batch,.cost "$work/plain" | cmp -s - "$work/said" || fail "uniform is not the default"
serve --set serving.expert_load.model=balanced
json '.batch.experts_touched == 8'
serve --set serving.expert_load.model=zipf --set serving.expert_load.exponent=1.2
json ".batch.experts_touched < 0.9 * $uniform"
for model in lognormal auxiliary_loss; do
    serve --set serving.expert_load.model=$model
    json "(.batch.experts_touched / $uniform - 1 | fabs) < 1e-9" # sigma is 0
    serve --set serving.expert_load.model=$model --set serving.expert_load.sigma=1
    json ".batch.experts_touched < 0.9 * $uniform"
done
serve --set serving.expert_load.model=dirichlet
json ".batch.experts_touched < 0.9 * $uniform"

serve --set serving.expert_load.model=power_law --set serving.expert_load.exponent=1.2 --set serving.expert_load.span=3200
json ".batch.experts_touched < 0.9 * $uniform"

run 3 serve gpt4-serve-a100 --set serving.expert_load.model=power_law
stderr_has "serving.expert_load.span = 1 leaves a power law nothing to vary"
run 2 serve gpt4-serve-a100 --set serving.expert_load.model=popular
stderr_has "serving.expert_load.model"
run 2 serve gpt4-serve-a100 --set serving.expert_load.exponent=-1
stderr_has "serving.expert_load.exponent"
run 2 serve gpt4-serve-a100 --set serving.expert_load.drift=0.1 # of training alone
stderr_has "drift"

[ "$failures" -eq 0 ]
