/* Labelled estimates from published laws: compute-optimal tokens and what experts or repeated data
 * are worth. A loss is never simulated. */
#ifndef MODELS_SCALING_LAW_H
#define MODELS_SCALING_LAW_H

#include "configs/reader/scenario.h"

/* Tokens that spend compute best on N parameters, where L = E + A / N^a + B / D^b and C = 6 N D
 * (Hoffmann et al. 2022, section 3.3): a A / N^a = b B / D^b at the optimum. 0 without a law. */
double law_optimal_tokens(const ParametricLaw *law, double parameters);
double law_parametric_loss(const ParametricLaw *law, double parameters, double tokens);

/* Experts as laws count them: of the size of a dense model's MLP, one of which a token uses. With k
 * of n used: n / k. */
double law_expansion(const ModelSpec *model);

/* Clark et al. 2022, equation 1: N parameters of the model with one expert's worth of MLP, E' a
 * transform of E that saturates at both ends. 0 without a law. */
double law_routed_loss(const RoutedLaw *law, double base_parameters, double experts);

/* Ludziejewski et al. 2025, equation 5: a E'^delta N^(alpha + gamma ln E') + b E'^omega D^(beta +
 * zeta ln E') + floor, N active parameters, D tokens. */
double law_joint_loss(const JointLaw *law, double active_parameters, double tokens, double experts);

/* Tokens that `unique` ones repeated over `epochs` passes are worth (Muennighoff et al. 2023,
 * equation 5): U + U R (1 - e^(-(epochs - 1) / R)). */
double law_repeated_tokens(const LawSpec *law, double unique, double epochs);

#endif
