/* Loads that the reference layer's router really produced, held against the sampler of training
 * steps. With one logit a token and expert that is the log of a popularity plus Gumbel noise, the k
 * largest are k experts drawn without replacement by popularity (Plackett 1975, Luce 1959; Gumbel
 * top-k: Kool et al., ICML 2019), which is what the sampler claims to draw. The means of many
 * layers go to load_oracle as any published table does: within 4 standard errors. */
#include "tests/unit/shipped.h"

#include "hw/calibration/moe_layer.h"
#include "sim/engine/random.h"
#include "sim/planning/load_oracle.h"

#include <math.h>

enum { LAYERS = 400, MOST_EXPERTS = 32, MOST_TEXT = 8192 };

typedef struct RoutedCase {
    double exponent; /* of a Zipf popularity; 0: uniform */
    size_t experts, top_k, tokens;
} RoutedCase;

static const RoutedCase CASES[] = {{0, 16, 2, 16},    {0, 16, 2, 256},   {0, 8, 1, 128},
                                   {0, 32, 4, 64},    {0.5, 16, 2, 256}, {1, 16, 2, 64},
                                   {1.2, 16, 1, 128}, {1, 32, 4, 128}};

enum { MAX_OVER_MEAN, MIN_OVER_MEAN, VARIATION, HIT, DROPPED, STATISTICS };
static const char *const NAMES[STATISTICS] = {"max_over_mean", "min_over_mean", "cv", "hit_experts",
                                              "drop_cf1.25"};

/* The layer that is routed: an identity as router, so that x is the logits' noise. */
typedef struct Routed {
    MoeShape shape;
    float *x, *router, *weights, bias[MOST_EXPERTS];
    MoeInputs inputs;
} Routed;

static void make_routed(const RoutedCase *each, Routed *routed)
{
    const size_t experts = each->experts;
    *routed = (Routed){.shape = {.tokens = each->tokens,
                                 .hidden = experts,
                                 .ffn = 1,
                                 .experts = experts,
                                 .top_k = each->top_k,
                                 .capacity_factor = 1.25}};
    routed->x = calloc(each->tokens * experts, sizeof(float));
    routed->router = calloc(experts * experts, sizeof(float));
    routed->weights = calloc(moe_w_in_elements(&routed->shape), sizeof(float));
    assert_true(routed->x != NULL && routed->router != NULL && routed->weights != NULL);
    for (size_t e = 0; e < experts; ++e) {
        routed->router[e * experts + e] = 1;
        routed->bias[e] = (float)(-each->exponent * log((double)e + 1));
    }
    routed->inputs = (MoeInputs){.x = routed->x,
                                 .router = routed->router,
                                 .router_bias = routed->bias,
                                 .w_in = routed->weights,
                                 .w_out = routed->weights};
}

static void free_routed(Routed *routed)
{
    free(routed->x);
    free(routed->router);
    free(routed->weights);
}

/* The quantities of one layer. */
static void route(Routed *routed, RandomStream *random, double values[STATISTICS])
{
    const MoeShape *shape = &routed->shape;
    const double rows = (double)(shape->tokens * shape->top_k);
    const double mean = rows / (double)shape->experts;
    size_t copies[MOST_EXPERTS] = {0};
    double squares = 0;
    MoeOutputs outputs = {.copies_of = copies};
    Error error;
    for (size_t i = 0; i < shape->tokens * shape->hidden; ++i)
        routed->x[i] = (float)-log(-log(fmax(random_uniform(random), 1e-300)));
    assert_int_equal(moe_reference_run(shape, &routed->inputs, &outputs, NULL, &error), STATUS_OK);
    values[MAX_OVER_MEAN] = values[HIT] = 0;
    values[MIN_OVER_MEAN] = HUGE_VAL;
    for (size_t e = 0; e < shape->experts; ++e) {
        const double load = (double)copies[e];
        values[MAX_OVER_MEAN] = fmax(values[MAX_OVER_MEAN], load / mean);
        values[MIN_OVER_MEAN] = fmin(values[MIN_OVER_MEAN], load / mean);
        values[HIT] += load > 0;
        squares += (load - mean) * (load - mean);
    }
    values[VARIATION] = sqrt(squares / (double)shape->experts) / mean;
    values[DROPPED] = (double)outputs.dropped / rows;
}

