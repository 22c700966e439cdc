/* Blocks that many plans of one model on one hardware share: what a layer takes depends on few of a
 * plan's numbers. Bounded; a full place gives way. Values are those of block_set_fill, whether they
 * were kept or not. Inside sim/training only. */
#ifndef SIM_TRAINING_BLOCK_TABLE_H
#define SIM_TRAINING_BLOCK_TABLE_H

#include "sim/training/block_set.h"

typedef struct BlockTable BlockTable;

BlockTable *block_table_create(Error *error);
void block_table_destroy(BlockTable *table);

/* The blocks of a plan. All scenarios asked for with one table are alike but for
 * training.parallel, hardware.gpus, training.batch_tokens and training.gradient_precision; seed and
 * replication are always the same. What is returned holds until the next call. */
Status block_table_find(BlockTable *table, const Scenario *scenario, unsigned long long seed,
                        unsigned long long replication, const BlockSet **blocks, Error *error);

#endif
