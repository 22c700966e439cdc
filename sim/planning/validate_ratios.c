#include "sim/planning/validate_ratios.h"

#include <stdlib.h>
#include <string.h>

#define BIT(feature) (1u << (feature))
#define WAYS                                                                                       \
    (BIT(SETUP_TENSOR) | BIT(SETUP_PIPELINE) | BIT(SETUP_CONTEXT) | BIT(SETUP_EXPERT) |            \
     BIT(SETUP_EXPERT_TENSOR) | BIT(SETUP_ZERO))
#define REPLICAS (BIT(SETUP_DATA) | BIT(SETUP_SHARDS))
#define ORDER    (BIT(SETUP_SCHEDULE) | BIT(SETUP_CHUNKS))

/* What the rows of a pair differ in (in one of these at least), and what may differ with it. */
static const struct {
    unsigned varied, with;
} KINDS[RATIO_KINDS] = {
    [RATIO_SCALING] = {BIT(SETUP_GPUS), REPLICAS | BIT(SETUP_BATCH)},
    [RATIO_LAYOUT] = {WAYS, REPLICAS | ORDER | BIT(SETUP_MICRO)},
    [RATIO_SCHEDULE] = {ORDER, 0},
    [RATIO_MICROBATCH] = {BIT(SETUP_MICRO), 0},
    [RATIO_RECOMPUTE] = {BIT(SETUP_RECOMPUTE), BIT(SETUP_MICRO)},
    [RATIO_BATCH] = {BIT(SETUP_BATCH), 0},
    [RATIO_SEQUENCE] = {BIT(SETUP_SEQUENCE), BIT(SETUP_BATCH) | BIT(SETUP_MICRO)},
    [RATIO_PRECISION] = {BIT(SETUP_PRECISION), 0},
    [RATIO_NETWORK] = {BIT(SETUP_NETWORK), 0},
};

/* All that a planner chooses once model, GPUs and batch are given. */
static const unsigned CHOSEN = WAYS | REPLICAS | ORDER | BIT(SETUP_MICRO) | BIT(SETUP_RECOMPUTE);

const char *const RATIO_KIND_NAMES[RATIO_KINDS] = {
    [RATIO_SCALING] = "scaling",     [RATIO_LAYOUT] = "layout",
    [RATIO_SCHEDULE] = "schedule",   [RATIO_MICROBATCH] = "microbatch",
    [RATIO_RECOMPUTE] = "recompute", [RATIO_BATCH] = "batch",
    [RATIO_SEQUENCE] = "sequence",   [RATIO_PRECISION] = "precision",
    [RATIO_NETWORK] = "network",
};

/* ---- groups of rows ----------------------------------------------------------------------------
 */

typedef struct Member {
    const ValidatedRow *row;
    size_t index;  /* of the row */
    unsigned free; /* features in which rows of a group may differ */
} Member;

/* What the rows of any comparison share: the table that they are from, and the job. */
static int compare_origins(const ValidatedRow *a, const ValidatedRow *b)
{
    const Measurement *x = a->row, *y = b->row;
    const double numbers[][2] = {
        {x->year, y->year},       {x->layers, y->layers},     {x->d_model, y->d_model},
        {x->heads, y->heads},     {x->kv_heads, y->kv_heads}, {x->d_ff, y->d_ff},
        {x->experts, y->experts}, {x->top_k, y->top_k},       {x->vocab, y->vocab},
    };
    int order = strcmp(x->source, y->source);
    if (order == 0)
        order = strcmp(x->locator, y->locator);
    if (order == 0)
        order = strcmp(a->stack, b->stack);
    if (order == 0)
        order = strcmp(a->hardware, b->hardware);
    for (size_t i = 0; order == 0 && i < sizeof numbers / sizeof numbers[0]; i++) {
        const double one = measured_has(numbers[i][0]) ? numbers[i][0] : -1;
        const double other = measured_has(numbers[i][1]) ? numbers[i][1] : -1;
        order = (one > other) - (one < other);
    }
    return order;
}

static int compare_setups(const ValidatedRow *a, const ValidatedRow *b, unsigned features)
{
    for (int i = 0; i < SETUP_FEATURES; i++)
        if ((features & BIT(i)) != 0 && a->setup[i] != b->setup[i])
            return a->setup[i] < b->setup[i] ? -1 : 1;
    return 0;
}

static int compare_members_of_groups(const Member *a, const Member *b)
{
    const int order = compare_origins(a->row, b->row);
    return order != 0 ? order : compare_setups(a->row, b->row, ~a->free);
}

