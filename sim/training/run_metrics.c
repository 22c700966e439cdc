#include "sim/training/run_metrics.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const double HOUR_S = 3600.0;
enum { MAX_SUMMANDS = 3 };

/* Metrics that are sums of outcome fields, by their offsets. */
typedef struct RunColumn {
    const char *name, *unit;
    size_t parts[MAX_SUMMANDS]; /* 1 + offset in RunOutcome; 0: none */
} RunColumn;

#define LEDGER(PART)  (1 + offsetof(RunOutcome, ledger.PART))
#define OUTCOME(PART) (1 + offsetof(RunOutcome, PART))

/* Goodput has two factors: time lost and throughput lost. The categories of badput are those of
 * Google's ml-goodput-measurement (BadputType), so that a run can be held beside what it measures
 * there: what a category's name does not say is in the first column of the lost hours. */
static const RunColumn columns[] = {
    {"run.time_goodput", "", {OUTCOME(time_goodput)}},
    {"run.throughput_goodput", "", {OUTCOME(throughput_goodput)}},
    {"run.planned_stops", "stops", {OUTCOME(planned_stops)}},
    {"run.spare_waits", "waits", {OUTCOME(spare_waits)}},
    {"run.replica_drops", "drops", {OUTCOME(drops)}},
    {"run.evictions", "nodes", {OUTCOME(evictions)}},
    {"run.loss_spikes", "spikes", {OUTCOME(spikes)}},
    {"run.nodes_in_repair", "nodes", {OUTCOME(nodes_in_repair_mean)}},
    {"run.useful_hours", "h", {LEDGER(useful_s)}},
    {"run.lost_hours.lost_work", "h", {LEDGER(lost_work_s)}},
    {"run.lost_hours.save", "h", {LEDGER(save_s)}},
    {"run.lost_hours.detection", "h", {LEDGER(detection_s)}},
    {"run.lost_hours.replacement", "h", {LEDGER(replacement_s)}},
    {"run.lost_hours.restart", "h", {LEDGER(init_s), LEDGER(load_s), LEDGER(warm_up_s)}},
    {"run.lost_hours.spare_wait", "h", {LEDGER(spare_wait_s)}},
    {"run.lost_hours.rollback", "h", {LEDGER(rollback_s)}},
    {"run.lost_hours.planned", "h", {LEDGER(planned_s)}},
    {"run.lost_hours.elastic", "h", {LEDGER(elastic_s)}},
    {"run.lost_hours.eviction", "h", {LEDGER(eviction_s)}},
    {"run.lost_hours.degraded", "h", {LEDGER(degraded_s)}},
    {"run.badput_hours.tpu_initialization", "h", {LEDGER(init_s)}},
    {"run.badput_hours.program_startup", "h", {LEDGER(warm_up_s)}},
    {"run.badput_hours.unproductive_checkpoint_save_time", "h", {LEDGER(save_s)}},
    {"run.badput_hours.unproductive_checkpoint_restore_time", "h", {LEDGER(load_s)}},
    {"run.badput_hours.wasted_progress_from_disruption",
     "h",
     {LEDGER(lost_work_s), LEDGER(rollback_s)}},
    {"run.badput_hours.infrastructure_recovery_from_disruption",
     "h",
     {LEDGER(detection_s), LEDGER(replacement_s), LEDGER(spare_wait_s)}},
    {"run.badput_hours.custom_badput_events", "h", {LEDGER(planned_s), LEDGER(eviction_s)}},
    {"run.badput_hours.elastic_slice_down_and_scale_up", "h", {LEDGER(elastic_s)}},
    {"run.badput_hours.other", "h", {LEDGER(degraded_s)}},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };
_Static_assert(sizeof columns / sizeof columns[0] <= (size_t)MAX_RUN_COLUMNS,
               "a row has room for them");

size_t run_column_count(void)
{
    return COLUMNS;
}

RunColumnName run_column_name(size_t column)
{
    return (RunColumnName){columns[column].name, columns[column].unit};
}

void run_metrics_row(const RunOutcome *outcome, double *row)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        row[i] = 0.0;
        for (size_t part = 0; part < MAX_SUMMANDS && columns[i].parts[part] > 0; part++) {
            double value;
            memcpy(&value, (const char *)outcome + columns[i].parts[part] - 1, sizeof value);
            row[i] += value;
        }
        if (strcmp(columns[i].unit, "h") == 0)
            row[i] /= HOUR_S;
    }
}

void run_class_metric_name(const FailureClass *class, char *name, size_t name_bytes)
{
    char word[NAME_BYTES];
    size_t length = 0;
    for (const char *c = class->name; *c != '\0' && length + 1 < sizeof word; c++)
        word[length++] = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '_';
    word[length] = '\0';
    snprintf(name, name_bytes, "run.failures_by_class.%s", word);
}
