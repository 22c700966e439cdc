#!/bin/sh
# Malformed, hostile and nonsensical files: exit 3, every error located, nothing written.
. tests/cli/lib.sh

run 3 train no-such-scenario
run 3 train gpt4-a10; stderr_has "gpt4-a100"
run 3 audit no-such-claims
run 3 train "$work/absent.yaml"
run 3 serve gpt4-a100; stderr_has "flopcast train"
run 3 train gpt4-serve-a100; stderr_has "flopcast serve"

cat >"$work/bad.yaml" <<'Y'
schema: 1
base: gpt4-a100
kind: training
hardwear: a100
training:
  tokens: 13
  batch_tokens: 60M
  batch_tokens: 61M
  sequence_length: -5
  parallel: {tensor: 8, recompute: ful}
reliability:
  interval: 20m
Y
run 3 train "$work/bad.yaml" --out "$work/never"
stderr_has "bad.yaml:4:1"; stderr_has "did you mean 'hardware'"
stderr_has "bad.yaml:8:3"; stderr_has "bad.yaml:9:"; stderr_has "did you mean 'full'"; stderr_has "bad.yaml:12:"
stderr_has "^"
[ ! -e "$work/never" ] || fail "an invalid scenario left files behind"
run 3 check "$work/bad.yaml"
run 3 check "$work/bad.yaml" --json; json '.errors | length >= 5'; json '.errors[0].line > 0'

printf 'a: [\n' >"$work/t.yaml"; run 3 check "$work/t.yaml"
printf '\000\001\377' >"$work/t.yaml"; run 3 check "$work/t.yaml"
: >"$work/t.yaml"; run 3 check "$work/t.yaml"
printf 'schema: 1\nbase: t\n' >"$work/t.yaml"; run 3 check "$work/t.yaml"
printf 'schema: 1\nbase: %s/t.yaml\n' "$work" >"$work/t.yaml"; run 3 check "$work/t.yaml"
printf 'a: &a [1]\nb: [*a,*a,*a]\n' >"$work/t.yaml"; run 3 check "$work/t.yaml"
awk 'BEGIN { for (i = 0; i < 5000; i++) printf "["; print "" }' >"$work/t.yaml"; run 3 check "$work/t.yaml"
awk 'BEGIN { for (i = 0; i < 300000; i++) print "k" i ": 1" }' >"$work/t.yaml"; run 3 check "$work/t.yaml"
run 3 check "$work"
# a wrong --set is wrong usage
for value in nan inf 1e999 -1 0 abc '' 5Gb/s; do run 2 train gpt4-a100 --quick --set "training.tokens=$value"; done
run 3 train gpt4-a100 --quick --set training.parallel.tensor=7; stderr_has "tensor"
run 3 train gpt4-a100 --quick --set hardware.gpus=25000; stderr_has "24960"

# claim files
printf 'schema: 1\nscenarios: {a: {scenario: gpt4-a100}}\nclaims:\n- {id: X, claim: c, low: 1, high: 2, unit: u, quantity: a.run.dayz}\n' >"$work/c.yaml"
run 3 audit "$work/c.yaml" --quick; stderr_has "run.days"
printf 'schema: 1\nclaims:\n- {id: X, claim: c, low: 3, high: 2, unit: u}\n' >"$work/c.yaml"; run 3 audit "$work/c.yaml"
printf 'schema: 1\nclaims:\n- {id: X, claim: c, unit: u, kwantity: 1}\n' >"$work/c.yaml"; run 3 audit "$work/c.yaml"; stderr_has quantity

printf 'schema: 1\nscenarios: {a: {scenario: gpt4-a100, set: [training.tokns=1T]}}\nclaims:\n- {id: X, claim: c, low: 1, high: 2, unit: u, quantity: a.run.days}\n' >"$work/c.yaml"
run 3 audit "$work/c.yaml" --quick; stderr_has "c.yaml:2:"; stderr_has "tokens"

# a plan that does not fit: exit 1 with stage, bytes and a change that makes it fit
run 1 train gpt4-a100 --quick --set training.gradient_precision=fp32
stderr_has "stage"; stderr_has "GB"; stderr_has "bf16"
run 1 train gpt4-a100 --quick --json --set training.gradient_precision=fp32; json '.memory.fits == false'
run 1 serve gpt4-serve-a100 --quick --set serving.pipeline=2 --set hardware.gpus=16

[ "$failures" -eq 0 ]
