#!/bin/sh
# How close the simulated training step comes to published ones: usage: accuracy.sh PROGRAM [MEASUREMENTS.csv]
#
# Each row of configs/measurements/training_steps.csv is predicted from its configuration alone, with the fits of
# configs/hw and no kernel overhead; nothing is adjusted to a row, a paper or a software stack. Also printed: the
# training.kernel_overhead at which the prediction would equal the measurement (a straight line through 0% and 20%;
# below zero: the measured step is faster than predicted), which is where the scenarios' ranges of it come from.
set -u
[ $# -ge 1 ] || { echo "usage: $0 PROGRAM [MEASUREMENTS.csv]" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
program=$1
rows=${2:-$root/configs/measurements/training_steps.csv}
FLOPCAST_CONFIGS=$root/configs
export FLOPCAST_CONFIGS
work=$(mktemp -d) || exit 4
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

header=id,stack,gpu,gpus,nics,nic_gbps,layers,d_model,heads,kv_heads,d_ff,gated_mlp,vocab_size,sequence_length
header=$header,batch_sequences,micro_batch,tensor,pipeline,data,sequence_parallel,zero_stage,recompute,precision
header=$header,tokens_per_s_per_gpu,source
[ "$(head -n 1 "$rows")" = "$header" ] || { echo "$rows: columns are not those expected" >&2; exit 3; }

# What is common to the rows of one GPU. Memory is not the point here: what a framework keeps besides weights and
# activations is not known for these runs, so none is charged and no plan is refused.
base() { # file, base scenario, attention kernel of the time, communication of data parallelism beside compute
    cat >"$work/$1.yaml" <<YAML
schema: 1
base: $2
title: published step times
kind: training
hardware:
  gpu:
    memory: 8000GiB
training:
  tokens: 1T
  gradient_precision: bf16
  attention: $3
  reserved: 0GB
  parallel:
    schedule: 1f1b
    overlap_grad_reduce: $4
    overlap_param_gather: $4
YAML
}
base a100 gpt4-a100 unfused false
base h100 gpt4-h100-bf16 flash2 true

# predict OVERHEAD OVERLAP : tokens per second and GPU of the current row, on stdout
predict() {
    "$program" train "$work/$gpu.yaml" --json --quiet --reps 1 --detail replicas \
        --set model.layers="$layers" --set model.d_model="$d_model" --set model.heads="$heads" \
        --set model.kv_heads="$kv_heads" --set model.head_dim=$((d_model / heads)) --set model.d_ff="$d_ff" \
        --set model.gated_mlp="$gated_mlp" --set model.vocab_size="$vocab_size" \
        --set model.experts=1 --set model.experts_per_token=1 \
        --set hardware.gpus="$gpus" --set hardware.node.nics="$nics" \
        --set hardware.node.nic_bandwidth="${nic_gbps}Gb/s" \
        --set training.sequence_length="$sequence_length" \
        --set training.batch_tokens=$((sequence_length * batch_sequences)) \
        --set training.precision="$matrix_precision" \
        --set training.kernel_overhead="$1" --set training.parallel.tensor_overlap="$2" \
        --set training.parallel.tensor="$tensor" --set training.parallel.pipeline="$pipeline" \
        --set training.parallel.data="$data" --set training.parallel.micro_batch="$micro_batch" \
        --set training.parallel.sequence_parallel="$sequence_parallel" \
        --set training.parallel.zero_stage="$zero_stage" --set training.parallel.recompute="$recompute" \
        >"$work/out" 2>"$work/err" </dev/null && jq -er .step.tokens_per_s_per_gpu "$work/out"
}

# One line a row: id, stack and precision, GPUs, layout, measured, predicted, predicted with 20% overhead, and the last
# two again with half of the tensor-parallel communication hidden, where there is any.
sed 1d "$rows" >"$work/rows"
while IFS=, read -r id stack gpu gpus nics nic_gbps layers d_model heads kv_heads d_ff gated_mlp vocab_size \
    sequence_length batch_sequences micro_batch tensor pipeline data sequence_parallel zero_stage recompute precision \
    measured _source; do
    case $precision in fp8) matrix_precision=fp8 ;; *) matrix_precision=bf16 ;; esac
    if ! plain=$(predict 0% 0%) || ! slowed=$(predict 20% 0%) ||
        ! plain_half=$(predict 0% 50%) || ! slowed_half=$(predict 20% 50%); then
        echo "$id: no prediction" >&2
        cat "$work/err" >&2
        exit 1
    fi
    echo "$id $stack/$precision $gpus TP${tensor}xPP${pipeline}xDP$data/mb$micro_batch/$recompute" \
        "$measured $plain $slowed $plain_half $slowed_half"
