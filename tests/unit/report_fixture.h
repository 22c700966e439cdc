/* Results made by hand for the tests of reports/: numbers like those of a real audit, none of them
 * simulated, so that a report can be checked against what was put in. */
#ifndef TESTS_UNIT_REPORT_FIXTURE_H
#define TESTS_UNIT_REPORT_FIXTURE_H

#include "reports/provenance.h"
#include "sim/planning/audit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_STAGES = 15, FIXTURE_MICROBATCHES = 36, FIXTURE_REPS = 400, FIXTURE_CLAIMS = 10 };

typedef struct Fixture {
    ClaimFile file;
    AuditResult audit;
    AuditScenario scenarios[3]; /* a100 (headline), h100, serve */
    ClaimResult results[FIXTURE_CLAIMS];
    Provenance provenance;
    ResolvedValue values[6];
    ResolvedList inputs;
    const char *sets[1];
} Fixture;

static void fixture_must(int ok)
{
    if (!ok) {
        fprintf(stderr, "the fixture could not be built\n");
        exit(99);
    }
}

static inline void fixture_set(MetricSet *set, const char *name, const char *unit, double value)
{
    fixture_must(metrics_set(set, name, unit, value, NULL) == STATUS_OK);
}

/* value * (1 + spread * s), s in [-1, 1] and different for each draw, the same order for every
 * metric. */
static inline void fixture_vector(MetricSet *set, const char *name, const char *unit, double value,
                                  double spread)
{
    double values[FIXTURE_REPS];
    for (int i = 0; i < FIXTURE_REPS; i++) {
        double u = ((i * 149) % FIXTURE_REPS + 0.5) / FIXTURE_REPS; /* 149 is prime to 400 */
        double s = cbrt(2 * u - 1) * fabs(2 * u - 1);
        values[i] = value * (1 + spread * s);
    }
    fixture_must(metrics_set_samples(set, name, unit, values, FIXTURE_REPS, NULL) == STATUS_OK);
}

/* 1F1B with equal stages, by the textbook order; spans of every stage. */
static void fixture_spans(StepResult *step, double forward_s, double backward_s)
{
    enum { P = FIXTURE_STAGES, M = FIXTURE_MICROBATCHES };
    static double forward_end[P][M], backward_end[P][M];
    static int next[P];
    double free_at[P] = {0};
    step->spans = calloc((size_t)(2 * P * M), sizeof *step->spans);
    fixture_must(step->spans != NULL);
    for (int p = 0; p < P; p++)
        for (int m = 0; m < M; m++)
            forward_end[p][m] = backward_end[p][m] = -1;
    memset(next, 0, sizeof next);
    for (int done = 0; done < 2 * P * M;) {
        for (int p = 0; p < P; p++) {
            int warm = P - p < M ? P - p : M;
            if (next[p] == 2 * M)
                continue;
            /* warm forwards, then one backward and one forward in turn, then the backwards left */
            int k = next[p], backward = 0, m = k;
            if (k >= warm && k < 2 * M - warm) {
                backward = (k - warm) % 2 == 0;
                m = backward ? (k - warm) / 2 : warm + (k - warm) / 2;
            } else if (k >= 2 * M - warm) {
                backward = 1;
                m = k - M;
            }
            double ready = 0;
            if (!backward && p > 0)
                ready = forward_end[p - 1][m];
            else if (backward)
                ready = p < P - 1 ? backward_end[p + 1][m] : forward_end[p][m];
            if (ready < 0)
                continue;
            double start = fmax(free_at[p], ready);
            double end = start + (backward ? backward_s : forward_s);
            (backward ? backward_end : forward_end)[p][m] = end;
            free_at[p] = end;
            step->spans[step->span_count++] =
                (StepSpan){(unsigned)p, (unsigned)m, backward, start, end, 0};
            step->makespan_s = fmax(step->makespan_s, end);
            next[p]++;
            done++;
        }
    }
}

