/* Two levels of checkpoints, and copies in the memory of other machines. */
#include "sim/training/reliability_forms.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>

double reliability_ettr_two_level(const TwoLevel *levels)
{
    /* E_j, the expected time from level-1 position j to the level-2 save:
     *   E_j = q_j/lambda + q_j (f (R1 + E_j) + (1-f) (R2 + E_0)) + p_j E_{j+1}, E_n = 0,
     *   p_j = e^(-lambda s_j), q_j = 1 - p_j.
     * With E_j = known + lost E_0 the system unrolls from the end; ETTR = n tau / E_0. `lost` is
     * the chance to be thrown back to 0 first, so its complement is carried: 1 - lost loses no
     * digits. */
    double f = levels->level1_share;
    double known_s = 0.0, reaches_end = 1.0;
    for (double j = levels->segments - 1.0; j >= 0.0; j -= 1.0) {
        double last = j + 1.0 >= levels->segments ? levels->block2_s : 0.0;
        double s = levels->tau_s + levels->block1_s + last;
        double p = exp(-s / levels->mtbf_s), q = -expm1(-s / levels->mtbf_s);
        double repeats = p + q * (1.0 - f); /* 1 - q f */
        double restart_s = f * levels->restart1_s + (1.0 - f) * levels->restart2_s;
        known_s = (q * (levels->mtbf_s + restart_s) + p * known_s) / repeats;
        reaches_end = p * reaches_end / repeats;
    }
    return levels->segments * levels->tau_s * reaches_end / known_s;
}

Status reliability_copies_survive(double machines, double copies, double lost, double *chance,
                                  Error *error)
{
    /* Lose each machine with chance x = lost/machines, on its own: given that `lost` of them are,
     * all sets are equally likely. So the chance is P(sum of groups = lost, no group whole) over
     * P(Binomial(machines, x) = lost), and the groups add up one by one. No sum alternates, as it
     * does by inclusion and exclusion over the groups that are lost. */
    const double most_steps = 3e8;
    double groups = machines / copies, x = lost / machines;
    if (lost > machines - groups || lost < copies) { /* some group is lost in whole; none can be */
        *chance = lost < copies ? 1.0 : 0.0;
        return STATUS_OK;
    }
    if (machines * lost > most_steps)
        return error_set(error, STATUS_NO, "machines x lost_together is above %.0g", most_steps);
    size_t sums = (size_t)lost + 1, most = (size_t)copies - 1;
    double *sum = calloc(sums, sizeof *sum), *one = calloc(most + 1, sizeof *one);
    Status status = STATUS_OK;
    if (sum == NULL || one == NULL) {
        status = error_set(error, STATUS_ENVIRONMENT, "out of memory");
        goto cleanup;
    }
    for (size_t i = 0; i <= most; i++)
        one[i] = gsl_ran_binomial_pdf((unsigned)i, x, (unsigned)copies);
    sum[0] = 1.0;
    for (double group = 0.0; group < groups; group += 1.0)
        for (size_t total = sums; total-- > 0;) {
            double ways = 0.0;
            for (size_t i = 0; i <= most && i <= total; i++)
                ways += one[i] * sum[total - i];
            sum[total] = ways;
        }
    *chance =
        fmin(1.0, sum[sums - 1] / gsl_ran_binomial_pdf((unsigned)lost, x, (unsigned)machines));
cleanup:
    free(sum);
    free(one);
    return status;
}
