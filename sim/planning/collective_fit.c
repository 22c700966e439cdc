#include "sim/planning/collective_fit.h"

#include <gsl/gsl_blas.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Errors up to about this count by their squares, larger ones by their size. */
static const double robust_log_error = 0.03;
/* Pull of a parameter to its start, in shares of one row: keeps what the rows do not tell finite.
 */
static const double pull = 0.02;
enum { WEIGHT_ROUNDS = 12, MOST_ITERATIONS = 60, LEAST_ROWS = 5 };
static const double x_tolerance = 1e-8, g_tolerance = 1e-8, f_tolerance = 1e-10;

/* Where to look for the longest short message: between the sizes of which tables are made. */
static const double shortest_switch_bytes = 65536, longest_switch_bytes = 8388608;

/* ---- what is fitted ----------------------------------------------------------------------------
 */

typedef struct Parameter {
    const char *key;
    size_t offset; /* in a HardwareSpec */
    double start;  /* SI */
    double most;   /* SI */
    double unit;   /* SI of one `suffix` */
    const char *suffix;
} Parameter;

typedef struct Unit {
    const char *group, *mode;
    CollectiveKind kind;
    int across;
    size_t switch_offset; /* of the longest short message; 0: none is sought */
    size_t parameter_count;
    Parameter parameters[FIT_UNIT_PARAMETERS];
} Unit;

#define AT(member) offsetof(HardwareSpec, member)
#define US(KEY, AT_MEMBER, START)                                                                  \
    {                                                                                              \
        KEY, AT_MEMBER, (START)*1e-6, 1, 1e-6, "us"                                                \
    }
#define GB(KEY, AT_MEMBER, START)                                                                  \
    {                                                                                              \
        KEY, AT_MEMBER, (START)*1e9, 1e15, 1e9, "GB/s"                                             \
    }
#define CHUNK(KEY, AT_MEMBER, START)                                                               \
    {                                                                                              \
        KEY, AT_MEMBER, (START)*1e-15, 1, 1e-15, "us2/kB"                                          \
    }
#define SHARE(KEY, AT_MEMBER, START)                                                               \
    {                                                                                              \
        KEY, AT_MEMBER, START, 1, 1, ""                                                            \
    }

#define INSIDE(NAME, KIND, COUNT)                                                                  \
    {                                                                                              \
        .group = #NAME, .mode = "", .kind = KIND, .switch_offset = AT(node.NAME.short_bytes),      \
        .parameter_count = COUNT, .parameters = {                                                  \
            US("start", AT(node.NAME.base_s), 8),                                                  \
            US("per_rank", AT(node.NAME.per_rank_s), 1),                                           \
            GB("bandwidth", AT(node.NAME.bytes_per_s), 300),                                       \
            CHUNK("chunk", AT(node.NAME.chunk_s2_per_byte), 0.04),                                 \
            SHARE("two_rank_bandwidth", AT(node.NAME.two_rank_bandwidth), 0.85),                   \
            CHUNK("short_chunk", AT(node.NAME.short_chunk_s2_per_byte), 0.01),                     \
            US("long_start", AT(node.NAME.long_start_s), 1)                                        \
        }                                                                                          \
    }

#define LOW_LATENCY(NAME, KIND)                                                                    \
    {.group = #NAME,                                                                               \
     .mode = "low latency",                                                                        \
     .kind = KIND,                                                                                 \
     .parameter_count = 2,                                                                         \
     .parameters = {US("low_latency_start", AT(node.NAME.low_latency_start_s), 15),                \
                    GB("low_latency_bandwidth", AT(node.NAME.low_latency_bytes_per_s), 300)}},     \
    {                                                                                              \
        .group = #NAME, .mode = "low latency", .kind = KIND, .across = 1, .parameter_count = 3,    \
        .parameters = {                                                                            \
            US("low_latency_start", AT(fabric.NAME.low_latency_start_s), 15),                      \
            US("low_latency_hop", AT(fabric.NAME.low_latency_hop_s), 3),                           \
            SHARE("low_latency_efficiency", AT(fabric.NAME.low_latency_efficiency), 0.9)           \
        }                                                                                          \
    }

