#include "reports/disaggregated.h"

#include "reports/ascii.h"
#include "reports/terminal_parts.h"

#include <stddef.h>

/* Which part of a cluster is full first. */
static const char *limit_of(const LoadForecast *forecast)
{
    const double prefill = forecast->sides[SIDE_PREFILL].maximum_per_s;
    const double decode = forecast->sides[SIDE_DECODE].maximum_per_s;
    return split_limit(forecast->stable_maximum_per_s, prefill, decode);
}

/* ---- terminal -----------------------------------------------------------------------------------
 */

static void print_splits(FILE *out, const SplitTable *splits)
{
    ascii_linef(out, "splits of %.0f GPUs (*: the largest load that holds the objective)",
                splits->gpus);
    ascii_linef(out, "  %9s %9s %6s %12s %12s %10s", "prefill", "decode", "GPUs", "stable up to",
                "holds up to", "limit");
    for (size_t i = 0; i < splits->count; i++) {
        const SplitPoint *point = &splits->points[i];
        char most[64] = "does not fit", holds[64] = "-";
        if (point->fits)
            format_quantity(point->stable_maximum_per_s, "1/s", most, sizeof most);
        if (point->found)
            format_quantity(point->rate_per_s, "1/s", holds, sizeof holds);
        ascii_linef(out, "%s %9.0f %9.0f %6.0f %12s %12s %10s",
                    splits->found && i == splits->best ? " *" : "  ", point->prefill, point->decode,
                    point->gpus, most, holds, point->fits ? point->limit : "");
    }
}

void terminal_disaggregated(FILE *out, const LoadForecast *forecast)
{
    const LoadPoint *point = &forecast->point;
    const TransferLoad *transfer = &point->transfer;
    char text[4][64];
    ascii_linef(out, "prompts and answers on %.0f GPUs of their own; limited by: %s",
                forecast->gpus, limit_of(forecast));
    ascii_linef(out, "  %-8s %9s %5s %10s %6s %6s %8s %6s", "side", "replicas", "GPUs", "alone",
                "busy", "KV", "weights", "ports");
    for (int side = 0; side < SERVING_SIDES; side++) {
        const SideForecast *of = &forecast->sides[side];
        format_quantity(of->maximum_per_s, "1/s", text[0], sizeof text[0]);
        format_quantity(of->memory.weights_bytes, "bytes", text[1], sizeof text[1]);
        ascii_linef(out, "  %-8s %9.0f %5.0f %10s %5.1f%% %5.1f%% %8s %5.1f%%",
                    SERVING_SIDE_WORDS[side], of->replicas * forecast->replicas,
                    of->gpus * of->replicas * forecast->replicas, text[0],
                    100 * point->sides[side].busy, 100 * point->sides[side].kv_occupancy, text[1],
                    100 * transfer->ports_busy[side]);
    }
    const struct {
        const char *label;
        const double *of_s;
    } rows[] = {{"keys and values sent", transfer->total_s},
                {"  of it for blocks", transfer->wait_s},
                {"  of it on the way", transfer->network_s}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        format_quantity(rows[i].of_s[LATENCY_P50], "s", text[0], sizeof text[0]);
        format_quantity(rows[i].of_s[LATENCY_P99], "s", text[1], sizeof text[1]);
        ascii_linef(out, "  %-22s p50 %s, p99 %s", rows[i].label, text[0], text[1]);
    }
    if (forecast->splits != NULL)
        print_splits(out, forecast->splits);
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static void put_number(JsonBuilder *builder, const char *side, const char *key, double value)
{
    char path[96];
    snprintf(path, sizeof path, "disaggregated.%s.%s", side, key);
    json_put(builder, builder->root, path, json_number(value));
}

static void put_times(JsonBuilder *builder, const char *part, const double *of_s)
{
    char key[64];
    for (size_t i = 0; i < LATENCY_STATISTICS; i++) {
        snprintf(key, sizeof key, "%s.%s", part, STATISTIC_WORDS[i]);
        put_number(builder, "transfer", key, of_s[i]);
    }
}

static void put_splits(JsonBuilder *builder, const SplitTable *splits)
{
    json_t *array = json_array();
    for (size_t i = 0; i < splits->count; i++) {
        const SplitPoint *point = &splits->points[i];
        json_t *object = json_object();
        json_put(builder, object, "prefill", json_number(point->prefill));
        json_put(builder, object, "decode", json_number(point->decode));
        json_put(builder, object, "gpus", json_number(point->gpus));
        json_put(builder, object, "fits", json_truth(point->fits));
        json_put(builder, object, "stable_maximum_per_s", json_number(point->stable_maximum_per_s));
        json_put(builder, object, "found", json_truth(point->found));
        json_put(builder, object, "rate_per_s", json_number(point->rate_per_s));
        json_put(builder, object, "limit", json_text(point->fits ? point->limit : ""));
        json_put(builder, object, "best", json_truth(splits->found && i == splits->best));
        json_append(builder, array, object);
    }
    json_put(builder, builder->root, "disaggregated.splits", array);
}

void json_put_disaggregated(JsonBuilder *builder, const LoadForecast *forecast)
{
    const LoadPoint *point = &forecast->point;
    json_put(builder, builder->root, "disaggregated.limit", json_text(limit_of(forecast)));
    json_put(builder, builder->root, "disaggregated.gpus", json_number(forecast->gpus));
    for (int side = 0; side < SERVING_SIDES; side++) {
        const char *word = SERVING_SIDE_WORDS[side];
        const SideForecast *of = &forecast->sides[side];
        put_number(builder, word, "replicas", of->replicas);
        put_number(builder, word, "gpus_per_replica", of->gpus);
        put_number(builder, word, "maximum_per_s", of->maximum_per_s);
        put_number(builder, word, "kv_blocks", of->memory.blocks);
        put_number(builder, word, "weights_bytes", of->memory.weights_bytes);
        put_number(builder, word, "busy", point->sides[side].busy);
        put_number(builder, word, "kv_occupancy", point->sides[side].kv_occupancy);
        put_number(builder, word, "decoding", point->sides[side].decoding);
        put_number(builder, word, "preempted", point->sides[side].preempted);
        put_number(builder, word, "ports_busy", point->transfer.ports_busy[side]);
    }
    put_number(builder, "transfer", "count", point->transfer.count);
    put_number(builder, "transfer", "bytes_per_s", point->transfer.bytes_per_s);
    put_times(builder, "total_s", point->transfer.total_s);
    put_times(builder, "wait_s", point->transfer.wait_s);
    put_times(builder, "network_s", point->transfer.network_s);
    if (forecast->splits != NULL)
        put_splits(builder, forecast->splits);
}
