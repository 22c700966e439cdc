#!/bin/sh
# flopcast calibrate: the documents and files it writes, and what it refuses. Nothing is timed here.
. tests/cli/lib.sh

# A machine that is too busy to measure is said so, and is no failure of the program.
measured=0
if [ -x "$(dirname "$program")/flopcast-cpu" ]; then
    "$program" calibrate --backend cpu --quick --json --out "$work/cpu" --db "$work/runs.db" >"$work/out" 2>"$work/err"
    case $? in
    0) measured=1 ;;
    4) stderr_has "disturbed" ;;
    *) fail "calibrate --backend cpu --quick" ;;
    esac
else
    run 4 calibrate --backend cpu --quick; stderr_has "neither beside this program nor on PATH"
fi
if [ $measured = 1 ]; then
    json '.backend == "cpu" and (.device | length) > 0 and (.library | test("core"))'
    json '.points | length >= 30'
    json 'all(.points[]; .us_med > 0 and .us_p10 <= .us_p90 and .us_mad >= 0 and .reps >= 3 and .flops >= 0 and .bytes >= 0)'
    json '[.points[].op] | unique | contains(["activation", "attention", "combine", "copy", "gemm", "layer", "moe_gemm", "permute", "router"])'
    json '[.points[] | select(.op == "gemm") | .pass] | unique == ["dgrad", "forward", "wgrad"]'
    json '[.points[] | select(.op == "layer") | .pass] | unique == ["forward", "training"]'
    json '[.points[] | select(.op == "gemm" and .role == "fit") | [.n, .k]] | unique | length >= 2'
    json '[.points[] | select(.op == "layer") | .skew] | unique | length >= 4'
    json '[.points[] | select(.role == "sentinel")] | length <= 3'
    json '[.fit.parameters[].op] | contains(["gemm", "moe_gemm"])'
    json 'all(.fit.parameters[]; .launch.value >= 0 and (.launch | has("standard_error") and has("identified")))'
    json '.fit.residual_median >= 0 and .fit.residual_max >= .fit.residual_median'
    json '.layers.unseen.n >= 1 and all(.points[] | select(.op == "layer"); .us_predicted > 0)'
    for name in report.txt calibration.json points.csv cpu-calibrated.yaml calibration.gp calibration.dat; do
        [ -s "$work/cpu/$name" ] || fail "$name is missing"
    done
    grep -q "sha256 of the points" "$work/cpu/cpu-calibrated.yaml" || fail "the profile names no points"
    [ "$(grep -c '^# .*%$' "$work/cpu/cpu-calibrated.yaml")" -ge 20 ] || fail "the profile lacks residuals"
    [ "$(awk 'length > 80' "$work/cpu/report.txt" | wc -l)" -eq 0 ] || fail "the report is wider than 80 columns"
    run 0 list runs --db "$work/runs.db"; stdout_has "calibrate"
    # The points' table gives the same fit again.
    jq -S '.fit' "$work/cpu/calibration.json" >"$work/first"
    run 0 calibrate --import "$work/cpu/points.csv" --json
    jq -e --slurpfile first "$work/first" '(.fit.residual_median - $first[0].residual_median | fabs) < 1e-3' "$work/out" >/dev/null ||
        fail "the table of points gives another fit"
    run 0 show cpu --set hardware.gpu.calibration="$work/cpu/cpu-calibrated.yaml"; stdout_has "cpu-calibrated.yaml"
    run 3 train gpt4-h100-bf16 --reps 2 --set hardware.gpu.calibration="$work/cpu/cpu-calibrated.yaml"
    stderr_has "measured on a CPU"; stderr_has "flopcast calibrate --backend cuda"
fi

# The time of a layer of a shape that was never fitted, within 15 %, measured in the same run (median
# of its layers). A run beside other programs proves nothing when its own sentinel moved: again then,
# three times at most.
if [ $measured = 1 ]; then
    predicted=0 tries=0
    cp "$work/cpu/calibration.json" "$work/run"
    while [ $predicted = 0 ] && [ $tries -lt 3 ]; do
        tries=$((tries + 1))
        if jq -e '.layers.unseen.median_abs_error < 0.15' "$work/run" >/dev/null; then
            predicted=1
        elif ! jq -e '(.note | test("loaded")) or .sentinel_drift > 0.03' "$work/run" >/dev/null; then
            fail "unseen layers on a quiet machine: $(jq -c .layers.unseen "$work/run")"
            predicted=1
        else
            "$program" calibrate --backend cpu --quick --json >"$work/again" 2>/dev/null && mv "$work/again" "$work/run"
        fi
    done
    [ $predicted = 1 ] || echo "skipped: unseen layers within 15%: the machine was loaded in three runs"
fi

