#include "sim/engine/law.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sf_gamma.h>
#include <math.h>

/* Gamma(1 + 1/k): the mean of a Weibull law of scale 1. */
static double weibull_mean(double shape)
{
    gsl_sf_result result;
    int failed = gsl_sf_gamma_e(1.0 + 1.0 / shape, &result);
    return failed == 0 && isfinite(result.val) ? result.val : HUGE_VAL;
}

LawSampler law_sampler(Law law)
{
    LawSampler sampler = {.kind = law.kind, .scale = law.mean, .shape = law.shape};
    if (law.kind == LAW_WEIBULL)
        sampler.scale = law.mean / weibull_mean(law.shape);
    if (law.kind == LAW_GAMMA)
        sampler.scale = law.mean / law.shape;
    if (law.kind == LAW_LOGNORMAL) /* the mean is exp(mu + sigma^2/2) */
        sampler.scale = law.mean * exp(-0.5 * law.shape * law.shape);
    return sampler;
}

/* Marsaglia & Tsang 2000; below shape 1 by U^(1/k) from shape k + 1. Scale 1. */
static double draw_gamma(double shape, RandomStream *stream)
{
    double boost = 1.0;
    if (shape < 1.0) {
        boost = pow(random_uniform_open(stream), 1.0 / shape);
        shape += 1.0;
    }
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = random_normal(stream), root = 1.0 + c * x;
        if (root <= 0.0)
            continue;
        double v = root * root * root;
        double bound = 0.5 * x * x + d - d * v + d * log(v);
        if (log(random_uniform_open(stream)) < bound)
            return boost * d * v;
    }
}

double law_draw(const LawSampler *sampler, RandomStream *stream)
{
    switch (sampler->kind) {
    case LAW_EXPONENTIAL:
        return sampler->scale * random_exponential(stream);
    case LAW_WEIBULL:
        return sampler->scale * pow(random_exponential(stream), 1.0 / sampler->shape);
    case LAW_GAMMA:
        return sampler->scale * draw_gamma(sampler->shape, stream);
    case LAW_LOGNORMAL:
        return sampler->scale * exp(sampler->shape * random_normal(stream));
    case LAW_FIXED:
        break;
    }
    return sampler->scale;
}

double law_survival(Law law, double t)
{
    LawSampler sampler = law_sampler(law);
    if (t <= 0.0)
        return 1.0;
    switch (law.kind) {
    case LAW_EXPONENTIAL:
        return exp(-t / law.mean);
    case LAW_WEIBULL:
        return exp(-pow(t / sampler.scale, law.shape));
    case LAW_GAMMA:
        return gsl_cdf_gamma_Q(t, law.shape, sampler.scale);
    case LAW_LOGNORMAL:
        return gsl_cdf_ugaussian_Q(log(t / sampler.scale) / law.shape);
    case LAW_FIXED:
        break;
    }
    return t < law.mean ? 1.0 : 0.0;
}
