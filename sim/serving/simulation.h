/* The state of one serving simulation, shared by the file that runs it and the file that fills it
 * to start with. */
#ifndef SIM_SERVING_SIMULATION_H
#define SIM_SERVING_SIMULATION_H

#include "sim/engine/random.h"
#include "sim/serving/microbatch.h"
#include "sim/serving/simulate.h"

typedef struct Simulation {
    const Scenario *scenario;
    Engine *engine;
    StageCost *cost;
    ServeCounters *counters;
    StageLayout layout;
    double stage_free_s[MAX_STAGES]; /* when each stage is done with all microbatches so far */
    double stage_s[MAX_STAGES];
    size_t gpus_per_stage;

    RandomStream lengths;
    double chunk;                    /* prompt tokens a pass; 0: prompts are read elsewhere */
    double next_prompt, next_output; /* of the request at the head of the line */
    double kv_capacity, kv_reserved; /* tokens, whole pipeline */
    size_t most_in_flight, in_flight;

    ServeRequest *requests; /* most_in_flight */
    uint32_t *unused;       /* stack of free requests */
    size_t unused_count;
    uint32_t *indices; /* memory of all rings and heaps */
    size_t microbatch_count;
    Microbatch *microbatches;

    uint64_t passes; /* ended */
    uint64_t warm_up_passes;
    double first_cycle_end_s; /* when each microbatch had made its first pass */
    double window_start_s;
    int measuring;
    ServeLedger ledger;
    int failed;
} Simulation;

/* Lengths of a request from the mix; `under_way`: of one met in the middle of its answer. */
void simulation_draw(Simulation *simulation, int under_way, double *prompt, double *output);

/* Is there a place and KV memory for such a request? */
int simulation_fits(const Simulation *simulation, double prompt, double output);

/* Reserves memory for the whole request, so that none has to be thrown out later. */
uint32_t simulation_take(Simulation *simulation, double prompt, double output);

/* Fills the cluster as steady state would find it. Returns the seconds between the departures of
 * two microbatches. */
double simulation_fill(Simulation *simulation);

/* Gives the requests that simulation_fill placed new dates before its beginning, now that the time
 * between two passes is known. */
void simulation_date_back(Simulation *simulation, double cycle_s);

#endif
