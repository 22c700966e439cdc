/* What `validate` does alike for every table of kernels. */
#ifndef SIM_CLI_VALIDATE_KERNELS_H
#define SIM_CLI_VALIDATE_KERNELS_H

#include "configs/reader/csv.h"
#include "sim/cli/session.h"
#include "sim/planning/kernel_validation.h"

/* --split of a table of kernels, and that --plot has an --out. */
Status validate_kernels_options(const Session *session, KernelPart *part, Error *error);

/* Prints a summarised result, writes the files of --out, holds the bound of --fail-above; returns
 * the exit status. */
Status validate_kernels_report(Session *session, const CsvTable *table,
                               const KernelValidation *result);

#endif
