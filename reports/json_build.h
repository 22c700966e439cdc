/* A JSON document under construction. Failures (memory, a name inside another) are remembered in
 * the builder, so that the documents read as lists of what they hold; json_finish reports the
 * first. */
#ifndef REPORTS_JSON_BUILD_H
#define REPORTS_JSON_BUILD_H

#include "reports/provenance.h"
#include "sim/engine/metrics.h"

#include <jansson.h>

typedef struct JsonBuilder {
    json_t *root;
    int failed;
    char problem[ERROR_TEXT_BYTES];
} JsonBuilder;

void json_start(JsonBuilder *builder, const Provenance *provenance); /* provenance may be NULL */
char *json_finish(JsonBuilder *builder, Error *error);

/* `value` is consumed; `path` is dotted below `object` and its groups are made as needed. NULL
 * values count as failures. */
void json_put(JsonBuilder *builder, json_t *object, const char *path, json_t *value);
void json_append(JsonBuilder *builder, json_t *array, json_t *value);

/* Values. A number that is not finite and a NULL text become null; text that is not UTF-8 loses the
 * bytes that are not. */
json_t *json_number(double value);
json_t *json_count(unsigned long long value); /* an integer; text beyond 2^63 - 1 */
json_t *json_text(const char *text);
json_t *json_truth(int value);
json_t *json_quantity(const Summary *summary); /* {"mean","p5","p50","p95"} */

/* A metric under `path`: an object when it has more than one value or `always`, else a number. */
void json_put_metric(JsonBuilder *builder, json_t *object, const char *path, const Metric *metric,
                     int always);

/* hardware.evidence: what the times of the device rest on. */
void json_put_evidence(JsonBuilder *builder, const GpuSpec *gpu);

/* Every input.<key> metric as inputs{"<key>": quantity}. */
void json_put_inputs(JsonBuilder *builder, const MetricSet *metrics);

#endif
