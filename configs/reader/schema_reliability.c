/* Keys of failures, restarts and checkpoints. Every default means "none"; what describes the world
 * is required or comes from a file that names its source. */
#include "configs/reader/schema.h"

#include <assert.h>

static_assert(sizeof(LawKind) == sizeof(int), "enums are read as int");
static_assert(sizeof(FailureUnit) == sizeof(int), "enums are read as int");

/* In the order of the enums. */
static const char *const CLOCK_WORDS[] = {"exposed", "safe", NULL};
static const char *const UNIT_WORDS[] = {"gpu", "node", "job", "nic", "domain", NULL};
static const char *const INTERVAL_WORDS[] = {"fixed", "optimal", NULL};
static const char *const FAILURE_CLOCK_WORDS[] = {"run", "wall", NULL};
static const char *const LAW_WORDS[] = {"exponential", "weibull", "gamma",
                                        "lognormal",   "fixed",   NULL};

#define YEAR_S          3.1536e7
#define MAX_BYTES_PER_S 1e18
#define MAX_NODES       1e6
#define MAX_SHAPE       50.0
#define MIN_SHAPE       0.05

#define SECONDS(KEY, S, M, FALLBACK, HELP)                                                         \
    NUMBER_FIELD(KEY, S, M, DIMENSION_SECONDS, 0, YEAR_S, FALLBACK, 0, HELP)
#define SHARE(KEY, S, M, FALLBACK, HELP)                                                           \
    NUMBER_FIELD(KEY, S, M, DIMENSION_FRACTION, 0, 1, FALLBACK, 0, HELP)
#define RATE(KEY, S, M, FALLBACK, HELP)                                                            \
    NUMBER_FIELD(KEY, S, M, DIMENSION_PER_SECOND, 0, 1.0 / 60, FALLBACK, 0, HELP)

static const Field CLASS_FIELDS[] = {
    TEXT_FIELD("name", FailureClass, name, NULL, FIELD_UNIQUE, "of this cause"),
    WORD_FIELD("unit", FailureClass, unit, UNIT_WORDS, NULL, "what fails at this rate"),
    RATE("rate", FailureClass, rate_per_s, NULL, "of one unit"),
    SECONDS("detection", FailureClass, detection_s, NULL, "until the job notices a crash"),
    SHARE("hang_share", FailureClass, hang_share, "0", "of these failures that do not crash"),
    SECONDS("hang_detection", FailureClass, hang_detection_s, "0s",
            "until a standstill is noticed: a time-out"),
    WORD_FIELD("clock", FailureClass, clock, FAILURE_CLOCK_WORDS, "run",
               "does the rate count time that the job runs, or all time that went by (wall)?"),
    WORD_FIELD("law", FailureClass, law, LAW_WORDS, "exponential",
               "of the time between two failures of the job by this cause; fixed: by the calendar"),
    NUMBER_FIELD("shape", FailureClass, shape, DIMENSION_NUMBER, MIN_SHAPE, MAX_SHAPE, "1", 0,
                 "Weibull and gamma: k; lognormal: sigma"),
    NUMBER_FIELD("domain_nodes", FailureClass, domain_nodes, DIMENSION_COUNT, 1, MAX_NODES, "1",
                 FIELD_WHOLE, "nodes of one domain, where the unit is one"),
    NUMBER_FIELD("nodes", FailureClass, nodes, DIMENSION_COUNT, 1, MAX_NODES, "1", FIELD_WHOLE,
                 "that one event takes out, where the unit is not the job"),
    SHARE("process_restart", FailureClass, process_restart, "0",
          "share that restarting the processes cures: no node is replaced"),
    SECONDS("outage", FailureClass, outage_s, "0s",
            "standstill before anything is replaced or restarted"),
    WORD_FIELD("planned", FailureClass, planned, BOOL_WORDS, "false",
               "announced: the job saves, then stops"),
    SECONDS("notice", FailureClass, notice_s, "0s",
            "warning; long enough for a save: nothing is lost"),
    SECONDS("spoiled", FailureClass, spoiled_s, "0s",
            "useful time before it that is worthless too (silent corruption)"),
    SHARE("memory_survives", FailureClass, memory_survives, "1",
          "share of these events after which copies in memory are left, times memory.survives"),
    TEXT_FIELD("trace", FailureClass, trace, "", 0,
               "CSV with a column time_h, hours since the start: fails then; the rate is for the "
               "interval"),
};
static const Schema CLASS_SCHEMA = {.name = "failure class", GROUP_FIELDS(CLASS_FIELDS)};

