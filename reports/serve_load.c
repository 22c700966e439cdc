#include "reports/serve_load.h"

#include "hw/stored_weights.h"
#include "models/architecture.h"
#include "models/weight_format.h"

#include "reports/ascii.h"
#include "reports/disaggregated.h"
#include "reports/latencies.h"
#include "reports/load_over_time.h"
#include "reports/number_field.h"
#include "reports/speculation.h"
#include "reports/terminal_parts.h"

#include <stdio.h>

/* ---- terminal -----------------------------------------------------------------------------------
 */

static void print_verdict(FILE *out, const LoadForecast *forecast, const LoadOptions *options)
{
    const LoadPoint *point = &forecast->point;
    char rate[64], most[64];
    format_quantity(point->rate_per_s, "requests/s", rate, sizeof rate);
    format_quantity(forecast->stable_maximum_per_s, "requests/s", most, sizeof most);
    if (!point->stable)
        ascii_wrapf(out, 0,
                    "unstable: %s arrive, at most %s can be served; the line grows without end",
                    rate, most);
    else
        ascii_linef(out, "%s arrive; the line stays short up to %s", rate, most);
    if (options->find_rate && forecast->found)
        ascii_linef(out, "largest load that holds the objective: %s (%zu loads tried)", rate,
                    forecast->tried_count);
    else if (options->find_rate)
        ascii_linef(out, "no load holds the objective: at %s it is already missed", rate);
    else if (options->slo.count > 0)
        ascii_linef(out, "the objective is %s", point->holds ? "held" : "missed");
    for (size_t i = 0; i < options->slo.count; i++) {
        const SloLimit *limit = &options->slo.limits[i];
        char wanted[64], got[64];
        const double value = point->latency_s[limit->kind][limit->statistic];
        format_quantity(limit->limit_s, "s", wanted, sizeof wanted);
        format_quantity(value, "s", got, sizeof got);
        ascii_linef(out, "  %s %s %s, wanted below %s: %s", LATENCY_WORDS[limit->kind],
                    STATISTIC_WORDS[limit->statistic], got, wanted,
                    value < limit->limit_s ? "held" : "missed");
    }
}

static void print_economics(FILE *out, const LoadForecast *forecast)
{
    const Economics *economics = &forecast->point.economics;
    char watts[64], idle[64], hour[64], idle_hour[64], at[UTILISATION_COUNT][64];
    terminal_quantity(out, "cost per 1k tokens", economics->usd_per_1k_tokens, "USD");
    terminal_quantity(out, "cost per 1M input tokens", economics->usd_per_1m_input, "USD");
    terminal_quantity(out, "cost per 1M output tokens", economics->usd_per_1m_output, "USD");
    for (size_t i = 0; i < UTILISATION_COUNT; i++)
        format_quantity(forecast->usd_per_1k_by_utilisation[i], "USD", at[i], sizeof at[i]);
    ascii_linef(out, "  %-26s %s | %s | %s | %s", "  at 25 | 50 | 75 | 100% of", at[0], at[1],
                at[2], at[3]);
    ascii_linef(out, "  %-26s %s", "  the stable maximum", "(same mix, rent and energy)");
    if (economics->list_usd_per_hour > 0)
        ascii_linef(out, "  %-26s %.1f%% of the list price", "margin", 100 * economics->margin);
    format_quantity(economics->watts, "W", watts, sizeof watts);
    format_quantity(economics->idle_watts, "W", idle, sizeof idle);
    format_quantity(economics->usd_per_hour, "USD", hour, sizeof hour);
    format_quantity(economics->idle_usd_per_hour, "USD", idle_hour, sizeof idle_hour);
    ascii_linef(out, "  %-26s %s and %s an hour (idle: %s, %s)", "power, cost", watts, hour, idle,
                idle_hour);
    ascii_linef(out, "  %-26s %.3g J in, %.3g J out", "energy of a token",
                economics->joules_per_input_token, economics->joules_per_output_token);
}

/* Of weights that are not in 16 bits. */
static void print_stored(FILE *out, const Scenario *scenario)
{
    const ServingSpec *serving = &scenario->serving;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const double bytes = serving_matrix_bytes(serving);
    const StoredWeights stored =
        gpu_stored_weights(gpu, serving->weight_precision, bytes, &serving->weights);
    if (bytes < precision_bytes(PRECISION_BF16))
        ascii_linef(out, "  weights in %.4g bits each, products in %d bits", 8 * bytes,
                    stored.widened ? 16 : 8);
}

