/* Products in fp8 in the stages of a step: scales, and what is gathered in fp8. */
#include "tests/unit/stage_fixture.h"

/* The fixture's base, on H100s. */
static int read_h100(void **state)
{
    ConfigPaths paths;
    Error error = {0};
    ErrorList *errors = calloc(1, sizeof *errors);
    Scenario *scenario = calloc(1, sizeof *scenario);
    const int failed =
        read_base(state) != 0 || errors == NULL || scenario == NULL ||
        config_paths_find(NULL, &paths, &error) != STATUS_OK ||
        scenario_read(&paths, "gpt4-h100-fp8", NULL, 0, scenario, NULL, NULL, errors) != STATUS_OK;
    if (!failed)
        base.hardware.gpu = scenario->hardware.gpu;
    free(scenario);
    free(errors);
    return failed ? -1 : 0;
}

/* Rows and columns with scales of their own are quantised for each product that reads them, and the
 * backward's results are scaled in another pass: more time of fp8 products, none of others. */
static void test_scales_by_rows(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 1);
    StepInput *input[2][2];
    for (int fp8 = 0; fp8 < 2; fp8++)
        for (int rows = 0; rows < 2; rows++) {
            scenario.training.precision = fp8 ? PRECISION_FP8 : PRECISION_BF16;
            scenario.training.fp8_scaling = rows ? FP8_ROW : FP8_TENSOR;
            input[fp8][rows] = input_of(&scenario);
        }
    const StageTime *plain = &input[1][0]->stage[0], *by_rows = &input[1][1]->stage[0];
    assert_near(input[0][0]->stage[0].backward.total_s, input[0][1]->stage[0].backward.total_s, 0);
    const double forward = by_rows->forward.compute_s / plain->forward.compute_s;
    const double backward = by_rows->backward.compute_s / plain->backward.compute_s;
    assert_true(forward > 1 && backward > forward && backward < 2);
    for (int i = 0; i < 4; i++)
        free(input[i / 2][i % 2]);
}

/* Gathers of what fp8 products read carry a byte instead of two; their gradients do not. */
static void test_gathers_in_fp8(void **state)
{
    (void)state;
    Scenario scenario = dense(4, 1, 8);
    scenario.training.precision = PRECISION_FP8;
    scenario.training.parallel.sequence_parallel = 1;
    scenario.training.parallel.zero_stage = 3;
    StepInput *wide = input_of(&scenario);
    scenario.training.fp8_gather = 1;
    StepInput *narrow = input_of(&scenario);
    const StageTime *a = &wide->stage[0], *b = &narrow->stage[0];
    assert_true(b->forward.tensor_s < 0.9 * a->forward.tensor_s);
    assert_near(b->backward.tensor_s, a->backward.tensor_s, 1e-12);
    assert_true(b->forward.sharding_s < a->forward.sharding_s);
    free(wide);
    free(narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales_by_rows),
        cmocka_unit_test(test_gathers_in_fp8),
    };
    return cmocka_run_group_tests(tests, read_h100, NULL);
}
