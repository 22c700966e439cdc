#include "models/speculation.h"

#include <math.h>
#include <string.h>

void speculation_tokens(const SpeculationSpec *speculation, AcceptedTokens *tokens)
{
    const double each = speculation->rule == ACCEPT_RELAXED ? speculation->relaxed_acceptance
                                                            : speculation->acceptance;
    double reached = 1;
    memset(tokens, 0, sizeof *tokens);
    tokens->length = (size_t)fmin(speculation->length, MAX_DRAFT_TOKENS);
    tokens->mean = 1;
    for (size_t i = 0; i < tokens->length; i++) {
        reached =
            speculation->position_count > 0 ? speculation->positions[i].share : reached * each;
        tokens->more[i] = reached;
        tokens->mean += reached;
    }
}

static Status check_acceptance(const SpeculationSpec *speculation, Error *error)
{
    const int relaxed = speculation->rule == ACCEPT_RELAXED;
    if (speculation->position_count > 0 &&
        (speculation->acceptance > 0 || speculation->relaxed_acceptance > 0))
        return error_set(error, STATUS_INVALID,
                         "serving.speculation: positions and acceptance exclude each other");
    if (speculation->position_count > 0 &&
        (double)speculation->position_count < speculation->length)
        return error_set(error, STATUS_INVALID,
                         "serving.speculation.positions has %zu entries, length is %g",
                         speculation->position_count, speculation->length);
    for (size_t i = 1; i < speculation->position_count; i++)
        if (speculation->positions[i].share > speculation->positions[i - 1].share)
            return error_set(error, STATUS_INVALID,
                             "serving.speculation.positions.%zu.share = %g is more than the %g "
                             "before it: a draft is accepted only behind accepted ones",
                             i, speculation->positions[i].share,
                             speculation->positions[i - 1].share);
    if (relaxed && speculation->relaxed_acceptance < speculation->acceptance)
        return error_set(error, STATUS_INVALID,
                         "serving.speculation.relaxed_acceptance = %g is below acceptance = %g",
                         speculation->relaxed_acceptance, speculation->acceptance);
    const double used = relaxed ? speculation->relaxed_acceptance : speculation->acceptance;
    if (speculation->position_count == 0 && used <= 0) {
        error_set(error, STATUS_INVALID,
                  "serving.speculation: length is %g, but no draft is ever "
                  "accepted",
                  speculation->length);
        error_hint(error, "%s", relaxed ? "relaxed_acceptance: 80%" : "acceptance: 70%");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static Status check_draft(const Scenario *scenario, Error *error)
{
    const SpeculationSpec *speculation = &scenario->serving.speculation;
    const ModelSpec *draft = &speculation->draft;
    const double tensor = scenario->serving.tensor;
    const double ways = speculation->draft_tensor > 0 ? speculation->draft_tensor : tensor;
    if (draft->layers <= 0)
        return STATUS_OK;
    if (speculation->draft_share > 0)
        return error_set(error, STATUS_INVALID,
                         "serving.speculation: draft and draft_share exclude each other");
    if (ways > tensor)
        return error_set(error, STATUS_INVALID,
                         "serving.speculation.draft_tensor = %g is more than serving.tensor = %g",
                         ways, tensor);
    if (fmod(draft->heads, ways) != 0 || fmod(draft->d_ff, ways) != 0) {
        error_set(error, STATUS_INVALID,
                  "serving.speculation: %g tensor ways do not divide the draft model's %g heads "
                  "and d_ff of %g",
                  ways, draft->heads, draft->d_ff);
        error_hint(error, "draft_tensor: 1");
        return STATUS_INVALID;
    }
    if (draft->vocab_size != scenario->model.vocab_size) {
        error_set(error, STATUS_INVALID,
                  "serving.speculation.draft.vocab_size = %g, model.vocab_size = %g: a draft must "
                  "speak the model's tokens",
                  draft->vocab_size, scenario->model.vocab_size);
        error_hint(error,
                   "for a draft model trained anew on this vocabulary: --set "
                   "serving.speculation.draft.vocab_size=%g",
                   scenario->model.vocab_size);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

Status speculation_check(const Scenario *scenario, Error *error)
{
    const SpeculationSpec *speculation = &scenario->serving.speculation;
    if (speculation->length <= 0)
        return STATUS_OK;
    const Status status = check_acceptance(speculation, error);
    return status == STATUS_OK ? check_draft(scenario, error) : status;
}
