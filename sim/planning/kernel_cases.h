/* Published timings of kernels of one GPU, ready to be predicted by the catalogue's constants or by
 * others that a fit tries. The readers of the kinds of tables (kernel_gemm.c, kernel_moe.c) fill
 * them; validation and fit are the same for all.
 *
 * What a table's words mean stands in shipped tables in configs/measurements, of whose lines the
 * first that matches counts (* and ? in the patterns; empty: any):
 *   kernel_gpus.csv     gpu -> a GPU in configs/hw; cache_MB: its last cache
 *   kernel_sources.csv  source -> fit: whether its rows may be used in fits (yes, no)
 *   kernel_forms.csv    kernel, dtype, source, hw, shape -> precision; operands: "quantised" where
 *                       what is timed does not quantise them; group: the constants that price a
 *                       MoE layer, and that the rows may be fitted to */
#ifndef SIM_PLANNING_KERNEL_CASES_H
#define SIM_PLANNING_KERNEL_CASES_H

#include "configs/reader/csv.h"
#include "configs/reader/reader.h"
#include "sim/planning/kernel_fit.h"
#include "sim/planning/kernel_validation.h"

enum { KERNEL_MACHINES = 32 };

/* Constants of GpuSpec that a fit may find: a group of a GPU's file. */
typedef struct KernelForm {
    const char *group; /* "gemm_bf16" */
    size_t offset;     /* of the group in GpuSpec */
    const KernelParameter *parameters;
    size_t parameter_count;
} KernelForm;

typedef struct KernelCase {
    KernelRow row;                /* predicted_s, error: not yet */
    char source[KERNEL_ID_BYTES]; /* with its software */
    size_t machine;               /* in machines */
    size_t form;                  /* in forms */
    size_t shape;                 /* for `predict` */
    int fit;                      /* of a source and a domain that the constants are fitted in */
} KernelCase;

typedef struct KernelMachine {
    char name[NAME_BYTES];
    GpuSpec gpu; /* ranges at their middles */
} KernelMachine;

typedef struct KernelCases {
    const char *what; /* "matrix products" */
    const char *const *group_names;
    const KernelForm *forms;
    size_t form_count;
    double (*predict)(const void *shapes, size_t shape, const GpuSpec *gpu);
    void *shapes;
    void (*free_shapes)(void *shapes); /* NULL: free() */
    const ConfigPaths *paths;
    size_t set_count;
    const char *const *sets;
    CsvTable gpus, sources, kernel_forms;
    size_t machine_count;
    KernelMachine machines[KERNEL_MACHINES];
    size_t count;
    KernelCase *cases;
    KernelValidation skipped; /* its skipped rows only */
} KernelCases;

/* Reads the three tables and makes room. Free the cases whatever happens. */
Status kernel_cases_start(KernelCases *cases, const ConfigPaths *paths, const CsvTable *table,
                          const char *const *sets, size_t set_count, Error *error);
void kernel_cases_free(KernelCases *cases);

/* The machine of a table's GPU. STATUS_NO: it is not in the catalogue, and the row is skipped. */
Status kernel_machine(KernelCases *cases, const CsvRow *row, const char *gpu, size_t *machine,
                      Error *error);

/* What a row says of its kernel. */
typedef struct KernelWords {
    const char *kernel, *dtype, *source;
    const char *hw;    /* in configs/hw */
    const char *shape; /* "E=8,N=2048"; "": it does not matter */
} KernelWords;

/* A cell of the first line that matches; NULL: none. */
const char *kernel_form_cell(const KernelCases *cases, const KernelWords *words,
                             const char *column);
int kernel_source_fits(const KernelCases *cases, const char *source);

/* The tables themselves, and the cell of one that was read. */
Status kernel_gpus_read(const ConfigPaths *paths, CsvTable *table, Error *error);
Status kernel_forms_read(const ConfigPaths *paths, CsvTable *table, Error *error);
const char *kernel_form_find(const CsvTable *forms, const KernelWords *words, const char *column);

/* A cell as a number from `low` to `high`; else the row is skipped with the reason, and 0. A
 * negative column is an empty cell. */
int kernel_number(KernelCases *cases, const CsvTable *table, const CsvRow *row, int column,
                  double low, double high, double *value);
const char *kernel_text(const CsvRow *row, int column);

/* Predicts the cases of `part` with the catalogue's constants. */
Status kernel_cases_validate(KernelCases *cases, KernelPart part, const char *file,
                             const ForecastOptions *options, KernelValidation *result,
                             Error *error);

/* One group of constants of one GPU. */
typedef struct KernelFit {
    char gpu[NAME_BYTES];
    const KernelForm *form;
    char source[KERNEL_ID_BYTES]; /* of the rows used */
    double shipped[KERNEL_FIT_PARAMETERS], value[KERNEL_FIT_PARAMETERS];
    ErrorStatistics fitted_before,
        fitted_after;                        /* of the rows used: shipped and fitted constants */
    ErrorStatistics held_before, held_after; /* of the fifth held back */
} KernelFit;

typedef struct KernelFits {
    size_t count;
    KernelFit *fits;
} KernelFits;

/* `names`: GPUs of the catalogue, groups ("gemm_bf16"), or "all". */
Status kernel_cases_fit(KernelCases *cases, const char *const *names, size_t name_count,
                        const ForecastOptions *options, KernelFits *fits, Error *error);
void kernel_fits_free(KernelFits *fits);

#endif
