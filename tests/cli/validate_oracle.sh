#!/bin/sh
# flopcast validate on reliability results: the shipped table, other tables, wrong and impossible rows, options.
. tests/cli/lib.sh

# The shipped table: every closed form within 1e-6, every process within four standard errors.
run 0 validate reliability_oracle.csv --json
json '(.rows | length) == 148 and all(.rows[]; .ok == true) and (.skipped | length) == 0'
json 'all(.rows[]; (.error | fabs) <= 1e-6 or (.model == "S.correlated_repair" and (.error | fabs) < 1e-4))'
json '[.rows[] | select(.z != null)] | length == 108 and all(.[]; (.z | fabs) < 4 and .standard_error >= 0)'
json '[.rows[] | select(.note != "")] | length == 5 and all(.[]; .simulated == null and .measured < 1e-5)'
json '.summary.n == 148 and .summary.ok == 148 and .summary.max_abs_z < 4'
json '.summary.mean_z2 > 0.6 and .summary.mean_z2 < 1.5'
json '([.models[].n] | add) == 148'
json 'all(.rows[]; has("measured") and has("predicted") and has("error"))'

# A smaller one: the same on any number of threads and in any order of rows; another seed differs.
shipped=configs/measurements/reliability_oracle.csv
{ head -n 1 $shipped; grep -E '^(O035|O058|O079|O097|O103|O109|O137|O144|O153|O154|O164|O177|O190),' $shipped; } >"$work/some.csv"
run 0 validate "$work/some.csv" --json --reps 40 --jobs 1
cp "$work/out" "$work/first"
run 0 validate "$work/some.csv" --json --reps 40 --jobs 3
cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads"
{ head -n 1 $shipped; tail -n +2 "$work/some.csv" | sort -r; } >"$work/turned.csv"
run 0 validate "$work/turned.csv" --json --reps 40
for document in first out; do jq -S '[.rows[] | del(.line)] | sort_by(.id)' "$work/$document" >"$work/$document.rows"; done
cmp -s "$work/first.rows" "$work/out.rows" || fail "the result depends on the order of rows"
run 0 validate "$work/some.csv" --json --reps 40 --seed 2
jq -s '[.[0].rows, .[1].rows] | transpose | all(.[]; .[0].predicted == .[1].predicted and .[0].simulated != .[1].simulated)' \
    "$work/first" "$work/out" | grep -q true || fail "the seed does not reach the simulations"
run 0 validate "$work/some.csv" --reps 40
stdout_has "13 of 13 rows ok"; stdout_has "replications a row"
[ "$(awk 'length > 80' "$work/out" | wc -l)" -eq 0 ] || fail "the screen is wider than 80 columns"

run 0 validate "$work/some.csv" --reps 40 --quiet --out "$work/files"
for name in report.txt validation.json validation.csv; do
    [ -s "$work/files/$name" ] || fail "$name is missing"
done
[ "$(wc -l <"$work/files/validation.csv")" -eq 14 ] || fail "validation.csv does not have a line a row"

# Columns in another order, further values and units need no code; what is wrong says so and gives exit status 1.
cat >"$work/other.csv" <<'EOF'
value,note,metric,parameters,id,model
0.927498889,as shipped,ETTR,M_h=10;tau_s=1800;delta_min=1;D_min=0;R_min=10,units,C.S2_safe_restart
1.94483455,the same in hours,tau_exact_h,delta_s=300;M_d=1,hours,A.opt_interval
0.4,Erlang's table B(2;2),P_job_waits_for_a_node,N=1;spares=1;rf_per_node_day=48;repair_h=1,erlang,I.spares
EOF
run 0 validate "$work/other.csv" --json --reps 40
json '.rows | length == 3 and all(.[]; .ok)'
sed 's/0.927498889/0.927508889/' "$work/other.csv" >"$work/wrong.csv"
run 1 validate "$work/wrong.csv" --json --reps 40
json '.rows | map(.ok) == [false, true, true]'
run 1 validate "$work/wrong.csv" --reps 40; stdout_has "NOT OK"; stdout_has "2 of 3 rows ok"

