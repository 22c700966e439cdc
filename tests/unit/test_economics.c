/* Power, money and energy of a served load: closed forms, and published power. */
#include "tests/unit/serving_scenario.h"

#include "configs/reader/csv.h"
#include "hw/price.h"
#include "models/architecture.h"
#include "sim/serving/economics.h"
#include "sim/serving/replica.h"
#include "tests/unit/shipped.h"

#include <math.h>

static void power_is_linear_up_to_the_limit(void **state)
{
    const GpuSpec gpu = {.tdp_w = 400,
                         .power = {.idle = 0.1, .active = 0.3, .memory = 0.7, .compute = 1}};
    (void)state;
    assert_near(power_gpu_w(&gpu, &(GpuUse){0}), 40, 1e-9);
    assert_near(power_gpu_w(&gpu, &(GpuUse){1, 0, 0}), 120, 1e-9);
    assert_near(power_gpu_w(&gpu, &(GpuUse){1, 0.5, 0.1}), 400 * (0.3 + 0.35 + 0.1), 1e-9);
    assert_near(power_gpu_w(&gpu, &(GpuUse){1, 1, 1}), 400, 1e-9);
    /* Half the time the same work, half the time nothing. */
    assert_near(power_gpu_w(&gpu, &(GpuUse){0.5, 0.25, 0.05}), (300.0 + 40) / 2, 1e-9);
    assert_near(power_gpu_w(&gpu, &(GpuUse){0.5, 1, 1}), (400.0 + 40) / 2, 1e-9);
}

static void a_cluster_draws_boards_hosts_and_cooling(void **state)
{
    Scenario scenario;
    const GpuUse use = {1, 0.5, 0};
    (void)state;
    serving_scenario(&scenario);
    assert_near(power_grid_w(&scenario, 16, &use), 2 * 5000 * 1.2, 1e-6); /* no fit: as rated */
    scenario.hardware.gpu.power = (PowerFit){.active = 0.25, .memory = 0.5};
    /* 5 kW less 8 boards of 400 W: 1.8 kW of host a node. */
    assert_near(power_grid_w(&scenario, 16, &use), 1.2 * (2 * 1800 + 16 * 200), 1e-6);
}

static void money_and_energy_follow_their_rule(void **state)
{
    Scenario scenario;
    Economics economics;
    const ServedLoad load = {.gpus = 8,
                             .use = {0.5, 0.25, 0.1},
                             .input_share = 0.2,
                             .input_tokens_per_s = 900,
                             .output_tokens_per_s = 100};
    (void)state;
    serving_scenario(&scenario);
    scenario.hardware.gpu.power = (PowerFit){.active = 0.3, .memory = 0.7, .compute = 1};
    scenario.prices.list_per_1k_input_usd = 0.03;
    scenario.prices.list_per_1k_output_usd = 0.06;
    economics_of(&scenario, &load, &economics);
    assert_near(economics.usd_per_hour, 8, 1e-9); /* $1 an hour, energy included */
    assert_near(economics.usd_per_1k_tokens, 8.0 / 3600, 1e-12);
    assert_near(economics.usd_per_1m_input, 1e6 * 0.2 * 8 / 3600 / 900, 1e-9);
    assert_near(economics.usd_per_1m_output, 1e6 * 0.8 * 8 / 3600 / 100, 1e-9);
    /* What both kinds pay is what the cluster costs; likewise joules. */
    assert_near((economics.usd_per_1m_input * 900 + economics.usd_per_1m_output * 100) * 3600e-6, 8,
                1e-9);
    assert_near(economics.joules_per_input_token * 900 + economics.joules_per_output_token * 100,
                economics.watts, 1e-6);
    assert_near(economics.joules_per_token, economics.watts / 1000, 1e-9);
    /* $0.027 + $0.006 a second at the list price. */
    assert_near(economics.list_usd_per_hour, 0.033 * 3600, 1e-9);
    assert_near(economics.margin, 1 - 8 / (0.033 * 3600), 1e-12);
    assert_true(economics.idle_watts < economics.watts);

    /* Energy paid apart: as much as is drawn, idle less than busy. */
    scenario.prices.energy_included = 0;
    scenario.prices.energy_usd_per_j = 0.1 / 3.6e6;
    economics_of(&scenario, &load, &economics);
    assert_near(economics.usd_per_hour, 8 + economics.watts / 1000 * 0.1, 1e-9);
    assert_near(economics.idle_usd_per_hour, 8 + economics.idle_watts / 1000 * 0.1, 1e-9);
    /* Twice the rate: the rent is shared by twice the tokens. */
    scenario.prices.energy_usd_per_j = 0;
    economics_of(&scenario, &load, &economics);
    assert_near(economics_usd_per_1k_at(&scenario, &load, 2), economics.usd_per_1k_tokens / 2,
                1e-12);
}

static void ignore(void *context, const QueuedRequest *request, double now_s)
{
    (void)context;
    (void)request;
    (void)now_s;
}

