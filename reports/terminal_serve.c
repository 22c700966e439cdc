#include "reports/terminal.h"

#include "reports/ascii.h"
#include "reports/format.h"
#include "reports/terminal_parts.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static void print_rows(FILE *out, const MetricSet *metrics)
{
    static const struct {
        const char *label, *metric;
    } rows[] = {
        {"output", "throughput.output_tokens_per_s"},
        {"input", "throughput.input_tokens_per_s"},
        {"requests", "throughput.requests_per_s"},
        {"time to first token p50", "latency.ttft_s.p50"},
        {"time to first token p99", "latency.ttft_s.p99"},
        {"time per token p50", "latency.tpot_s.p50"},
        {"time per token p99", "latency.tpot_s.p99"},
        {"whole request p50", "latency.e2e_s.p50"},
        {"FLOP/s used (MFU)", "utilisation.mfu"},
        {"bandwidth used (MBU)", "utilisation.mbu"},
        {"cost per 1k tokens", "cost.usd_per_1k_tokens"},
        {"cost per 1M input tokens", "cost.usd_per_1m_input"},
        {"cost per 1M output", "cost.usd_per_1m_output"},
    };
    ascii_linef(out, "  %-24s %s", "", "median [p5 .. p95]");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[160];
        if (metrics_find(metrics, rows[i].metric) == NULL)
            continue;
        terminal_metric(metrics, rows[i].metric, text, sizeof text);
        ascii_linef(out, "  %-24s %s", rows[i].label, text);
    }
}

static void print_memory(FILE *out, const ServeMemory *memory)
{
    char weights[64], capacity[64], per_token[64], tokens[64];
    format_quantity(memory->weights_bytes, "bytes", weights, sizeof weights);
    format_quantity(memory->capacity_bytes, "bytes", capacity, sizeof capacity);
    format_quantity(memory->kv_bytes_per_token, "bytes", per_token, sizeof per_token);
    format_quantity(memory->kv_capacity_tokens, "tokens", tokens, sizeof tokens);
    ascii_linef(out, "memory: weights %s of %s per GPU", weights, capacity);
    ascii_linef(out, "        keys and values %s per token, room for %s", per_token, tokens);
    ascii_linef(out, "        at most %.0f sequences at the full context, %.0f at the mean length",
                floor(memory->max_sequences), floor(memory->max_sequences_mean));
}

static void print_stage(FILE *out, const ServeStageTime *stage)
{
    const struct {
        const char *label;
        double seconds;
    } parts[] = {
        {"reading weights", stage->weights_s},        {"reading keys and values", stage->kv_s},
        {"FLOPs beyond the reads", stage->compute_s}, {"collectives", stage->collective_s},
        {"engine overhead", stage->overhead_s},       {"drafting", stage->drafts_s},
    };
    double largest = 0;
    char text[64];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        largest = fmax(largest, parts[i].seconds);
    if (!(stage->total_s > 0))
        return;
    format_quantity(stage->total_s, "s", text, sizeof text);
    ascii_linef(out, "where one stage's %s per microbatch go (inputs at the middle)", text);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].seconds <= 0)
            continue;
        format_quantity(parts[i].seconds, "s", text, sizeof text);
        terminal_bar(out, parts[i].label, text, parts[i].seconds / stage->total_s,
                     largest / stage->total_s);
    }
}

void terminal_serve(FILE *out, const Scenario *scenario, const ServeForecast *forecast,
                    const Provenance *provenance, TerminalStyle style)
{
    const ServingSpec *serving = &scenario->serving;
    char title[TITLE_BYTES], gpus[48];
    ascii_copy(scenario->title[0] != '\0' ? scenario->title : scenario->name, title, sizeof title);
    format_count(serving->tensor * serving->pipeline * serving->replicas, gpus, sizeof gpus);
    fputs(style_code(STYLE_STRONG, style.color), out);
    ascii_line(out, title);
    fputs(style_code(STYLE_PLAIN, style.color), out);
    ascii_linef(out, "%s GPUs %s: TP %.0f x PP %.0f, %.0f replica(s), context %.0f tokens", gpus,
                scenario->hardware.gpu.name, serving->tensor, serving->pipeline, serving->replicas,
                serving->context_limit);
    terminal_evidence(out, &scenario->hardware.gpu);
    if (!forecast->memory.fits) {
        fprintf(out, "%sdoes not fit:%s\n", style_code(STYLE_BAD, style.color),
                style_code(STYLE_PLAIN, style.color));
        char reason[sizeof forecast->memory.reason];
        ascii_copy(forecast->memory.reason, reason, sizeof reason);
        ascii_wrap(out, reason, 2);
    } else {
        print_rows(out, &forecast->metrics);
        print_stage(out, &forecast->stage);
    }
    print_memory(out, &forecast->memory);
    terminal_provenance(out, provenance, style);
    ascii_linef(out, "next: flopcast show %s | flopcast serve %s --json", provenance->scenario,
                provenance->scenario);
}