/* Groups side by side, in them equal setups, of those the file's order. */
static int compare_members(const void *a, const void *b)
{
    const Member *x = a, *y = b;
    int order = compare_members_of_groups(x, y);
    if (order == 0)
        order = compare_setups(x->row, y->row, x->free);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static int compare_measured(const void *a, const void *b)
{
    const Member *x = a, *y = b;
    if (x->row->measured != y->row->measured)
        return x->row->measured < y->row->measured ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void sort_into_groups(const ValidationResult *result, unsigned free, Member *members)
{
    for (size_t i = 0; i < result->row_count; i++)
        members[i] = (Member){.row = &result->rows[i], .index = i, .free = free};
    if (result->row_count > 0)
        qsort(members, result->row_count, sizeof *members, compare_members);
}

static size_t group_end(const Member *members, size_t count, size_t first)
{
    size_t end = first + 1;
    while (end < count && compare_members_of_groups(&members[first], &members[end]) == 0)
        end++;
    return end;
}

/* ---- ratios ------------------------------------------------------------------------------------
 */

static int compare_pairs(const void *a, const void *b)
{
    const RatioPair *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

static size_t put_pairs(RatioKind kind, Member *group, size_t count, RatioPair *pairs)
{
    size_t found = 0;
    qsort(group, count, sizeof *group, compare_measured);
    const Member *reference = &group[(count - 1) / 2];
    for (size_t i = 0; i < count; i++) {
        const ValidatedRow *row = group[i].row;
        if (compare_setups(row, reference->row, KINDS[kind].varied) == 0)
            continue;
        RatioPair *pair = &pairs[found++];
        *pair = (RatioPair){.kind = kind,
                            .row = group[i].index,
                            .reference = reference->index,
                            .measured = row->measured / reference->row->measured,
                            .predicted = row->predicted / reference->row->predicted};
        pair->error = pair->predicted / pair->measured - 1;
    }
    return found;
}

/* Every row is in one group of each kind, so RATIO_KINDS x rows pairs are room enough. */
static void compare_by_kind(ValidationResult *result, Member *members, double *errors)
{
    for (int kind = 0; kind < RATIO_KINDS; kind++) {
        RatioPair *pairs = result->ratios + result->ratio_count;
        size_t count = 0;
        sort_into_groups(result, KINDS[kind].varied | KINDS[kind].with, members);
        for (size_t first = 0, end; first < result->row_count; first = end) {
            end = group_end(members, result->row_count, first);
            if (end - first > 1)
                count += put_pairs((RatioKind)kind, members + first, end - first, pairs + count);
        }
        if (count > 0)
            qsort(pairs, count, sizeof *pairs, compare_pairs);
        for (size_t i = 0; i < count; i++)
            errors[i] = pairs[i].error;
        result->ratio_kinds[kind] = error_statistics(errors, count);
        result->ratio_count += count;
    }
    for (size_t i = 0; i < result->ratio_count; i++)
        errors[i] = result->ratios[i].error;
    result->ratio_summary = error_statistics(errors, result->ratio_count);
}

/* ---- choices -----------------------------------------------------------------------------------
 */

static int compare_choices(const void *a, const void *b)
{
    const LayoutChoice *x = a, *y = b;
    if (x->regret != y->regret)
        return x->regret > y->regret ? -1 : 1;
    return (x->picked > y->picked) - (x->picked < y->picked);
}

/* One layout, measured once or more. */
typedef struct Measured {
    size_t index; /* of its first row */
    double measured, predicted;
} Measured;

static Measured next_layout(const Member *group, size_t count, size_t *at)
{
    const Member *first = &group[*at];
    Measured layout = {first->index, 0, first->row->predicted};
    size_t times = 0;
    for (; *at < count && compare_setups(first->row, group[*at].row, first->free) == 0; ++*at) {
        layout.measured += group[*at].row->measured;
        times++;
    }
    layout.measured /= (double)times;
    return layout;
}

static LayoutChoice choose(const Member *group, size_t count)
{
    LayoutChoice choice = {0};
    Measured picked = {0}, best = {0};
    for (size_t at = 0; at < count; choice.layouts++) {
        const Measured layout = next_layout(group, count, &at);
        if (layout.predicted > picked.predicted)
            picked = layout;
        if (layout.measured > best.measured)
            best = layout;
    }
    choice.picked = picked.index;
    choice.best = best.index;
    choice.picked_measured = picked.measured;
    choice.best_measured = best.measured;
    choice.regret = best.measured / picked.measured - 1;
    return choice;
}

static void compare_layouts(ValidationResult *result, Member *members)
{
    sort_into_groups(result, CHOSEN, members);
    for (size_t first = 0, end; first < result->row_count; first = end) {
        end = group_end(members, result->row_count, first);
        const LayoutChoice choice = choose(members + first, end - first);
        if (choice.layouts < 2)
            continue;
        result->choices[result->choice_count++] = choice;
        result->mean_regret += choice.regret;
    }
    if (result->choice_count == 0)
        return;
    result->mean_regret /= (double)result->choice_count;
    qsort(result->choices, result->choice_count, sizeof *result->choices, compare_choices);
}

Status validation_compare(ValidationResult *result, Error *error)
{
    const size_t rows = result->row_count;
    Status status = STATUS_OK;
    Member *members = malloc((rows + 1) * sizeof *members);
    double *errors = malloc((RATIO_KINDS * rows + 1) * sizeof *errors);
    result->ratios = malloc((RATIO_KINDS * rows + 1) * sizeof *result->ratios);
    result->choices = malloc((rows + 1) * sizeof *result->choices);
    if (members == NULL || errors == NULL || result->ratios == NULL || result->choices == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    } else {
        compare_by_kind(result, members, errors);
        compare_layouts(result, members);
    }
    free(members);
    free(errors);
    return status;
}