static void fixture_step(TrainForecast *train)
{
    StepResult *step = &train->step;
    StepBreakdown *parts = &step->breakdown;
    fixture_spans(step, 0.24, 0.48);
    *parts = (StepBreakdown){.compute_s = 20.0,
                             .recompute_s = 3.2,
                             .tensor_s = 2.72,
                             .bubble_s = 10.08,
                             .stage_imbalance_s = 0.21,
                             .pipeline_send_s = 0.35,
                             .data_parallel_s = 1.9,
                             .optimizer_s = 0.15,
                             .jitter_s = 0.6};
    step->seconds = 39.21;
    step->bubble_fraction = 0.283;
    step->tokens = 7488.0 * 8192;
    step->mfu = 0.345;
    step->hfu = 0.41;
    step->tflops_per_gpu = step->mfu * 312;
    step->tokens_per_s_per_gpu = step->tokens / step->seconds / 24960;
    train->run_input.phases[0].step_s = step->seconds / 0.98;
    train->step_input.stages = FIXTURE_STAGES;
    train->step_input.microbatches = FIXTURE_MICROBATCHES;
    train->step_input.replicas = 208;
    train->step_input.schedule = SCHEDULE_1F1B;
    train->step_input.send_s = 0.0017;
    train->step_input.tokens = step->tokens;
    train->step_input.gpus = 24960;
    train->step_input.peak_flops_per_s = 24960 * 312e12;
    for (int i = 0; i < FIXTURE_STAGES; i++) {
        StageTime *stage = &train->step_input.stage[i];
        stage->forward.total_s = 0.24;
        stage->backward.total_s = 0.48;
        stage->parameters = 15e9;
        stage->memory_bytes = 70e9;
    }
}

static void fixture_train_metrics(MetricSet *set, double days, double gpus, double price)
{
    metrics_init(set);
    fixture_set(set, "model.params_total", "parameters", 1.83e12);
    fixture_set(set, "model.params_active", "parameters", 2.79e11);
    fixture_set(set, "model.flops_per_token_forward", "FLOPs", 5.9e11);
    fixture_set(set, "model.flops_per_token_training", "FLOPs", 1.77e12);
    fixture_set(set, "memory.fits", "", 1);
    fixture_set(set, "plan.gpus", "GPUs", gpus);
    fixture_set(set, "hardware.peak_flops_per_s", "FLOP/s", 312e12);
    fixture_set(set, "run.flops_total", "FLOPs", 2.3e25);
    fixture_set(set, "run.flops_6nd", "FLOPs", 2.176e25);
    fixture_vector(set, "run.days", "days", days, 0.18);
    fixture_vector(set, "run.gpu_hours", "GPU-hours", days * 24 * gpus, 0.18);
    fixture_vector(set, "cost.usd", "USD", days * 24 * gpus * price, 0.18);
    fixture_set(set, "cost.usd_per_gpu_hour", "USD/h", price);
    fixture_vector(set, "run.goodput", "", 0.931, -0.03);
    double one_day[FIXTURE_REPS], one_day_6nd[FIXTURE_REPS];
    const Metric *vector = metrics_find(set, "run.days");
    for (int i = 0; i < FIXTURE_REPS; i++) {
        double peak_seconds = vector->values[i] * 86400 * gpus * 312e12;
        one_day[i] = 2.3e25 / peak_seconds;
        one_day_6nd[i] = 2.176e25 / peak_seconds;
    }
    fixture_must(metrics_set_samples(set, "run.mfu_effective", "", one_day, FIXTURE_REPS, NULL) ==
                 STATUS_OK);
    fixture_must(metrics_set_samples(set, "run.mfu_effective_6nd", "", one_day_6nd, FIXTURE_REPS,
                                     NULL) == STATUS_OK);
    fixture_vector(set, "run.failures", "failures", 1500, 0.4);
    fixture_vector(set, "run.lost_hours.lost_work", "h", days * 24 * 0.031, 0.3);
    fixture_vector(set, "run.lost_hours.save", "h", days * 24 * 0.012, 0.3);
    fixture_vector(set, "run.lost_hours.restart", "h", days * 24 * 0.026, 0.3);
    fixture_vector(set, "cost.energy_kwh", "kWh", gpus / 8 * 5.5 * 1.15 * days * 24, 0.18);
    fixture_vector(set, "step.mfu", "", 0.345, 0.1);
    fixture_vector(set, "input.training.kernel_overhead", "fraction", 0.18, 0.4);
    fixture_vector(set, "input.reliability.init", "s", 300, -0.4);
}

