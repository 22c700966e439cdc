/* Throughput lost: replicas away, slow nodes, noise, going back after a loss spike. */
#include "sim/training/reliability_forms.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_sf_psi.h>
#include <math.h>

double reliability_elastic(double replicas, double job_rate_per_s, double away_s, double pauses_s)
{
    /* A replica fails at rate lambda/r while it is there: A = 1 / (1 + lambda T/r) are there. Drops
     * come at rate A lambda, each stops all clocks for p1 + p2. */
    double there = 1.0 / (1.0 + job_rate_per_s * away_s / replicas);
    return there / (1.0 + there * job_rate_per_s * pauses_s);
}

double reliability_fail_slow(const FailSlow *slow)
{
    /* A node is slow for E[min(T_s, T_d)] of each cycle: pi = nu T / (1 + nu T). Nodes are
     * independent, so P(max <= sigma) = (1 - pi P(slow > sigma))^N; throughput E[1/max]. */
    double evicted = exp(-slow->evict_after_s / slow->duration_s);
    double spell_s = -slow->duration_s * expm1(-slow->evict_after_s / slow->duration_s);
    double cycle = slow->rate_per_node_s * spell_s, share = cycle / (1.0 + cycle);
    double none_slow = exp(slow->nodes * log1p(-share));
    double none_worse = exp(slow->nodes * log1p(-share * slow->worse_share));
    double throughput =
        none_slow + (none_worse - none_slow) / slow->slow[0] + (1.0 - none_worse) / slow->slow[1];
    /* Evictions at rate N (1 - pi) nu P(T_s > T_d), each a pause in which nothing happens. */
    double evictions_per_s = slow->nodes * (1.0 - share) * slow->rate_per_node_s * evicted;
    return throughput / (1.0 + evictions_per_s * slow->pause_s);
}

/* E[max] = 1 + cv E[max of N standard normals]; the latter by E[max] = int_0^inf (1 - F^N) dx -
 * int_-inf^0 F^N dx. */
typedef struct Maximum {
    double workers;
    double sigma; /* lognormal: of the logarithm */
} Maximum;

static double normal_maximum_part(double x, void *context)
{
    const Maximum *maximum = context;
    double below = exp(maximum->workers * log1p(-gsl_cdf_ugaussian_Q(x))); /* F^N */
    return x >= 0.0 ? 1.0 - below : -below;
}

/* E[max of e^(sigma Z - sigma^2/2)] = int_0^inf P(max > y) dy with y = e^(sigma x - sigma^2/2). */
static double lognormal_maximum_part(double x, void *context)
{
    const Maximum *maximum = context;
    double sigma = maximum->sigma;
    double beyond = -expm1(maximum->workers * log1p(-gsl_cdf_ugaussian_Q(x)));
    return sigma * exp(sigma * x - sigma * sigma / 2.0) * beyond;
}

/* Gauss-Kronrod over pieces of one unit: smooth integrands, no workspace. Beyond the ends nothing
 * is left: 40 standard deviations, and as many again for what a lognormal weighs up. */
static double integrate(double (*function)(double x, void *context), Maximum *maximum, double from,
                        double to)
{
    gsl_function integrand = {.function = function, .params = maximum};
    double sum = 0.0;
    for (double x = from; x < to; x += 0.5) {
        double piece, error, size, deviation;
        gsl_integration_qk61(&integrand, x, fmin(to, x + 0.5), &piece, &error, &size, &deviation);
        sum += piece;
    }
    return sum;
}

double reliability_noise_maximum(NoiseLaw law, double workers, double cv)
{
    const double far = 40.0;
    Maximum maximum = {.workers = workers, .sigma = sqrt(log1p(cv * cv))};
    switch (law) {
    case NOISE_EXPONENTIAL: /* harmonic number H_N = psi(N + 1) + gamma */
        return 1.0 + cv * (gsl_sf_psi(workers + 1.0) - gsl_sf_psi(1.0));
    case NOISE_LOGNORMAL:
        return exp(-maximum.sigma * far - maximum.sigma * maximum.sigma / 2.0) + /* P = 1 below */
               integrate(lognormal_maximum_part, &maximum, -far, far + 2.0 * maximum.sigma);
    case NOISE_NORMAL:
        break;
    }
    return 1.0 + cv * integrate(normal_maximum_part, &maximum, -far, far);
}

double reliability_ettr_loss_spike(const LossSpike *spike)
{
    /* Per retained step: t + delta/ck + h (lag t + R + (B + (ck-1)/2) t + delta B/ck): steps until
     * it is seen, the restart, on average (ck-1)/2 steps further back than B, to the save before,
     * and the saves of the B steps again. */
    double t = spike->step_s, every = spike->save_every_steps, back = spike->back_steps;
    double spike_s = spike->detect_steps * t + spike->restart_s + (back + (every - 1.0) / 2.0) * t +
                     spike->save_s * back / every;
    return t / (t + spike->save_s / every + spike->rate_per_step * spike_s);
}
