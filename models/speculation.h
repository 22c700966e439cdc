/* Speculative decoding (Leviathan et al. 2023, arXiv 2211.17192; Chen et al. 2023, arXiv
 * 2302.01318): a draft proposes `length` tokens for each sequence, the model reads them in one pass
 * and keeps those before the first rejection, and one token of its own behind them.
 *
 * A round gives 1 + n tokens, n being the drafts accepted: P(n >= i) = a^i for a constant
 * acceptance a, or the measured share of position i. With a constant acceptance the mean is
 * (1 - a^(length + 1)) / (1 - a) (equation 1 there). Rounds are independent.
 *
 * Relaxed acceptance takes a draft with probability min(1, p / (lenience q)) instead of
 * min(1, p / q): more drafts are taken, and no token comes more than 1 / lenience times as often as
 * the model would give it (appendix A.5 there). Both acceptances are inputs; the bound is reported.
 */
#ifndef MODELS_SPECULATION_H
#define MODELS_SPECULATION_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"

typedef struct AcceptedTokens {
    size_t length; /* draft tokens; 0: a round gives one token */
    double
        more[MAX_DRAFT_TOKENS + 1]; /* more[i]: chance that a round gives more than 1 + i tokens */
    double mean;                    /* tokens of a round */
} AcceptedTokens;

void speculation_tokens(const SpeculationSpec *speculation, AcceptedTokens *tokens);

/* Tokens of one round for a uniform draw in [0, 1): by inversion, so that a larger acceptance never
 * gives fewer for the same draw. */
static inline unsigned speculation_draw(const AcceptedTokens *tokens, double uniform)
{
    unsigned accepted = 0;
    while (accepted < tokens->length && uniform < tokens->more[accepted])
        accepted++;
    return 1 + accepted;
}

/* STATUS_INVALID with the keys when they contradict each other. */
Status speculation_check(const Scenario *scenario, Error *error);

#endif