static Claim *fixture_claim(Fixture *fixture, const char *id, const char *topic, const char *text,
                            double low, double high, const char *unit, const char *quantity)
{
    Claim *claim = &fixture->file.claims[fixture->file.claim_count];
    fixture->results[fixture->file.claim_count++].claim = claim;
    snprintf(claim->id, sizeof claim->id, "%s", id);
    snprintf(claim->topic, sizeof claim->topic, "%s", topic);
    snprintf(claim->claim, sizeof claim->claim, "%s", text);
    snprintf(claim->unit, sizeof claim->unit, "%s", unit);
    snprintf(claim->quantity, sizeof claim->quantity, "%s", quantity);
    snprintf(claim->source, sizeof claim->source, "doc1");
    claim->has_low = !isnan(low);
    claim->has_high = !isnan(high);
    claim->low = low;
    claim->high = high;
    claim->tolerance = 0.05;
    return claim;
}

static void fixture_judge(Fixture *fixture, size_t index, size_t scenario, const char *metric,
                          Verdict verdict, const char *reason)
{
    ClaimResult *result = &fixture->results[index];
    const Metric *found =
        metric != NULL ? metrics_find(fixture->scenarios[scenario].metrics, metric) : NULL;
    result->verdict = verdict;
    snprintf(result->reason, sizeof result->reason, "%s", reason);
    if (found != NULL) {
        result->has_simulated = 1;
        fixture_must(metrics_summary(found, &result->simulated, NULL) == STATUS_OK);
    }
    fixture->audit.verdicts[verdict]++;
}

static void fixture_scenarios(Fixture *fixture)
{
    static const char *const names[] = {"a100", "h100", "serve_a100"};
    static const char *const files[] = {"gpt4-a100", "gpt4-h100-bf16", "gpt4-serve-a100"};
    for (size_t i = 0; i < 3; i++) {
        ClaimScenario *spec = &fixture->file.scenarios[i];
        AuditScenario *entry = &fixture->scenarios[i];
        snprintf(spec->name, sizeof spec->name, "%s", names[i]);
        snprintf(spec->scenario, sizeof spec->scenario, "%s", files[i]);
        snprintf(entry->sha256, sizeof entry->sha256, "%064zx", i + 10);
        snprintf(entry->scenario.title, sizeof entry->scenario.title, "the \"%s\" case", names[i]);
        entry->spec = spec;
        entry->train.reps = entry->serve.reps = FIXTURE_REPS;
    }
    fixture->file.scenario_count = 3;
    Scenario *scenario = &fixture->scenarios[0].scenario;
    scenario->hardware.gpus = 24960;
    scenario->hardware.gpu.peak_bf16_flops_per_s = 312e12;
    scenario->hardware.node.gpus = 8;
    scenario->hardware.node.power_w = 5500;
    snprintf(scenario->hardware.gpu.name, NAME_BYTES, "a100-sxm-80g");
    scenario->training.tokens = 13e12;
    scenario->training.parallel = (ParallelSpec){.tensor = 8, .pipeline = 15, .data = 208};
    scenario->prices = (PriceSpec){.gpu_hour_usd = 1,
                                   .energy_usd_per_j = 0.08 / 3.6e6,
                                   .pue = 1.15,
                                   .energy_included = 1,
                                   .co2_kg_per_j = 0.376 / 3.6e6};
    fixture_train_metrics(&fixture->scenarios[0].train.metrics, 104.0, 24960, 1);
    fixture_train_metrics(&fixture->scenarios[1].train.metrics, 66.0, 8192, 2);
    fixture_step(&fixture->scenarios[0].train);
    fixture->scenarios[0].train.memory =
        (MemoryPlan){.stages = 15, .worst_stage = 0, .capacity_bytes = 79e9, .fits = 1};
    fixture->scenarios[0].train.memory.worst = (StageMemory){.weights_bytes = 30e9,
                                                             .gradients_bytes = 30e9,
                                                             .optimizer_bytes = 0.9e9,
                                                             .activations_bytes = 9e9,
                                                             .overhead_bytes = 4e9,
                                                             .total_bytes = 73.9e9,
                                                             .parameters = 15e9};
    fixture->scenarios[2].scenario.kind = SCENARIO_SERVING;
    fixture->scenarios[2].scenario.serving =
        (ServingSpec){.tensor = 8,
                      .pipeline = 16,
                      .replicas = 1,
                      .context_limit = 8192,
                      .expert_load = {.model = EXPERT_LOAD_UNIFORM}};
    MetricSet *serve = &fixture->scenarios[2].serve.metrics;
    metrics_init(serve);
    fixture_set(serve, "feasible", "", 1);
    fixture_vector(serve, "cost.usd_per_1k_tokens", "USD", 0.0041, 0.06);
    fixture_vector(serve, "throughput.output_tokens_per_s", "tokens/s", 5200, 0.05);
    fixture_vector(serve, "latency.ttft_s.p50", "s", 1.9, 0.1);
    fixture_set(serve, "kv.bytes_per_token", "bytes", 61440);
    ServeForecast *forecast = &fixture->scenarios[2].serve;
    forecast->memory = (ServeMemory){.weights_bytes = 28.6e9,
                                     .reserved_bytes = 4e9,
                                     .kv_bytes_per_token = 61440,
                                     .capacity_bytes = 79e9,
                                     .kv_capacity_tokens = 9e6,
                                     .max_sequences = 1098.6,
                                     .max_sequences_mean = 4400,
                                     .fits = 1};
    forecast->stage = (ServeStageTime){.weights_s = 0.011,
                                       .kv_s = 0.004,
                                       .compute_s = 0.009,
                                       .collective_s = 0.003,
                                       .overhead_s = 0.001,
                                       .total_s = 0.028};
    fixture->scenarios[0].metrics = &fixture->scenarios[0].train.metrics;
    fixture->scenarios[1].metrics = &fixture->scenarios[1].train.metrics;
    fixture->scenarios[2].metrics = serve;
}

