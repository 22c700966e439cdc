/* Estimates in one line, as published. */
#include "sim/training/reliability_forms.h"

double reliability_ettr_linear(double job_rate_per_s, double interval_s, double save_s,
                               double restart_s)
{
    /* Kokolis et al., "Revisiting Reliability in Large-Scale Machine Learning Research Clusters",
     * HPCA 2025 */
    return (1.0 - job_rate_per_s * (restart_s + interval_s / 2.0)) / (1.0 + save_s / interval_s);
}

double reliability_effective_mfu(double flops, double gpus, double time_s, double peak_flops_per_s)
{
    return flops / (gpus * time_s * peak_flops_per_s);
}
