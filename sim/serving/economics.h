/* What a served load costs, earns and draws. */
#ifndef SIM_SERVING_ECONOMICS_H
#define SIM_SERVING_ECONOMICS_H

#include "hw/power.h"

/* A load in the mean over some time. */
typedef struct ServedLoad {
    double gpus; /* that are on */
    GpuUse use;  /* of each of them */
    /* Share of the time that prompts take, or of the GPUs where some read and others answer: the
     * rule by which money and energy are split between input and output tokens. */
    double input_share;
    double input_tokens_per_s, output_tokens_per_s;
} ServedLoad;

typedef struct Economics {
    double usd_per_hour;      /* of all GPUs, energy as drawn where the rent does not include it */
    double idle_usd_per_hour; /* the same when nobody asks */
    double watts, idle_watts; /* from the grid */
    double usd_per_1k_tokens, usd_per_1m_input, usd_per_1m_output; /* 0: no such tokens */
    double joules_per_token, joules_per_input_token, joules_per_output_token;
    double list_usd_per_hour; /* what readers pay at the list price; 0: there is none */
    double margin;            /* (list - cost) / list */
} Economics;

void economics_of(const Scenario *scenario, const ServedLoad *load, Economics *economics);

/* Dollars for 1,000 tokens when the same mix comes at `factor` times the rate: every use and the
 * power grow with it, the rent does not. */
double economics_usd_per_1k_at(const Scenario *scenario, const ServedLoad *load, double factor);

#endif
