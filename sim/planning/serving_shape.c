#include "sim/planning/serving_shape.h"

#include "models/architecture.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const double MOST_WAYS = 1e5;

/* Whether `text` goes on with `word`, whatever the case. */
static int goes_on(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

static int starts_word(const char *text, const char *at)
{
    return at == text || !isalnum((unsigned char)at[-1]);
}

static int has(const char *text, const char *word)
{
    for (const char *at = text; *at != '\0'; at++)
        if (starts_word(text, at) && goes_on(at, word))
            return 1;
    return 0;
}

/* The number right behind `mark`, which starts a word ("tp8", "TP=8"); 0: none. */
static double ways(const char *text, const char *mark)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!starts_word(text, at) || !goes_on(at, mark))
            continue;
        const char *digits = at + strlen(mark);
        digits += *digits == '=' || *digits == ':' || *digits == '-';
        if (!isdigit((unsigned char)digits[0]))
            continue;
        return fmin(MOST_WAYS, strtod(digits, NULL));
    }
    return 0;
}

ServingShape serving_shape(const char *text, const ModelSpec *model)
{
    static const char *const DATA_WORDS[] = {"attention-dp", "attention_dp", "dp-attention",
                                             "dp_attention", "dp attention", "attention dp"};
    ServingShape shape = {.tensor = ways(text, "tp"),
                          .pipeline = fmax(1, ways(text, "pp")),
                          .expert = fmax(1, ways(text, "ep")),
                          .attention_data = fmax(1, ways(text, "dp"))};
    int data = 0;
    if (model->experts <= 1) {
        shape.expert = shape.attention_data = 1;
        return shape;
    }
    for (size_t i = 0; i < sizeof DATA_WORDS / sizeof DATA_WORDS[0]; i++)
        data = data || has(text, DATA_WORDS[i]);
    if (shape.tensor == 0 && shape.expert > 1) {
        shape.tensor = shape.expert;
        data = 1;
    } else if (shape.tensor == 0 && shape.attention_data > 1) {
        shape.tensor = shape.attention_data;
    }
    if (data && shape.attention_data <= 1)
        shape.attention_data = fmax(1, shape.tensor);
    if (has(text, "ep enabled") && shape.expert <= 1)
        shape.expert = fmax(1, shape.tensor);
    return shape;
}

double serving_tensor_that_fits(const ModelSpec *model, const HardwareSpec *hardware,
                                double weight_bytes, double gpus)
{
    const double share = 0.6;
    const double bytes = model_parameters(model).total * weight_bytes;
    double tensor = 1;
    while (tensor < hardware->node.gpus && 2 * tensor <= gpus &&
           bytes / tensor > share * hardware->gpu.memory_bytes)
        tensor *= 2;
    return tensor;
}