static const Field FAILURES_FIELDS[] = {
    TEXT_FIELD("name", FailureSet, name, "custom", FIELD_LABEL, "label in reports"),
    LIST_FIELD("classes", FIELD_LIST, FailureSet, classes, class_count, &CLASS_SCHEMA, 0,
               "failure causes: a list of {name, unit, rate, detection}"),
};
const Schema FAILURES_SCHEMA = {.name = "failures", GROUP_FIELDS(FAILURES_FIELDS)};

static const Field MEMORY_FIELDS[] = {
    NUMBER_FIELD("storage_every", MemorySaveSpec, storage_every, DIMENSION_COUNT, 0, 1e6, "0",
                 FIELD_WHOLE,
                 "one save in so many goes to storage, each into memory; 0: no copies in memory"),
    SECONDS("blocking", MemorySaveSpec, blocking_s, "0s", "stall of a copy in memory"),
    NUMBER_FIELD("bandwidth", MemorySaveSpec, bytes_per_s, DIMENSION_BYTES_PER_S, 1e3,
                 MAX_BYTES_PER_S, NULL, 0, "of one node's copy, out and back"),
    SHARE("survives", MemorySaveSpec, survives, "1", "share of failures that leave a copy"),
};
static const Schema MEMORY_SCHEMA = {.name = "memory", GROUP_FIELDS(MEMORY_FIELDS)};

static const Field RANDOM_TIME_FIELDS[] = {
    SECONDS("mean", RandomTimeSpec, mean_s, NULL, "mean time"),
    WORD_FIELD("law", RandomTimeSpec, law, LAW_WORDS, "exponential", "how it scatters"),
    NUMBER_FIELD("shape", RandomTimeSpec, shape, DIMENSION_NUMBER, MIN_SHAPE, MAX_SHAPE, "1", 0,
                 "Weibull and gamma: k; lognormal: sigma"),
};
static const Schema RANDOM_TIME_SCHEMA = {.name = "random time", GROUP_FIELDS(RANDOM_TIME_FIELDS)};

static const Field SPARE_FIELDS[] = {
    {.key = "nodes",
     .kind = FIELD_NUMBER,
     .flags = FIELD_OPTIONAL | FIELD_WHOLE,
     .offset = offsetof(SpareSpec, nodes),
     .count = offsetof(SpareSpec, limited),
     .help = "beside those of the job; left out: one is always found",
     .dimension = DIMENSION_COUNT,
     .minimum = 0,
     .maximum = MAX_NODES},
    NUMBER_FIELD("crews", SpareSpec, crews, DIMENSION_COUNT, 0, MAX_NODES, "0", FIELD_WHOLE,
                 "that repair at a time; 0: as many as needed"),
    GROUP_FIELD("repair", SpareSpec, repair, &RANDOM_TIME_SCHEMA, NULL, FIELD_MAY_MISS,
                "time of a repair, from detection: {mean, law, shape}"),
};
static const Schema SPARE_SCHEMA = {.name = "spares", GROUP_FIELDS(SPARE_FIELDS)};

static const Field LEMON_FIELDS[] = {
    NUMBER_FIELD("share", LemonSpec, share, DIMENSION_FRACTION, 0, 0.5, "0", 0,
                 "of nodes that fail more often; rates stay the mean over all"),
    NUMBER_FIELD("rate_factor", LemonSpec, rate_factor, DIMENSION_NUMBER, 1, 1e4, "1", 0,
                 "times the rate of a sound node"),
    NUMBER_FIELD("removed_after", LemonSpec, removed_after, DIMENSION_COUNT, 0, 1e6, "0",
                 FIELD_WHOLE, "failures until it is taken out for good; 0: never"),
};
static const Schema LEMON_SCHEMA = {.name = "lemons", GROUP_FIELDS(LEMON_FIELDS)};

