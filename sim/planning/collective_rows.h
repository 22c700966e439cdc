/* Published timings of collectives, of sends and of the dispatch of tokens to experts: what each
 * row is in this program's words, and what hw/ predicts for it.
 *
 * A table has the columns source, locator, gpu, n_gpus, n_nodes, fabric, collective, msg_bytes,
 * time_us and notes, in any order. Which machine a row ran on, how the call was launched and whose
 * constants it may be used to fit says configs/measurements/collective_machines.csv: the first line
 * whose patterns (* and ?) match counts, and one with a `skip` gives the reason to leave the row.
 */
#ifndef SIM_PLANNING_COLLECTIVE_ROWS_H
#define SIM_PLANNING_COLLECTIVE_ROWS_H

#include "configs/reader/csv.h"
#include "configs/reader/reader.h"
#include "hw/collective.h"
#include "hw/expert_dispatch.h"
#include "sim/planning/kernel_validation.h"

typedef enum CollectiveKind {
    KIND_ALL_REDUCE,
    KIND_ALL_GATHER,
    KIND_REDUCE_SCATTER,
    KIND_ALL_TO_ALL,
    KIND_SEND,
    KIND_EXPERT_DISPATCH,
    KIND_EXPERT_COMBINE,
    KIND_LOW_LATENCY_DISPATCH,
    KIND_LOW_LATENCY_COMBINE,
    COLLECTIVE_KINDS
} CollectiveKind;

typedef struct CollectiveRow {
    int line;
    const char *source, *gpu, *collective; /* into the table */
    size_t machine;                        /* of the list below */
    const char *fit;                       /* whose constants it may fit; "": nobody's */
    CollectiveKind kind;
    double bytes, ranks, ranks_per_node;
    double copies, sms, node_limit; /* of a dispatch or combine */
    double measured_s;
    int across;    /* more than one NVLink domain */
    int held_back; /* from fits */
} CollectiveRow;

typedef struct CollectiveMachine {
    char name[NAME_BYTES];
    const char *launch; /* "eager": each call adds the node's eager launch; "graph"; "profiled" */
    HardwareSpec hardware;
} CollectiveMachine;

typedef struct CollectiveRows {
    CsvTable rules;
    size_t machine_count;
    CollectiveMachine *machines;
    size_t count;
    CollectiveRow *rows;
    size_t skipped_count;
    SkippedRow *skipped;
} CollectiveRows;

/* Free in any case. STATUS_INVALID when a column is missing or a machine cannot be read. */
Status collective_rows_read(const ConfigPaths *paths, const CsvTable *table,
                            const char *const *sets, size_t set_count, CollectiveRows *rows,
                            Error *error);
void collective_rows_free(CollectiveRows *rows);

/* Time of the row on a machine. */
double collective_row_seconds(const HardwareSpec *hardware, const CollectiveRow *row);

/* Predicts the rows of a part; by place, by GPU and collective, by source and by fit. */
Status collective_validate(const CollectiveRows *rows, KernelPart part, const char *file,
                           KernelValidation *result, Error *error);

#endif
