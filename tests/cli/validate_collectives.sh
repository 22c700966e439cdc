#!/bin/sh
# flopcast validate on a table of collectives: shipped table, parts, files, fit, bad rows.
. tests/cli/lib.sh

run 0 validate collectives --json
json '.summary.n == (.rows | length) and .summary.n > 2000'
json '.of == "collectives" and .unit == "s"'
json '.groups | has("place") and has("collective") and has("source") and has("fit")'
json '([.groups.fit[].n] | add) == .summary.n'
json 'all(.rows[] | select(.fit == "in no fit"); .held_back)'
json '[.groups.place[] | select(.label == "in a node, graph")][0].held_back.mean_abs_error < 0.065'
run 0 validate collectives --split held-back
stdout_has "by place"; stdout_has "low lat., nodes"
run 1 validate collectives --fail-above 1%; stderr_has "above"
run 0 validate collectives --quiet --out "$work/files"
for name in report.txt validation.json validation.csv; do
    [ -s "$work/files/$name" ] || fail "--out did not write $name"
done

run 0 validate collectives --fit infiniband-ndr --out "$work/fit"
stdout_has "tree_hop: "; stdout_has "held back"
[ -s "$work/fit/collective_fits.yaml" ] || fail "--fit --out wrote no file"
run 0 validate collectives --fit infiniband-ndr --json
json '.fits | length == 1 and (.[0].values.tree_hop > 0) and (.[0].held_back.n > 0)'
run 3 validate collectives --fit nonsense; stderr_has "nonsense"

printf 'source,locator,gpu,n_gpus,n_nodes,fabric,collective,msg_bytes,time_us,notes\ns,l,H100-SXM,8,1,x,all_reduce,lots,5,\n' >"$work/bad.csv"
run 3 validate "$work/bad.csv"; stderr_has "lots"
printf 'source,gpu,n_gpus,n_nodes,fabric,collective,msg_bytes,time_us,notes\ns,H100-SXM,8,1,x,all_reduce,1024,5,\n' >"$work/bad.csv"
run 3 validate "$work/bad.csv"; stderr_has "locator"

[ "$failures" -eq 0 ]