static const Field ELASTIC_FIELDS[] = {
    WORD_FIELD("allowed", ElasticSpec, allowed, BOOL_WORDS, "false",
               "the job goes on without a failed data-parallel replica"),
    NUMBER_FIELD("minimum_replicas", ElasticSpec, minimum_replicas, DIMENSION_COUNT, 1, 1e7, "1",
                 FIELD_WHOLE, "with fewer it stops"),
    SECONDS("drop", ElasticSpec, drop_s, "0s", "standstill when a replica goes"),
    SECONDS("rejoin", ElasticSpec, rejoin_s, "0s", "standstill when it comes back"),
    GROUP_FIELD("away", ElasticSpec, away, &RANDOM_TIME_SCHEMA, NULL, FIELD_MAY_MISS,
                "until a replica that has its nodes rejoins: {mean, law, shape}"),
};
static const Schema ELASTIC_SCHEMA = {.name = "elastic", GROUP_FIELDS(ELASTIC_FIELDS)};

static const Field SLOW_FIELDS[] = {
    RATE("rate", SlowNodeSpec, rate_per_s, "0/d", "of one node; 0: no node turns slow"),
    GROUP_FIELD("duration", SlowNodeSpec, duration, &RANDOM_TIME_SCHEMA, NULL, FIELD_MAY_MISS,
                "of a slow phase: {mean, law, shape}"),
    NUMBER_FIELD("factor", SlowNodeSpec, factor, DIMENSION_NUMBER, 1, 1000, "1", 0,
                 "of the step time"),
    NUMBER_FIELD("second_factor", SlowNodeSpec, second_factor, DIMENSION_NUMBER, 1, 1000, "1", 0,
                 "of second_share of the slow nodes"),
    SHARE("second_share", SlowNodeSpec, second_share, "0", "of slow nodes with second_factor"),
    SECONDS("evict_after", SlowNodeSpec, evict_after_s, "0s",
            "until a slow node is found and put out; 0: never"),
    SECONDS("eviction", SlowNodeSpec, eviction_s, "0s", "standstill of an eviction"),
};
static const Schema SLOW_SCHEMA = {.name = "slow nodes", GROUP_FIELDS(SLOW_FIELDS)};

static const Field SPIKE_FIELDS[] = {
    NUMBER_FIELD("per_step", SpikeSpec, per_step, DIMENSION_NUMBER, 0, 1, "0", 0,
                 "loss spikes in a new step that need a rollback"),
    NUMBER_FIELD("lag_steps", SpikeSpec, lag_steps, DIMENSION_COUNT, 0, 1e9, "0", FIELD_WHOLE,
                 "trained in vain until it is noticed"),
    NUMBER_FIELD("back_steps", SpikeSpec, back_steps, DIMENSION_COUNT, 0, 1e9, "0", FIELD_WHOLE,
                 "before the spike, then to the save before that"),
};
static const Schema SPIKE_SCHEMA = {.name = "loss spikes", GROUP_FIELDS(SPIKE_FIELDS)};

