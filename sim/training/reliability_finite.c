/* Runs of a given amount of work, and failures that are announced. */
#include "sim/training/reliability_forms.h"

#include "sim/training/run.h"

#include <math.h>

double reliability_wall_mean_s1(double mtbf_s, double tau_s, double delta_s, double down_s,
                                double restart_s, double segments)
{
    return segments * tau_s / run_ettr_s1(mtbf_s, tau_s, delta_s, down_s, restart_s);
}

double reliability_wall_mean_s2(double mtbf_s, double tau_s, double delta_s, double down_s,
                                double restart_s, double segments)
{
    return segments * tau_s / run_ettr_s2(mtbf_s, tau_s, delta_s, down_s, restart_s);
}

/* X is exponential with mean M, but less than s: mean and variance. */
static void cut_short(double mtbf_s, double s, double *mean_s, double *variance_s2)
{
    double succeeds = exp(-s / mtbf_s), fails = -expm1(-s / mtbf_s);
    if (s / mtbf_s < 1e-3) { /* where the differences cancel: the start of their series */
        double ratio = s / mtbf_s;
        *mean_s = s * (0.5 - ratio / 12.0);
        *variance_s2 = s * s * (1.0 / 12.0 - ratio * ratio / 240.0);
        return;
    }
    *mean_s = mtbf_s - s * succeeds / fails;
    *variance_s2 = mtbf_s * mtbf_s - s * s * succeeds / (fails * fails);
}

/* What K failed attempts, K geometric with p = e^(-s/M), each of X and a time Y, add to a piece of
 * s: E[K] (E[X] + E[Y]) and E[K] (Var[X] + Var[Y]) + Var[K] (E[X] + E[Y])^2 */
static void failed_attempts(double mtbf_s, double s, double after_mean_s, double after_variance_s2,
                            double *mean_s, double *variance_s2)
{
    double failures = expm1(s / mtbf_s); /* E[K] = 1/p - 1, Var[K] = E[K] (1 + E[K]) */
    double cut_mean_s, cut_variance_s2;
    cut_short(mtbf_s, s, &cut_mean_s, &cut_variance_s2);
    double attempt_s = cut_mean_s + after_mean_s;
    *mean_s = failures * attempt_s;
    *variance_s2 = failures * (cut_variance_s2 + after_variance_s2) +
                   failures * (1.0 + failures) * attempt_s * attempt_s;
}

double reliability_wall_sd_s1(double mtbf_s, double tau_s, double delta_s, double down_s,
                              double restart_s, double segments)
{
    /* The restart after a failure is itself a piece of R with failed attempts of X and D. */
    double mean_s = 0.0, variance_s2 = 0.0;
    if (restart_s > 0.0)
        failed_attempts(mtbf_s, restart_s, down_s, 0.0, &mean_s, &variance_s2);
    failed_attempts(mtbf_s, tau_s + delta_s, down_s + restart_s + mean_s, variance_s2, &mean_s,
                    &variance_s2);
    return sqrt(segments * variance_s2);
}

double reliability_wall_sd_s2(double mtbf_s, double tau_s, double delta_s, double down_s,
                              double restart_s, double segments)
{
    double mean_s, variance_s2;
    failed_attempts(mtbf_s, tau_s + delta_s, down_s + restart_s, 0.0, &mean_s, &variance_s2);
    return sqrt(segments * variance_s2);
}

double reliability_ettr_notice(double mtbf_s, double tau_s, double delta_s, double gap_s)
{
    /* All useful time counts. The job is at work in the i-th segment after a restart while
     * i s < t < i s + tau: sum_i e^(-i s/M) M (1 - e^(-tau/M)), over M + gap */
    double useful_s = mtbf_s * expm1(-tau_s / mtbf_s) / expm1(-(tau_s + delta_s) / mtbf_s);
    return useful_s / (mtbf_s + gap_s);
}
