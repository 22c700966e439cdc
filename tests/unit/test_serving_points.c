/* Published points of deployments: what a row becomes, which rows are skipped and why, and that the
 * three numbers of a row are of one simulation. */
#include "sim/planning/deployment_fit.h"
#include "sim/planning/serving_points.h"
#include "tests/unit/shipped.h"

#include <math.h>

typedef struct Fixture {
    CsvTable table;
    ServingRows rows;
    Error error;
} Fixture;

static Status read_text(Fixture *fixture, const char *text)
{
    ConfigPaths paths;
    memset(fixture, 0, sizeof *fixture);
    assert_int_equal(config_paths_find(NULL, &paths, &fixture->error), STATUS_OK);
    assert_int_equal(
        csv_read_text("points.csv", text, strlen(text), &fixture->table, &fixture->error),
        STATUS_OK);
    return serving_points_read(&paths, &fixture->table, NULL, 0, &fixture->rows, &fixture->error);
}

static void release(Fixture *fixture)
{
    serving_rows_free(&fixture->rows);
    csv_free(&fixture->table);
}

static const ServingRow *only_point(Fixture *fixture, const char *text)
{
    assert_int_equal(read_text(fixture, text), STATUS_OK);
    if (fixture->rows.skipped_count > 0)
        fail_msg("skipped: %s", fixture->rows.skipped[0].reason);
    assert_int_equal(fixture->rows.count, 3);
    return fixture->rows.rows;
}

#define HEADER                                                                                     \
    "id,backend,backend_version,model_path,system,precision,mode,isl,osl,gemm_quant_mode,"         \
    "batch_size,concurrency,tp_size,attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,"    \
    "silicon_tpot_ms\n"

/* The three numbers, in SI units, and Little's law between them. */
static void one_row(void **state)
{
    (void)state;
    Fixture fixture;
    const ServingRow *rows =
        only_point(&fixture, HEADER "a,vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,agg,1000,201,,16,16,4,,"
                                    "1,1,500,20\n");
    assert_int_equal(rows[0].metric, METRIC_TTFT_MEAN_S);
    assert_near(rows[0].measured, 0.5, 1e-12);
    assert_int_equal(rows[1].metric, METRIC_TPOT_MEAN_S);
    assert_near(rows[1].measured, 0.02, 1e-12);
    assert_int_equal(rows[2].metric, METRIC_STEADY_PER_S_PER_GPU);
    assert_near(rows[2].measured, 16 * 201 / (0.5 + 200 * 0.02) / 4, 1e-9);
    assert_string_equal(rows[2].label, "a-rate");
    assert_int_equal(rows[0].queued, 0);
    const Scenario *scenario = rows[0].scenario;
    assert_string_equal(rows[0].model, "qwen3-32b");
    assert_string_equal(rows[0].gpu, "h100-ndr");
    assert_int_equal(scenario->serving.weight_precision, PRECISION_BF16);
    assert_near(scenario->serving.tensor, 4, 0);
    assert_near(scenario->serving.prompt_tokens, 1000, 0);
    assert_near(rows[0].batch, 16, 0);
    assert_near(rows[0].shortest, 1, 0);

    /* The rate that is predicted follows from the two times that are. */
    double predicted[MOST_TOGETHER];
    assert_int_equal(serving_rows_together(&fixture.rows, 0), 3);
    assert_int_equal(serving_rows_predict(rows, 3, scenario, predicted, &fixture.error), STATUS_OK);
    assert_true(predicted[0] > 0 && predicted[1] > 0);
    assert_near(predicted[2], 16 * 201 / (predicted[0] + 200 * predicted[1]) / 4,
                1e-9 * predicted[2]);
    release(&fixture);
}

/* Columns in another order, and only those that are needed. */
static void few_columns(void **state)
{
    (void)state;
    Fixture fixture;
    assert_int_equal(read_text(&fixture,
                               "silicon_tpot_ms,osl,isl,system,model_path,backend,id,concurrency\n"
                               "9,100,500,h200_sxm,meta-llama/Llama-3.1-8B,sglang,b,8\n"),
                     STATUS_OK);
    assert_int_equal(fixture.rows.count, 1);
    assert_int_equal(fixture.rows.rows[0].metric, METRIC_TPOT_MEAN_S);
    assert_near(fixture.rows.rows[0].scenario->serving.tensor, 1, 0);
    assert_near(fixture.rows.rows[0].batch, 8, 0);
    release(&fixture);

    static const char *const without[] = {
        "backend,model_path,system,isl,osl,silicon_tpot_ms\n",
        "id,model_path,system,isl,osl,silicon_tpot_ms\n",
        "id,backend,model_path,system,isl,silicon_tpot_ms\n",
        "id,backend,model_path,system,isl,osl\n",
    };
    static const char *const named[] = {"'id'", "'backend'", "'osl'", "'silicon_tpot_ms'"};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        assert_int_equal(read_text(&fixture, without[i]), STATUS_INVALID);
        assert_non_null(strstr(fixture.error.message, named[i]));
        release(&fixture);
    }
}