static const Field RELIABILITY_FIELDS[] = {
    GROUP_FIELD("failures", ReliabilitySpec, failures, &FAILURES_SCHEMA, "failures", FIELD_MAY_MISS,
                "a shipped set of failure rates: a name in configs/hw/failures"),
    LIST_FIELD("classes", FIELD_LIST, ReliabilitySpec, classes, class_count, &CLASS_SCHEMA,
               FIELD_MAY_MISS, "failure causes: a list of {name, unit, rate, detection}"),
    SECONDS("replacement", ReliabilitySpec, replacement_s, NULL, "find and attach a healthy node"),
    SECONDS("scheduling", ReliabilitySpec, scheduling_s, "0s",
            "until the job has all its nodes again"),
    SECONDS("init", ReliabilitySpec, init_s, NULL, "processes, communicators, warm-up"),
    NUMBER_FIELD("init_per_gpu", ReliabilitySpec, init_per_gpu_s, DIMENSION_SECONDS, 0, 3600, "0s",
                 0, "what initialisation grows by with every GPU"),
    SECONDS("warm_up", ReliabilitySpec, warm_up_s, "0s",
            "after the load: compilation, first steps"),
    WORD_FIELD("restart_clock", ReliabilitySpec, restart_clock, CLOCK_WORDS, "exposed",
               "can a restart fail again? exposed: yes"),
    NUMBER_FIELD("state_bytes_per_param", ReliabilitySpec, state_bytes_per_param, DIMENSION_NUMBER,
                 0.01, 64, NULL, 0, "checkpoint size"),
    NUMBER_FIELD("read_bandwidth", ReliabilitySpec, read_bytes_per_s, DIMENSION_BYTES_PER_S, 1e3,
                 MAX_BYTES_PER_S, NULL, 0, "of all storage at restart"),
    NUMBER_FIELD("write_bandwidth", ReliabilitySpec, write_bytes_per_s, DIMENSION_BYTES_PER_S, 1e3,
                 MAX_BYTES_PER_S, NULL, 0, "of all storage when saving"),
    NUMBER_FIELD("node_read_bandwidth", ReliabilitySpec, node_read_bytes_per_s,
                 DIMENSION_BYTES_PER_S, 0, MAX_BYTES_PER_S, "0", 0,
                 "what one node can read from storage; 0: as much as there is"),
    NUMBER_FIELD("node_write_bandwidth", ReliabilitySpec, node_write_bytes_per_s,
                 DIMENSION_BYTES_PER_S, 0, MAX_BYTES_PER_S, "0", 0,
                 "what one node can write to storage; 0: as much as it takes"),
    WORD_FIELD("asynchronous", ReliabilitySpec, asynchronous, BOOL_WORDS, "false",
               "training goes on while the snapshot is written"),
    SECONDS("blocking", ReliabilitySpec, blocking_s, "0", "stall of an asynchronous save"),
    WORD_FIELD("interval_rule", ReliabilitySpec, interval_rule, INTERVAL_WORDS, "fixed",
               "optimal: the interval that costs least"),
    {.key = "interval",
     .kind = FIELD_NUMBER,
     .offset = offsetof(ReliabilitySpec, interval_s),
     .help = "useful time between saves, when the rule is fixed",
     .fallback = "0",
     .dimension = DIMENSION_SECONDS,
     .minimum = 1,
     .maximum = YEAR_S,
     .usual_unit = "min"},
    GROUP_FIELD("memory", ReliabilitySpec, memory, &MEMORY_SCHEMA, NULL, FIELD_MAY_MISS,
                "copies in the memory of a peer, every interval"),
    GROUP_FIELD("spares", ReliabilitySpec, spares, &SPARE_SCHEMA, NULL, FIELD_MAY_MISS,
                "spare nodes and their repair"),
    GROUP_FIELD("lemons", ReliabilitySpec, lemons, &LEMON_SCHEMA, NULL, FIELD_MAY_MISS,
                "nodes that fail more often than others"),
    GROUP_FIELD("elastic", ReliabilitySpec, elastic, &ELASTIC_SCHEMA, NULL, FIELD_MAY_MISS,
                "going on without a data-parallel replica"),
    GROUP_FIELD("slow_nodes", ReliabilitySpec, slow_nodes, &SLOW_SCHEMA, NULL, FIELD_MAY_MISS,
                "nodes that hold up all others"),
    GROUP_FIELD("loss_spikes", ReliabilitySpec, loss_spikes, &SPIKE_SCHEMA, NULL, FIELD_MAY_MISS,
                "rollbacks after loss spikes"),
    NUMBER_FIELD("slowdown", ReliabilitySpec, slowdown, DIMENSION_FRACTION, 0, 0.99, "0", 0,
                 "share of throughput lost to stragglers over the run"),
};
const Schema RELIABILITY_SCHEMA = {.name = "reliability", GROUP_FIELDS(RELIABILITY_FIELDS)};
