#include "reports/json_build.h"

#include "hw/evidence.h"
#include "reports/ascii.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static void fail(JsonBuilder *builder, const char *problem)
{
    if (!builder->failed)
        snprintf(builder->problem, sizeof builder->problem, "%s", problem);
    builder->failed = 1;
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_count(unsigned long long value)
{
    char digits[32];
    if (value <= LLONG_MAX)
        return json_integer((json_int_t)value);
    snprintf(digits, sizeof digits, "%llu", value);
    return json_string(digits);
}

json_t *json_text(const char *text)
{
    if (text == NULL)
        return json_null();
    json_t *value = json_string(text);
    if (value == NULL) { /* not UTF-8 */
        char ascii[2048];
        ascii_copy(text, ascii, sizeof ascii);
        value = json_string(ascii);
    }
    return value;
}

json_t *json_truth(int value)
{
    return value ? json_true() : json_false();
}

json_t *json_quantity(const Summary *summary)
{
    static const char *const names[] = {[STATISTIC_MEAN] = "mean",
                                        [STATISTIC_P5] = "p5",
                                        [STATISTIC_P50] = "p50",
                                        [STATISTIC_P95] = "p95"};
    json_t *quantity = json_pack("{s:o, s:o, s:o, s:o}", "mean", json_number(summary->mean), "p5",
                                 json_number(summary->p5), "p50", json_number(summary->p50), "p95",
                                 json_number(summary->p95));
    if (!(summary->maximum > summary->minimum))
        return quantity;
    json_t *known = json_object(); /* how well each is known; an end that is not known is null */
    for (int i = 0; i < STATISTIC_COUNT; i++)
        json_object_set_new(known, names[i],
                            json_pack("[o, o]", json_number(summary->known[i].low),
                                      json_number(summary->known[i].high)));
    json_object_set_new(quantity, "ci95", known);
    return quantity;
}

void json_append(JsonBuilder *builder, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        fail(builder, "out of memory");
}

void json_put(JsonBuilder *builder, json_t *object, const char *path, json_t *value)
{
    char part[METRIC_NAME_BYTES + 32];
    const char *dot;
    while ((dot = strchr(path, '.')) != NULL) {
        int fits = (size_t)(dot - path) < sizeof part;
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        json_t *inner = json_object_get(object, part);
        if (inner == NULL) {
            json_object_set_new(object, part, json_object());
            inner = json_object_get(object, part);
        }
        if (!fits || !json_is_object(inner)) {
            json_decref(value);
            fail(builder,
                 inner == NULL ? "out of memory" : "a result's name lies inside another's");
            return;
        }
        object = inner;
        path = dot + 1;
    }
    if (json_object_set_new(object, path, value) != 0)
        fail(builder, "out of memory");
}

void json_put_metric(JsonBuilder *builder, json_t *object, const char *path, const Metric *metric,
                     int always)
{
    Summary summary;
    Error error;
    if (metric->count == 1 && !always) {
        json_put(builder, object, path, json_number(metric->values[0]));
    } else if (metrics_summary(metric, &summary, &error) != STATUS_OK) {
        fail(builder, error.message);
    } else {
        json_put(builder, object, path, json_quantity(&summary));
    }
}

void json_put_inputs(JsonBuilder *builder, const MetricSet *metrics)
{
    static const char prefix[] = "input.";
    json_t *inputs = json_object();
    for (size_t i = 0; i < metrics->count; i++) {
        const Metric *metric = &metrics->metrics[i];
        Summary summary;
        if (strncmp(metric->name, prefix, sizeof prefix - 1) != 0 ||
            metrics_summary(metric, &summary, NULL) != STATUS_OK)
            continue;
        /* the key of the file, dots and all: what --set takes */
        if (json_object_set_new(inputs, metric->name + sizeof prefix - 1,
                                json_quantity(&summary)) != 0)
            fail(builder, "out of memory");
    }
    json_put(builder, builder->root, "inputs", inputs);
}

void json_start(JsonBuilder *builder, const Provenance *provenance)
{
    memset(builder, 0, sizeof *builder);
    builder->root = json_object();
    if (builder->root == NULL) {
        fail(builder, "out of memory");
        return;
    }
    json_t *root = builder->root;
    json_put(builder, root, "format_version", json_text("1.0"));
    json_put(builder, root, "program_version", json_text(PROGRAM_VERSION));
    if (provenance == NULL)
        return;
    json_t *sets = json_array();
    for (size_t i = 0; i < provenance->set_count; i++)
        json_append(builder, sets, json_text(provenance->sets[i]));
    json_put(builder, root, "set", sets);
    json_put(builder, root, "schema_version", json_count(RESULT_SCHEMA_VERSION));
    json_put(builder, root, "scenario", json_text(provenance->scenario));
    json_put(builder, root, "scenario_sha256", json_text(provenance->sha256));
    json_put(builder, root, "seed", json_count(provenance->seed));
    json_put(builder, root, "reps", json_count(provenance->reps));
}

char *json_finish(JsonBuilder *builder, Error *error)
{
    char *text = NULL;
    if (!builder->failed) {
        char *dumped =
            json_dumps(builder->root, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
        size_t length = dumped != NULL ? strlen(dumped) : 0;
        text = dumped != NULL ? realloc(dumped, length + 2) : NULL;
        if (text != NULL)
            memcpy(text + length, "\n", 2);
        else
            free(dumped);
    }
    json_decref(builder->root);
    if (text == NULL)
        error_set(error, STATUS_ENVIRONMENT, "cannot make the JSON document: %s",
                  builder->failed ? builder->problem : "out of memory");
    return text;
}

void json_put_evidence(JsonBuilder *builder, const GpuSpec *gpu)
{
    const CalibrationSpec *profile = &gpu->calibration;
    const int measured = profile->gpu[0] != '\0';
    json_t *object = json_object();
    json_put(builder, object, "gpu", json_text(gpu->name));
    json_put(builder, object, "tier", json_text(EVIDENCE_NAMES[gpu_evidence(gpu)]));
    json_put(builder, object, "profile", json_text(measured ? profile->name : NULL));
    json_put(builder, object, "device", json_text(measured ? profile->device : NULL));
    json_t *kinds = json_object();
    for (int kind = 0; kind < EVIDENCE_KINDS; kind++) {
        EvidenceTier tier;
        if (gpu_evidence_of(gpu, (EvidenceKind)kind, &tier))
            json_put(builder, kinds, EVIDENCE_KIND_KEYS[kind], json_text(EVIDENCE_NAMES[tier]));
    }
    json_put(builder, object, "kinds", kinds);
    json_put(builder, builder->root, "hardware.evidence", object);
}