static void fixture_claims(Fixture *fixture)
{
    fixture_claim(fixture, "C01", "model", "total parameters", 1.8e12, 1.8e12, "parameters",
                  "a100.model.params_total");
    fixture_claim(fixture, "C17", "training", "training FLOPs", 2.15e25, 2.15e25, "FLOPs",
                  "a100.run.flops_6nd");
    fixture_claim(fixture, "C18", "training", "GPUs (A100)", 25000, 25000, "GPUs",
                  "a100.plan.gpus");
    fixture_claim(fixture, "C19", "training", "duration", 90, 100, "days", " a100.run.days ");
    fixture_claim(fixture, "C20", "training", "MFU", 0.32, 0.36, "fraction",
                  "a100.run.mfu_effective_6nd");
    fixture_claim(fixture, "C21", "training", "cost at 1 USD per A100-hour", 63e6, 63e6, "USD",
                  "a100.cost.usd");
    fixture_claim(fixture, "C23", "training", "H100 alternative: duration", 55, 55, "days",
                  "h100.run.days");
    fixture_claim(fixture, "C27", "serving", "cost per 1k tokens, \"8k\"", 0.0049, 0.0049, "USD",
                  "serve_a100.cost.usd_per_1k_tokens");
    fixture_claim(fixture, "C33", "serving", "=speculative decoding", (double)NAN, (double)NAN,
                  "feature", "");
    fixture_claim(fixture, "C50", "serving", "weights per GPU", (double)NAN, 30e9, "bytes",
                  "serve_a100.memory.weights_bytes");
    fixture_judge(fixture, 0, 0, "model.params_total", VERDICT_REPRODUCED, "1.83T is 1.8T.");
    fixture_judge(fixture, 1, 0, "run.flops_6nd", VERDICT_REPRODUCED, "6ND.");
    fixture_judge(fixture, 2, 0, "plan.gpus", VERDICT_REPRODUCED, "8 x 15 x 208.");
    fixture_judge(fixture, 3, 0, "run.days", VERDICT_REPRODUCED, "The ranges overlap.");
    fixture_judge(
        fixture, 4, 0, "run.mfu_effective_6nd", VERDICT_EXPLAINED,
        "-1.2 points below the range; the MFU of the steps before failures lies inside it, "
        "so the published figure is one that leaves failures out, which is what a paper "
        "would print, while the clock does not.");
    fixture_judge(fixture, 5, 0, "cost.usd", VERDICT_REPRODUCED, "Holds the median.");
    fixture_judge(fixture, 6, 1, "run.days", VERDICT_CONTRADICTED, "Simulated is 1.2x longer.");
    fixture_judge(fixture, 7, 2, "cost.usd_per_1k_tokens", VERDICT_REPRODUCED, "Inside.");
    fixture_judge(fixture, 8, 0, NULL, VERDICT_UNTESTABLE, "Not simulated.");
    fixture_judge(fixture, 9, 0, NULL, VERDICT_UNTESTABLE, "No such metric here.");
}

