/* Holds published timings of single kernels (matrix products, MoE layers, collectives) against
 * predictions: the rows, their groups and errors, and which of them are held back from fits.
 *
 * Whoever reads a kind of table starts a result, adds each row or the reason to skip it, and
 * summarises. */
#ifndef SIM_PLANNING_KERNEL_VALIDATION_H
#define SIM_PLANNING_KERNEL_VALIDATION_H

#include "sim/planning/validate.h"

enum {
    KERNEL_ID_BYTES = 160,
    KERNEL_LABEL_BYTES = 48,
    KERNEL_GROUP_KINDS = 6,
    KERNEL_ASSUMED_BYTES = 200
};

/* Which rows: all, those that fits may use, or those that they may not. */
typedef enum KernelPart { KERNEL_ALL, KERNEL_FITTED, KERNEL_HELD_BACK } KernelPart;

typedef struct KernelRow {
    int line;
    char id[KERNEL_ID_BYTES];
    char group[KERNEL_GROUP_KINDS][KERNEL_LABEL_BYTES]; /* labels; "": in no group of this kind */
    double measured_s, predicted_s;
    double error; /* predicted / measured - 1 */
    int held_back;
    char assumed[KERNEL_ASSUMED_BYTES]; /* defaults and nearest names; "": none */
} KernelRow;

typedef struct KernelGroup {
    size_t kind;
    char label[KERNEL_LABEL_BYTES];
    ErrorStatistics all, held_back;
} KernelGroup;

typedef struct KernelValidation {
    const char *what;                            /* "matrix products" */
    const char *group_names[KERNEL_GROUP_KINDS]; /* NULL: no more kinds */
    size_t row_count;
    KernelRow *rows; /* in the file's order */
    size_t skipped_count;
    SkippedRow *skipped;
    ErrorStatistics summary, held_back;
    size_t group_count;
    KernelGroup *groups; /* by kind, then label */
    size_t skip_kind_count;
    SkipCount *skip_kinds;
    size_t capacity; /* rows and skipped rows that there is room for */
} KernelValidation;

/* Room for `capacity` rows, predicted or skipped; `group_names` ends with NULL when there are fewer
 * than KERNEL_GROUP_KINDS. Free the result in any case. */
Status kernel_validation_start(KernelValidation *result, const char *what,
                               const char *const *group_names, size_t capacity, Error *error);
void kernel_validation_free(KernelValidation *result);

/* Adds a row, of which `error` is worked out here. Rows beyond the capacity are left out. */
void kernel_validation_add(KernelValidation *result, const KernelRow *row);

/* `id` points into the table. Reasons that differ in numbers only are counted as one. */
void kernel_validation_skip(KernelValidation *result, int line, const char *id, const char *format,
                            ...) __attribute__((format(printf, 4, 5)));

/* Fills the statistics. STATUS_INVALID, with the first reason, when no row is there. */
Status kernel_validation_summarise(KernelValidation *result, const char *file, Error *error);

/* Indices of the `limit` rows with the largest errors, worst first; returns how many. */
size_t kernel_validation_worst(const KernelValidation *result, size_t *indices, size_t limit);

/* One row in five, by what it measures alone ("A100 bf16 4096x8192x8192"), so that the order of
 * rows, the file and the other rows do not matter. */
int kernel_held_back(const char *key);

int kernel_part_has(KernelPart part, int held_back);

/* "fitted", "held-back"; NULL: all. STATUS_USAGE when it is another word. */
Status kernel_part_named(const char *name, KernelPart *part, Error *error);

#endif
