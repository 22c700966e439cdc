#include "sim/serving/slo.h"

#include "configs/reader/suggest.h"
#include "configs/reader/units.h"

#include <stdio.h>
#include <string.h>

const char *const LATENCY_WORDS[LATENCY_KINDS] = {"ttft", "tpot", "e2e"};
const char *const STATISTIC_WORDS[LATENCY_STATISTICS] = {"p50", "p90", "p95", "p99", "mean"};

/* The index of a word, or `count`; then a hint says what there is. */
static size_t word_index(const char *const *words, size_t count, const char *word, Error *error)
{
    Suggestion nearest = {.word = word};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
        suggest_offer(&nearest, words[i]);
    }
    error_set(error, STATUS_USAGE, "--slo: '%.40s' is not known", word);
    if (nearest.best != NULL)
        error_hint(error, "did you mean '%s'?", nearest.best);
    else
        error_hint(error, "for example ttft<2s,tpot.p90<33ms (ttft, tpot, e2e; p50, p90, p95, p99, "
                          "mean)");
    return count;
}

static Status parse_limit(char *text, SloLimit *limit, Error *error)
{
    char *const sign = strchr(text, '<');
    char *const dot = strchr(text, '.');
    const char *statistic = STATISTIC_WORDS[LATENCY_P99];
    if (sign == NULL) {
        error_set(error, STATUS_USAGE, "--slo: '%.60s' has no '<'", text);
        error_hint(error, "for example ttft<2s,tpot<33ms");
        return STATUS_USAGE;
    }
    *sign = '\0';
    if (dot != NULL && dot < sign) {
        *dot = '\0';
        statistic = dot + 1;
    }
    const size_t kind = word_index(LATENCY_WORDS, LATENCY_KINDS, text, error);
    if (kind == LATENCY_KINDS)
        return STATUS_USAGE;
    const size_t which = word_index(STATISTIC_WORDS, LATENCY_STATISTICS, statistic, error);
    if (which == LATENCY_STATISTICS)
        return STATUS_USAGE;
    limit->kind = (LatencyKind)kind;
    limit->statistic = (LatencyStatistic)which;
    if (!units_parse(DIMENSION_SECONDS, "ms", sign + 1, &limit->limit_s, error)) {
        error->status = STATUS_USAGE;
        return STATUS_USAGE;
    }
    if (!(limit->limit_s > 0 && limit->limit_s < 1e9))
        return error_set(error, STATUS_USAGE, "--slo: '%.40s' is not a time above 0", sign + 1);
    return STATUS_OK;
}

Status slo_parse(const char *text, Slo *slo, Error *error)
{
    char copy[256];
    slo->count = 0;
    if (strlen(text) >= sizeof copy)
        return error_set(error, STATUS_USAGE, "--slo is longer than %zu characters",
                         sizeof copy - 1);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *at = copy; at != NULL;) {
        char *const comma = strchr(at, ',');
        if (comma != NULL)
            *comma = '\0';
        if (slo->count == MAX_SLO_LIMITS)
            return error_set(error, STATUS_USAGE, "--slo takes %d limits at most",
                             (int)MAX_SLO_LIMITS);
        const Status status = parse_limit(at, &slo->limits[slo->count++], error);
        if (status != STATUS_OK)
            return status;
        at = comma != NULL ? comma + 1 : NULL;
    }
    return STATUS_OK;
}
