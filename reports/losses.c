#include "reports/losses.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct BreakdownPart {
    const char *key, *label;
    size_t offset;
} BreakdownPart;

static const BreakdownPart parts[] = {
    {"recompute", "recomputation", offsetof(StepBreakdown, recompute_s)},
    {"tensor", "tensor-parallel comm.", offsetof(StepBreakdown, tensor_s)},
    {"expert", "expert-parallel comm.", offsetof(StepBreakdown, expert_s)},
    {"expert_imbalance", "expert imbalance", offsetof(StepBreakdown, expert_imbalance_s)},
    {"bubble", "pipeline bubble", offsetof(StepBreakdown, bubble_s)},
    {"stage_imbalance", "uneven stages", offsetof(StepBreakdown, stage_imbalance_s)},
    {"pipeline_send", "pipeline sends", offsetof(StepBreakdown, pipeline_send_s)},
    {"data_parallel", "data-parallel comm.", offsetof(StepBreakdown, data_parallel_s)},
    {"optimizer", "optimizer", offsetof(StepBreakdown, optimizer_s)},
    {"expert_jitter", "expert jitter", offsetof(StepBreakdown, expert_jitter_s)},
    {"jitter", "jitter in the step", offsetof(StepBreakdown, jitter_s)},
};

static Loss *add(Loss *losses, size_t *count, const char *key, const char *label, double seconds,
                 double share)
{
    if (*count == MAX_LOSSES)
        return NULL;
    Loss *loss = &losses[(*count)++];
    snprintf(loss->key, sizeof loss->key, "%s", key);
    snprintf(loss->label, sizeof loss->label, "%s", label);
    loss->seconds = seconds;
    loss->share = share;
    return loss;
}

size_t losses_of_step(const TrainForecast *forecast, Loss *losses)
{
    const StepResult *step = &forecast->step;
    const char *breakdown = (const char *)&step->breakdown;
    size_t count = 0;
    if (!(step->seconds > 0))
        return 0;
    /* FLOPs of the model / (peak of all GPUs) = MFU * step time */
    double ideal_s = step->mfu * step->seconds;
    double kernels_s = step->breakdown.compute_s - ideal_s;
    add(losses, &count, "ideal", "model FLOPs at peak", ideal_s, step->mfu);
    add(losses, &count, "kernels", "kernels below peak", kernels_s, kernels_s / step->seconds);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double part_s;
        memcpy(&part_s, breakdown + parts[i].offset, sizeof part_s);
        if (part_s != 0)
            add(losses, &count, parts[i].key, parts[i].label, part_s, part_s / step->seconds);
    }
    return count;
}

/* "run.lost_hours.lost_work" -> "lost work" */
static void label_of(const char *key, char *label, size_t label_bytes)
{
    snprintf(label, label_bytes, "%s", key);
    for (char *c = label; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
}

Status losses_ladder(const TrainForecast *forecast, LossLadder *ladder, Error *error)
{
    static const char prefix[] = "run.lost_hours.";
    const MetricSet *metrics = &forecast->metrics;
    const Metric *days = metrics_find(metrics, "run.days");
    const Metric *effective = metrics_find(metrics, "run.mfu_effective");
    Summary summary;
    memset(ladder, 0, sizeof *ladder);
    ladder->step_mfu = ladder->effective_mfu = forecast->step.mfu;
    Loss all[MAX_LOSSES];
    size_t count = losses_of_step(forecast, all);
    for (size_t i = 1; i < count; i++) /* all but the ideal time, which is what remains */
        ladder->step[ladder->step_count++] = all[i];
    if (days == NULL || effective == NULL)
        return STATUS_OK;

    Status status = metrics_summary(effective, &summary, error);
    if (status != STATUS_OK)
        return status;
    ladder->effective_mfu = summary.p50;
    status = metrics_summary(days, &summary, error);
    if (status != STATUS_OK)
        return status;
    double wall_hours = summary.mean * 24;
    /* A step of the run takes the step's time / (1 - slowdown): the step's MFU shrinks by the
     * slowdown first, then every hour that is not useful takes its share of the rest. */
    double left = ladder->step_mfu;
    double run_step_s = forecast->run_input.phases[0].step_s;
    double slow = run_step_s > 0 ? left * (1 - forecast->step.seconds / run_step_s) : 0;
    if (slow > 0)
        add(ladder->run, &ladder->run_count, "slowdown", "slow nodes", 0, slow);
    left -= slow;
    double base = left;
    for (size_t i = 0; i < metrics->count && wall_hours > 0; i++) {
        const Metric *metric = &metrics->metrics[i];
        char label[48];
        if (strncmp(metric->name, prefix, sizeof prefix - 1) != 0)
            continue;
        const char *key = metric->name + sizeof prefix - 1;
        if (strcmp(key, "total") == 0 || ladder->run_count + 1 >= MAX_LOSSES)
            continue;
        status = metrics_summary(metric, &summary, error);
        if (status != STATUS_OK)
            return status;
        double share = base * summary.mean / wall_hours;
        if (share == 0)
            continue;
        label_of(key, label, sizeof label);
        add(ladder->run, &ladder->run_count, key, label, 0, share);
        left -= share;
    }
    add(ladder->run, &ladder->run_count, "inputs", "to median of draws", 0,
        left - ladder->effective_mfu);
    return STATUS_OK;
}
