/* The tables that `validate` knows: each is recognised by columns that no other kind has all of,
 * and has one function. */
#ifndef SIM_CLI_VALIDATE_KINDS_H
#define SIM_CLI_VALIDATE_KINDS_H

#include "configs/reader/csv.h"
#include "sim/cli/session.h"

enum { VALIDATE_MARK_COLUMNS = 6 };

typedef struct ValidateKind {
    const char *what;                         /* "training steps" */
    const char *marks[VALIDATE_MARK_COLUMNS]; /* columns that say it is this kind; NULL: no more */
    /* Does everything from the checked table on; returns the exit status. */
    Status (*validate)(Session *session, const CsvTable *table);
} ValidateKind;

/* STATUS_NO, said on stderr, when the median absolute error is above what --fail-above allows. */
Status validate_hold_bound(const Session *session, double median_abs);

Status validate_steps(Session *session, const CsvTable *table);
Status validate_gemm(Session *session, const CsvTable *table);
Status validate_moe_layers(Session *session, const CsvTable *table);
Status validate_serving(Session *session, const CsvTable *table);
Status validate_deployments(Session *session, const CsvTable *table);
Status validate_collectives(Session *session, const CsvTable *table);
Status validate_loads(Session *session, const CsvTable *table);
Status validate_oracle(Session *session, const CsvTable *table);

#endif