# The program that measures stands beside this one, or on PATH; what it cannot do is passed on.
mkdir "$work/alone" "$work/path" && cp "$program" "$work/alone/flopcast"
"$work/alone/flopcast" calibrate --backend cuda >"$work/out" 2>"$work/err" && fail "calibrate without a helper"
stderr_has "neither beside this program nor on PATH"
helper() { # STATUS TEXT : a flopcast-cuda that ends so; what it says on standard output comes from $work/said
    printf '#!/bin/sh\ncat "%s"\necho "%s" >&2\nexit %s\n' "$work/said" "$2" "$1" >"$work/path/flopcast-cuda"
    chmod +x "$work/path/flopcast-cuda"
}
on_path() { # STATUS ARGUMENT... : calibrate with that program on PATH
    wanted=$1
    shift
    PATH="$work/path:$PATH" "$work/alone/flopcast" calibrate --backend cuda "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ "$got" -eq "$wanted" ] || fail "a helper on PATH: exit $got, expected $wanted"
}
: >"$work/said"
helper 3 "no such device here"; on_path 4; stderr_has "no such device here"
helper 4 "dx differs"; on_path 4; stderr_has "wrong result: dx differs"
helper 5 "a call failed"; on_path 4; stderr_has "failed (exit 5): a call failed"
helper 0 ""; on_path 4; stderr_has "wrote nothing"
{
    echo '{"v":1,"record":"provenance","class":"gpu","device":"NVIDIA H100 80GB HBM3","backend":"cuda"}'
    for shape in "4096 4096" "1024 8192" "14336 4096"; do
        for m in 16 64 256 1024 4096; do
            echo "$m $shape" | awk '{ f = 2*$1*$2*$3; b = 2*($1*$3 + $2*$3 + $1*$2);
                printf "{\"v\":1,\"record\":\"point\",\"op\":\"gemm\",\"impl\":\"loop\",\"dtype\":\"bf16\",\"m\":%d,\"n\":%d,\"k\":%d,\"us_med\":%.6f,\"flops\":%.0f,\"bytes\":%.0f}\n",
                       $1, $2, $3, 5 + 1e6*sqrt((b/2.5e12)^2 + (f/6e14)^2), f, b }'
        done
    done
    echo '{"v":1,"record":"end","points":15}'
} >"$work/said"
helper 0 ""; on_path 0 --out "$work/gpu"
stdout_has "NVIDIA H100"
[ -s "$work/gpu/h100-sxm-calibrated.yaml" ] || fail "no profile of the GPU"

# A profile serves by its path and, in configs/calibration, by its name; a forecast says for each kind of work what
# its times rest on.
cp -r configs "$work/configs" && cp "$work/gpu/h100-sxm-calibrated.yaml" "$work/configs/calibration/"
FLOPCAST_CONFIGS="$work/configs"
run 0 train gpt4-h100-bf16 --reps 2 --json --set hardware.gpu.calibration=h100-sxm-calibrated
json '.hardware.evidence | .tier == "measured here" and .kinds.gemm == "measured here" and .kinds.attention == "published measurement"'
run 0 train gpt4-h100-bf16 --reps 2 --set hardware.gpu.calibration=h100-sxm-calibrated
stdout_has "measured here: matrix products"; stdout_has "published measurement: 8-bit products"
FLOPCAST_CONFIGS=$PWD/configs

# A GPU that is not there. (Where one is, this measures it.)
if ! ls /dev/nvidia[0-9]* >/dev/null 2>&1; then
    run 4 calibrate --backend cuda --quick; stderr_has "cannot measure a GPU"
    run 4 calibrate --backend cuda --quick --json; json '.errors[0].message | test("cannot measure")'
fi

# Published tables, each model predicted by a fit to the others.
run 0 calibrate --import configs/measurements/moe_kernels.csv --out "$work/published" --json
json '.backend == "import" and (.profiles | contains(["h100-sxm-calibrated", "a100-sxm-80g-calibrated"]))'
json 'all(.fit.parameters[]; .leaving_one_model_out.mean_abs_error < 0.12)'
json '[.rejected[].reason] | any(test("flagged by its table: suspect"))'
json '[.fit.parameters[] | select(.impl | test("TRTLLM")) | select(.dtype == "bfloat16" and .gpu == "h100-sxm")][0].leaving_one_model_out.mean_abs_error < 0.05'
cp "$work/out" "$work/first"
run 0 calibrate --import configs/measurements/moe_kernels.csv --json
cmp -s "$work/out" "$work/first" || fail "the same points give another document"
run 0 calibrate --import configs/measurements/gemm.csv --out "$work/gemm" --quiet
stdout_has "launch"; stdout_has "+-"
run 0 train gpt4-h100-bf16 --reps 5 --json --set hardware.gpu.calibration="$work/gemm/h100-sxm-calibrated.yaml"
json '.hardware.evidence.tier == "published measurement" and .hardware.evidence.profile == "h100-sxm-calibrated"'
run 3 train gpt4-a100 --reps 5 --set hardware.gpu.calibration="$work/gemm/h100-sxm-calibrated.yaml"
stderr_has "not of 'a100-sxm-80g'"
run 0 train gpt4-a100 --reps 5 --json
json '.hardware.evidence.tier == "published measurement" and .hardware.evidence.profile == null'

# What cannot be read leaves nothing behind.
printf 'class,device,op,flops,bytes,us_med,ms_p90\ngpu,H100-SXM,copy,0,1e9,500,0.6\n' >"$work/units.csv"
run 3 calibrate --import "$work/units.csv" --out "$work/none"; stderr_has "two units"
[ ! -e "$work/none" ] || fail "a refused file left a directory"
printf 'class,device,op,flops,bytes,us_med\ngpu,H100-SMX,copy,0,1e9,500\n' >"$work/device.csv"
run 3 calibrate --import "$work/device.csv"; stderr_has "unknown device 'H100-SMX'"; stderr_has "H100-SXM"
printf '{"v":1,"record":"provenance","class":"gpu","device":"H100-SXM"}\n{"v":1,"rec' >"$work/cut.jsonl"
run 3 calibrate --import "$work/cut.jsonl"; stderr_has "cut.jsonl:2"; stderr_has "cut short"
head -c 3000 /dev/urandom >"$work/junk"
run 3 calibrate --import "$work/junk"
: >"$work/empty"
run 3 calibrate --import "$work/empty"
run 3 calibrate --import "$work/missing.csv"
run 2 calibrate --backend gpu; stderr_has "auto cpu cuda"
run 2 calibrate --backend cpu --import "$work/units.csv"; stderr_has "--import"
run 2 calibrate something

[ "$failures" -eq 0 ]