# Rows that cannot be: each skipped with its reason, the good one held.
cat >"$work/bad.csv" <<'EOF'
id,model,parameters,metric,value
good,C.S2_safe_restart,M_min=600;tau_min=30;delta_min=1;R_min=10,ETTR,0.927498889
negative,C.S2_safe_restart,M_min=-5;tau_min=30;delta_min=1,ETTR,0.9
zero,C.S2_safe_restart,M_min=0;tau_min=30;delta_min=1,ETTR,0.9
nan,C.S2_safe_restart,M_min=nan;tau_min=30;delta_min=1,ETTR,0.9
huge,C.S2_safe_restart,M_min=1e300;tau_min=30;delta_min=1,ETTR,0.9
unit,C.S2_safe_restart,M=600;tau_min=30;delta_min=1,ETTR,0.9
typo,C.S2_safe_restart,M_min=600;tua_min=30;delta_min=1,ETTR,0.9
missing,C.S2_safe_restart,M_min=600;delta_min=1,ETTR,0.9
twice,C.S2_safe_restart,M_min=600;M_h=10;tau_min=30;delta_min=1,ETTR,0.9
model,C.S2_safe_restrat,M_min=600;tau_min=30;delta_min=1,ETTR,0.9
metric,C.S2_safe_restart,M_min=600;tau_min=30;delta_min=1,ETRR,0.9
text,C.S2_safe_restart,M_min=600;tau_min=30;delta_min=1,ETTR,much
stands,R.wall_clock_rate,M_wall_min=10;down_min=20;tau_min=1;delta_min=0,ETTR,0.5
word,I.spares,N=128;spares=4;rf_per_node_day=0.0156;repair_h=24;repair=exponentail,P_job_waits_for_a_node,0.5
groups,Q.memory_copies,machines=7;copies=2;lost_together=3,P_all_shards_survive,0.5
batches,S.correlated_repair,classes=0.3/h x 0 + 1;repair_h=24,nodes_in_repair_mean,0.5
list,H.hierarchy,n_gpu=1000;down_h=0.2/0.4;tau_h=1,ETTR,0.5
short,C.S2_safe_restart
EOF
run 0 validate "$work/bad.csv" --json --reps 40
json '(.rows | map(.id)) == ["good"] and .rows[0].ok and (.skipped | length) == 17'
skipped_says() { json ".skipped | map(select(.id == \"$1\"))[0].reason | contains(\"$2\")"; }
skipped_says negative "M: '-5'"; skipped_says nan "not a number"; skipped_says unit "M_min"
skipped_says typo "'tau'"; skipped_says missing "'tau'"; skipped_says twice "twice"
skipped_says model "C.S2_safe_restart"; skipped_says metric "'ETTR'"; skipped_says text "much"
skipped_says stands "never runs"; skipped_says word "exponential"; skipped_says groups "groups of 2"
run 0 validate "$work/bad.csv" --reps 40; stdout_has "17 rows skipped"

# Progress impossible, or far too much to simulate: a clear answer, no hang.
cat >"$work/never.csv" <<'EOF'
id,model,parameters,metric,value
never,C.S2_safe_restart,M_min=1;tau_min=100000;delta_min=1,ETTR,0
restart,B.S1_exposed_restart,M_min=1;tau_min=1;delta_min=1;R_min=100000,ETTR,0
repair,I.spares,N=10000000;spares=10000000;rf_per_node_s=1000;repair_d=10000000,P_job_waits_for_a_node,1
replicas,K.elastic_dp,replicas=10000000;job_rate_per_s=1000;T_rep_d=10000000,throughput_fraction,1e-8
slow,L.fail_slow,N=10000000;rate_per_node_s=1000;dur_d=1000000;slow1=1;slow2=2;P_slow2=0.5,throughput_fraction,0.5
batch,S.correlated_repair,classes=1000/s x 1000000;repair_d=10000000,nodes_in_repair_mean,8.64e20
levels,G.two_level,M_s=0.001;tau1_d=10;block1_s=0;block2_s=0;n2=10000000;f1=0;R1_s=0;R2_s=0,ETTR,0
law,E.renewal_hazard,dist=lognormal;shape=100;mean_min=70;tau_s=0.001;delta_s=0,ETTR,0
workers,L.step_noise_max,N=10000000;cv=10;law=lognormal,mean_step_over_nominal,1
machines,Q.memory_copies,machines=10000000;copies=2;lost_together=2,P_all_shards_survive,0.9999999
EOF
timeout 60 "$program" validate "$work/never.csv" --json >"$work/out" 2>"$work/err"
[ $? -eq 1 ] || fail "impossible rows: not exit status 1"
json '(.rows | length) == 10 and all(.rows[]; .simulated == null and .note != "")'
json '.rows | map(select(.id == "never" or .id == "restart")) | all(.[]; .note | contains("expected goodput"))'

# Options that say nothing here, and files that hold nothing.
for option in "--split pool" "--fit all" "--fail-above 0.05" "--plot" "--set training.tokens=1T"; do
    # shellcheck disable=SC2086
    run 2 validate "$work/some.csv" $option; stderr_has "${option%% *}"
done
run 2 validate "$work/some.csv" --reps 1; stderr_has "10"
run 2 validate "$work/some.csv" --reps none
printf 'id,model,parameters,metric,value\nx,nothing,M_min=1,ETTR,1\n' >"$work/t.csv"
run 3 validate "$work/t.csv"; stderr_has "no row"; stderr_has "nothing"
printf 'id,model,parameters,metric,value\n' >"$work/t.csv"; run 3 validate "$work/t.csv"
printf 'model,parameters,metric,value\nx,y,z,1\n' >"$work/t.csv"; run 3 validate "$work/t.csv"; stderr_has "'id'"

[ "$failures" -eq 0 ]