#define NORMAL(NAME, KIND)                                                                         \
    {.group = #NAME,                                                                               \
     .mode = "normal",                                                                             \
     .kind = KIND,                                                                                 \
     .parameter_count = 3,                                                                         \
     .parameters = {US("start", AT(node.NAME.start_s), 40),                                        \
                    GB("sm_bandwidth", AT(node.NAME.sm_bytes_per_s), 15),                          \
                    CHUNK("chunk", AT(node.NAME.chunk_s2_per_byte), 0.02)}},                       \
    {                                                                                              \
        .group = #NAME, .mode = "normal", .kind = KIND, .across = 1, .parameter_count = 5,         \
        .parameters = {                                                                            \
            US("start", AT(fabric.NAME.start_s), 40),                                              \
            US("hop", AT(fabric.NAME.hop_s), 25),                                                  \
            SHARE("efficiency", AT(fabric.NAME.efficiency), 0.9),                                  \
            GB("sm_bandwidth", AT(fabric.NAME.sm_bytes_per_s), 10),                                \
            CHUNK("chunk", AT(fabric.NAME.chunk_s2_per_byte), 0.3)                                 \
        }                                                                                          \
    }

static const Unit UNITS[] = {
    INSIDE(all_reduce, KIND_ALL_REDUCE, 6),
    INSIDE(all_gather, KIND_ALL_GATHER, 6),
    INSIDE(reduce_scatter, KIND_REDUCE_SCATTER, 6),
    /* its long messages are sends, which start later than the rings of the others */
    INSIDE(all_to_all, KIND_ALL_TO_ALL, 7),
    {.group = "",
     .mode = "",
     .kind = KIND_ALL_REDUCE,
     .across = 1,
     .parameter_count = 2,
     .parameters = {US("tree_hop", AT(fabric.tree_hop_s), 60),
                    CHUNK("chunk", AT(fabric.chunk_s2_per_byte), 0.1)}},
    LOW_LATENCY(expert_dispatch, KIND_LOW_LATENCY_DISPATCH),
    LOW_LATENCY(expert_combine, KIND_LOW_LATENCY_COMBINE),
    NORMAL(expert_dispatch, KIND_EXPERT_DISPATCH),
    NORMAL(expert_combine, KIND_EXPERT_COMBINE),
};

enum { UNIT_COUNT = sizeof UNITS / sizeof UNITS[0] };

/* ---- one unit at work --------------------------------------------------------------------------
 */

typedef struct Fitting {
    const CollectiveRows *all;
    const Unit *unit;
    double switch_bytes;
    size_t count;
    const CollectiveRow **rows;
    HardwareSpec *machines; /* of `all`, with the parameters put in */
} Fitting;

static double *field_at(HardwareSpec *hardware, size_t offset)
{
    return (double *)(void *)((char *)hardware + offset);
}

static double value_of(const Parameter *parameter, double logarithm)
{
    return fmin(exp(logarithm), parameter->most);
}

static void put_parameters(Fitting *fitting, const double *logarithms)
{
    const Unit *unit = fitting->unit;
    for (size_t m = 0; m < fitting->all->machine_count; m++) {
        fitting->machines[m] = fitting->all->machines[m].hardware;
        for (size_t i = 0; i < unit->parameter_count; i++)
            *field_at(&fitting->machines[m], unit->parameters[i].offset) =
                value_of(&unit->parameters[i], logarithms[i]);
        if (unit->switch_offset > 0)
            *field_at(&fitting->machines[m], unit->switch_offset) = fitting->switch_bytes;
    }
}

static double log_error(const Fitting *fitting, const CollectiveRow *row)
{
    return log(collective_row_seconds(&fitting->machines[row->machine], row) / row->measured_s);
}

/* Errors of the rows, then the pulls. */
static int residuals(const gsl_vector *x, void *context, gsl_vector *f)
{
    Fitting *fitting = context;
    put_parameters(fitting, gsl_vector_const_ptr(x, 0));
    for (size_t i = 0; i < fitting->count; i++) {
        const double error = log_error(fitting, fitting->rows[i]);
        if (!isfinite(error))
            return GSL_EDOM;
        gsl_vector_set(f, i, error);
    }
    for (size_t i = 0; i < fitting->unit->parameter_count; i++)
        gsl_vector_set(f, fitting->count + i,
                       gsl_vector_get(x, i) - log(fitting->unit->parameters[i].start));
    return GSL_SUCCESS;
}

