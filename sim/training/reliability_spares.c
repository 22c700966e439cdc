/* Nodes in repair, and how many spares cover them. */
#include "sim/training/reliability_forms.h"

#include <math.h>

double reliability_erlang_b(double offered, double servers)
{
    /* 1/B(n) = 1 + (n/a) / B(n-1): no term is ever small */
    double inverse = 1.0;
    for (double n = 1.0; n <= servers; n += 1.0)
        inverse = 1.0 + inverse * n / offered;
    return 1.0 / inverse;
}

double reliability_all_in_repair(double rate_per_s, double repair_s, double crews, double places)
{
    /* Birth and death: p_n / p_{n-1} = lambda T / min(n, c); 1/p_K as above */
    double inverse = 1.0;
    for (double n = 1.0; n <= places; n += 1.0)
        inverse = 1.0 + inverse * fmin(n, crews) / (rate_per_s * repair_s);
    return 1.0 / inverse;
}

double reliability_standby_quantile(double machines, double share, double quantile)
{
    /* The pmf by its ratio p(n+1)/p(n) = (N - n)/(n + 1) x/(1 - x), in logarithms at the start */
    if (share >= 1.0)
        return machines;
    double log_pmf = machines * log1p(-share), cumulated = exp(log_pmf), n = 0.0;
    while (cumulated < quantile && n < machines) {
        log_pmf += log((machines - n) / (n + 1.0) * share / (1.0 - share));
        cumulated += exp(log_pmf);
        n += 1.0;
    }
    return n;
}

double reliability_in_repair_mean(const double *rates_per_s, const double *sizes, size_t count,
                                  double repair_s)
{
    double mean = 0.0; /* Little's law: sum lambda k T */
    for (size_t i = 0; i < count; i++)
        mean += rates_per_s[i] * sizes[i] * repair_s;
    return mean;
}

double reliability_in_repair_sd(const double *rates_per_s, const double *sizes, size_t count,
                                double repair_s)
{
    /* Of a batch of k of age t, Binomial(k, q = e^(-t/T)) are left. Batches come as a Poisson
     * process, so the variance is sum lambda int E[B^2] dt, and
     * int (k q + k (k-1) q^2) dt = T (k + k (k-1)/2) */
    double variance = 0.0;
    for (size_t i = 0; i < count; i++)
        variance += rates_per_s[i] * repair_s * (sizes[i] + sizes[i] * (sizes[i] - 1.0) / 2.0);
    return sqrt(variance);
}
