#!/bin/sh
# flopcast serve --fleet: datacentres, routing, autoscaling, reports.
. tests/cli/lib.sh

cat >"$work/fleet.yaml" <<'YAML'
schema: 1
title: "Llama 2 70B in two datacentres"
kind: serving
model: llama2-70b
hardware: {base: h100-ndr, gpus: 8}
serving:
  base: engine-vllm-2025
  tensor: 8
  context_limit: 32768
  prompt_tokens: 1155
  output_tokens: 211
  length_sigma: 0.8
  utilisation: 40%
prices: {gpu_hour: $2/h, energy: $0.08/kWh, pue: 1.1, co2: 0.373kg/kWh}
fleet:
  duration: 96min
  target: 60%
  start_up: 1min
  reuse: 100%
  clusters:
    - {name: east, replicas: 3, gpu_hour: $3/h}
    - {name: west, replicas: 3, outage_start: 30min, outage: 10min}
  regions:
    - {name: mornings, share: 2, swing: 50%, zone: -5h}
    - {name: evenings, share: 1, swing: 50%, zone: 4h}
  links:
    - {region: mornings, cluster: east, latency: 10ms}
    - {region: mornings, cluster: west, latency: 40ms}
    - {region: evenings, cluster: east, latency: 40ms}
    - {region: evenings, cluster: west, latency: 10ms}
YAML

run 0 serve "$work/fleet.yaml" --fleet --load 6 --json
json '.fleet.asked == .requests.finished + .requests.rejected + .fleet.lost and .fleet.asked > 10000'
json '.outages == 1 and .requests.interrupted > 0 and .fleet.lost == 0'
json '.clusters[1].over_time[32].asked == 0 and .clusters[1].over_time[32].ready == 0 and .clusters[0].over_time[32].asked > 0'
json '.replicas.released_s > 0 and .cost.usd < .cost.usd_without_reuse and .cost.usd_energy > 0 and .energy.co2_kg > 0'
json '.latency.ttft_s.p50 > 0.02 and .latency.ttft_s.p50 <= .latency.ttft_s.p99'
json '(.over_time | length) == 96 and ([.over_time[].kv_occupancy] | max) > 0 and .utilisation.busy > 0'
cp "$work/out" "$work/first"
for jobs in 1 2 7; do
    run 0 serve "$work/fleet.yaml" --fleet --load 6 --json --jobs $jobs
    cmp -s "$work/out" "$work/first" || fail "the result depends on the number of threads: $jobs"
done
run 0 serve "$work/fleet.yaml" --fleet --load 6 --json --set fleet.failover=drain
json '.requests.interrupted == 0'

run 0 serve "$work/fleet.yaml" --fleet --load 6 --out "$work/day"
stdout_has "east"; stdout_has "without lending"; stdout_has "outages: 1"
screen_fits
[ "$(wc -l <"$work/day/fleet-day.csv")" -eq 289 ] || fail "fleet-day.csv is not 3 x 96 rows"
[ -s "$work/day/fleet-day.png" ] || fail "no picture"
run 1 serve "$work/fleet.yaml" --fleet --load 6 --slo 'e2e<1ms'; stdout_has "missed"

run 2 serve "$work/fleet.yaml" --fleet --find rate --slo 'ttft<1s'; stderr_has "neither"
run 3 serve gpt4-serve-a100 --fleet --load 5; stderr_has "no fleet"
run 2 serve "$work/fleet.yaml" --fleet --set fleet.routing=nearst; stderr_has "nearest"
sed 's/cluster: west, latency: 10ms/cluster: wset, latency: 10ms/' "$work/fleet.yaml" >"$work/typo.yaml"
run 3 serve "$work/typo.yaml" --fleet; stderr_has "wset"
sed 's/name: west/name: east/' "$work/fleet.yaml" >"$work/twice.yaml"
run 3 serve "$work/twice.yaml" --fleet

[ "$failures" -eq 0 ]
