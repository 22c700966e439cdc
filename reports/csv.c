/* Comma-separated files after RFC 4180: CRLF, quotes doubled, '.' decimals, ASCII, every row with
 * its provenance, because the format has no comment lines. */
#include "reports/files.h"

#include "reports/ascii.h"
#include "sim/planning/failure_map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char provenance_header[] =
    "program_version,schema_version,scenario,scenario_sha256,seed,reps,set";

/* A text field. A spreadsheet takes a text that begins with = + - @ for a formula: an apostrophe
 * before it keeps it text. */
void csv_put_text(FILE *out, const char *text)
{
    char ascii[REASON_BYTES + 8];
    ascii_copy(text, ascii, sizeof ascii);
    fputc('"', out);
    if (strchr("=+-@", ascii[0]) != NULL && ascii[0] != '\0')
        fputc('\'', out);
    for (const char *c = ascii; *c != '\0'; c++) {
        if (*c == '"')
            fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

static void put_number(FILE *out, double value)
{
    if (isfinite(value)) /* else an empty field */
        fprintf(out, "%.17g", value);
}

static void put_summary(FILE *out, const Summary *summary)
{
    put_number(out, summary->mean);
    fputc(',', out);
    put_number(out, summary->p5);
    fputc(',', out);
    put_number(out, summary->p50);
    fputc(',', out);
    put_number(out, summary->p95);
}

static void put_provenance(FILE *out, const Provenance *provenance, const char *scenario,
                           const char *sha256, size_t reps)
{
    char sets[REASON_BYTES] = "";
    size_t used = 0;
    for (size_t i = 0; i < provenance->set_count && used < sizeof sets; i++) {
        int wrote = snprintf(sets + used, sizeof sets - used, "%s%s", i > 0 ? "; " : "",
                             provenance->sets[i]);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    csv_put_text(out, PROGRAM_VERSION);
    fprintf(out, ",%d,", RESULT_SCHEMA_VERSION);
    csv_put_text(out, scenario);
    fprintf(out, ",%s,%llu,%zu,", sha256, provenance->seed, reps);
    csv_put_text(out, sets);
    fputs("\r\n", out);
}

static Status write_claims(const char *directory, const AuditResult *audit,
                           const Provenance *provenance, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fprintf(file.out,
            "id,topic,claim,low,high,unit,source,simulated_mean,simulated_p5,simulated_p50,"
            "simulated_p95,verdict,reason,%s\r\n",
            provenance_header);
    for (size_t i = 0; i < audit->file->claim_count; i++) {
        const ClaimResult *result = &audit->claims[i];
        const Claim *claim = result->claim;
        csv_put_text(file.out, claim->id);
        fputc(',', file.out);
        csv_put_text(file.out, claim->topic);
        fputc(',', file.out);
        csv_put_text(file.out, claim->claim);
        fputc(',', file.out);
        if (claim->has_low)
            put_number(file.out, claim->low);
        fputc(',', file.out);
        if (claim->has_high)
            put_number(file.out, claim->high);
        fputc(',', file.out);
        csv_put_text(file.out, claim->unit);
        fputc(',', file.out);
        csv_put_text(file.out, claim->source);
        fputc(',', file.out);
        if (result->has_simulated)
            put_summary(file.out, &result->simulated);
        else
            fputs(",,,", file.out);
        fprintf(file.out, ",%s,", verdict_name(result->verdict));
        csv_put_text(file.out, result->reason);
        fputc(',', file.out);
        put_provenance(file.out, provenance, provenance->scenario, provenance->sha256,
                       provenance->reps);
    }
    return files_finish(&file, directory, "claims.csv", error);
}

/* The rows of one scenario in metrics.csv. */
static Status put_metrics(FILE *out, const char *name, const MetricSet *metrics,
                          const Provenance *provenance, const char *sha256, size_t reps,
                          Error *error)
{
    for (size_t i = 0; i < metrics->count; i++) {
        const Metric *metric = &metrics->metrics[i];
        Summary summary;
        Status status = metrics_summary(metric, &summary, error);
        if (status != STATUS_OK)
            return status;
        csv_put_text(out, metric->name);
        fputc(',', out);
        csv_put_text(out, metric->unit);
        fprintf(out, ",%zu,", metric->count);
        put_summary(out, &summary);
        fputc(',', out);
        put_provenance(out, provenance, name, sha256, reps);
    }
    return STATUS_OK;
}

static void metrics_header(FILE *out)
{
    fprintf(out, "metric,unit,count,mean,p5,p50,p95,%s\r\n", provenance_header);
}

/* One row a replication: every metric that has one value for each. */
static Status write_runs(const char *directory, const char *name, const MetricSet *metrics,
                         const Provenance *provenance, const char *sha256, size_t reps,
                         Error *error)
{
    TextFile file;
    size_t rows = 0;
    for (size_t i = 0; i < metrics->count; i++)
        rows = metrics->metrics[i].count > rows ? metrics->metrics[i].count : rows;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    fputs("replication,", file.out);
    for (size_t i = 0; i < metrics->count; i++) {
        const Metric *metric = &metrics->metrics[i];
        char title[METRIC_NAME_BYTES + METRIC_UNIT_BYTES + 8];
        if (metric->count != rows)
            continue;
        snprintf(title, sizeof title, metric->unit[0] != '\0' ? "%s [%s]" : "%s%s", metric->name,
                 metric->unit);
        csv_put_text(file.out, title);
        fputc(',', file.out);
    }
    fprintf(file.out, "%s\r\n", provenance_header);
    for (size_t row = 0; row < rows; row++) {
        fprintf(file.out, "%zu,", row);
        for (size_t i = 0; i < metrics->count; i++) {
            if (metrics->metrics[i].count != rows)
                continue;
            put_number(file.out, metrics->metrics[i].values[row]);
            fputc(',', file.out);
        }
        put_provenance(file.out, provenance, name, sha256, reps);
    }
    return files_finish(&file, directory, "runs.csv", error);
}

static Status write_all_metrics(const char *directory, const AuditResult *audit,
                                const Provenance *provenance, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    metrics_header(file.out);
    for (size_t i = 0; i < audit->scenario_count && status == STATUS_OK; i++) {
        const AuditScenario *entry = &audit->scenarios[i];
        size_t reps =
            entry->scenario.kind == SCENARIO_TRAINING ? entry->train.reps : entry->serve.reps;
        if (entry->metrics != NULL)
            status = put_metrics(file.out, entry->spec->name, entry->metrics, provenance,
                                 entry->sha256, reps, error);
    }
    if (status != STATUS_OK) {
        files_abandon(&file);
        return status;
    }
    return files_finish(&file, directory, "metrics.csv", error);
}

Status csv_audit(const char *directory, const AuditResult *audit, const Provenance *provenance,
                 Error *error)
{
    Status status = write_claims(directory, audit, provenance, error);
    if (status == STATUS_OK)
        status = write_all_metrics(directory, audit, provenance, error);
    const AuditScenario *headline = audit->headline;
    if (status == STATUS_OK && headline != NULL && headline->metrics != NULL)
        status = write_runs(directory, headline->spec->name, headline->metrics, provenance,
                            headline->sha256,
                            headline->scenario.kind == SCENARIO_TRAINING ? headline->train.reps
                                                                         : headline->serve.reps,
                            error);
    return status;
}

static Status csv_one(const char *directory, const MetricSet *metrics, size_t reps,
                      const Provenance *provenance, Error *error)
{
    TextFile file;
    Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    metrics_header(file.out);
    status = put_metrics(file.out, provenance->scenario, metrics, provenance, provenance->sha256,
                         reps, error);
    if (status != STATUS_OK) {
        files_abandon(&file);
        return status;
    }
    status = files_finish(&file, directory, "metrics.csv", error);
    if (status == STATUS_OK)
        status = write_runs(directory, provenance->scenario, metrics, provenance,
                            provenance->sha256, reps, error);
    return status;
}

Status csv_train(const char *directory, const TrainForecast *forecast, const Provenance *provenance,
                 Error *error)
{
    return csv_one(directory, &forecast->metrics, forecast->reps, provenance, error);
}

Status csv_serve(const char *directory, const ServeForecast *forecast, const Provenance *provenance,
                 Error *error)
{
    return csv_one(directory, &forecast->metrics, forecast->reps, provenance, error);
}

/* The inverse of what time is lost, applied to the run without failures. */
static double over(double value, double goodput)
{
    return goodput > 0 ? value / goodput : HUGE_VAL;
}

Status csv_failure_map(const char *directory, const Scenario *scenario,
                       const TrainForecast *forecast, const Provenance *provenance, Error *error)
{
    TextFile file;
    FailureMap *map = calloc(1, sizeof *map);
    if (map == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    Status status = STATUS_OK;
    if (!failure_map(scenario, forecast, map))
        goto cleanup;
    status = files_begin(&file, error);
    if (status != STATUS_OK)
        goto cleanup;
    fprintf(file.out,
            "failures_per_1000_node_days,job_mtbf_h,save_min,restart_min,interval_min,goodput,"
            "mfu_effective_6nd,days,cost_usd,%s\r\n",
            provenance_header);
    for (size_t s = 0; s < MAP_SAVES; s++)
        for (size_t y = 0; y < MAP_RESTARTS; y++)
            for (size_t x = 0; x < MAP_RATES; x++) {
                const double mtbf_s = failure_map_mtbf_s(map, map->rate[x]);
                const double goodput = map->goodput[s][y][x];
                const double row[] = {map->rate[x],
                                      mtbf_s / 3600,
                                      map->save_s[s] / 60,
                                      map->restart_s[y] / 60,
                                      run_interval_exact(mtbf_s, map->save_s[s]) / 60,
                                      goodput,
                                      map->fault_free_mfu_6nd * goodput,
                                      over(map->fault_free_days, goodput),
                                      over(map->fault_free_usd, goodput)};
                for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
                    put_number(file.out, row[i]);
                    fputc(',', file.out);
                }
                put_provenance(file.out, provenance, provenance->scenario, provenance->sha256,
                               forecast->reps);
            }
    status = files_finish(&file, directory, "failure-map.csv", error);

cleanup:
    free(map);
    return status;
}
