/* The ways in which the literature counts the FLOPs of one trained token. */
#ifndef SIM_PLANNING_FLOP_CONVENTION_H
#define SIM_PLANNING_FLOP_CONVENTION_H

#include "configs/reader/scenario.h"

typedef double (*FlopConvention)(const ModelSpec *model, double context);

/* By name; NULL: no such convention.
 *   causal    matrix products and half of the attention square (Megatron-LM since March 2025)
 *   full      the same with the whole square (Megatron-LM until then; NeMo 24, torchtitan)
 *   6nd       6 per active parameter
 *   palm      6N + 12 L H Q T (Chowdhery et al. 2022, appendix B; llm-foundry)
 *   megatron  72 B s l h^2 (1 + s/6h + V/12lh) (Narayanan et al. 2021 without recomputation)
 *   megatron-hardware  96 B s l h^2 (1 + s/6h + V/16lh), the forward computed twice (ibid., eq. 3)
 */
FlopConvention flop_convention(const char *name);

#endif
