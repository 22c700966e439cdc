/* Measurement tables, rows as scenarios, conversions and the statistics of errors. */
#include "sim/planning/flop_convention.h"
#include "sim/planning/validate.h"
#include "tests/unit/shipped.h"

#include <math.h>

#define HEADER                                                                                     \
    "id,split,source,year,gpu,n_gpus,tp,pp,cp,dp,vpp,n_layers,d_model,n_heads,d_ff,gated_mlp,"     \
    "n_experts,top_k,seq_len,micro_batch,global_batch_seqs,recompute,inter_node_gbps_per_gpu,"     \
    "metric,value,mfu_convention\n"
/* Korthikanti et al. 2022, table 5: 22B, full recomputation. */
#define KORTHIKANTI                                                                                \
    "kor22-01,pool,Korthikanti,2022,A100-SXM-80GB,8,8,1,,,,48,6144,64,24576,0,,,2048,4,4,full,,"   \
    "iter_seconds,1.42,\n"

typedef struct Fixture {
    ConfigPaths paths;
    MeasurementFile file;
    ValidationResult result;
    Error error;
} Fixture;

static Status validate_text(Fixture *fixture, const char *text)
{
    const ForecastOptions options = {.seed = 1, .threads = 1};
    *fixture = (Fixture){0};
    assert_int_equal(config_paths_find(NULL, &fixture->paths, &fixture->error), STATUS_OK);
    if (measurements_read_text("t.csv", text, strlen(text), &fixture->file, &fixture->error) !=
        STATUS_OK)
        return STATUS_INVALID;
    return validate_training(&fixture->paths, &fixture->file, NULL, NULL, 0, &options,
                             &fixture->result, &fixture->error);
}

static void release(Fixture *fixture)
{
    validation_free(&fixture->result);
    measurements_free(&fixture->file);
}

static Scenario scenario_of(const char *text, DefaultsTaken *defaults)
{
    Fixture fixture;
    const MeasuredBase *base = NULL;
    Scenario scenario;
    if (validate_text(&fixture, text) != STATUS_OK)
        fail_msg("%s (%s)", fixture.error.message, fixture.error.hint);
    const Measurement *row = fixture.result.rows[0].row;
    assert_int_equal(measured_base(&fixture.result.bases, row, &base, &fixture.error), STATUS_OK);
    assert_int_equal(measured_scenario(base, row, &scenario, defaults, &fixture.error), STATUS_OK);
    release(&fixture);
    return scenario;
}

static void test_row_to_scenario(void **state)
{
    (void)state;
    DefaultsTaken defaults = {0};
    Scenario scenario = scenario_of(HEADER KORTHIKANTI, &defaults);
    assert_near(scenario.model.head_dim, 96, 0);
    assert_near(scenario.model.kv_heads, 64, 0);
    assert_near(scenario.model.vocab_size, 51200, 0);
    assert_near(scenario.training.parallel.data, 1, 0);
    assert_near(scenario.training.batch_tokens, 8192, 0);
    assert_int_equal(scenario.training.parallel.recompute, RECOMPUTE_FULL);
    assert_int_equal(scenario.training.attention, ATTENTION_UNFUSED);
    assert_string_equal(scenario.training.name, "stack-megatron-2022");
    const unsigned long long expected =
        1ull << DEFAULT_KV_HEADS | 1ull << DEFAULT_HEAD_DIM | 1ull << DEFAULT_VOCAB |
        1ull << DEFAULT_TIED | 1ull << DEFAULT_CONTEXT | 1ull << DEFAULT_DATA |
        1ull << DEFAULT_SEQUENCE | 1ull << DEFAULT_ZERO | 1ull << DEFAULT_PRECISION;
    assert_true(defaults.taken == expected);
}

static void test_layout_of_a_gated_model(void **state)
{
    (void)state;
    DefaultsTaken defaults = {0};
    Scenario scenario =
        scenario_of(HEADER "new-1,,,,H100-SXM-80GB,64,4,4,2,,5,80,8192,64,,1,,,8192,1,128,none,200,"
                           "tokens_per_s_per_gpu,1000,\n",
                    &defaults);
    assert_near(scenario.model.d_ff, 22016, 0); /* 8/3 x 8192 up to a multiple of 256 */
    assert_int_equal(scenario.model.tied_embeddings, 0);
    assert_near(scenario.training.parallel.data, 2, 0);
    assert_near(scenario.training.parallel.context, 2, 0);
    assert_near(scenario.training.parallel.virtual_stages, 5, 0);
    assert_int_equal(scenario.training.parallel.schedule, SCHEDULE_INTERLEAVED);
    assert_near(scenario.hardware.node.nic_bytes_per_s, 25e9, 1);
    assert_true(default_taken(&defaults, DEFAULT_STACK)); /* a source that the tables do not know */
    assert_true(default_taken(&defaults, DEFAULT_D_FF));
    assert_true(!default_taken(&defaults, DEFAULT_NETWORK));
}

