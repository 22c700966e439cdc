#include "reports/json.h"

#include "reports/json_build.h"

#include <string.h>

/* What a draw of the input can move is an object whatever the number of draws. */
static int always_quantity(const char *name)
{
    static const char *const prefixes[] = {"throughput.", "latency.", "utilisation.", "cost."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return 1;
    return 0;
}

char *json_serve(const Scenario *scenario, const ServeForecast *forecast,
                 const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    const ServeMemory *memory = &forecast->memory;
    const ServeStageTime *stage = &forecast->stage;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *root = builder.root;
    json_put(&builder, root, "title", json_text(scenario->title));
    json_put_evidence(&builder, &scenario->hardware.gpu);
    for (size_t i = 0; i < forecast->metrics.count; i++) {
        const Metric *metric = &forecast->metrics.metrics[i];
        if (strncmp(metric->name, "input.", 6) != 0)
            json_put_metric(&builder, root, metric->name, metric, always_quantity(metric->name));
    }
    json_put(&builder, root, "feasible", json_truth(memory->fits));
    json_put(&builder, root, "reason", json_text(memory->reason));
    json_put(&builder, root, "kv.bytes_per_token", json_number(memory->kv_bytes_per_token));
    json_put(&builder, root, "kv.capacity_tokens", json_number(memory->kv_capacity_tokens));
    json_put(&builder, root, "kv.max_sequences", json_number(memory->max_sequences));
    json_put(&builder, root, "memory.weights_bytes", json_number(memory->weights_bytes));
    json_put(&builder, root, "memory.reserved_bytes", json_number(memory->reserved_bytes));
    json_put(&builder, root, "memory.capacity_bytes", json_number(memory->capacity_bytes));
    json_put(&builder, root, "stage_s.weights", json_number(stage->weights_s));
    json_put(&builder, root, "stage_s.kv", json_number(stage->kv_s));
    json_put(&builder, root, "stage_s.compute", json_number(stage->compute_s));
    json_put(&builder, root, "stage_s.collective", json_number(stage->collective_s));
    json_put(&builder, root, "stage_s.overhead", json_number(stage->overhead_s));
    json_put(&builder, root, "stage_s.drafts", json_number(stage->drafts_s));
    json_put(&builder, root, "stage_s.total", json_number(stage->total_s));
    json_put_inputs(&builder, &forecast->metrics);
    return json_finish(&builder, error);
}
