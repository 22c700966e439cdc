#include "models/expert_choice.h"

#include "models/architecture.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

enum { INTERVALS = 48, /* of the integral over the threshold */ HALVINGS = 60 };

static const double LEAST_POPULARITY = 1e-12; /* of the mean */
static const double NEARLY_NORMAL = 1e4;      /* concentration */
static const double LEAST_LOG = -745.0;       /* of what a double can tell from 0 */

/* ---- popularity --------------------------------------------------------------------------------
 */

void expert_popularity_normalise(double *values, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    const double least = LEAST_POPULARITY * (sum > 0.0 ? sum / (double)count : 1.0);
    sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        values[i] = fmax(values[i], least);
        sum += values[i];
    }
    for (size_t i = 0; i < count; i++)
        values[i] /= sum;
}

typedef double Lorenz(const ExpertLoadSpec *spec, double share);

/* Share of the whole that the least popular `share` of the experts has. */
static double lognormal_lorenz(const ExpertLoadSpec *spec, double share)
{
    return gsl_cdf_ugaussian_P(gsl_cdf_ugaussian_Pinv(share) - spec->sigma);
}

/* The quantile is searched on a logarithmic scale: small concentrations spread it over hundreds of
 * orders of magnitude. Large ones are normal to within 1 / a. */
static double gamma_lorenz(const ExpertLoadSpec *spec, double share)
{
    const double a = spec->concentration;
    if (a > NEARLY_NORMAL)
        return share - gsl_ran_ugaussian_pdf(gsl_cdf_ugaussian_Pinv(share)) / sqrt(a);
    double low = a < 1.0 ? LEAST_LOG : log(a) - fmin(8.0, 8.0 / sqrt(a));
    double high = log(a + 10.0 * sqrt(a) + 20.0);
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = 0.5 * (low + high);
        if (gsl_cdf_gamma_P(exp(middle), a, 1.0) < share)
            low = middle;
        else
            high = middle;
    }
    return gsl_cdf_gamma_P(exp(high), a + 1.0, 1.0);
}

/* (to^p - 1) / p, which goes over into ln(to) at p = 0. */
static double power_integral(double to, double p)
{
    const double log_to = log(to);
    return fabs(p * log_to) < 1e-12 ? log_to : expm1(p * log_to) / p;
}

/* u times the integral of x^-a from 1 to the span is that from 1 to the quantile. */
double expert_power_law_quantile(double exponent, double span, double u)
{
    const double p = 1.0 - exponent, area = u * power_integral(span, p);
    return fabs(p * area) < 1e-12 ? exp(area) : exp(log1p(p * area) / p);
}

static double power_law_lorenz(const ExpertLoadSpec *spec, double share)
{
    const double x = expert_power_law_quantile(spec->exponent, spec->span, share);
    return spec->span > 1.0 ? power_integral(x, 2.0 - spec->exponent) /
                                  power_integral(spec->span, 2.0 - spec->exponent)
                            : share;
}

/* From the top: the e-th share ends where 1 - e / E of the experts are less popular. */
static void take_shares(const ExpertLoadSpec *spec, Lorenz *lorenz, size_t experts,
                        double *popularity)
{
    double above = 1.0;
    for (size_t i = 0; i < experts; i++) {
        const double share = (double)(experts - i - 1) / (double)experts;
        const double below = share > 0.0 ? lorenz(spec, share) : 0.0;
        popularity[i] = above - below;
        above = below;
    }
}

void expert_popularity_typical(const ExpertLoadSpec *spec, size_t experts, double *popularity)
{
    static Lorenz *const lorenz[] = {
        [EXPERT_LOAD_LOGNORMAL] = lognormal_lorenz,
        [EXPERT_LOAD_DIRICHLET] = gamma_lorenz,
        [EXPERT_LOAD_AUXILIARY_LOSS] = lognormal_lorenz,
        [EXPERT_LOAD_POWER_LAW] = power_law_lorenz,
    };
    const int zipf = spec->model == EXPERT_LOAD_ZIPF;
    if (!zipf && lorenz[spec->model] != NULL)
        take_shares(spec, lorenz[spec->model], experts, popularity);
    else
        for (size_t i = 0; i < experts; i++)
            popularity[i] = pow((double)i + 1.0, zipf ? -spec->exponent : 0.0);
    expert_popularity_normalise(popularity, experts);
}

/* ---- how likely a token takes an expert --------------------------------------------------------
 */

/* counts[n] = P(n of the others are among the first, by time t), n < k, where expert j is with
 * probability first[j]. */
static void count_others(const double *first, size_t experts, size_t without, size_t k,
                         double *counts)
{
    counts[0] = 1.0;
    for (size_t n = 1; n < k; n++)
        counts[n] = 0.0;
    for (size_t j = 0; j < experts; j++) {
        if (j == without)
            continue;
        for (size_t n = k; n-- > 1;)
            counts[n] = counts[n] * (1.0 - first[j]) + counts[n - 1] * first[j];
        counts[0] *= 1.0 - first[j];
    }
}

/* P(fewer than k of the others): one factor divided out of the product over all, where that loses
 * no digits. */