/* One request of one prompt token and `output` answers: the weights of a dense model pass memory
 * once an iteration, beside little KV. */
static void replicas_count_what_they_read(void **state)
{
    Scenario scenario;
    Replica *replica = NULL;
    Error error = {0};
    const LaneSink sink = {.finished = ignore};
    const QueuedRequest request = {.first_s = -1, .prompt = 1, .output = 50};
    (void)state;
    serving_scenario(&scenario);
    scenario.model.experts = scenario.model.experts_per_token = 1;
    scenario.serving.kv_block_tokens = 16;
    scenario.model.kv_heads = 8; /* one a rank: nothing is kept twice */
    assert_int_equal(replica_create(&scenario, &sink, 0, &replica, &error), STATUS_OK);
    assert_int_equal(replica_offer(replica, &request, &error), STATUS_OK);
    assert_int_equal(replica_advance(replica, HUGE_VAL, &error), STATUS_OK);
    const ReplicaCounters counters = replica_counters(replica);
    const double weights = 2 * model_parameters(&scenario.model).total;
    const double embedding = 2 * scenario.model.vocab_size * scenario.model.d_model;
    const double iterations = 50;
    assert_near(counters.iterations, iterations, 0);
    assert_near(counters.bytes / (iterations * (weights - embedding)), 1, 0.01);
    replica_destroy(replica);
}

typedef struct PowerErrors {
    double errors[64];
    size_t count;
} PowerErrors;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double column(const CsvTable *table, const CsvRow *row, const char *name)
{
    double value = nan("");
    const int at = csv_column(table, name);
    assert_true(at >= 0);
    assert_true(csv_number(row->cells[at].text, &value));
    return value;
}

/* Average power of a board over one prompt pass and the answer behind it, at the measured times:
 * the weights pass memory once a step, a token takes 2 FLOPs for each parameter. */
static double predicted_power(const Scenario *scenario, const CsvTable *table, const CsvRow *row)
{
    const ModelSpec *model = &scenario->model;
    const GpuSpec *gpu = &scenario->hardware.gpu;
    const double gpus = column(table, row, "gpus"), sequences = column(table, row, "sequences");
    const double prompt = column(table, row, "prompt_tokens");
    const double output = column(table, row, "output_tokens");
    const double seconds = column(table, row, "prompt_s") + output * column(table, row, "token_s");
    const double parameters = model_parameters(model).total;
    const double kv = 2 * 2 * model->layers * model->kv_heads * model->head_dim;
    const double bytes =
        2 * parameters * (1 + output) + kv * sequences * output * (prompt + output / 2);
    const double flops = 2 * parameters * sequences * (prompt + output);
    const GpuUse use = {1, bytes / gpus / seconds / gpu->memory_bytes_per_s,
                        flops / gpus / seconds / gpu->peak_bf16_flops_per_s};
    return power_gpu_w(gpu, &use) / gpu->tdp_w;
}

static void published_power_is_predicted(void **state)
{
    CsvTable table;
    Error error = {0};
    PowerErrors pool = {.count = 0}, held_back = {.count = 0};
    Scenario *scenario = calloc(1, sizeof *scenario);
    (void)state;
    assert_non_null(scenario);
    assert_int_equal(csv_read("configs/measurements/power.csv", &table, &error), STATUS_OK);
    for (size_t i = 0; i < table.row_count; i++) {
        const CsvRow *row = &table.rows[i];
        const char *split = row->cells[csv_column(&table, "split")].text;
        PowerErrors *to = strcmp(split, "pool") == 0         ? &pool
                          : strcmp(split, "validation") == 0 ? &held_back
                                                             : NULL;
        if (to == NULL)
            continue;
        scenario->model = shipped_model(row->cells[csv_column(&table, "model")].text);
        scenario->hardware.gpu = shipped_hardware("a100-80g-hdr").gpu;
        to->errors[to->count++] =
            fabs(predicted_power(scenario, &table, row) / column(&table, row, "average_power") - 1);
    }
    assert_int_equal(pool.count, 30);
    assert_int_equal(held_back.count, 11);
    qsort(pool.errors, pool.count, sizeof *pool.errors, by_value);
    qsort(held_back.errors, held_back.count, sizeof *held_back.errors, by_value);
    print_message("power: median error %.1f%% fitted, %.1f%% held back (worst %.1f%%)\n",
                  100 * pool.errors[15], 100 * held_back.errors[5], 100 * held_back.errors[10]);
    assert_true(pool.errors[15] < 0.035);
    assert_true(held_back.errors[5] < 0.035);
    assert_true(held_back.errors[10] < 0.15);
    csv_free(&table);
    free(scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_is_linear_up_to_the_limit),
        cmocka_unit_test(a_cluster_draws_boards_hosts_and_cooling),
        cmocka_unit_test(money_and_energy_follow_their_rule),
        cmocka_unit_test(replicas_count_what_they_read),
        cmocka_unit_test(published_power_is_predicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
