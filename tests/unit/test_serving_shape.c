/* How the words of a published row are read as a layout. */
#include "sim/planning/serving_shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_words(void **state)
{
    (void)state;
    const ModelSpec moe = {.experts = 128}, dense = {.experts = 1};
    const struct {
        const char *text;
        const ModelSpec *model;
        double tensor, pipeline, expert, attention_data;
    } cases[] = {
        {"tp8 pp3", &dense, 8, 3, 1, 1},
        {"4 replicas of tp2", &dense, 2, 1, 1, 1},
        {"tp2 (config name in v4.1 tree)", &dense, 2, 1, 1, 1},
        {"2 nodes x 8 GPUs", &dense, 0, 1, 1, 1},
        {"", &moe, 0, 1, 1, 1},
        {"tp4 moe_ep4", &moe, 4, 1, 4, 1},
        {"TP8/EP8", &moe, 8, 1, 8, 1},
        {"tp8 (MoE: attention-DP + EP enabled)", &moe, 8, 1, 8, 8},
        {"tp8 (MoE: attention-DP + EP enabled)", &dense, 8, 1, 1, 1},
        {"ep72", &moe, 72, 1, 72, 72},
        {"ep32 dp-attention", &moe, 32, 1, 32, 32},
        {"tp8 ep8 dp2", &moe, 8, 1, 8, 2},
        {"dp8 ep8", &moe, 8, 1, 8, 8},
        {"tp8 dp attention", &moe, 8, 1, 1, 8},
        {"deeptp8", &dense, 0, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ServingShape shape = serving_shape(cases[i].text, cases[i].model);
        if (shape.tensor != cases[i].tensor || shape.pipeline != cases[i].pipeline ||
            shape.expert != cases[i].expert || shape.attention_data != cases[i].attention_data)
            fail_msg("'%s': tp%g pp%g ep%g groups %g", cases[i].text, shape.tensor, shape.pipeline,
                     shape.expert, shape.attention_data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
