#include "sim/training/sharding.h"

#include <stddef.h>

/* The backward of `unit`, whose neighbours are known now: beside it pass the gather of the one
 * before and the reduction of the one after. */
static double exposed_backward(const ShardingSum *sum, const ShardedUnit *before,
                               const ShardedUnit *unit, const ShardedUnit *after)
{
    double beside_s = 0.0;
    if (sum->overlap_gather != 0 && before != NULL)
        beside_s += before->gather_s;
    if (sum->overlap_reduce != 0 && after != NULL)
        beside_s += after->reduce_s;
    return overlap_exposed_s(sum->rates, unit->backward_s, beside_s);
}

void sharding_begin(ShardingSum *sum, int overlap_gather, int overlap_reduce, StreamRates rates)
{
    sum->overlap_gather = overlap_gather;
    sum->overlap_reduce = overlap_reduce;
    sum->rates = rates;
    sum->units = 0;
    sum->forward_s = sum->backward_s = 0.0;
}

void sharding_add(ShardingSum *sum, const ShardedUnit *unit)
{
    const ShardedUnit *before = sum->units > 0 ? &sum->last : NULL;
    if (sum->overlap_gather == 0 || before == NULL)
        sum->forward_s += unit->gather_s;
    else
        sum->forward_s += overlap_exposed_s(sum->rates, before->forward_s, unit->gather_s);

    sum->forward_s += unit->gather_copies_s;
    sum->backward_s += unit->gather_copies_s + unit->reduce_copies_s;

    /* In the backward the gather of the last unit and the reduction of the first have nothing
     * beside them: they are added at the end and here. */
    if (sum->overlap_gather == 0)
        sum->backward_s += unit->gather_s;
    if (sum->overlap_reduce == 0 || before == NULL)
        sum->backward_s += unit->reduce_s;
    if (before != NULL)
        sum->backward_s +=
            exposed_backward(sum, sum->units > 1 ? &sum->before_last : NULL, before, unit);
    sum->before_last = sum->last;
    sum->last = *unit;
    sum->units++;
}

double sharding_forward_s(const ShardingSum *sum)
{
    return sum->forward_s;
}

double sharding_backward_s(const ShardingSum *sum)
{
    if (sum->units == 0)
        return 0.0;
    const double first_gather_s = sum->overlap_gather != 0 ? sum->last.gather_s : 0.0;
    const ShardedUnit *before = sum->units > 1 ? &sum->before_last : NULL;
    return sum->backward_s + first_gather_s + exposed_backward(sum, before, &sum->last, NULL);
}