/* Lines of a table of the means, as the oracle reads them. */
static size_t put_case(const RoutedCase *each, size_t number, char *text, size_t text_bytes)
{
    Routed routed;
    RandomStream random = random_stream(5, "routed loads", number);
    double sums[STATISTICS] = {0}, squares[STATISTICS] = {0};
    size_t length = 0;
    make_routed(each, &routed);
    for (int layer = 0; layer < LAYERS; ++layer) {
        double values[STATISTICS];
        route(&routed, &random, values);
        for (int s = 0; s < STATISTICS; ++s) {
            sums[s] += values[s] / LAYERS;
            squares[s] += values[s] * values[s] / LAYERS;
        }
    }
    free_routed(&routed);
    for (int s = 0; s < STATISTICS; ++s) {
        const double variance = fmax(0, squares[s] - sums[s] * sums[s]);
        if (sums[s] < 1e-3) /* a rare event, of which so few layers show no error */
            continue;
        length += (size_t)snprintf(
            text + length, text_bytes - length, "%s,%g,%zu,%zu,%zu,%s,%.9g,%.9g,%d\n",
            each->exponent > 0 ? "zipf" : "uniform", each->exponent, each->experts, each->top_k,
            each->tokens, NAMES[s], sums[s], sqrt(variance / LAYERS), LAYERS);
        assert_true(length < text_bytes);
    }
    return length;
}

static void the_sampler_draws_what_the_router_chooses(void **state)
{
    (void)state;
    static char text[MOST_TEXT];
    CsvTable table = {0};
    LoadOracle oracle;
    Error error = {0};
    const ForecastOptions options = {.seed = 1, .reps = 1, .threads = 1};
    size_t length = (size_t)snprintf(text, sizeof text,
                                     "model,param,experts,top_k,tokens,quantity,methodB,seB,nB\n");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; ++i)
        length += put_case(&CASES[i], i, text + length, sizeof text - length);
    if (csv_read_text("routed", text, length, &table, &error) != STATUS_OK ||
        load_oracle_run(&table, &options, &oracle, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(oracle.skipped_count, 0);
    assert_true(oracle.row_count >= 30);
    for (size_t i = 0; i < oracle.row_count; ++i)
        if (!oracle.rows[i].ok)
            fail_msg("%s: the router %g, the sampler %g, %.1f standard errors apart",
                     oracle.rows[i].id, oracle.rows[i].measured, oracle.rows[i].predicted,
                     oracle.rows[i].apart);
    load_oracle_free(&oracle);
    csv_free(&table);
}

/* A router whose choice is not the sampler's is noticed: without noise between tokens, or with
 * another popularity. */
static void another_router_is_noticed(void **state)
{
    (void)state;
    static char text[MOST_TEXT];
    CsvTable table = {0};
    LoadOracle oracle;
    Error error = {0};
    const ForecastOptions options = {.seed = 1, .reps = 1, .threads = 1};
    const RoutedCase steep = {1.1, 16, 2, 256};
    size_t length = (size_t)snprintf(text, sizeof text,
                                     "model,param,experts,top_k,tokens,quantity,methodB,seB,nB\n");
    length += put_case(&steep, 0, text + length, sizeof text - length);
    for (char *found = text; (found = strstr(found, "zipf,1.1,")) != NULL; ++found)
        memcpy(found, "zipf,1.0,", 9);
    assert_int_equal(csv_read_text("routed", text, length, &table, &error), STATUS_OK);
    assert_int_equal(load_oracle_run(&table, &options, &oracle, &error), STATUS_OK);
    assert_true(oracle.not_ok >= 2);
    load_oracle_free(&oracle);
    csv_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sampler_draws_what_the_router_chooses),
        cmocka_unit_test(another_router_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