/* Lengths of InferenceX are drawn; its ids name the layout where a snapshot multiplied its ways. */
static void layouts(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        double tensor, expert, clients, gpus;
    } cases[] = {
        {"2026_04_06_m_c64_tp8_ep8_7,vllm,0.18.0,MiniMaxAI/MiniMax-M2.5,h200_sxm,fp8,agg,8192,1024,"
         "fp8,64,64,64,1,8,8,1,1\n",
         8, 8, 64, 8},
        {"2026_03_25_m_tp4_0_ep4_0_7,vllm,0.18.0,MiniMaxAI/MiniMax-M2.5,h200_sxm,fp8,agg,8192,1024,"
         "fp8,16,16,4,1,1,4,1,1\n",
         4, 4, 16, 4},
        {"2026_04_06_m_c16_tp4_ep4_7,vllm,0.18.0,MiniMaxAI/MiniMax-M2.5,h200_sxm,fp8,agg,8192,1024,"
         "fp8,4,16,4,4,1,16,1,1\n",
         4, 4, 16, 4},
        {"minimaxm2_5_cfg606,vllm,0.16.0,MiniMaxAI/MiniMax-M2.5,h200_sxm,fp8,agg,1024,1024,fp8,8,8,"
         "4,1,4,1,1,1\n",
         4, 1, 8, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Fixture fixture;
        char text[1024];
        snprintf(text, sizeof text, "%s%s", HEADER, cases[i].row);
        const ServingRow *row = only_point(&fixture, text);
        assert_near(row->scenario->serving.tensor, cases[i].tensor, 0);
        assert_near(row->scenario->serving.expert, cases[i].expert, 0);
        assert_near(row->batch, cases[i].clients, 0);
        assert_near(row->gpus, cases[i].gpus, 0);
        assert_near(row->shortest, 0.8, 0);
        assert_int_equal(row->scenario->serving.weight_precision, PRECISION_FP8);
        release(&fixture);
    }
}

/* A source whose ids do not name the layout: experts are cut or shared, so a product is told. */
static void multiplied_layouts(void **state)
{
    (void)state;
    Fixture fixture;
    const ServingRow *row =
        only_point(&fixture, HEADER "dsr1_cfg181,trtllm,1.1.0rc2,deepseek-ai/DeepSeek-V3,h200_sxm,"
                                    "fp8,agg,1024,1024,fp8,64,64,64,1,8,8,1,1\n");
    assert_near(row->scenario->serving.tensor, 8, 0);
    assert_near(row->scenario->serving.expert, 8, 0);
    assert_near(row->scenario->serving.attention_data, 1, 0);
    assert_near(row->gpus, 8, 0);
    release(&fixture);
    row = only_point(&fixture, HEADER "dsr1_cfg182,trtllm,1.1.0rc2,deepseek-ai/DeepSeek-V3,"
                                      "h200_sxm,fp8,agg,1024,1024,fp8,4,256,1,64,8,8,1,1\n");
    assert_near(row->scenario->serving.attention_data, 8, 0);
    assert_near(row->scenario->serving.tensor, 8, 0);
    assert_near(row->batch, 256, 0);
    release(&fixture);
    /* Elsewhere both at once is what it says. */
    row = only_point(&fixture, HEADER "other,trtllm,1.1.0rc2,Qwen/Qwen3-235B-A22B,h200_sxm,fp8,agg,"
                                      "1024,1024,fp8,4,4,4,1,2,2,1,1\n");
    assert_near(row->scenario->serving.tensor, 4, 0);
    assert_near(row->scenario->serving.expert, 2, 0);
    release(&fixture);
}

#define SIDES                                                                                      \
    "id,backend,backend_version,model_path,system,precision,mode,isl,osl,gemm_quant_mode,"         \
    "concurrency,prefill_num_workers,prefill_tp_size,prefill_attention_dp_size,"                   \
    "prefill_moe_ep_size,decode_num_workers,decode_tp_size,decode_attention_dp_size,"              \
    "decode_moe_ep_size,decode_batch_size,silicon_ttft_ms,silicon_tpot_ms\n"

/* Either side has its engines and ways; the rate is that of all GPUs; what is not given is named.
 */