static void test_known_step_is_predicted(void **state)
{
    (void)state;
    Fixture fixture;
    assert_int_equal(validate_text(&fixture, HEADER KORTHIKANTI), STATUS_OK);
    const ValidatedRow *row = &fixture.result.rows[0];
    assert_near(row->measured, 4 * 2048 / 1.42 / 8, 1e-9);
    assert_near(row->error, row->predicted / row->measured - 1, 1e-12);
    assert_true(row->fits);
    assert_int_equal(fixture.result.summary.n, 1);
    assert_int_equal(fixture.result.group_count, GROUP_KINDS);
    assert_string_equal(fixture.result.groups[1].label, "kor22");
    release(&fixture);
}

/* A board that the name leaves open, a convention that no table names and ways that a stack of pure
 * sharding does not have are filled in and named; a card that is not in the catalogue is not. */
static void test_documented_defaults(void **state)
{
    (void)state;
    DefaultsTaken defaults = {0};
    Scenario scenario = scenario_of(
        HEADER "x-1,,torchtitan,2024,H100,64,,,,,,32,4096,32,,1,,,8192,1,64,none,,mfu,40,as they "
               "count\n",
        &defaults);
    assert_near(scenario.training.parallel.tensor, 1, 0);
    assert_near(scenario.training.parallel.pipeline, 1, 0);
    assert_near(scenario.training.parallel.data, 64, 0);
    assert_near(scenario.hardware.gpu.memory_bytes, 80 * 1073741824.0, 1);
    assert_true(default_taken(&defaults, DEFAULT_GPU));
    assert_true(default_taken(&defaults, DEFAULT_TENSOR));

    Fixture fixture;
    assert_int_equal(validate_text(&fixture, HEADER KORTHIKANTI
                                   "x-1,,torchtitan,2024,H100,64,,,,,,32,4096,32,,1,,,8192,1,64,"
                                   "none,,mfu,40,as they count\n"
                                   "x-2,,torchtitan,2024,H100-PCIe,64,,,,,,32,4096,32,,1,,,8192,1,"
                                   "64,none,,tokens_per_s_per_gpu,40,\n"),
                     STATUS_OK);
    assert_int_equal(fixture.result.row_count, 2);
    assert_true(default_taken(&fixture.result.rows[1].defaults, DEFAULT_CONVENTION));
    assert_int_equal(fixture.result.skipped_count, 1);
    assert_non_null(strstr(fixture.result.skipped[0].reason, "H100-PCIe"));
    release(&fixture);
}

/* A stack that interleaves by default: chunks of one layer, unless layers or microbatches do not
 * divide by the stages. */
