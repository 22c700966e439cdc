# Shared by the command-line tests: sourced, not run. $1 of the test is the program.
program=$1
case $program in /*) ;; *) program=$PWD/$program ;; esac
FLOPCAST_CONFIGS=$PWD/configs
export FLOPCAST_CONFIGS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAIL: $1"
    [ -f "$work/out" ] && head -c 600 "$work/out"
    [ -f "$work/err" ] && head -c 1200 "$work/err"
    failures=$((failures + 1))
}

# run STATUS ARGUMENT... : runs the program, keeps its output in $work/out and $work/err, compares the exit status
run() {
    wanted=$1
    shift
    "$program" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    [ "$got" -eq "$wanted" ] || fail "flopcast $*: exit $got, expected $wanted"
}

stderr_has() { grep -qF -- "$1" "$work/err" || fail "stderr lacks '$1'"; }
stdout_has() { grep -qF -- "$1" "$work/out" || fail "stdout lacks '$1'"; }
# screen_fits : nothing on stdout is wider than a terminal, nor cut to fit it
screen_fits() {
    [ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is wider than 80 columns"
    ! grep -q '\.\.\.$' "$work/out" || fail "a line of the screen is cut"
}
# json FILTER : a jq expression that must be true of the document on stdout
json() { jq -e "$1" "$work/out" >/dev/null || fail "JSON does not hold: $1"; }
