/* Prices: the offer that counts, what owning costs by hand, lines that add up. */
#include "hw/price.h"
#include "sim/training/run_cost.h"
#include "tests/unit/shipped.h"

#include <math.h>

static const double HOUR_S = 3600, YEAR_S = 365 * 86400.0;

static PriceSpec table_of_three(void)
{
    return (PriceSpec){.basis = PRICE_TABLE,
                       .rent_quantile = 0.5,
                       .rent = {.offer_count = 3,
                                .offers = {{.year = 2022,
                                            .contract = CONTRACT_ON_DEMAND,
                                            .low_usd = 1,
                                            .median_usd = 3,
                                            .high_usd = 4},
                                           {.year = 2024,
                                            .contract = CONTRACT_ON_DEMAND,
                                            .low_usd = 0.5,
                                            .median_usd = 2,
                                            .high_usd = 3.5},
                                           {.year = 2023,
                                            .contract = CONTRACT_RESERVED_3Y,
                                            .low_usd = 0.4,
                                            .median_usd = 1.5,
                                            .high_usd = 2}}}};
}

static void test_the_offer_nearest_in_time_counts(void **state)
{
    (void)state;
    const struct {
        double year, expected;
        Contract contract;
    } cases[] = {
        {2022, 3, CONTRACT_ON_DEMAND},     {2024, 2, CONTRACT_ON_DEMAND},
        {2030, 2, CONTRACT_ON_DEMAND},     {2001, 3, CONTRACT_ON_DEMAND},
        {2023, 3, CONTRACT_ON_DEMAND}, /* as near: the earlier */
        {0, 2, CONTRACT_ON_DEMAND},    /* the latest */
        {2022, 1.5, CONTRACT_RESERVED_3Y},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        PriceSpec prices = table_of_three();
        prices.year = cases[i].year;
        prices.contract = cases[i].contract;
        const RentOffer *offer = price_offer(&prices);
        assert_non_null(offer);
        assert_near(offer->median_usd, cases[i].expected, 0);
    }
    PriceSpec prices = table_of_three();
    prices.contract = CONTRACT_SPOT;
    assert_null(price_offer(&prices));
}

static void test_quantiles_lie_between_sellers(void **state)
{
    (void)state;
    const PriceSpec prices = table_of_three();
    const double expected[][2] = {{0, 1}, {0.25, 2}, {0.5, 3}, {0.75, 3.5}, {1, 4}};
    for (size_t i = 0; i < 5; i++)
        assert_near(price_of_offer_usd(&prices.rent.offers[0], expected[i][0]), expected[i][1],
                    1e-12);
}

/* Two nodes of $365,000 for five years, a fifth of all for network, half used, $3,650 of storage.
 */
static Scenario owned_scenario(void)
{
    Scenario scenario = {0};
    scenario.hardware.gpus = 16;
    scenario.hardware.node.gpus = 8;
    scenario.hardware.node.power_w = 10e3;
    scenario.prices = (PriceSpec){.basis = PRICE_OWNED,
                                  .energy_included = 1, /* of a rent: not of one's own machines */
                                  .energy_usd_per_j = 0.1 / 3.6e6,
                                  .pue = 1.5,
                                  .own = {.node_usd = 365e3,
                                          .network_share = 0.2,
                                          .storage_bytes = 3.65e12,
                                          .storage_usd_per_byte = 1e-9,
                                          .useful_s = 5 * YEAR_S,
                                          .residual = 0.1,
                                          .utilisation = 0.5,
                                          .staff_usd_per_hour = 30}};
    return scenario;
}

static void test_owning_by_hand(void **state)
{
    (void)state;
    Scenario scenario = owned_scenario();
    const PriceRates rates = price_rates(&scenario);
    /* 365,000 x 0.9 / 5 years = $180 a day, for half of the days: $360 = $15/h, over 8 GPUs */
    assert_near(rates.gpus * HOUR_S, 15.0 / 8, 1e-12);
    /* the network of one node: 365,000 x 0.2 / 0.8 = 91,250: $50 a day, $100 when used by half */
    assert_near(rates.network * HOUR_S, 100.0 / 24, 1e-12);
    assert_near(rates.storage * HOUR_S, 4.0 / 24, 1e-12);
    assert_near(rates.staff * HOUR_S, 60, 1e-12);
    assert_near(rates.energy * HOUR_S, 10 * 1.5 * 0.1, 1e-12);
    const double all = 16 * 15.0 / 8 + 2 * 100.0 / 24 + 4.0 / 24 + 60;
    assert_near(16 * price_gpu_hour_usd(&scenario, 16), all, 1e-9);

    /* 8% a year on the mean book value of the node, 365,000 x 1.1 / 2 = 200,750 */
    scenario.prices.own.capital_per_s = 0.08 / YEAR_S;
    assert_near((price_rates(&scenario).gpus - rates.gpus) * 8 * YEAR_S, 0.08 * 200750 / 0.5, 1e-6);
}

static void test_lines_add_up_and_lost_time_is_failures(void **state)
{
    (void)state;
    Scenario scenario = owned_scenario();
    scenario.reliability.spares.nodes = 1;
    const double wall_s = 100 * HOUR_S, useful_s = 75 * HOUR_S;
    const PaidTime paid = {.wall_s = wall_s,
                           .gpu_s = 16 * wall_s,
                           .node_s = 2 * wall_s,
                           .useful_gpu_s = 16 * useful_s,
                           .useful_node_s = 2 * useful_s,
                           .useful_s = useful_s};
    const RunCost cost = run_cost(&scenario, &paid);
    assert_near(cost.gpus_usd + cost.network_usd + cost.facility_usd + cost.storage_usd +
                    cost.energy_usd + cost.staff_usd + cost.failures_usd,
                cost.usd, 0);
    const double node = 15 + 100.0 / 24 + 1.5, cluster = 60 + 4.0 / 24;
    assert_near(cost.usd, 100 * (3 * node + cluster), 1e-8);
    assert_near(cost.spares_usd, 100 * node, 1e-9);
    assert_near(cost.failures_usd, 25 * (2 * node + cluster) + 100 * node, 1e-8);
    assert_near(cost.energy_j / 3.6e6, 3 * 100 * 15, 1e-9);
}

static void test_shipped_tables_are_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {"rent-v100", "rent-a100-40g", "rent-a100-80g", "rent-h100",
                                        "rent-h200"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const Scenario part = shipped_part("hw", names[i]);
        assert_true(part.prices.rent.offer_count > 0);
        for (size_t j = 0; j < part.prices.rent.offer_count; j++) {
            const RentOffer *offer = &part.prices.rent.offers[j];
            assert_true(offer->low_usd > 0 && offer->low_usd <= offer->median_usd &&
                        offer->median_usd <= offer->high_usd);
        }
    }
    /* Longer contracts of one year are cheaper: A100 80 GB, 2022. */
    Scenario a100 = shipped_part("hw", "rent-a100-80g");
    a100.prices.year = 2022;
    double before = HUGE_VAL;
    for (int contract = CONTRACT_ON_DEMAND; contract <= CONTRACT_RESERVED_3Y; contract++) {
        a100.prices.contract = (Contract)contract;
        const double usd = price_offer(&a100.prices)->median_usd;
        assert_true(usd < before);
        before = usd;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_offer_nearest_in_time_counts),
        cmocka_unit_test(test_quantiles_lie_between_sellers),
        cmocka_unit_test(test_owning_by_hand),
        cmocka_unit_test(test_lines_add_up_and_lost_time_is_failures),
        cmocka_unit_test(test_shipped_tables_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
