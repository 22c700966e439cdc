#include "reports/fleet.h"

#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/latencies.h"
#include "reports/number_field.h"
#include "reports/terminal_parts.h"

#include <stdio.h>

/* ---- terminal -----------------------------------------------------------------------------------
 */

static void print_cluster(FILE *out, const ClusterResult *cluster, double seconds)
{
    char ttft[64], e2e[64], tpot[64], cost[64];
    format_quantity(cluster->latency_s[LATENCY_TTFT][LATENCY_P99], "s", ttft, sizeof ttft);
    format_quantity(cluster->latency_s[LATENCY_TPOT][LATENCY_P99], "s", tpot, sizeof tpot);
    format_quantity(cluster->latency_s[LATENCY_E2E][LATENCY_P50], "s", e2e, sizeof e2e);
    format_quantity(cluster->usd_per_1k_tokens, "USD", cost, sizeof cost);
    ascii_linef(out, "  %-10.10s %7.4g %5.1f/%-4.0f %4.0f%% %9s %9s %9s %9s", cluster->name,
                cluster->finished / seconds, cluster->on_s / seconds, cluster->replicas,
                100 * cluster->served.use.busy, ttft, tpot, e2e, cost);
}

void terminal_fleet(FILE *out, const Scenario *scenario, const FleetResult *result,
                    const FleetOptions *options, const Provenance *provenance, TerminalStyle style)
{
    const ClusterResult *all = &result->all;
    char rate[64], most[64], with[64], without[64];
    format_quantity(result->asked / result->seconds, "requests/s", rate, sizeof rate);
    format_quantity(result->maximum_per_s * all->replicas, "", most, sizeof most);
    format_quantity(all->usd_per_1k_tokens, "USD", with, sizeof with);
    format_quantity(all->usd_per_1k_without_reuse, "USD", without, sizeof without);
    ascii_linef(out, "%s", scenario->title);
    ascii_linef(out, "%s are asked in the mean; all %.0f replicas together serve up to %s", rate,
                all->replicas, most);
    ascii_linef(out, "  %-10s %7s %10s %5s %9s %9s %9s %9s", "datacentre", "req/s", "replicas",
                "busy", "TTFT p99", "TPOT p99", "E2E p50", "USD/1k");
    for (size_t i = 0; i < result->cluster_count; i++)
        print_cluster(out, &result->clusters[i], result->seconds);
    print_cluster(out, all, result->seconds);
    ascii_linef(out, "  (replicas: mean on / held; latencies with the network and retries)");
    if (options->slo.count > 0)
        ascii_linef(out, "the objective is %s; %.2f%% of the answers keep each limit",
                    result->holds ? "held" : "missed",
                    all->finished > 0 ? 100 * all->good / all->finished : 0.0);
    ascii_linef(out, "%.0f requests: %.0f answered, %.0f refused, %.0f lost (none up)",
                result->asked, all->finished, all->rejected, result->lost);
    if (all->outages > 0)
        ascii_linef(out, "outages: %.0f; requests interrupted by them and asked again: %.0f",
                    all->outages, all->interrupted);
    ascii_linef(out, "cost of 1k tokens: %s; without lending idle ones %s (x %.2f)", with, without,
                all->usd > 0 ? all->usd_without_reuse / all->usd : 0.0);
    terminal_quantity(out, "cost of the time simulated", all->usd, "USD");
    terminal_quantity(out, "  of it energy", all->usd_energy, "USD");
    terminal_quantity(out, "energy", all->energy_j / 3.6e6, "kWh");
    terminal_quantity(out, "CO2", all->co2_kg, "kg");
    ascii_linef(out, "  %-26s %.1f of %.1f replica hours", "lent to other work",
                all->released_s / 3600, all->replicas * result->seconds / 3600);
    terminal_midpoints(out, scenario);
    terminal_provenance(out, provenance, style);
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

#define CLUSTER(KEY, MEMBER)                                                                       \
    {                                                                                              \
        KEY, offsetof(ClusterResult, MEMBER)                                                       \
    }
#define BIN(KEY, MEMBER)                                                                           \
    {                                                                                              \
        KEY, offsetof(FleetBin, MEMBER)                                                            \
    }

static const NumberField CLUSTER_FIELDS[] = {
    CLUSTER("replicas.held", replicas),
    CLUSTER("replicas.most_ready", most_ready),
    CLUSTER("replicas.on_s", on_s),
    CLUSTER("replicas.released_s", released_s),
    CLUSTER("replicas.starts", starts),
    CLUSTER("requests.asked", asked),
    CLUSTER("requests.finished", finished),
    CLUSTER("requests.rejected", rejected),
    CLUSTER("requests.interrupted", interrupted),
    CLUSTER("requests.good", good),
    CLUSTER("outages", outages),
    CLUSTER("tokens.input", input_tokens),
    CLUSTER("tokens.output", output_tokens),
    CLUSTER("utilisation.busy", served.use.busy),
    CLUSTER("utilisation.mbu", served.use.bandwidth),
    CLUSTER("utilisation.mfu", served.use.flops),
    CLUSTER("cost.usd", usd),
    CLUSTER("cost.usd_energy", usd_energy),
    CLUSTER("cost.usd_without_reuse", usd_without_reuse),
    CLUSTER("cost.usd_per_1k_tokens", usd_per_1k_tokens),
    CLUSTER("cost.usd_per_1k_without_reuse", usd_per_1k_without_reuse),
    CLUSTER("energy.joules", energy_j),
    CLUSTER("energy.co2_kg", co2_kg),
};
static const NumberField BIN_FIELDS[] = {
    BIN("asked", asked),   BIN("in_system", in_system),
    BIN("ready", ready),   BIN("kv_occupancy", kv_occupancy),
    BIN("tokens", tokens),
};
enum { BIN_FIELD_COUNT = sizeof BIN_FIELDS / sizeof *BIN_FIELDS };

static void put_cluster(JsonBuilder *builder, json_t *object, const ClusterResult *cluster,
                        const FleetResult *result)
{
    json_put(builder, object, "name", json_text(cluster->name));
    json_put_numbers(builder, object, CLUSTER_FIELDS,
                     sizeof CLUSTER_FIELDS / sizeof *CLUSTER_FIELDS, cluster);
    json_put_latencies(builder, object, cluster->latency_s[0]);
    json_t *bins = json_array();
    for (size_t i = 0; i < FLEET_BINS; i++) {
        json_t *bin = json_object();
        json_put(builder, bin, "end_s", json_number((double)(i + 1) * result->bin_s));
        json_put_numbers(builder, bin, BIN_FIELDS, BIN_FIELD_COUNT, &cluster->bins[i]);
        json_append(builder, bins, bin);
    }
    json_put(builder, object, "over_time", bins);
}

char *json_fleet(const Scenario *scenario, const FleetResult *result, const FleetOptions *options,
                 const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *root = builder.root;
    json_put(&builder, root, "title", json_text(scenario->title));
    json_put(&builder, root, "feasible", json_truth(1));
    json_put(&builder, root, "reason", json_text(""));
    json_put(&builder, root, "fleet.seconds", json_number(result->seconds));
    json_put(&builder, root, "fleet.rate_per_s", json_number(result->rate_per_s));
    json_put(&builder, root, "fleet.maximum_per_s_of_a_replica",
             json_number(result->maximum_per_s));
    json_put(&builder, root, "fleet.gpus_per_replica", json_number(result->gpus_per_replica));
    json_put(&builder, root, "fleet.asked", json_number(result->asked));
    json_put(&builder, root, "fleet.lost", json_number(result->lost));
    if (options->slo.count > 0)
        json_put(&builder, root, "fleet.holds", json_truth(result->holds));
    put_cluster(&builder, root, &result->all, result);
    json_t *clusters = json_array();
    for (size_t i = 0; i < result->cluster_count; i++) {
        json_t *object = json_object();
        put_cluster(&builder, object, &result->clusters[i], result);
        json_append(&builder, clusters, object);
    }
    json_put(&builder, root, "clusters", clusters);
    return json_finish(&builder, error);
}

/* ---- CSV ----------------------------------------------------------------------------------------
 */

static void put_rows(FILE *out, const ClusterResult *cluster, double bin_s)
{
    for (size_t i = 0; i < FLEET_BINS; i++) {
        csv_put_text(out, cluster->name);
        fprintf(out, ",%.17g,", (double)(i + 1) * bin_s);
        csv_put_numbers(out, BIN_FIELDS, BIN_FIELD_COUNT, &cluster->bins[i]);
        fputs("\r\n", out);
    }
}

Status csv_fleet(const char *directory, const FleetResult *result, Error *error)
{
    TextFile file;
    const Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("datacentre,end_s,", file.out);
    csv_put_names(file.out, BIN_FIELDS, BIN_FIELD_COUNT);
    fputs("\r\n", file.out);
    for (size_t i = 0; i < result->cluster_count; i++)
        put_rows(file.out, &result->clusters[i], result->bin_s);
    put_rows(file.out, &result->all, result->bin_s);
    return files_finish(&file, directory, "fleet-day.csv", error);
}