static void print_memory(FILE *out, const Scenario *scenario, const ReplicaMemory *memory)
{
    char capacity[64], weights[64], reserved[64], kv[64];
    format_quantity(memory->capacity_bytes, "bytes", capacity, sizeof capacity);
    format_quantity(memory->weights_bytes, "bytes", weights, sizeof weights);
    format_quantity(memory->reserved_bytes, "bytes", reserved, sizeof reserved);
    format_quantity(memory->kv_bytes, "bytes", kv, sizeof kv);
    ascii_linef(out, "memory of a GPU: %s", capacity);
    ascii_linef(out, "  weights %s, reserved %s, KV %s, and the rest", weights, reserved, kv);
    print_stored(out, scenario);
    if (memory->draft_weights_bytes > 0) {
        format_quantity(memory->draft_weights_bytes, "bytes", weights, sizeof weights);
        ascii_linef(out, "  of the rest, the draft model's weights: %s", weights);
    }
    ascii_linef(out, "  KV: %.0f blocks of %.0f tokens, %.0f B a token on a GPU", memory->blocks,
                memory->block_tokens, memory->kv_bytes_per_token_gpu);
    ascii_linef(out, "  at most %.0f sequences at a time", memory->sequences);
}

void terminal_serve_load(FILE *out, const Scenario *scenario, const LoadForecast *forecast,
                         const LoadForecast *plain, const LoadOptions *options,
                         const Provenance *provenance, TerminalStyle style)
{
    const LoadPoint *point = &forecast->point;
    ascii_linef(out, "%s", scenario->title);
    print_verdict(out, forecast, options);
    terminal_latencies(out, point->latency_s[0]);
    terminal_quantity(out, "finished", point->requests_per_s, "requests/s");
    terminal_quantity(out, "input", point->input_tokens_per_s, "tokens/s");
    terminal_quantity(out, "output", point->output_tokens_per_s, "tokens/s");
    if (options->slo.count > 0)
        terminal_quantity(out, "goodput", point->goodput_per_s, "requests/s");
    ascii_linef(out, "  %-26s %.1f%%, of bandwidth %.1f%% (first stage busy %.1f%%)",
                "FLOP/s used (MFU)", 100 * point->mfu, 100 * point->mbu, 100 * point->busy);
    ascii_linef(out, "  %-26s %.1f%%, %.1f sequences decode at a time", "KV memory in use",
                100 * point->kv_occupancy, point->decoding);
    print_economics(out, forecast);
    if (forecast->disaggregated)
        terminal_disaggregated(out, forecast);
    else
        print_memory(out, scenario, &forecast->memory);
    if (plain != NULL)
        terminal_speculation(out, &scenario->serving.speculation, forecast, plain);
    ascii_linef(out, "%.0f requests over %.0f s on %.0f replica%s, %.0f iterations", point->offered,
                point->seconds, forecast->replicas, forecast->replicas == 1 ? "" : "s",
                point->iterations);
    ascii_linef(out, "  %.0f preempted, %.0f too long, longest line %.0f", point->preempted,
                point->rejected, point->largest_line);
    if (serving_keeps_prefixes(&scenario->serving))
        ascii_linef(out, "%.1f%% of prompt tokens found in the prefix cache",
                    100 * point->cache_hit_share);
    if (point->swapped > 0)
        ascii_linef(out, "%.0f of the preempted kept by the host; moving them takes %.2f%% of time",
                    point->swapped, 100 * point->swap_share);
    if (options->trace != NULL && options->skip_bad)
        ascii_linef(out, "%llu bad rows of the trace passed over",
                    (unsigned long long)forecast->rows_skipped);
    terminal_midpoints(out, scenario);
    terminal_provenance(out, provenance, style);
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

#define POINT(KEY, MEMBER)                                                                         \
    {                                                                                              \
        KEY, offsetof(LoadPoint, MEMBER)                                                           \
    }

static const NumberField POINT_FIELDS[] = {
    POINT("load.rate_per_s", rate_per_s),
    POINT("load.goodput_per_s", goodput_per_s),
    POINT("load.offered", offered),
    POINT("load.finished", finished),
    POINT("load.rejected", rejected),
    POINT("load.preempted", preempted),
    POINT("load.cache_hit_share", cache_hit_share),
    POINT("load.swapped", swapped),
    POINT("load.swap_share", swap_share),
    POINT("load.seconds", seconds),
    POINT("load.iterations", iterations),
    POINT("load.largest_line", largest_line),
    POINT("load.busy", busy),
    POINT("throughput.requests_per_s", requests_per_s),
    POINT("throughput.input_tokens_per_s", input_tokens_per_s),
    POINT("throughput.output_tokens_per_s", output_tokens_per_s),
    POINT("utilisation.mfu", mfu),
    POINT("kv.occupancy", kv_occupancy),
    POINT("batch.decoding", decoding),
    POINT("utilisation.mbu", mbu),
    POINT("cost.usd_per_1k_tokens", economics.usd_per_1k_tokens),
    POINT("cost.usd_per_1m_input", economics.usd_per_1m_input),
    POINT("cost.usd_per_1m_output", economics.usd_per_1m_output),
    POINT("cost.usd_per_hour", economics.usd_per_hour),
    POINT("cost.idle_usd_per_hour", economics.idle_usd_per_hour),
    POINT("cost.list_usd_per_hour", economics.list_usd_per_hour),
    POINT("cost.margin", economics.margin),
    POINT("energy.watts", economics.watts),
    POINT("energy.idle_watts", economics.idle_watts),
    POINT("energy.joules_per_token", economics.joules_per_token),
    POINT("energy.joules_per_input_token", economics.joules_per_input_token),
    POINT("energy.joules_per_output_token", economics.joules_per_output_token),
};

static void put_point(JsonBuilder *builder, json_t *object, const LoadPoint *point)
{
    json_put_numbers(builder, object, POINT_FIELDS, sizeof POINT_FIELDS / sizeof *POINT_FIELDS,
                     point);
    json_put_latencies(builder, object, point->latency_s[0]);
    json_put(builder, object, "load.stable", json_truth(point->stable));
    json_put(builder, object, "load.holds", json_truth(point->holds));
}

char *json_serve_load(const Scenario *scenario, const LoadForecast *forecast,
                      const LoadForecast *plain, const LoadOptions *options,
                      const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    const ReplicaMemory *memory = &forecast->memory;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *root = builder.root;
    json_put(&builder, root, "title", json_text(scenario->title));
    json_put(&builder, root, "feasible", json_truth(1));
    json_put(&builder, root, "reason", json_text(""));
    put_point(&builder, root, &forecast->point);
    json_put(&builder, root, "load.stable_maximum_per_s",
             json_number(forecast->stable_maximum_per_s));
    json_put(&builder, root, "load.rows_skipped", json_count(forecast->rows_skipped));
    if (options->find_rate)
        json_put(&builder, root, "load.found", json_truth(forecast->found));
    json_t *prices = json_array();
    for (size_t i = 0; i < UTILISATION_COUNT; i++) {
        json_t *object = json_object();
        json_put(&builder, object, "utilisation", json_number(UTILISATIONS[i]));
        json_put(&builder, object, "usd_per_1k_tokens",
                 json_number(forecast->usd_per_1k_by_utilisation[i]));
        json_put(&builder, object, "usd_per_1m_tokens",
                 json_number(1e3 * forecast->usd_per_1k_by_utilisation[i]));
        json_append(&builder, prices, object);
    }
    json_put(&builder, root, "cost.by_utilisation", prices);
    if (forecast->disaggregated)
        json_put_disaggregated(&builder, forecast);
    json_put_over_time(&builder, forecast);
    json_put(&builder, root, "kv.bytes_per_token_gpu", json_number(memory->kv_bytes_per_token_gpu));
    json_put(&builder, root, "kv.blocks", json_number(memory->blocks));
    json_put(&builder, root, "kv.block_tokens", json_number(memory->block_tokens));
    json_put(&builder, root, "kv.max_sequences", json_number(memory->sequences));
    json_put(&builder, root, "memory.capacity_bytes", json_number(memory->capacity_bytes));
    json_put(&builder, root, "memory.weights_bytes", json_number(memory->weights_bytes));
    json_put(&builder, root, "memory.weight_bits",
             json_number(8 * serving_matrix_bytes(&scenario->serving)));
    json_put(&builder, root, "memory.draft_weights_bytes",
             json_number(memory->draft_weights_bytes));
    json_put(&builder, root, "memory.reserved_bytes", json_number(memory->reserved_bytes));
    json_put(&builder, root, "memory.kv_bytes", json_number(memory->kv_bytes));
    if (plain != NULL)
        json_put_speculation(&builder, &scenario->serving.speculation, forecast, plain);
    json_t *tried = json_array();
    for (size_t i = 0; i < forecast->tried_count; i++) {
        json_t *object = json_object();
        put_point(&builder, object, &forecast->tried[i]);
        json_append(&builder, tried, object);
    }
    json_put(&builder, root, "tried", tried);
    return json_finish(&builder, error);
}
