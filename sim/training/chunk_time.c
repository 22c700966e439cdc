#include "sim/training/chunk_time.h"

#include <math.h>

/* sum += factor * part, cause by cause; the total follows from the causes. */
static void add_scaled(StagePhase *sum, const StagePhase *part, double factor)
{
    sum->compute_s += factor * part->compute_s;
    sum->recompute_s += factor * part->recompute_s;
    sum->tensor_s += factor * part->tensor_s;
    sum->expert_s += factor * part->expert_s;
    sum->expert_imbalance_s += factor * part->expert_imbalance_s;
    sum->sharding_s += factor * part->sharding_s;
    sum->weight_s += factor * part->weight_s;
    sum->expert_variance_s2 += factor * part->expert_variance_s2;
    sum->total_s = sum->compute_s + sum->recompute_s + sum->tensor_s + sum->expert_s +
                   sum->expert_imbalance_s + sum->sharding_s;
}

/* Shares of the layers; embedding and head go whole to the chunk that holds them. */
static void cut_phase(StagePhase *chunk, const StagePhase *stage, const StagePhase *embedding,
                      const StagePhase *head, double share, int has_embedding, int has_head)
{
    *chunk = (StagePhase){0};
    add_scaled(chunk, stage, share);
    if (embedding != NULL)
        add_scaled(chunk, embedding, (has_embedding ? 1.0 : 0.0) - share);
    if (head != NULL)
        add_scaled(chunk, head, (has_head ? 1.0 : 0.0) - share);
}

void chunk_times(StepInput *input, size_t stage, const StagePhase *embedding_forward,
                 const StagePhase *embedding_backward, const StagePhase *head_forward,
                 const StagePhase *head_backward)
{
    size_t chunks = input->virtual_stages;
    if (chunks < 2 || input->stages > MAX_STAGES / chunks)
        return;
    const StageTime *time = &input->stage[stage];
    int first = stage == 0, last = stage + 1 == input->stages;
    double even = floor(time->layers / (double)chunks);
    double odd = time->layers - even * (double)chunks;
    for (size_t i = 0; i < chunks; i++) {
        ChunkTime *chunk = &input->chunk[i * input->stages + stage];
        /* What is left over goes to late chunks; in the last stage to early ones, beside the head.
         */
        const double later = last && !first ? (double)i + 1.0 : (double)(chunks - i);
        chunk->layers = even + (later <= odd ? 1.0 : 0.0);
        double share = time->layers > 0.0 ? chunk->layers / time->layers : 1.0 / (double)chunks;
        int has_embedding = i == 0, has_head = i + 1 == chunks;
        cut_phase(&chunk->forward, &time->forward, first ? embedding_forward : NULL,
                  last ? head_forward : NULL, share, has_embedding, has_head);
        cut_phase(&chunk->backward, &time->backward, first ? embedding_backward : NULL,
                  last ? head_backward : NULL, share, has_embedding, has_head);
    }
}
