#include "models/scaling_law.h"

#include <math.h>

double law_optimal_tokens(const ParametricLaw *law, double parameters)
{
    if (!(law->a > 0) || !(law->b > 0) || !(law->alpha > 0) || !(law->beta > 0) ||
        !(parameters > 0))
        return 0;
    return pow(law->beta * law->b * pow(parameters, law->alpha) / (law->alpha * law->a),
               1 / law->beta);
}

double law_parametric_loss(const ParametricLaw *law, double parameters, double tokens)
{
    if (!(law->a > 0) || !(parameters > 0) || !(tokens > 0))
        return 0;
    return law->floor + law->a / pow(parameters, law->alpha) + law->b / pow(tokens, law->beta);
}

double law_expansion(const ModelSpec *model)
{
    if (model->experts <= 1)
        return 1;
    return model->experts / fmin(model->experts, fmax(1, model->experts_per_token));
}

/* 1 / E' = 1 / (E - 1 + (1 / start - 1 / maximum)^-1) + 1 / maximum (Clark et al. 2022, eq. 6) */
static double saturated(double experts, double start, double maximum)
{
    if (!(start > 0) || !(maximum > start))
        return 0;
    const double shifted = experts - 1 + 1 / (1 / start - 1 / maximum);
    return 1 / (1 / shifted + 1 / maximum);
}

double law_routed_loss(const RoutedLaw *law, double base_parameters, double experts)
{
    const double felt = saturated(experts, law->start, law->maximum);
    if (!(felt > 0) || !(base_parameters > 0))
        return 0;
    const double n = log10(base_parameters), e = log10(felt);
    return pow(10, law->a * n + law->b * e + law->c * n * e + law->d);
}

double law_joint_loss(const JointLaw *law, double active_parameters, double tokens, double experts)
{
    const double felt = saturated(experts, law->start, law->maximum);
    if (!(felt > 0) || !(active_parameters > 0) || !(tokens > 0))
        return 0;
    const double e = log(felt);
    return law->a * pow(felt, law->delta) * pow(active_parameters, law->alpha + law->gamma * e) +
           law->b * pow(felt, law->omega) * pow(tokens, law->beta + law->zeta * e) + law->floor;
}

double law_repeated_tokens(const LawSpec *law, double unique, double epochs)
{
    if (!(law->repeat_worth > 0) || epochs <= 1)
        return unique * epochs;
    return unique + unique * law->repeat_worth * (1 - exp(-(epochs - 1) / law->repeat_worth));
}
