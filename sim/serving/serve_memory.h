/* Memory of a serving replica: weights, what is set aside, and what that leaves for keys and
 * values. */
#ifndef SIM_SERVING_SERVE_MEMORY_H
#define SIM_SERVING_SERVE_MEMORY_H

#include "configs/reader/scenario.h"

/* Memory of the most loaded stage and what it leaves for keys and values. */
typedef struct ServeMemory {
    double weights_bytes;       /* on one GPU of the most loaded stage */
    double draft_weights_bytes; /* of the draft model on a GPU of that stage; 0: none there */
    double reserved_bytes;
    double kv_bytes_per_token;     /* whole model, one copy */
    double kv_bytes_per_token_mha; /* the same if every query head had keys and values of its own */
    double kv_bytes_per_token_gpu; /* on one GPU of the most loaded stage, replication counted */
    double draft_kv_bytes_per_token_gpu; /* part of it: the draft model's */
    double capacity_bytes;               /* usable */
    double kv_capacity_tokens;           /* whole pipeline; 0 when the weights alone do not fit */
    double max_sequences;                /* at full context_limit */
    double max_sequences_mean;           /* at the mean length of the request mix */
    double params_per_node;              /* parameters of the most loaded stage */
    int fits;
    char reason[256]; /* when it does not fit, or not one sequence does: bytes and what would make
                         it fit */
    char limit[256];  /* when it fits, but memory holds fewer sequences than max_batch: how many and
                         why */
} ServeMemory;

void serve_memory(const Scenario *scenario, ServeMemory *memory);

#endif