static double fewer_than(const double *all, const double *first, size_t experts, size_t expert,
                         size_t k, double *counts)
{
    const double q = first[expert];
    double sum = 0.0;
    if (q > 0.5) {
        count_others(first, experts, expert, k, counts);
        for (size_t n = 0; n < k; n++)
            sum += counts[n];
        return sum;
    }
    double before = 0.0;
    for (size_t n = 0; n < k; n++) {
        before = (all[n] - q * before) / (1.0 - q);
        sum += before;
    }
    return fmin(1.0, fmax(0.0, sum));
}

/* When k experts are expected to have come. */
static double expected_time(const double *popularity, size_t experts, double k)
{
    double low = 0.0, high = 1.0;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < HALVINGS; i++) {
            const double time = side == 0 ? high : 0.5 * (low + high);
            double come = 0.0;
            for (size_t j = 0; j < experts; j++)
                come -= expm1(-popularity[j] * time);
            if (side == 0 && come >= k)
                break;
            if (side == 0)
                high *= 2.0;
            else if (come < k)
                low = time;
            else
                high = time;
        }
    }
    return high;
}

/* Choosing one after the other without putting back is a race: expert e comes at an exponential
 * time of rate p_e, and the first k are taken (Efraimidis & Spirakis 2006). So
 *   pi_e = integral of p_e exp(-p_e t) P(fewer than k of the others have come by t) dt,
 * here with the exponential integrated exactly over each of the intervals. */
void expert_inclusion(const double *popularity, size_t experts, size_t k, double *scratch,
                      double *inclusion)
{
    double *first = scratch, *all = first + experts, *counts = all + k;
    if (k == 1 || k == experts) {
        for (size_t i = 0; i < experts; i++)
            inclusion[i] = k == 1 ? popularity[i] : 1.0;
        return;
    }
    if (k == 2) { /* p_e first, or second after another */
        double odds = 0.0;
        for (size_t i = 0; i < experts; i++)
            odds += popularity[i] / (1.0 - popularity[i]);
        for (size_t i = 0; i < experts; i++)
            inclusion[i] = popularity[i] * (1.0 + odds - popularity[i] / (1.0 - popularity[i]));
        return;
    }
    memset(inclusion, 0, experts * sizeof *inclusion);
    const double most = expected_time(popularity, experts, fmin((double)k, (double)experts - 0.5));
    const double end = most * (1.0 + 8.0 / sqrt((double)k) + 16.0 / (double)k);
    for (size_t step = 0; step < INTERVALS; step++) {
        const double from = end * (double)step / INTERVALS;
        const double to = end * ((double)step + 1.0) / INTERVALS;
        for (size_t j = 0; j < experts; j++)
            first[j] = -expm1(-popularity[j] * 0.5 * (from + to));
        count_others(first, experts, experts, k, all);
        for (size_t j = 0; j < experts; j++)
            inclusion[j] += (exp(-popularity[j] * from) - exp(-popularity[j] * to)) *
                            fewer_than(all, first, experts, j, k, counts);
    }
    /* What the intervals miss is spread in proportion. */
    double total = 0.0;
    for (size_t j = 0; j < experts; j++)
        total += inclusion[j];
    for (size_t j = 0; j < experts; j++)
        inclusion[j] = fmin(1.0, inclusion[j] * (double)k / total);
}

/* ---- the choice of serving ---------------------------------------------------------------------
 */

static int is_alike(const ExpertLoadSpec *load)
{
    return load->model == EXPERT_LOAD_BALANCED || load->model == EXPERT_LOAD_UNIFORM;
}

static int is_of(const ExpertChoice *choice, const ExpertLoadSpec *load, const ModelSpec *model)
{
    const double numbers[][2] = {
        {choice->load.sigma, load->sigma},       {choice->load.concentration, load->concentration},
        {choice->load.exponent, load->exponent}, {choice->load.span, load->span},
        {choice->model_experts, model->experts}, {choice->top_k, model->experts_per_token},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i][0] < numbers[i][1] || numbers[i][0] > numbers[i][1])
            return 0;
    return choice->load.model == load->model;
}

void expert_choice_prepare(ExpertChoice *choice, const ExpertLoadSpec *load, const ModelSpec *model)
{
    double popularity[MOST_CHOSEN_EXPERTS], scratch[3 * MOST_CHOSEN_EXPERTS];
    if (is_of(choice, load, model))
        return;
    choice->load = *load;
    choice->model_experts = model->experts;
    choice->top_k = model->experts_per_token;
    choice->experts = 0;
    if (is_alike(load) || !(model->experts > 1 && model->experts <= MOST_CHOSEN_EXPERTS))
        return;
    choice->experts = (size_t)model->experts;
    const double k = fmin(fmax(1.0, model->experts_per_token), model->experts);
    expert_popularity_typical(load, choice->experts, popularity);
    expert_inclusion(popularity, choice->experts, (size_t)k, scratch, choice->chance);
}

double expert_choice_touched(const ExpertChoice *choice, const ModelSpec *model, double tokens)
{
    if (choice->load.model == EXPERT_LOAD_BALANCED && model->experts > 1 && tokens > 0.0)
        return fmin(model->experts, fmax(1.0, tokens * model->experts_per_token));
    if (choice->experts == 0 || tokens <= 0.0)
        return model_experts_touched(model, tokens);
    double touched = 0.0;
    for (size_t i = 0; i < choice->experts; i++)
        touched += 1.0 - pow(1.0 - choice->chance[i], tokens);
    return touched;
}
