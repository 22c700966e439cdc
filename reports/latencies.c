#include "reports/latencies.h"

#include "reports/ascii.h"
#include "reports/terminal.h"

void terminal_latencies(FILE *out, const double *of_s)
{
    static const char *const LABELS[LATENCY_KINDS] = {"time to first token", "time per token",
                                                      "whole request"};
    ascii_linef(out, "  %-20s %10s %10s %10s %10s %10s", "", "p50", "p90", "p95", "p99", "mean");
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++) {
        char text[LATENCY_STATISTICS][64];
        for (size_t i = 0; i < LATENCY_STATISTICS; i++)
            format_quantity(of_s[kind * LATENCY_STATISTICS + i], "s", text[i], sizeof text[i]);
        ascii_linef(out, "  %-20s %10s %10s %10s %10s %10s", LABELS[kind], text[0], text[1],
                    text[2], text[3], text[4]);
    }
}

void json_put_latencies(JsonBuilder *builder, json_t *object, const double *of_s)
{
    for (size_t kind = 0; kind < LATENCY_KINDS; kind++)
        for (size_t i = 0; i < LATENCY_STATISTICS; i++) {
            char key[64];
            snprintf(key, sizeof key, "latency.%s_s.%s", LATENCY_WORDS[kind], STATISTIC_WORDS[i]);
            json_put(builder, object, key, json_number(of_s[kind * LATENCY_STATISTICS + i]));
        }
}
