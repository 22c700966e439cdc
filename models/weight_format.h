/* Bytes of a served model's weights as they are stored. */
#ifndef MODELS_WEIGHT_FORMAT_H
#define MODELS_WEIGHT_FORMAT_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

/* Bytes of one weight: its bits and, of integers with scales by groups, its share of a group's
 * scale and zero point (GPTQ, arXiv 2210.17323, and AWQ, arXiv 2306.00978: 4 bits in groups of
 * 128). */
double stored_weight_bytes(Precision stored, const WeightFormat *format);

/* Stored precision of routed experts, and bytes of one weight of theirs, of the other matrices of a
 * layer, and of embedding and output head. */
Precision serving_expert_precision(const ServingSpec *serving);
double serving_expert_bytes(const ServingSpec *serving);
double serving_matrix_bytes(const ServingSpec *serving);
double serving_table_bytes(const ServingSpec *serving);

/* Embedding and head are in 16 bits, whatever the rest is in. */
int serving_tables_are_wide(const ServingSpec *serving);

/* The format that goes with the experts' precision: none where experts have one of their own. */
WeightFormat serving_expert_format(const ServingSpec *serving);

/* STATUS_INVALID for int4 without a format, a format of another precision, groups without bits for
 * their scales, and int8 products on a GPU without them. */
Status weight_format_check(const Scenario *scenario, Error *error);

#endif
