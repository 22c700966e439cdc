#include "sim/serving/serve_outcome.h"

#include "hw/price.h"
#include "hw/stored_weights.h"
#include "models/serving_side.h"

#include <math.h>
#include <stdlib.h>

void latency_add(LatencySamples *samples, double value)
{
    if (samples->count < MAX_LATENCY_SAMPLES)
        samples->values[samples->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* p50, p90, p99 by linear interpolation between order statistics (Hyndman & Fan type 7). */
static void percentiles(LatencySamples *samples, double without_samples, double out[3])
{
    static const double levels[3] = {0.5, 0.9, 0.99};

    qsort(samples->values, samples->count, sizeof samples->values[0], by_value);
    for (size_t i = 0; i < 3; i++) {
        if (samples->count == 0) {
            out[i] = without_samples;
            continue;
        }
        const double position = levels[i] * (double)(samples->count - 1);
        const size_t below = (size_t)position;
        const size_t above = below + 1 < samples->count ? below + 1 : below;
        out[i] = samples->values[below] +
                 (position - (double)below) * (samples->values[above] - samples->values[below]);
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

double serve_decode_rate(StageCost *cost, const StageLayout *layout, double microbatches,
                         const PassLoad *load)
{
    double stage_s[MAX_STAGES];
    ServeStageTime slowest;
    const PassLoad decode = {.decode = load->decode, .context = load->context};

    stage_cost_pipeline(cost, layout, &decode, stage_s, &slowest);
    return microbatches * load->decode / serve_cycle_s(stage_s, layout->stages, microbatches);
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
static void fill_prices(const Scenario *scenario, const ServeCounters *counters,
                        ServeOutcome *outcome)
{
    const double sold = scenario->serving.utilisation;
    const double gpus = scenario->serving.tensor * scenario->serving.pipeline;
    const double input = outcome->input_tokens_per_s * sold;
    const double output = outcome->output_tokens_per_s * sold;
    const double usd_per_s = serve_usd_per_s(scenario);
    const double input_share =
        counters->slowest_s > 0 ? counters->slowest_prefill_s / counters->slowest_s : 0;
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

static void fill_utilisation(const Scenario *scenario, const ServeCounters *counters,
                             ServeOutcome *outcome)
{
    const ModelSpec *model = &scenario->model;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const double gpus = scenario->serving.tensor * scenario->serving.pipeline;
    const double tokens = counters->decode_tokens + counters->prefill_tokens;

    /* QK^T and PV: 4 FLOPs for each query channel and token attended to. */
    const double flops =
        tokens * model_flops_per_token(model, 0).matmul +
        4 * model->layers * model->heads * model->head_dim * counters->attended_tokens;
    outcome->mfu =
        flops / (counters->window_s * gpus * gpu_served_peak_flops_per_s(gpu, &scenario->serving));
    outcome->mbu = counters->bytes_read / (counters->window_s * gpus * gpu->memory_bytes_per_s);
}

static ServeStageTime mean_stage(const ServeStageTime *sum, double passes)
{
    return (ServeStageTime){.weights_s = sum->weights_s / passes,
                            .kv_s = sum->kv_s / passes,
                            .compute_s = sum->compute_s / passes,
                            .collective_s = sum->collective_s / passes,
                            .overhead_s = sum->overhead_s / passes,
                            .total_s = sum->total_s / passes};
}

void serve_outcome_fill(const Scenario *scenario, StageCost *cost, const StageLayout *layout,
                        double microbatches, ServeCounters *counters, ServeOutcome *outcome)
{
    const ServingSpec *serving = &scenario->serving;
    const double cycle_s = counters->window_s * microbatches / counters->passes;

    outcome->output_tokens_per_s = counters->decode_tokens / counters->window_s;
    outcome->input_tokens_per_s = counters->prefill_tokens / counters->window_s;
    outcome->requests_per_s = counters->finished / counters->window_s;
    outcome->finished = counters->finished;
    outcome->microbatches = microbatches;
    outcome->batch = microbatches * counters->sequences / counters->passes;
    outcome->decode_batch = microbatches * counters->decoding / counters->passes;
    outcome->pass_tokens = (counters->decode_tokens + counters->prefill_tokens) / counters->passes;
    outcome->stage = mean_stage(&counters->stage, counters->passes);

    percentiles(&counters->ttft, cycle_s, outcome->ttft_s);
    percentiles(&counters->tpot, cycle_s, outcome->tpot_s);
    percentiles(&counters->e2e, cycle_s * serving->output_tokens, outcome->e2e_s);

    /* All sequences of the batch decode, at the mean context of the request mix. */
    const double length =
        fmin(serving->prompt_tokens + serving->output_tokens / 2, serving->context_limit);
    const PassLoad decode = {.decode = outcome->batch / microbatches, .context = length};
    outcome->decode_only_output_tokens_per_s =
        serve_decode_rate(cost, layout, microbatches, &decode);

    fill_utilisation(scenario, counters, outcome);
    fill_prices(scenario, counters, outcome);
}
