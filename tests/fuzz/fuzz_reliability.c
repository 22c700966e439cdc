/* Fuzz target of reliability parameters: "model;metric;name=value;..." gives a case whose values
 * are in bounds, or an error that says why. */
#include "sim/training/reliability.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool promise)
{
    if (!promise)
        abort();
}

static void check_case(const ReliabilityCase *input)
{
    for (size_t i = 0; input->model->parameters[i].name != NULL; i++) {
        const ParameterSpec *spec = &input->model->parameters[i];
        double value = input->values[i];
        bool special = spec->kind == QUANTITY_WORD || spec->kind == QUANTITY_TIMES ||
                       spec->kind == QUANTITY_BATCHES || spec->optional != 0 || isinf(value);
        require(!isnan(value));
        require(special || (value >= spec->low && value <= spec->high));
    }
    require(input->list_count <= RELIABILITY_MAX_LIST);
    for (size_t i = 0; i < input->list_count; i++)
        require(isfinite(input->list[i]) && input->list[i] >= 0.0 &&
                isfinite(input->list_slack[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[4096], *rest = NULL;
    if (size >= sizeof text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    const char *name = strtok_r(text, ";", &rest), *metric_name = strtok_r(NULL, ";", &rest);
    const ReliabilityModel *model;
    const ReliabilityMetric *metric;
    ReliabilityCase input;
    Error error = {0};
    double unit;
    if (name == NULL || metric_name == NULL)
        return 0;
    if (reliability_model_find(name, &model, &error) != STATUS_OK) {
        require(error.message[0] != '\0');
        return 0;
    }
    if (reliability_metric_find(model, metric_name, &metric, &unit, &error) == STATUS_OK)
        require(unit > 0.0);
    if (reliability_case_read(model, rest != NULL ? rest : "", &input, &error) == STATUS_OK)
        check_case(&input);
    else
        require(error.message[0] != '\0');
    return 0;
}