done <"$work/rows" >"$work/predictions" || exit 1

awk '
function magnitude(x) { return x < 0 ? -x : x }
# Step time is a straight line in the overhead: 1/predicted at 0, 1/slowed at 0.2, 1/measured where wanted.
function overhead(measured, predicted, slowed) {
    return 0.2 * (1 / measured - 1 / predicted) / (1 / slowed - 1 / predicted)
}
function sort(values, n,    i, j, value) {
    for (i = 2; i <= n; i++) {
        value = values[i]
        for (j = i - 1; j > 0 && values[j] > value; j--)
            values[j + 1] = values[j]
        values[j + 1] = value
    }
}
function quantile(values, n, q,    at, below) { # of sorted values, interpolated
    at = 1 + (n - 1) * q
    below = int(at)
    return below >= n ? values[n] : values[below] + (at - below) * (values[below + 1] - values[below])
}
# Summary of the rows whose stack matches `pattern`.
function summarise(label, pattern,    i, n, ratios, plain, half) {
    n = 0
    for (i = 1; i <= rows; i++)
        if (stack[i] ~ pattern) {
            n++
            ratios[n] = ratio[i]
            plain[n] = share[i]
            half[n] = share_half[i]
        }
    sort(ratios, n)
    sort(plain, n)
    sort(half, n)
    if (n == 0)
        return
    printf "%-31s %3d  %6.3f %6.3f %6.3f   %6.1f%% %6.1f%% %6.1f%%   %6.1f%% %6.1f%% %6.1f%%\n", label, n,
        quantile(ratios, n, 0.5), ratios[1], ratios[n], 100 * quantile(plain, n, 0.05),
        100 * quantile(plain, n, 0.5), 100 * quantile(plain, n, 0.95), 100 * quantile(half, n, 0.05),
        100 * quantile(half, n, 0.5), 100 * quantile(half, n, 0.95)
}
{
    rows++
    stack[rows] = $2
    if (!($2 in seen)) {
        seen[$2] = 1
        groups[++group_count] = $2
    }
    ratio[rows] = $6 / $5
    share[rows] = overhead($5, $6, $7)
    share_half[rows] = overhead($5, $8, $9)
    error[rows] = magnitude(ratio[rows] - 1)
    line[rows] = sprintf("%-16s %-30s %5d  %-31s %9.1f %9.1f %7.3f %8.1f%%", $1, $2, $3, $4, $5, $6, ratio[rows],
        100 * share[rows])
    order[rows] = rows
}
END {
    for (i = 2; i <= rows; i++) { # worst first; equal errors as they came
        moved = order[i]
        for (j = i - 1; j > 0 && error[order[j]] < error[moved]; j--)
            order[j + 1] = order[j]
        order[j + 1] = moved
    }
    printf "%-16s %-30s %5s  %-31s %9s %9s %7s %9s\n", "id", "stack", "GPUs", "layout", "measured",
        "predicted", "ratio", "overhead"
    for (i = 1; i <= rows; i++)
        print line[order[i]]

    printf "\nmeasured, predicted: tokens/s/GPU; ratio: predicted/measured; "
    printf "overhead: the training.kernel_overhead that would make them equal\n"
    printf "\n%-31s %3s  %20s   %23s   %23s\n", "", "", "predicted/measured", "overhead", "with TP half hidden"
    printf "%-31s %3s  %6s %6s %6s   %7s %7s %7s   %7s %7s %7s\n", "stack", "n", "median", "min", "max",
        "p5", "median", "p95", "p5", "median", "p95"
    for (i = 1; i <= group_count; i++)
        summarise(groups[i], "^" groups[i] "$")
    # pooled as the sources of kernel_overhead in configs/scenarios pool them
    summarise("Megatron-LM, both years", "^megatron-20")
    summarise("NeMo fp8, both years", "^nemo.*fp8$")
    summarise("all", ".")

    sort(error, rows)
    printf "\nmedian absolute error %.1f%%, p90 %.1f%%, worst %.1f%%, %d rows\n", 100 * quantile(error, rows, 0.5),
        100 * quantile(error, rows, 0.9), 100 * error[rows], rows
}' "$work/predictions"
