/* ZeRO-3's exposed communication: the closed form against a simulation of the two streams, and its
 * limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/training/sharding.h"

#include <math.h>

enum { MOST_UNITS = 12 };

static void assert_close(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-9 * fmax(1.0, fabs(expected))))
        fail_msg("%.17g, expected %.17g", got, expected);
}

static unsigned long long state_of_random = 88172645463325252ULL;

static double uniform(void)
{
    state_of_random ^= state_of_random << 13;
    state_of_random ^= state_of_random >> 7;
    state_of_random ^= state_of_random << 17;
    return (double)(state_of_random >> 11) * 0x1p-53;
}

/* The computing stream and the wires, one unit after the other. The wires may start on the next
 * gather when the unit before starts to compute (one layer of prefetch). */
static double forward_time(const ShardedUnit *units, int count)
{
    double computed = 0.0, gathered = 0.0, started = 0.0;
    for (int i = 0; i < count; i++) {
        gathered = fmax(gathered, started) + units[i].gather_s;
        started = fmax(computed, gathered);
        computed = started + units[i].forward_s;
    }
    return computed;
}

/* Backward: when a unit starts, the gather of the one before it and the reduction of the one after
 * it go over the wires in this order; the next unit starts when both and the computation are done
 * (one reduction in flight). */
static double backward_time(const ShardedUnit *units, int count)
{
    double now = units[count - 1].gather_s;
    for (int i = count - 1; i >= 0; i--) {
        double wires = now;
        if (i > 0)
            wires += units[i - 1].gather_s;
        if (i + 1 < count)
            wires += units[i + 1].reduce_s;
        now = fmax(now + units[i].backward_s, wires);
    }
    return now + units[0].reduce_s;
}

static ShardingSum sum_of(const ShardedUnit *units, int count, int gather, int reduce)
{
    ShardingSum sum = {.overlap_gather = gather, .overlap_reduce = reduce};
    for (int i = 0; i < count; i++)
        sharding_add(&sum, &units[i]);
    return sum;
}

static void against_two_streams(void **state)
{
    (void)state;
    for (int trial = 0; trial < 2000; trial++) {
        ShardedUnit units[MOST_UNITS];
        const int count = 1 + (int)(uniform() * (MOST_UNITS - 1));
        const double slow = 3.0 * uniform();
        double forward_s = 0.0, backward_s = 0.0;
        for (int i = 0; i < count; i++) {
            units[i] = (ShardedUnit){.forward_s = uniform(),
                                     .backward_s = 2.0 * uniform(),
                                     .gather_s = slow * uniform(),
                                     .reduce_s = slow * uniform()};
            forward_s += units[i].forward_s;
            backward_s += units[i].backward_s;
        }
        const ShardingSum sum = sum_of(units, count, 1, 1);
        assert_close(sharding_forward_s(&sum), forward_time(units, count) - forward_s);
        assert_close(sharding_backward_s(&sum), backward_time(units, count) - backward_s);
    }
}

/* Equal layers: what shows is one gather and one reduction when the computation is longer, and what
 * is left over of each layer's communication when it is shorter. */
static void equal_layers(void **state)
{
    (void)state;
    ShardedUnit units[MOST_UNITS];
    for (int i = 0; i < MOST_UNITS; i++)
        units[i] =
            (ShardedUnit){.forward_s = 1.0, .backward_s = 2.0, .gather_s = 0.5, .reduce_s = 0.75};
    ShardingSum sum = sum_of(units, MOST_UNITS, 1, 1);
    assert_close(sharding_forward_s(&sum), 0.5);
    assert_close(sharding_backward_s(&sum), 0.5 + 0.75);
    for (int i = 0; i < MOST_UNITS; i++)
        units[i].gather_s = 3.0;
    sum = sum_of(units, MOST_UNITS, 1, 1);
    assert_close(sharding_forward_s(&sum), 3.0 + 11 * 2.0);
}

static void without_overlap(void **state)
{
    (void)state;
    ShardedUnit units[MOST_UNITS];
    double gather_s = 0.0, reduce_s = 0.0;
    for (int i = 0; i < MOST_UNITS; i++) {
        units[i] = (ShardedUnit){.forward_s = 1.0,
                                 .backward_s = 2.0,
                                 .gather_s = 0.1 + 0.01 * i,
                                 .reduce_s = 0.2 + 0.03 * i};
        gather_s += units[i].gather_s;
        reduce_s += units[i].reduce_s;
    }
    ShardingSum sum = sum_of(units, MOST_UNITS, 0, 0);
    assert_close(sharding_forward_s(&sum), gather_s);
    assert_close(sharding_backward_s(&sum), gather_s + reduce_s);
    sum = sum_of(units, MOST_UNITS, 0, 1);
    assert_close(sharding_backward_s(&sum), gather_s + units[0].reduce_s);
    sum = sum_of(units, MOST_UNITS, 1, 0);
    assert_close(sharding_backward_s(&sum), reduce_s + units[MOST_UNITS - 1].gather_s);
    sum = (ShardingSum){0};
    assert_close(sharding_backward_s(&sum), 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_two_streams),
        cmocka_unit_test(equal_layers),
        cmocka_unit_test(without_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
