/* Fitted constants of kernels, for people and for programs. */
#ifndef REPORTS_KERNEL_FIT_H
#define REPORTS_KERNEL_FIT_H

#include "reports/provenance.h"
#include "sim/planning/kernel_cases.h"

#include <stdio.h>

/* Errors of the rows used and of those held back, with the shipped constants and with the fitted
 * ones, and the constants. */
void terminal_kernel_fits(FILE *out, const KernelFits *fits, const Provenance *provenance);

/* One document; malloc'ed. */
char *json_kernel_fits(const KernelFits *fits, const Provenance *provenance, Error *error);

/* DIR/GPU.yaml for every GPU: its file in configs/hw with the fitted groups in it. */
Status yaml_kernel_fits(const char *directory, const ConfigPaths *paths, const KernelFits *fits,
                        Error *error);

#endif