/* rho'(r)/r of 2 s^2 (sqrt(1 + (r/s)^2) - 1). */
static double robust_weight(double error)
{
    return 1 / sqrt(1 + pow(error / robust_log_error, 2));
}

static void renew_weights(const Fitting *fitting, gsl_vector *weights)
{
    for (size_t i = 0; i < fitting->count; i++)
        gsl_vector_set(weights, i, robust_weight(log_error(fitting, fitting->rows[i])));
    for (size_t i = fitting->count; i < weights->size; i++)
        gsl_vector_set(weights, i, pull * pull);
}

static double mean_size(const Fitting *fitting)
{
    double sum = 0;
    for (size_t i = 0; i < fitting->count; i++)
        sum += fabs(log_error(fitting, fitting->rows[i]));
    return sum / (double)fitting->count;
}

/* From the starts to the best logarithms at this switch; STATUS_ENVIRONMENT without memory. */
static Status descend(Fitting *fitting, double *best, double *loss, Error *error)
{
    const size_t parameters = fitting->unit->parameter_count, n = fitting->count + parameters;
    gsl_multifit_nlinear_parameters how = gsl_multifit_nlinear_default_parameters();
    gsl_multifit_nlinear_fdf function = {
        .f = residuals, .n = n, .p = parameters, .params = fitting};
    gsl_multifit_nlinear_workspace *work =
        gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &how, n, parameters);
    gsl_vector *weights = gsl_vector_alloc(n), *x = gsl_vector_alloc(parameters);
    Status status = STATUS_OK;
    if (work == NULL || weights == NULL || x == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i < parameters; i++)
        gsl_vector_set(x, i, log(fitting->unit->parameters[i].start));
    put_parameters(fitting, gsl_vector_const_ptr(x, 0));
    for (int round = 0; round < WEIGHT_ROUNDS; round++) {
        int reason;
        renew_weights(fitting, weights);
        if (gsl_multifit_nlinear_winit(x, weights, &function, work) != GSL_SUCCESS)
            break;
        gsl_multifit_nlinear_driver(MOST_ITERATIONS, x_tolerance, g_tolerance, f_tolerance, NULL,
                                    NULL, &reason, work);
        gsl_vector_memcpy(x, gsl_multifit_nlinear_position(work));
        put_parameters(fitting, gsl_vector_const_ptr(x, 0));
    }
    *loss = mean_size(fitting);
    for (size_t i = 0; i < parameters; i++)
        best[i] = gsl_vector_get(x, i);
cleanup:
    gsl_multifit_nlinear_free(work);
    gsl_vector_free(weights);
    gsl_vector_free(x);
    return status;
}

/* The loss jumps where a row changes sides, so every switch between two sizes is tried. */
static Status search(Fitting *fitting, double *best, Error *error)
{
    double least = HUGE_VAL, switch_bytes = 0;
    const int seeks = fitting->unit->switch_offset > 0;
    for (double at = shortest_switch_bytes; at <= longest_switch_bytes; at *= 2) {
        double found[FIT_UNIT_PARAMETERS], loss = HUGE_VAL;
        fitting->switch_bytes = at;
        Status status = descend(fitting, found, &loss, error);
        if (status != STATUS_OK)
            return status;
        if (!seeks || loss < least) {
            least = loss;
            switch_bytes = at;
            memcpy(best, found, sizeof found);
        }
        if (!seeks)
            break;
    }
    fitting->switch_bytes = switch_bytes;
    return STATUS_OK;
}

/* ---- which rows --------------------------------------------------------------------------------
 */

static int belongs(const Unit *unit, const char *fit, const CollectiveRow *row)
{
    return row->kind == unit->kind && row->across == unit->across && strcmp(row->fit, fit) == 0;
}

static ErrorStatistics judge(const Fitting *fitting, const char *fit, int held_back,
                             double *scratch)
{
    size_t count = 0;
    for (size_t i = 0; i < fitting->all->count; i++) {
        const CollectiveRow *row = &fitting->all->rows[i];
        if (belongs(fitting->unit, fit, row) && row->held_back == held_back)
            scratch[count++] = exp(log_error(fitting, row)) - 1;
    }
    return error_statistics(scratch, count);
}