static void disaggregated(void **state)
{
    (void)state;
    Fixture fixture;
    const ServingRow *row =
        only_point(&fixture, SIDES "d,trtllm,1.2,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,disagg,8192,"
                                   "1024,fp8,192,2,8,1,8,3,1,8,8,8,2600,33\n");
    const DisaggregatedSpec *spec = &row->scenario->serving.disaggregated;
    assert_near(spec->prefill.replicas, 2, 0);
    assert_near(spec->prefill.tensor, 8, 0);
    assert_near(spec->prefill.attention_data, 1, 0);
    assert_near(spec->prefill.expert, 8, 0);
    assert_near(spec->decode.replicas, 3, 0);
    assert_near(spec->decode.tensor, 8, 0);
    assert_near(spec->decode.attention_data, 8, 0);
    assert_near(row->gpus, 40, 0);
    assert_near(row->batch, 192, 0);
    double predicted[MOST_TOGETHER];
    assert_int_equal(serving_rows_predict(row, 3, row->scenario, predicted, &fixture.error),
                     STATUS_OK);
    /* Two nodes read 192 prompts of 8,192 tokens in more than a tenth of a second each, and 64
     * sequences of an engine are not read faster than its weights. */
    assert_true(predicted[0] > 0.1 && predicted[0] < 20);
    assert_true(predicted[1] > 0.01 && predicted[1] < 0.1);
    release(&fixture);

    static const struct {
        const char *row, *reason;
    } cases[] = {
        {"d,trtllm,1.2,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,disagg,8192,1024,fp8,192,2,8,1,8,,1,8,"
         "8,8,2600,33\n",
         "decode_num_workers"},
        {"d,trtllm,1.2,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,disagg,8192,1024,fp8,,2,8,1,8,3,1,8,8,"
         "8,2600,33\n",
         "concurrency"},
        {"d,trtllm,1.2,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,,8192,1024,fp8,192,2,8.5,1,8,3,1,8,8,"
         "8,2600,33\n",
         "prefill_tp_size: '8.5'"},
        {"d,trtllm,1.2,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,disagg,8192,1024,fp8,192,2,8,1,8,3000,"
         "1,8,8,8,2600,33\n",
         "decode_num_workers: '3000'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", SIDES, cases[i].row);
        assert_int_equal(read_text(&fixture, text), STATUS_OK);
        assert_int_equal(fixture.rows.skipped_count, 1);
        if (strstr(fixture.rows.skipped[0].reason, cases[i].reason) == NULL)
            fail_msg("'%s' lacks '%s'", fixture.rows.skipped[0].reason, cases[i].reason);
        release(&fixture);
    }
}

/* A sweep over clients stays on one side of the split; a row that waits is told apart. */
static void groups(void **state)
{
    (void)state;
    Fixture fixture;
    const char *text =
        HEADER "a,vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,4,4,4,,1,1,50,10\n"
               "b,vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,512,512,4,,1,1,9000,10\n";
    assert_int_equal(read_text(&fixture, text), STATUS_OK);
    assert_int_equal(fixture.rows.count, 6);
    assert_int_equal(fixture.rows.rows[0].held_back, fixture.rows.rows[3].held_back);
    assert_int_equal(fixture.rows.rows[3].queued, 1);
    release(&fixture);
}

/* Requests that reach the scheduler one behind the other: where that takes longest, it alone sets
 * the rate, and clients queue for it. */
static void intake_sets_the_rate(void **state)
{
    (void)state;
    Fixture fixture;
    const ServingRow *rows =
        only_point(&fixture, HEADER "a,vllm,0.12.0,meta-llama/Llama-3.1-8B,h100_sxm,,agg,100,10,,8,"
                                    "8,8,,1,1,50,10\n");
    Scenario *scenario = malloc(sizeof *scenario);
    assert_non_null(scenario);
    *scenario = *rows->scenario;
    scenario->serving.request_intake_s = 2;
    scenario->serving.request_overhead_s = 0;
    double predicted[MOST_TOGETHER];
    assert_int_equal(serving_rows_predict(rows, 3, scenario, predicted, &fixture.error), STATUS_OK);
    /* Ten answer tokens every two seconds from eight GPUs; eight clients share the intake. */
    assert_near(predicted[2], 10.0 / 2 / 8, 0.08 * 10.0 / 2 / 8);
    assert_near(predicted[0], 8 * 2, 1.5);
    free(scenario);
    release(&fixture);
}

/* Rows made by a known engine: the fit finds its constants, from other ones and without the rows
 * held back, and predicts these too. */
