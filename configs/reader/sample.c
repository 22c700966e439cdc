#include "configs/reader/sample.h"

#include <gsl/gsl_cdf.h>

#include <float.h>
#include <math.h>
#include <string.h>

/* The quantiles by which normal and lognormal inputs are given. */
static const double HIGH_QUANTILE = 0.95;

static double clip(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

double uncertain_draw(const UncertainInput *input, double uniform)
{
    /* Inverse distribution functions have infinite tails at 0 and 1. */
    double u = clip(uniform, DBL_MIN, 1.0 - DBL_EPSILON / 2);
    double low = input->low;
    double high = input->high;
    double value = low;
    switch (input->distribution) {
    case DRAW_UNIFORM:
        value = low + (high - low) * u;
        break;
    case DRAW_LOG_UNIFORM:
        value = exp(log(low) + (log(high) - log(low)) * u);
        break;
    case DRAW_NORMAL: {
        /* p5 and p95 lie z = 1.645 standard deviations either side of the mean. */
        double z = gsl_cdf_ugaussian_Pinv(u) / gsl_cdf_ugaussian_Pinv(HIGH_QUANTILE);
        value = 0.5 * (low + high) + 0.5 * (high - low) * z;
        break;
    }
    case DRAW_LOGNORMAL: {
        double z = gsl_cdf_ugaussian_Pinv(u) / gsl_cdf_ugaussian_Pinv(HIGH_QUANTILE);
        value = exp(0.5 * (log(low) + log(high)) + 0.5 * (log(high) - log(low)) * z);
        break;
    }
    case DRAW_CHOICE: {
        size_t last = input->choice_count > 0 ? input->choice_count - 1 : 0;
        size_t index = (size_t)(u * (double)input->choice_count);
        return input->choices[index > last ? last : index];
    }
    }
    if (input->is_whole)
        value = floor(value + 0.5);
    return clip(value, input->minimum, input->maximum);
}

double uncertain_middle(const UncertainInput *input)
{
    return input->distribution == DRAW_CHOICE ? input->choices[0] : uncertain_draw(input, 0.5);
}

double scenario_field(const Scenario *scenario, const UncertainInput *input)
{
    const char *field = (const char *)scenario + input->offset;
    if (input->is_integer_enum) {
        int index;
        memcpy(&index, field, sizeof index);
        return index;
    }
    double value;
    memcpy(&value, field, sizeof value);
    return value;
}

void scenario_set_field(Scenario *scenario, const UncertainInput *input, double value)
{
    char *field = (char *)scenario + input->offset;
    if (input->is_integer_enum) {
        int index = (int)value;
        memcpy(field, &index, sizeof index);
    } else {
        memcpy(field, &value, sizeof value);
    }
}

void scenario_sample(const Scenario *scenario, const double *uniforms, Scenario *out)
{
    if (out != scenario)
        *out = *scenario;
    for (size_t i = 0; i < out->uncertain_count; i++)
        scenario_set_field(out, &out->uncertain[i],
                           uncertain_draw(&out->uncertain[i], uniforms[i]));
    out->uncertain_count = 0;
}

void scenario_midpoint(const Scenario *scenario, Scenario *out)
{
    if (out != scenario)
        *out = *scenario;
    for (size_t i = 0; i < out->uncertain_count; i++)
        scenario_set_field(out, &out->uncertain[i], uncertain_middle(&out->uncertain[i]));
    out->uncertain_count = 0;
}