static void keep_values(const Fitting *fitting, const double *best, CollectiveUnitFit *kept)
{
    const Unit *unit = fitting->unit;
    for (size_t i = 0; i < unit->parameter_count; i++)
        kept->values[kept->value_count++] =
            (FittedValue){unit->parameters[i].key, unit->parameters[i].suffix,
                          value_of(&unit->parameters[i], best[i]) / unit->parameters[i].unit};
    if (unit->switch_offset > 0)
        kept->values[kept->value_count++] =
            (FittedValue){"short", "KiB", fitting->switch_bytes / 1024};
}

static Status fit_unit(Fitting *fitting, const char *fit, double *scratch, CollectiveFits *fits,
                       Error *error)
{
    double best[FIT_UNIT_PARAMETERS];
    fitting->count = 0;
    for (size_t i = 0; i < fitting->all->count; i++)
        if (belongs(fitting->unit, fit, &fitting->all->rows[i]) && !fitting->all->rows[i].held_back)
            fitting->rows[fitting->count++] = &fitting->all->rows[i];
    if (fitting->count < LEAST_ROWS)
        return STATUS_OK;
    Status status = search(fitting, best, error);
    if (status != STATUS_OK)
        return status;
    put_parameters(fitting, best);
    CollectiveUnitFit *kept = &fits->fits[fits->count++];
    *kept =
        (CollectiveUnitFit){.fit = fit, .group = fitting->unit->group, .mode = fitting->unit->mode};
    keep_values(fitting, best, kept);
    kept->fitted = judge(fitting, fit, 0, scratch);
    kept->held_back = judge(fitting, fit, 1, scratch);
    return STATUS_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static int is_wanted(const char *fit, const char *const *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++)
        if (strcmp(names[i], "all") == 0 || strcmp(names[i], fit) == 0)
            return fit[0] != '\0';
    return 0;
}

/* Each fit once, in the order of the rows. */
static size_t list_fits(const CollectiveRows *rows, const char *const *names, size_t name_count,
                        const char **list)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        size_t at = 0;
        if (!is_wanted(rows->rows[i].fit, names, name_count))
            continue;
        while (at < count && strcmp(list[at], rows->rows[i].fit) != 0)
            at++;
        if (at == count)
            list[count++] = rows->rows[i].fit;
    }
    return count;
}

Status collective_fit(const CollectiveRows *rows, const char *const *names, size_t name_count,
                      CollectiveFits *fits, Error *error)
{
    *fits = (CollectiveFits){0};
    Fitting fitting = {.all = rows};
    const char **list = calloc(rows->count + 1, sizeof *list);
    double *scratch = calloc(rows->count + 1, sizeof *scratch);
    fitting.rows = calloc(rows->count + 1, sizeof *fitting.rows);
    fitting.machines = calloc(rows->machine_count + 1, sizeof *fitting.machines);
    Status status = STATUS_OK;
    size_t fit_count = 0;
    if (list != NULL)
        fit_count = list_fits(rows, names, name_count, list);
    fits->fits = calloc(fit_count * UNIT_COUNT + 1, sizeof *fits->fits);
    if (list == NULL || scratch == NULL || fitting.rows == NULL || fitting.machines == NULL ||
        fits->fits == NULL)
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
    for (size_t f = 0; status == STATUS_OK && f < fit_count; f++)
        for (size_t u = 0; status == STATUS_OK && u < UNIT_COUNT; u++) {
            fitting.unit = &UNITS[u];
            status = fit_unit(&fitting, list[f], scratch, fits, error);
        }
    if (status == STATUS_OK && fits->count == 0)
        status = error_set(error, STATUS_INVALID, "no rows to fit '%.60s' to",
                           name_count > 0 ? names[0] : "");
    free(list);
    free(scratch);
    free(fitting.rows);
    free(fitting.machines);
    return status;
}

void collective_fits_free(CollectiveFits *fits)
{
    free(fits->fits);
    *fits = (CollectiveFits){0};
}
