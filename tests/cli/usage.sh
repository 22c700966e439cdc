#!/bin/sh
# Usage, help, version, and what the wrong thing typed answers.
. tests/cli/lib.sh

run 0 help; stdout_has "flopcast audit gpt4-leak"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "help is wider than 80 columns"
for verb in train serve audit validate check show list help; do
    run 0 help $verb; stdout_has "usage: flopcast $verb"
    [ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "help $verb is wider than 80 columns"
    cp "$work/out" "$work/help"
    run 0 $verb --help; cmp -s "$work/out" "$work/help" || fail "$verb --help differs from help $verb"
done
run 0 --version; stdout_has flopcast
run 0 help man; stdout_has ".TH FLOPCAST"; stdout_has "gpt4\\-a100"
run 0 help bash; stdout_has "complete -o default"
bash -n "$work/out" || fail "the completion script is not valid bash"
offered() { # WORD... : what the completion offers for the last one
    bash -c '. "$1"; shift; COMP_WORDS=(flopcast "$@") COMP_CWORD=$#; _flopcast; echo "${COMPREPLY[*]}"' - "$work/out" "$@"
}
[ "$(offered serve gpt4-fleet --find p)" = price ] || fail "no choice of --find is completed"
[ "$(offered serve gpt4-fleet --fl)" = --fleet ] || fail "no option of serve is completed"
"$program" help serve >"$work/help"
"$program" help man >"$work/man"
for option in --load --trace --skip-bad --slo --find --margin --fleet; do
    grep -q -- "^      $option " "$work/help" || fail "help serve lacks $option"
    grep -qF -- "$(echo "$option" | sed 's/-/\\-/g')" "$work/man" || fail "the man page lacks $option"
done

run 2; stderr_has "no command"
run 2 trian x; stderr_has "did you mean 'train'"
run 2 train; stderr_has "needs SCENARIO"
run 2 train gpt4-a100 --repz 3; stderr_has "did you mean '--reps'"
run 2 train gpt4-a100 --set nonsense; stderr_has "KEY=VALUE"
run 2 list nonsense; stderr_has "models hw scenarios"
run 2 help trian; stderr_has "did you mean 'train'"

run 0 list scenarios
for name in gpt4-a100 gpt4-h100-bf16 gpt4-h100-fp8 gpt4-serve-a100 gpt4-serve-h100; do stdout_has $name; done
run 0 list --json; json '.scenarios | index("gpt4-a100")'; json '.models | index("gpt4-leak")'

[ "$failures" -eq 0 ]