/* Everything; free with fixture_free. */
static inline Fixture *fixture_make(void)
{
    Fixture *fixture = calloc(1, sizeof *fixture);
    fixture_must(fixture != NULL);
    AuditResult *audit = &fixture->audit;
    snprintf(fixture->file.title, sizeof fixture->file.title, "The GPT-4 leak, %d claims",
             FIXTURE_CLAIMS);
    snprintf(fixture->file.headline, sizeof fixture->file.headline, "a100");
    fixture_scenarios(fixture);
    fixture_claims(fixture);
    audit->file = &fixture->file;
    audit->scenario_count = 3;
    audit->scenarios = fixture->scenarios;
    audit->headline = &fixture->scenarios[0];
    audit->claims = fixture->results;
    audit->driver_count = 3;
    static const Driver drivers[] = {{"training.kernel_overhead", 0.82},
                                     {"training.parallel.recompute", 0.41},
                                     {"reliability.init", -0.12}};
    memcpy(audit->drivers, drivers, sizeof drivers);

    static const ResolvedValue values[] = {
        {"hardware.gpus", "24960", "configs/scenarios/gpt4-a100.yaml:17:3", "the leak", false,
         false},
        {"prices.gpu_hour", "$1/h", "configs/scenarios/gpt4-a100.yaml:90:3", "the leak", false,
         false},
        {"prices.pue", "1.1 .. 1.25", "configs/scenarios/gpt4-a100.yaml:94:5", "Epoch AI", false,
         true},
        {"training.tokens", "13T", "--set", "", false, false},
        {"training.micro_batch", "1", "default", "", true, false},
        {"hardware.node.power", "5.5kW", "configs/hw/dgx-a100.yaml:4:3", "=cmd|' /C calc'!A0",
         false, false},
    };
    memcpy(fixture->values, values, sizeof values);
    fixture->inputs = (ResolvedList){6, 6, fixture->values};
    fixture->sets[0] = "training.tokens=13T";
    fixture->provenance = (Provenance){.verb = "audit",
                                       .scenario = "gpt4-leak",
                                       .seed = 1,
                                       .reps = FIXTURE_REPS,
                                       .set_count = 1,
                                       .sets = fixture->sets};
    snprintf(fixture->provenance.sha256, sizeof fixture->provenance.sha256, "%064x", 0xabc123);
    return fixture;
}

static inline void fixture_free(Fixture *fixture)
{
    for (size_t i = 0; i < 2; i++)
        metrics_free(&fixture->scenarios[i].train.metrics);
    metrics_free(&fixture->scenarios[2].serve.metrics);
    free(fixture->scenarios[0].train.step.spans);
    free(fixture);
}

/* A whole file as text, NULL when there is none; free it. */
static inline char *fixture_read(const char *directory, const char *name, size_t *bytes)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    char *text = calloc(1, (size_t)length + 1);
    fixture_must(text != NULL && fread(text, 1, (size_t)length, file) == (size_t)length);
    fclose(file);
    if (bytes != NULL)
        *bytes = (size_t)length;
    return text;
}

#endif