static void test_unstated_virtual_stages(void **state)
{
    (void)state;
    static const struct {
        const char *batch;
        double chunks;
    } cases[] = {{"256", 7}, {"264", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        DefaultsTaken defaults = {0};
        char text[1024];
        snprintf(text, sizeof text,
                 HEADER "fold-x,,Folding,2025,H100-SXM-80GB,128,2,8,1,8,,56,6144,48,16384,1,8,2,"
                        "4096,1,%s,none,400,tokens_per_s_per_gpu,1836,\n",
                 cases[i].batch);
        const Scenario scenario = scenario_of(text, &defaults);
        assert_near(scenario.training.parallel.virtual_stages, cases[i].chunks, 0);
        assert_int_equal(default_taken(&defaults, DEFAULT_CHUNKS), cases[i].chunks > 1);
    }
}

/* A source that no line of stacks.csv names gets the practice of its year, and says so; one that
 * shards everything that of FSDP. */
static void test_unknown_stacks(void **state)
{
    (void)state;
    static const struct {
        const char *year, *zero_stage, *stack;
    } cases[] = {
        {"2020", "", "stack-unknown-2021"},          {"2021", "1", "stack-unknown-2021"},
        {"2022", "", "stack-unknown-2022"},          {"2023", "1", "stack-unknown-2023"},
        {"2024", "", "stack-unknown-2024"},          {"2027", "", "stack-unknown-2024"},
        {"2023", "3", "stack-unknown-sharded-2023"}, {"2025", "3", "stack-unknown-sharded-2024"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        DefaultsTaken defaults = {0};
        char text[1024];
        snprintf(text, sizeof text,
                 "id,source,year,zero_stage,gpu,n_gpus,tp,pp,n_layers,d_model,n_heads,seq_len,"
                 "micro_batch,global_batch_seqs,metric,value\n"
                 "x-1,A report,%s,%s,A100-SXM-80GB,64,8,1,32,4096,32,2048,1,64,"
                 "tokens_per_s_per_gpu,1000\n",
                 cases[i].year, cases[i].zero_stage);
        const Scenario scenario = scenario_of(text, &defaults);
        assert_string_equal(scenario.training.name, cases[i].stack);
        assert_true(default_taken(&defaults, DEFAULT_STACK));
    }
}

/* Neither batch nor microbatch: 4 Mi tokens in whole steps of all replicas, at least one microbatch
 * a stage. */
static void test_unstated_batch(void **state)
{
    (void)state;
    static const struct {
        const char *gpus, *pipeline, *length;
        double sequences;
    } cases[] = {{"8", "1", "2048", 2048}, {"24", "1", "2048", 2040}, {"8", "8", "4194304", 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        DefaultsTaken defaults = {0};
        char text[1024];
        snprintf(text, sizeof text,
                 "id,source,year,gpu,n_gpus,tp,pp,n_layers,d_model,n_heads,seq_len,"
                 "global_batch_seqs,metric,value\n"
                 "x-1,A report,2024,A100-SXM-80GB,%s,1,%s,32,4096,32,%s,,tokens_per_s_per_gpu,9\n",
                 cases[i].gpus, cases[i].pipeline, cases[i].length);
        const Scenario scenario = scenario_of(text, &defaults);
        const double length = scenario.training.sequence_length;
        assert_near(scenario.training.batch_tokens / length, cases[i].sequences, 0);
        assert_true(default_taken(&defaults, DEFAULT_BATCH));
        assert_true(default_taken(&defaults, DEFAULT_MICRO));
    }
}

static void expect_skip(const char *row, const char *reason)
{
    Fixture fixture;
    char text[2048];
    snprintf(text, sizeof text, "%s%s%s", HEADER, KORTHIKANTI, row);
    assert_int_equal(validate_text(&fixture, text), STATUS_OK);
    assert_int_equal(fixture.result.row_count, 1);
    assert_int_equal(fixture.result.skipped_count, 1);
    if (strstr(fixture.result.skipped[0].reason, reason) == NULL)
        fail_msg("'%s' does not say '%s'", fixture.result.skipped[0].reason, reason);
    release(&fixture);
}

#define ROW(GPUS, TP, LAYERS, D_MODEL, EXPERTS, BATCH, RECOMPUTE, METRIC, VALUE)                   \
    "x-1,,,2022,A100-SXM-80GB," GPUS "," TP ",1,,,," LAYERS "," D_MODEL ",64,24576,0," EXPERTS     \
    ",,2048,4," BATCH "," RECOMPUTE ",," METRIC "," VALUE ",\n"

static void test_skipped_with_reason(void **state)
{
    (void)state;
    expect_skip(ROW("", "8", "48", "6144", "", "4", "full", "iter_seconds", "1"), "n_gpus");
    expect_skip(ROW("8", "", "48", "6144", "", "4", "full", "iter_seconds", "1"), "tp");
    expect_skip(ROW("8", "8", "", "6144", "", "4", "full", "iter_seconds", "1"), "n_layers");
    expect_skip(ROW("8", "8", "48", "6145", "", "4", "full", "iter_seconds", "1"), "head_dim");
    expect_skip(ROW("8", "8", "48", "6144", "8", "4", "full", "iter_seconds", "1"), "top_k");
    expect_skip(ROW("8", "8", "48", "6144", "", "6", "full", "iter_seconds", "1"), "micro_batch");
    expect_skip(ROW("8", "8", "48", "6144", "", "4", "half", "iter_seconds", "1"), "half");
    expect_skip(ROW("12", "8", "48", "6144", "", "4", "full", "iter_seconds", "1"), "multiple");
    expect_skip(ROW("8", "8", "48", "6144", "", "4", "full", "days", "3"), "tokens");
    expect_skip(ROW("8", "8", "48", "6144", "", "4", "full", "tflops_per_gpu", "40"),
                "mfu_convention");
    expect_skip(ROW("8", "8", "4.5", "6144", "", "4", "full", "iter_seconds", "1"), "n_layers");
    expect_skip(ROW("8", "8", "48", "6144", "", "4", "full", "iter_seconds", "0"), "value");
    expect_skip(ROW("8", "8", "48", "six", "", "4", "full", "iter_seconds", "1"), "six");
}

/* Texts of precisions as sources write them. */
static void test_precision_words(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        Precision precision; /* of the products */
        int refused;
    } cases[] = {
        {"bf16", PRECISION_BF16, 0},      {"BF16 mixed", PRECISION_BF16, 0},
        {"fp16/bf16", PRECISION_BF16, 0}, {"FP8-CS", PRECISION_FP8, 0},
        {"bf16 + fp8", PRECISION_FP8, 0}, {"NVFP4", PRECISION_BF16, 1},
        {"something", PRECISION_BF16, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Fixture fixture;
        char text[512];
        snprintf(text, sizeof text,
                 "id,n_layers,d_model,n_heads,gpu,n_gpus,tp,pp,seq_len,global_batch_seqs,"
                 "micro_batch,precision,metric,value\n"
                 "x-1,32,4096,32,H100-SXM-80GB,8,8,1,2048,8,1,%s,iter_seconds,1\n",
                 cases[i].written);
        const Status status = validate_text(&fixture, text);
        assert_int_equal(status, cases[i].refused ? STATUS_INVALID : STATUS_OK);
        const MeasuredBase *base = NULL;
        Scenario scenario;
        DefaultsTaken defaults;
        if (!cases[i].refused) {
            const Measurement *row = fixture.result.rows[0].row;
            assert_int_equal(measured_base(&fixture.result.bases, row, &base, NULL), STATUS_OK);
            assert_int_equal(measured_scenario(base, row, &scenario, &defaults, NULL), STATUS_OK);
            assert_int_equal(scenario.training.precision, cases[i].precision);
        }
        release(&fixture);
    }
}

static void test_no_usable_row(void **state)
{
    (void)state;
    Fixture fixture;
    assert_int_equal(validate_text(&fixture, HEADER), STATUS_INVALID);
    release(&fixture);
    assert_int_equal(
        validate_text(&fixture, HEADER ROW("8", "", "48", "6144", "", "4", "", "mfu", "1")),
        STATUS_INVALID);
    assert_int_equal(fixture.result.skipped_count, 1);
    release(&fixture);
    assert_int_equal(validate_text(&fixture, "id,gpu\n1,2\n"), STATUS_INVALID);
    assert_non_null(strstr(fixture.error.message, "value"));
    release(&fixture);
}

/* Narayanan et al. 2021, equation 3 with its 175B example: h 12288, l 96, V 51200, s 2048. */
static void test_conventions(void **state)
{
    (void)state;
    const ModelSpec model = {.layers = 96,
                             .d_model = 12288,
                             .d_ff = 49152,
                             .heads = 96,
                             .kv_heads = 96,
                             .head_dim = 128,
                             .vocab_size = 51200,
                             .experts = 1,
                             .experts_per_token = 1};
    const double h = 12288, l = 96, v = 51200, s = 2048;
    const double hardware = 96 * l * h * h * (1 + s / (6 * h) + v / (16 * l * h));
    const double plain = 72 * l * h * h * (1 + s / (6 * h) + v / (12 * l * h));
    assert_near(flop_convention("megatron-hardware")(&model, s) / hardware, 1, 1e-9);
    assert_near(flop_convention("megatron")(&model, s) / plain, 1, 1e-9);
    /* With 4 h wide MLPs the whole-square count is the same sum. */
    assert_near(flop_convention("full")(&model, s) / plain, 1, 1e-9);
    assert_true(flop_convention("causal")(&model, s) < plain);
    assert_null(flop_convention("nonsense"));
}

/* Known values: |e| = 1, 2, 3, 4, 10 per cent. */
static void test_statistics(void **state)
{
    (void)state;
    double errors[] = {0.02, -0.01, 0.10, -0.04, 0.03};
    ErrorStatistics statistics = error_statistics(errors, 5);
    assert_int_equal(statistics.n, 5);
    assert_near(statistics.median_abs, 0.03, 1e-12);
    assert_near(statistics.mean_abs, 0.04, 1e-12);
    assert_near(statistics.p90_abs, 0.04 + 0.6 * 0.06, 1e-12); /* position 0.9 x 4 = 3.6 */
    assert_near(statistics.max_abs, 0.10, 1e-12);
    assert_near(statistics.bias, 0.02, 1e-12);
    assert_int_equal(error_statistics(errors, 0).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_to_scenario),
        cmocka_unit_test(test_layout_of_a_gated_model),
        cmocka_unit_test(test_known_step_is_predicted),
        cmocka_unit_test(test_documented_defaults),
        cmocka_unit_test(test_unstated_virtual_stages),
        cmocka_unit_test(test_unknown_stacks),
        cmocka_unit_test(test_unstated_batch),
        cmocka_unit_test(test_skipped_with_reason),
        cmocka_unit_test(test_precision_words),
        cmocka_unit_test(test_no_usable_row),
        cmocka_unit_test(test_conventions),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
