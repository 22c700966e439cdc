/* The reliability of a Scenario: what fails, and how a run is saved and started again. */
#ifndef CONFIGS_READER_SCENARIO_RELIABILITY_H
#define CONFIGS_READER_SCENARIO_RELIABILITY_H

#include "configs/reader/law.h"
#include "configs/reader/scenario_common.h"

#include <stddef.h>

enum { MAX_FAILURE_CLASSES = 24 };

typedef enum RestartClock { RESTART_EXPOSED, RESTART_SAFE } RestartClock; /* closed forms S1, S2 */
typedef enum FailureUnit {
    FAILURE_PER_GPU,
    FAILURE_PER_NODE,
    FAILURE_PER_JOB,
    FAILURE_PER_NIC,   /* a port with its cable */
    FAILURE_PER_DOMAIN /* domain_nodes nodes that share a switch, a rack, a power feed */
} FailureUnit;
typedef enum FailureClock {
    FAILURE_CLOCK_RUN, /* rate while the job runs */
    FAILURE_CLOCK_WALL /* events over elapsed time, down time included */
} FailureClock;
typedef enum CheckpointInterval { INTERVAL_FIXED, INTERVAL_OPTIMAL } CheckpointInterval;

typedef struct FailureClass {
    char name[NAME_BYTES];
    FailureUnit unit;
    double rate_per_s;  /* of one unit */
    double detection_s; /* of a crash */
    double hang_share;  /* of these failures that are no crash but a standstill */
    double hang_detection_s;
    FailureClock clock;
    LawKind law; /* of the time between failures of the job by this class */
    double shape;
    double domain_nodes;     /* nodes of one domain */
    double nodes;            /* that one event takes out */
    double process_restart;  /* share that restarting the processes cures: no node replaced */
    double outage_s;         /* standstill before anything is replaced or restarted */
    int planned;             /* 1: announced; saved first */
    double notice_s;         /* 0: none */
    double spoiled_s;        /* useful time before the failure that is worthless too */
    double memory_survives;  /* share of failures after which copies in memory are still there */
    char trace[TRACE_BYTES]; /* CSV of times since the start instead of a rate; "": none */
} FailureClass;

/* Published rates of one cluster, shipped under configs/hw/failures. */
typedef struct FailureSet {
    char name[NAME_BYTES];
    size_t class_count;
    FailureClass classes[MAX_FAILURE_CLASSES];
} FailureSet;

/* Copies in the memory of a peer, beside saves to storage. */
typedef struct MemorySaveSpec {
    double storage_every; /* one save in so many goes to storage as well; 0: no copies in memory */
    double blocking_s;    /* stall of every save */
    double bytes_per_s;   /* of a node's copy, out and back */
    double survives;      /* share of failures after which a copy is left */
} MemorySaveSpec;

typedef struct RandomTimeSpec {
    double mean_s;
    LawKind law;
    double shape;
} RandomTimeSpec;

typedef struct SpareSpec {
    double nodes;
    int limited;  /* 1: `nodes` was given; 0: a replacement is always found */
    double crews; /* 0: as many as needed */
    RandomTimeSpec repair;
} SpareSpec;

typedef struct LemonSpec {
    double share; /* 0: none */
    double rate_factor;
    double removed_after; /* failures; 0: never */
} LemonSpec;

typedef struct ElasticSpec {
    int allowed; /* 1: the job goes on without a failed data-parallel replica */
    double minimum_replicas;
    double drop_s, rejoin_s;
    RandomTimeSpec away;
} ElasticSpec;

typedef struct SlowNodeSpec {
    double rate_per_s; /* of one node; 0: none */
    RandomTimeSpec duration;
    double factor;        /* of the step time */
    double second_factor; /* of second_share of the slow nodes */
    double second_share;
    double evict_after_s; /* 0: never */
    double eviction_s;    /* standstill */
} SlowNodeSpec;

typedef struct SpikeSpec {
    double per_step; /* 0: none */
    double lag_steps;
    double back_steps;
} SpikeSpec;

typedef struct ReliabilitySpec {
    FailureSet failures;
    size_t class_count;
    FailureClass classes[MAX_FAILURE_CLASSES]; /* beside those of `failures` */
    double replacement_s;                      /* find and attach a healthy node */
    double scheduling_s;                       /* until the job has its nodes together again */
    double init_s;                             /* processes, communicators */
    double init_per_gpu_s;                     /* what initialisation grows by with each GPU */
    double warm_up_s;                          /* after the load: compilation, first steps */
    RestartClock restart_clock;
    double state_bytes_per_param; /* checkpoint size */
    double read_bytes_per_s;      /* aggregate storage bandwidth at restart */
    double write_bytes_per_s;
    double node_read_bytes_per_s; /* what one node can draw; 0: no limit */
    double node_write_bytes_per_s;
    int asynchronous;  /* 1: training goes on while the snapshot is written */
    double blocking_s; /* stall of an asynchronous save */
    CheckpointInterval interval_rule;
    double interval_s; /* when fixed: useful time between saves */
    MemorySaveSpec memory;
    SpareSpec spares;
    LemonSpec lemons;
    ElasticSpec elastic;
    SlowNodeSpec slow_nodes;
    SpikeSpec loss_spikes;
    double slowdown; /* share of throughput lost to stragglers over the run */
} ReliabilitySpec;

#endif
