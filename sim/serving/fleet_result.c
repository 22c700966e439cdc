#include "hw/price.h"
#include "hw/stored_weights.h"
#include "sim/serving/fleet_state.h"

#include <stdio.h>
#include <string.h>

void fleet_close_bin(Fleet *fleet, size_t bin, double now_s)
{
    for (size_t i = 0; i < fleet->cluster_count; i++) {
        Cluster *cluster = &fleet->clusters[i];
        FleetBin *at = &cluster->result->bins[bin];
        const UseSums use = cluster_use(fleet, cluster);
        const double on_s = cluster_on_s(fleet, cluster, now_s);
        const double blocks = unit_memory(fleet->slots[cluster->first_slot].unit)->blocks;
        at->in_system = (double)cluster->in_system;
        at->ready = (double)cluster->ready;
        at->tokens = use.tokens - cluster->at_bin.tokens;
        if (on_s > cluster->on_at_bin)
            at->kv_occupancy = (use.block_seconds - cluster->at_bin.block_seconds) /
                               ((on_s - cluster->on_at_bin) * blocks);
        cluster->at_bin = use;
        cluster->on_at_bin = on_s;
        cluster->released_at_bin = cluster_released_s(fleet, cluster, now_s);
    }
}

static void fill_latency(const LatencyHistogram *histograms, ClusterResult *result)
{
    static const double QUANTILES[LATENCY_STATISTICS] = {0.5, 0.9, 0.95, 0.99, 0};
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++)
        for (size_t i = 0; i < LATENCY_STATISTICS; i++)
            result->latency_s[kind][i] = i == LATENCY_MEAN
                                             ? histogram_mean(&histograms[kind])
                                             : histogram_quantile(&histograms[kind], QUANTILES[i]);
}

/* Money and energy of one datacentre: all replicas are held all the time; what is released is paid
 * by other work in part, and its energy in full. Without that it idles. */
static void fill_money(const Fleet *fleet, const Cluster *cluster)
{
    ClusterResult *result = cluster->result;
    const Scenario *scenario = cluster->scenario;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const UseSums use = cluster->at_bin; /* the last bin ends with the day */
    const double seconds = fleet->result->seconds;
    const double gpus = fleet->result->gpus_per_replica;
    const double on_s = fmax(cluster->on_at_bin, 1e-9);
    const double held_s = result->replicas * seconds;
    const double rent = gpus * price_gpu_hour_usd(scenario, gpus) / 3600; /* of a replica second */
    const double energy_usd = price_energy_usd_per_j(scenario);
    const GpuUse idle = {0};
    result->on_s = cluster->on_at_bin;
    result->released_s = cluster->released_at_bin;
    const double peak = gpu_served_peak_flops_per_s(gpu, &scenario->serving);

    result->served =
        (ServedLoad){.gpus = gpus * on_s / seconds,
                     .use = {use.busy_s / on_s, use.bytes / (on_s * gpus * gpu->memory_bytes_per_s),
                             use.flops / (on_s * gpus * peak)},
                     .input_share = use.busy_s > 0 ? use.prefill_s / use.busy_s : 0,
                     .input_tokens_per_s = result->input_tokens / seconds,
                     .output_tokens_per_s = result->output_tokens / seconds};
    result->energy_j = power_grid_w(scenario, gpus, &result->served.use) * on_s;
    result->co2_kg = result->energy_j * scenario->prices.co2_kg_per_j;
    result->usd_energy = result->energy_j * energy_usd;
    result->usd = rent * (held_s - fleet->spec->reuse * result->released_s) + result->usd_energy;
    result->usd_without_reuse =
        rent * held_s + result->usd_energy +
        power_grid_w(scenario, gpus, &idle) * result->released_s * energy_usd;
}

static void fill_prices(ClusterResult *result)
{
    const double thousands = (result->input_tokens + result->output_tokens) / 1e3;
    if (!(thousands > 0))
        return;
    result->usd_per_1k_tokens = result->usd / thousands;
    result->usd_per_1k_without_reuse = result->usd_without_reuse / thousands;
}

/* Sums of all datacentres; uses are means over GPUs that are on. */
static void add_to(ClusterResult *all, const ClusterResult *result)
{
    static const size_t SUMS[] = {
        offsetof(ClusterResult, replicas),     offsetof(ClusterResult, asked),
        offsetof(ClusterResult, finished),     offsetof(ClusterResult, rejected),
        offsetof(ClusterResult, interrupted),  offsetof(ClusterResult, starts),
        offsetof(ClusterResult, outages),      offsetof(ClusterResult, most_ready),
        offsetof(ClusterResult, on_s),         offsetof(ClusterResult, released_s),
        offsetof(ClusterResult, input_tokens), offsetof(ClusterResult, output_tokens),
        offsetof(ClusterResult, good),         offsetof(ClusterResult, usd),
        offsetof(ClusterResult, usd_energy),   offsetof(ClusterResult, usd_without_reuse),
        offsetof(ClusterResult, energy_j),     offsetof(ClusterResult, co2_kg)};
    for (size_t i = 0; i < sizeof SUMS / sizeof *SUMS; i++)
        *(double *)(void *)((char *)all + SUMS[i]) +=
            *(const double *)(const void *)((const char *)result + SUMS[i]);
    const ServedLoad *load = &result->served;
    const double before = all->served.gpus;
    const double gpus = before + load->gpus;
    if (gpus > 0) {
        all->served.use.busy = (all->served.use.busy * before + load->use.busy * load->gpus) / gpus;
        all->served.use.bandwidth =
            (all->served.use.bandwidth * before + load->use.bandwidth * load->gpus) / gpus;
        all->served.use.flops =
            (all->served.use.flops * before + load->use.flops * load->gpus) / gpus;
    }
    all->served.gpus = gpus;
    all->served.input_tokens_per_s += load->input_tokens_per_s;
    all->served.output_tokens_per_s += load->output_tokens_per_s;
    for (size_t i = 0; i < FLEET_BINS; i++) {
        FleetBin *sum = &all->bins[i];
        const FleetBin *bin = &result->bins[i];
        const double ready = sum->ready + bin->ready;
        if (ready > 0)
            sum->kv_occupancy =
                (sum->kv_occupancy * sum->ready + bin->kv_occupancy * bin->ready) / ready;
        sum->ready = ready;
        sum->asked += bin->asked;
        sum->in_system += bin->in_system;
        sum->tokens += bin->tokens;
    }
}

void fleet_conclude(Fleet *fleet)
{
    FleetResult *result = fleet->result;
    snprintf(result->all.name, sizeof result->all.name, "all");
    for (size_t i = 0; i < fleet->cluster_count; i++) {
        const Cluster *cluster = &fleet->clusters[i];
        fill_latency(cluster->latency, cluster->result);
        fill_money(fleet, cluster);
        fill_prices(cluster->result);
        add_to(&result->all, cluster->result);
    }
    fill_latency(fleet->latency, &result->all);
    fill_prices(&result->all);
    result->holds = result->lost == 0;
    for (size_t i = 0; i < fleet->options->slo.count; i++) {
        const SloLimit *limit = &fleet->options->slo.limits[i];
        result->holds &= result->all.latency_s[limit->kind][limit->statistic] < limit->limit_s;
    }
}
