#include "sim/serving/serve_outcome.h"

#include "hw/price.h"
#include "hw/stored_weights.h"
#include "models/serving_side.h"

#include <gsl/gsl_statistics_double.h>
#include <math.h>

void latency_add(LatencySamples *samples, double value)
{
    if (samples->count < MAX_LATENCY_SAMPLES)
        samples->values[samples->count++] = value;
}

/* p50, p90, p99 by linear interpolation between order statistics (Hyndman & Fan type 7). */
static void percentiles(LatencySamples *samples, double without_samples, double out[3])
{
    static const double levels[3] = {0.5, 0.9, 0.99};
    for (size_t i = 0; i < 3; i++) {
        if (samples->count == 0) {
            out[i] = without_samples;
            continue;
        }
        const double position = levels[i] * (double)(samples->count - 1);
        const size_t below = (size_t)position;
        const size_t above = below + 1 < samples->count ? below + 1 : below;
        const double low = gsl_stats_select(samples->values, 1, samples->count, below);
        const double high = gsl_stats_select(samples->values, 1, samples->count, above);
        out[i] = low + (position - (double)below) * (high - low);
    }
}

double serve_cycle_s(const double *stage_s, size_t stages, double microbatches)
{
    double slowest = 0, all = 0;
    for (size_t stage = 0; stage < stages; stage++) {
        slowest = fmax(slowest, stage_s[stage]);
        all += stage_s[stage];
    }
    return fmax(microbatches * slowest, all);
}

double serve_usd_per_s(const Scenario *scenario)
{
    const PriceRates rates = price_rates(scenario);
    const double gpus = serving_gpus(&scenario->serving);

    return gpus * price_gpu_hour_usd(scenario, gpus) / 3600 +
           gpus / scenario->hardware.node.gpus * rates.energy;
}

/* Money by kind of token. A reader pays for input and output; the cluster is paid for all day and
 * sells `utilisation` of what it could make. */
static void fill_prices(const Scenario *scenario, const ReplicaCounters *counters,
                        ServeOutcome *outcome)
{
    const double sold = scenario->serving.utilisation;
    const double gpus = scenario->serving.tensor * scenario->serving.pipeline;
    const double input = outcome->input_tokens_per_s * sold;
    const double output = outcome->output_tokens_per_s * sold;
    const double usd_per_s = serve_usd_per_s(scenario);
    const double input_share =
        counters->slowest.total_s > 0 ? counters->prefill_s / counters->slowest.total_s : 0;
    const double peak =
        gpus * gpu_served_peak_flops_per_s(&scenario->hardware.gpu, &scenario->serving);

    outcome->usd_per_s = usd_per_s;
    if (input + output > 0)
        outcome->usd_per_1k_tokens = 1e3 * usd_per_s / (input + output);
    if (output > 0) {
        outcome->usd_per_1k_output_tokens = 1e3 * usd_per_s / output;
        outcome->usd_per_1m_output = 1e6 * usd_per_s * (1 - input_share) / output;
    }
    if (input > 0)
        outcome->usd_per_1m_input = 1e6 * usd_per_s * input_share / input;
    outcome->usd_per_1k_decode_only =
        1e3 * usd_per_s / (outcome->decode_only_output_tokens_per_s * sold);

    /* A token costs at least 2 FLOPs for each active parameter. */
    outcome->floor_usd_per_1k_at_peak =
        1e3 * usd_per_s * 2 * model_parameters(&scenario->model).active / peak;
}

static void fill_utilisation(const Scenario *scenario, const ServeWindow *window,
                             ServeOutcome *outcome)
{
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const double gpu_seconds =
        window->seconds * scenario->serving.tensor * scenario->serving.pipeline;
    outcome->mfu = window->counters.flops /
                   (gpu_seconds * gpu_served_peak_flops_per_s(gpu, &scenario->serving));
    outcome->mbu = window->counters.bytes / (gpu_seconds * gpu->memory_bytes_per_s);
}

void serve_outcome_fill(const Scenario *scenario, const ServeWindow *window,
                        ServeLatencies *latencies, ServeOutcome *outcome)
{
    const ServingSpec *serving = &scenario->serving;
    const ReplicaCounters *counters = &window->counters;
    const double passes = counters->iterations;
    const double microbatches = window->microbatches;
    const double cycle_s = window->seconds * microbatches / passes;

    outcome->output_tokens_per_s = counters->output_tokens / window->seconds;
    outcome->input_tokens_per_s = counters->input_tokens / window->seconds;
    outcome->requests_per_s = window->finished / window->seconds;
    outcome->finished = window->finished;
    outcome->microbatches = microbatches;
    outcome->batch = window->users;
    outcome->decode_batch = microbatches * counters->sequence_iterations / passes;
    outcome->pass_tokens = (counters->output_tokens + counters->input_tokens) / passes;
    stage_time_add(&outcome->stage, &counters->slowest, 1 / passes);

    percentiles(&latencies->ttft, cycle_s, outcome->ttft_s);
    percentiles(&latencies->tpot, cycle_s, outcome->tpot_s);
    percentiles(&latencies->e2e, cycle_s * serving->output_tokens, outcome->e2e_s);

    outcome->decode_only_output_tokens_per_s = window->decode_only_tokens_per_s;
    fill_utilisation(scenario, window, outcome);
    fill_prices(scenario, counters, outcome);
}
