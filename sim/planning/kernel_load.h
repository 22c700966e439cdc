/* Expert loads as published benchmarks of MoE layers draw them. */
#ifndef SIM_PLANNING_KERNEL_LOAD_H
#define SIM_PLANNING_KERNEL_LOAD_H

#include <stddef.h>

enum { KERNEL_LOAD_DRAWS = 8, KERNEL_MAX_EXPERTS = 1024, KERNEL_MAX_TOKENS = 1 << 20 };

typedef struct KernelLoad {
    double tokens; /* of all ranks */
    size_t experts, top_k, ranks;
    double alpha; /* of the power law; 0: balanced */
} KernelLoad;

/* Loads of the experts of the rank with most rows, `experts / ranks` of them a draw, into
 * `rows[KERNEL_LOAD_DRAWS][experts / ranks]`; returns how many draws are filled (1 when balanced).
 *
 * Balanced: token t goes to experts t + i stride, i < top_k, stride = ceil(experts / top_k); with
 * fewer tokens than a stride they are spread over it. Power law: shares x^-alpha on
 * [1, 0.8 tokens] ([0.01, 2] when there are no more routed rows than experts), scaled to all routed
 * rows and rounded, the sum kept; a token uses an expert at most once, so what an expert has above
 * `tokens` spreads over the others in proportion (collector of ai-dynamo/aiconfigurator@095f58a;
 * there each row is one draw, of unknown seed). `key` names the row: the same gives the same draws.
 */
size_t kernel_load_draw(const KernelLoad *load, const char *key, double *rows);

#endif