static void fit_finds_constants(void **state)
{
    (void)state;
    char text[16384] = HEADER;
    Fixture fixture;
    for (int clients = 4; clients <= 64; clients *= 4)
        for (int prompt = 256; prompt <= 4096; prompt *= 2)
            snprintf(text + strlen(text), sizeof text - strlen(text),
                     "%d-%d,vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,agg,%d,128,,%d,%d,8,,1,1,50,10\n",
                     clients, prompt, prompt, clients, clients);
    assert_int_equal(read_text(&fixture, text), STATUS_OK);
    ServingRows *rows = &fixture.rows;
    assert_int_equal(rows->count, 3 * 3 * 5);
    size_t held_back = 0;
    Scenario *scenario = malloc(sizeof *scenario);
    assert_non_null(scenario);
    for (size_t i = 0; i < rows->count; i += 3) {
        double made[MOST_TOGETHER];
        /* where the search begins, whatever the shipped engine says */
        ServingSpec *start = &rows->rows[i].scenario->serving;
        start->step_overhead_s = 9e-4;
        start->sequence_overhead_s = 15e-6;
        start->kernel_overhead = 0.02;
        start->collective_start = 0.5;
        *scenario = *rows->rows[i].scenario;
        scenario->serving.step_overhead_s *= 3;
        scenario->serving.request_overhead_s += 0.05;
        assert_int_equal(serving_rows_predict(&rows->rows[i], 3, scenario, made, &fixture.error),
                         STATUS_OK);
        for (size_t j = 0; j < 3; j++)
            rows->rows[i + j].measured = made[j];
        held_back += rows->rows[i].held_back != 0;
    }
    const ForecastOptions options = {.threads = 2};
    DeploymentFit fit;
    assert_true(held_back > 0 && held_back < rows->count / 3);
    assert_int_equal(deployment_fit(rows, "vllm-0.12", 1, &options, &fit, &fixture.error),
                     STATUS_OK);
    assert_int_equal(fit.rows, rows->count / 3 - held_back);
    assert_true(fit.before > 0.1);
    assert_true(fit.after < 0.02);
    assert_true(fit.crossed[1].median_abs < 0.03);
    assert_int_equal(fit.crossed[1].n, rows->count / 3);
    assert_int_equal(deployment_fit(rows, "nobody", 0, &options, &fit, &fixture.error),
                     STATUS_INVALID);
    free(scenario);
    release(&fixture);
}

/* Every bad row says why, and none stops the others. */
static void bad_rows(void **state)
{
    (void)state;
    static const struct {
        const char *row, *reason;
    } cases[] = {
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,-5,128,,4,4,4,,1,1,50,10\n", "isl, osl"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,nan,,4,4,4,,1,1,50,10\n", "isl, osl"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,1e12,,4,4,4,,1,1,50,10\n", "isl, osl"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,4,4,4,,1,1,,\n", "silicon_ttft_ms"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,4,4,4,,1,1,inf,10\n", "silicon_ttft_ms"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,4,4,x,,1,1,50,10\n", "tp_size: 'x'"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,,,4,,1,1,50,10\n", "clients"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1000000,128,,9000,,4,,1,1,50,10\n", "benchmark"},
        {"a,vllm,1,Qwen/Qwen3-32B,tpu,,agg,1024,128,,4,4,4,,1,1,50,10\n", "system: 'tpu'"},
        {"a,vllm,1,Nobody/Model,h100_sxm,,agg,1024,128,,4,4,4,,1,1,50,10\n",
         "model_path: 'Nobody/Model' is not known"},
        {"a,mystery,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,4,4,4,,1,1,50,10\n",
         "backend: 'mystery'"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,fp3,4,4,4,,1,1,50,10\n",
         "gemm_quant_mode: 'fp3'"},
        {"a,vllm,1,Qwen/Qwen3-32B,h100_sxm,,disagg,1024,128,,4,4,4,,1,1,50,10\n",
         "prefill_num_workers"},
        {"a,vllm,1\n", "cells"},
    };
    enum { CASES = sizeof cases / sizeof cases[0] };
    char text[8192] = HEADER;
    Fixture fixture;
    for (size_t i = 0; i < CASES; i++)
        strcat(text, cases[i].row);
    strcat(text, "good,vllm,0.12.0,Qwen/Qwen3-32B,h100_sxm,,agg,1024,128,,4,4,4,,1,1,50,10\n");
    assert_int_equal(read_text(&fixture, text), STATUS_OK);
    assert_int_equal(fixture.rows.count, 3);
    assert_int_equal(fixture.rows.skipped_count, CASES);
    for (size_t i = 0; i < CASES; i++) {
        if (strstr(fixture.rows.skipped[i].reason, cases[i].reason) == NULL)
            fail_msg("'%s' lacks '%s'", fixture.rows.skipped[i].reason, cases[i].reason);
        assert_int_equal(fixture.rows.skipped[i].line, (int)i + 2);
    }
    release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_row),
        cmocka_unit_test(few_columns),
        cmocka_unit_test(layouts),
        cmocka_unit_test(multiplied_layouts),
        cmocka_unit_test(disaggregated),
        cmocka_unit_test(intake_sets_the_rate),
        cmocka_unit_test(fit_finds_constants),
        cmocka_unit_test(groups),
        cmocka_unit_test(bad_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
