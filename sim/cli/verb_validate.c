#include "sim/cli/validate_kinds.h"
#include "sim/cli/verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const ValidateKind KINDS[] = {
    {"training steps", {"n_layers", "gpu", "metric", "value"}, validate_steps},
    {"matrix products", {"gpu", "dtype", "M", "N", "K", "time_us"}, validate_gemm},
    {"MoE layers",
     {"tokens", "experts", "topk", "n_gpus_ep", "distribution", "time_us"},
     validate_moe_layers},
    {"MoE kernels", {"tokens", "experts", "top_k", "ep", "skew", "time_us"}, validate_moe_layers},
    {"serving",
     {"parallelism", "batch_or_concurrency", "scenario", "metric", "value", "unit"},
     validate_serving},
    {"deployments",
     {"backend", "model_path", "system", "isl", "osl", "silicon_tpot_ms"},
     validate_deployments},
    {"collectives", {"collective", "msg_bytes", "n_gpus", "time_us"}, validate_collectives},
    {"expert loads", {"model", "param", "experts", "top_k", "tokens", "quantity"}, validate_loads},
    {"reliability results", {"model", "parameters", "metric", "value"}, validate_oracle},
};

enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

/* A path, or the name of a shipped table. */
static const char *find_table(const Session *session, const char *name, char *path,
                              size_t path_bytes)
{
    if (strchr(name, '/') != NULL || access(name, F_OK) == 0)
        return name;
    const char *end = strrchr(name, '.') != NULL ? "" : ".csv";
    int length = snprintf(path, path_bytes, "%s/measurements/%s%s", session->paths.root, name, end);
    if (length < 0 || (size_t)length >= path_bytes || access(path, F_OK) != 0)
        return name;
    return path;
}

static size_t marks_found(const ValidateKind *kind, const CsvTable *table, size_t *marks)
{
    size_t found = 0;
    for (*marks = 0; *marks < VALIDATE_MARK_COLUMNS && kind->marks[*marks] != NULL; ++*marks)
        found += csv_column(table, kind->marks[*marks]) >= 0;
    return found;
}

/* The kind with all its marks in the header; else the one that lacks least, which is said, and
 * whose own reader then names the column that is missing. */
static const ValidateKind *kind_of(const Session *session, const CsvTable *table)
{
    const ValidateKind *nearest = &KINDS[0];
    double nearest_share = -1;
    for (size_t i = 0; i < KIND_COUNT; ++i) {
        size_t marks = 0;
        const size_t found = marks_found(&KINDS[i], table, &marks);
        if (found == marks)
            return &KINDS[i];
        const double share = (double)found / (double)marks;
        if (share > nearest_share) {
            nearest_share = share;
            nearest = &KINDS[i];
        }
    }
    session_note(session, "no kind of table has these columns; taken for %s, which lacks least",
                 nearest->what);
    return nearest;
}

Status validate_hold_bound(const Session *session, double median_abs)
{
    const double bound = session->line.fail_above;
    if (bound < 0 || median_abs <= bound)
        return STATUS_OK;
    session_note(session, "the median absolute error is %.2f%%, above %.2f%%", 100 * median_abs,
                 100 * bound);
    return STATUS_NO;
}

Status verb_validate(Session *session)
{
    char path[ERROR_PATH_BYTES];
    Error error = {0};
    CsvTable table = {0};
    Status status =
        csv_read(find_table(session, session->line.operands[0], path, sizeof path), &table, &error);
    if (status != STATUS_OK)
        return session_fail(session, &error);
    const ValidateKind *kind = kind_of(session, &table);
    if (session->line.folds > 0 &&
        (kind->validate != validate_steps || session->line.fit_count == 0)) {
        error_set(&error, STATUS_USAGE, "--folds is for --fit on a table of training steps");
        status = session_fail(session, &error);
    } else if (session->line.leave_out != 0 &&
               (kind->validate != validate_steps || session->line.fit_count > 0)) {
        error_set(&error, STATUS_USAGE,
                  "--leave-out is for a table of training steps, without --fit");
        status = session_fail(session, &error);
    } else {
        status = kind->validate(session, &table);
    }
    csv_free(&table);
    return status;
}
