/* Flows that share links: closed forms, and what every max-min fair sharing must obey. */
#include "sim/network/flows.h"

#include "sim/engine/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tests/unit/shipped.h"

static FlowNetwork *network_of(const double *bytes_per_s, size_t links)
{
    FlowNetwork *network = NULL;
    Error error = {0};
    assert_int_equal(flows_create(bytes_per_s, links, &network, &error), STATUS_OK);
    return network;
}

static void start(FlowNetwork *network, double start_s, double bytes, size_t from, size_t to,
                  uint64_t tag)
{
    Error error = {0};
    const size_t links[FLOW_LINKS] = {from, to};
    assert_int_equal(flows_start(network, start_s, bytes, links, tag, &error), STATUS_OK);
}

static double end_next(FlowNetwork *network, uint64_t *tag)
{
    double at_s = 0;
    for (;;) {
        at_s = flows_next_s(network);
        assert_true(at_s < HUGE_VAL);
        if (flows_end_next(network, at_s, tag))
            return at_s;
    }
}

static void one_flow_takes_bytes_over_the_narrower_link(void **state)
{
    const double links[] = {100, 40};
    FlowNetwork *network = network_of(links, 2);
    uint64_t tag;
    (void)state;
    start(network, 3, 80, 0, 1, 7);
    assert_near(flows_next_s(network), 3, 0);
    assert_int_equal(flows_end_next(network, 4.9, &tag), 0);
    assert_near(end_next(network, &tag), 5, 1e-12);
    assert_int_equal(tag, 7);
    assert_near(flows_link_bytes(network, 0), 80, 1e-9);
    assert_near(flows_link_bytes(network, 1), 80, 1e-9);
    assert_true(flows_next_s(network) == HUGE_VAL);
    flows_destroy(network);
}

/* Two into one port take twice as long; what one leaves over, the other takes. */
static void flows_share_a_port(void **state)
{
    const double links[] = {10, 10, 10};
    FlowNetwork *network = network_of(links, 3);
    uint64_t tag;
    (void)state;
    start(network, 0, 50, 0, 2, 0);
    start(network, 0, 50, 1, 2, 1);
    assert_near(end_next(network, &tag), 10, 1e-12);
    assert_int_equal(tag, 0); /* of two at once the first */
    assert_near(end_next(network, &tag), 10, 1e-12);
    /* 30 bytes alone for 2 s, then shared: 5/s until one of them is through. */
    start(network, 10, 40, 0, 2, 2);
    start(network, 12, 5, 1, 2, 3);
    assert_near(end_next(network, &tag), 13, 1e-12);
    assert_int_equal(tag, 3);
    assert_near(end_next(network, &tag), 14.5, 1e-12); /* 40 - 20 - 5 = 15 at 10/s */
    flows_destroy(network);
}

/* The textbook case: A over a narrow and a wide link, B over the narrow one, C over the wide one.
 * The narrow link gives A and B half each; C has all that A leaves of the wide one. */
static void shares_are_max_min_fair(void **state)
{
    const double links[] = {2, 10};
    FlowNetwork *network = network_of(links, 2);
    uint64_t tag;
    (void)state;
    start(network, 0, 100, 0, 1, 0);
    start(network, 0, 100, 0, 0, 1);
    start(network, 0, 90, 1, 1, 2);
    assert_near(end_next(network, &tag), 10, 1e-12); /* C at 9/s */
    assert_int_equal(tag, 2);
    assert_near(end_next(network, &tag), 100, 1e-9);
    flows_destroy(network);
}

static void links_without_limit_take_no_time(void **state)
{
    const double links[] = {HUGE_VAL, HUGE_VAL};
    FlowNetwork *network = network_of(links, 2);
    uint64_t tag;
    (void)state;
    start(network, 2, 1e18, 0, 1, 0);
    start(network, 2, 0, 0, 1, 1);
    assert_near(end_next(network, &tag), 2, 0);
    assert_near(end_next(network, &tag), 2, 0);
    assert_int_equal(flows_count(network), 0);
    flows_destroy(network);
    const double dead = 0;
    Error error = {0};
    assert_int_equal(flows_create(&dead, 1, &network, &error), STATUS_INVALID);
}

/* Random flows: no link moves more than it can, every byte arrives, time never goes back. */
static void nothing_is_lost_and_no_link_is_overrun(void **state)
{
    enum { LINKS = 7, FLOWS = 3000 };
    double links[LINKS], sent[LINKS] = {0};
    RandomStream stream = random_stream(5, "flows", 0);
    (void)state;
    for (size_t i = 0; i < LINKS; i++)
        links[i] = 1 + 9 * random_uniform(&stream);
    FlowNetwork *network = network_of(links, LINKS);
    double now_s = 0, last_s = 0;
    size_t ended = 0;
    uint64_t tag;
    for (size_t i = 0; i < FLOWS; i++) {
        const size_t from = (size_t)(3 * random_uniform(&stream));
        const size_t to = 3 + (size_t)(4 * random_uniform(&stream));
        const double bytes = 10 * random_exponential(&stream);
        now_s += random_exponential(&stream);
        while (flows_end_next(network, now_s, &tag))
            ended++;
        start(network, now_s, bytes, from, to, i);
        sent[from] += bytes;
        sent[to] += bytes;
        for (size_t j = 0; j < LINKS; j++)
            assert_true(flows_link_bytes(network, j) <= links[j] * now_s * (1 + 1e-9));
    }
    while (flows_count(network) > 0) {
        const double at_s = end_next(network, &tag);
        assert_true(at_s >= last_s);
        last_s = at_s;
        ended++;
    }
    assert_int_equal(ended, FLOWS);
    for (size_t j = 0; j < LINKS; j++)
        assert_near(flows_link_bytes(network, j), sent[j], 1e-6 * sent[j]);
    flows_destroy(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_flow_takes_bytes_over_the_narrower_link),
        cmocka_unit_test(flows_share_a_port),
        cmocka_unit_test(shares_are_max_min_fair),
        cmocka_unit_test(links_without_limit_take_no_time),
        cmocka_unit_test(nothing_is_lost_and_no_link_is_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
