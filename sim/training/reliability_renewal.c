/* Failures that are not memoryless, with the clock renewed at each restart. */
#include "sim/training/reliability_forms.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

/* E[X; X > t] / E[X]: the law by its length instead of its number. */
static double share_beyond(const Law *law, double time_s)
{
    const LawSampler unit = law_sampler(*law);
    double x = time_s / unit.scale;
    switch (law->kind) {
    case LAW_EXPONENTIAL:
        return (1.0 + x) * exp(-x);
    case LAW_WEIBULL: /* in x^k it is gamma of shape 1 + 1/k */
        return gsl_cdf_gamma_Q(pow(x, law->shape), 1.0 + 1.0 / law->shape, 1.0);
    case LAW_GAMMA:
        return gsl_cdf_gamma_Q(x, law->shape + 1.0, 1.0);
    case LAW_LOGNORMAL:
        return gsl_cdf_ugaussian_Q(log(x) / law->shape - law->shape);
    case LAW_FIXED:
        break;
    }
    return x < 1.0 ? 1.0 : 0.0;
}

double reliability_mean_excess(const Law *law, double time_s)
{
    if (!(time_s > 0.0))
        return law->mean - time_s;
    return fmax(0.0, law->mean * share_beyond(law, time_s) - time_s * law_survival(*law, time_s));
}

double reliability_ettr_renewal(const Law *law, double tau_s, double delta_s, double persist_s,
                                double down_and_restart_s)
{
    /* Segments that count in a life of X: sum_{i>=1} [X > i s + P]. Its mean is a sum of survivals:
     * term by term as long as they vary, then by Euler and Maclaurin's formula,
     * sum_{i>=n} S(x_i) = (1/s) int_{x_n}^inf S + S(x_n)/2 - s S'(x_n)/12 + ...,
     * whose integral is the mean excess; a slope over a whole step is good enough by then. */
    enum { TERMS = 20000 };
    const double negligible = 1e-17;
    double s = tau_s + delta_s, sum = 0.0, at_s = persist_s + s, survival = 1.0;
    int terms = 0;
    for (; terms < TERMS && survival > negligible * sum; terms++) {
        at_s = persist_s + (terms + 1) * s;
        survival = law_survival(*law, at_s);
        sum += survival;
    }
    if (terms == TERMS) {
        double after = law_survival(*law, at_s + s);
        sum += reliability_mean_excess(law, at_s) / s - survival / 2.0 + (survival - after) / 12.0;
    }
    return tau_s * sum / (law->mean + down_and_restart_s);
}
