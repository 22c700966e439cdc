/* What theory says of a run: optimal intervals and expected goodput. */
#include "sim/training/run.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_sf_lambert.h>
#include <math.h>

/* M infinite: nothing is lost but the saves. */
static double ettr_without_failures(double tau_s, double delta_s)
{
    return isinf(tau_s) ? 1.0 : tau_s / (tau_s + delta_s);
}

double run_ettr_s1(double mtbf_s, double tau_s, double delta_s, double down_s, double restart_s)
{
    /* E[T_seg] = e^(R/M) (M + D) (e^((tau + delta)/M) - 1), Daly 2006, eq. 9 */
    if (isinf(mtbf_s))
        return ettr_without_failures(tau_s, delta_s);
    return tau_s /
           (exp(restart_s / mtbf_s) * (mtbf_s + down_s) * expm1((tau_s + delta_s) / mtbf_s));
}

double run_ettr_s2(double mtbf_s, double tau_s, double delta_s, double down_s, double restart_s)
{
    /* E[T_seg] = (M + D + R) (e^((tau + delta)/M) - 1) */
    if (isinf(mtbf_s))
        return ettr_without_failures(tau_s, delta_s);
    return tau_s / ((mtbf_s + down_s + restart_s) * expm1((tau_s + delta_s) / mtbf_s));
}

double run_interval_young(double mtbf_s, double delta_s)
{
    /* sqrt(2 delta M), Young 1974 */
    return delta_s > 0.0 ? sqrt(2.0 * delta_s * mtbf_s) : 0.0;
}

double run_interval_daly(double mtbf_s, double delta_s)
{
    /* sqrt(2 delta M) (1 + sqrt(delta/2M)/3 + (delta/2M)/9) - delta for delta < 2M, else M; Daly
     * 2006, eq. 37 */
    if (isinf(mtbf_s))
        return run_interval_young(mtbf_s, delta_s);
    if (delta_s >= 2.0 * mtbf_s)
        return mtbf_s;
    double ratio = delta_s / (2.0 * mtbf_s);
    return run_interval_young(mtbf_s, delta_s) * (1.0 + sqrt(ratio) / 3.0 + ratio / 9.0) - delta_s;
}

double run_interval_exact(double mtbf_s, double delta_s)
{
    /* M (1 + W0(-exp(-1 - delta/M))): the root of (1 - tau/M) e^((tau + delta)/M) = 1. W0 loses its
     * digits near its branch point, where Daly's form, the start of the same series in
     * sqrt(delta/M), has error (delta/M)^1.5 / M. */
    const double series_below = 1e-7;
    double ratio = delta_s / mtbf_s;
    if (isinf(mtbf_s) || ratio < series_below)
        return run_interval_daly(mtbf_s, delta_s);
    gsl_sf_result w;
    if (gsl_sf_lambert_W0_e(-exp(-1.0 - ratio), &w) != GSL_SUCCESS)
        return run_interval_daly(mtbf_s, delta_s);
    return mtbf_s * (1.0 + w.val);
}

double run_interval_in_steps(const RunPhase *phase)
{
    if (!(phase->step_s > 0.0) || isinf(phase->interval_s))
        return phase->interval_s;
    return fmax(1.0, round(phase->interval_s / phase->step_s)) * phase->step_s;
}

double run_useful_s(const RunInput *input)
{
    double useful_s = 0.0;
    for (size_t i = 0; i < input->phase_count; i++)
        useful_s += input->phases[i].useful_s;
    return useful_s;
}

double run_rate_per_s(const RunInput *input, const RunPhase *phase)
{
    double rate_per_s = 0.0;
    for (size_t i = 0; i < input->class_count; i++)
        rate_per_s += phase->class_rate_per_s[i];
    return rate_per_s;
}

double run_mtbf_s(const RunInput *input, const RunPhase *phase)
{
    double rate_per_s = run_rate_per_s(input, phase);
    return rate_per_s > 0.0 ? 1.0 / rate_per_s : HUGE_VAL;
}

/* Detection over its mixture, the outage, and the replacement where it needs one. */
double run_class_down_s(const RunInput *input, size_t class_index)
{
    const RunClass *class = &input->classes[class_index];
    double down_s = class->outage_s + (1.0 - class->process_restart) * input->replacement_s;
    if (class->detection_count == 1)
        return down_s + class->detection_s[0];
    for (size_t i = 0; i < class->detection_count; i++)
        down_s += class->detection_share[i] * class->detection_s[i];
    return down_s;
}

double run_mean_down_s(const RunInput *input, const RunPhase *phase)
{
    double rate_per_s = run_rate_per_s(input, phase), down_s = 0.0;
    if (!(rate_per_s > 0.0))
        return input->replacement_s;
    for (size_t i = 0; i < input->class_count; i++)
        down_s += phase->class_rate_per_s[i] / rate_per_s * run_class_down_s(input, i);
    return down_s;
}

static double phase_ettr(const RunInput *input, const RunPhase *phase)
{
    double tau_s = run_interval_in_steps(phase), mtbf_s = run_mtbf_s(input, phase);
    double delta_s = input->saves.stall_s;
    if (tau_s >= phase->useful_s) { /* one segment, not saved */
        tau_s = phase->useful_s;
        delta_s = 0.0;
    }
    double down_s = run_mean_down_s(input, phase);
    double restart_s = phase->init_s + input->saves.load_s + input->warm_up_s;
    double ettr = input->restart_clock == RESTART_EXPOSED
                      ? run_ettr_s1(mtbf_s, tau_s, delta_s, down_s, restart_s)
                      : run_ettr_s2(mtbf_s, tau_s, delta_s, down_s, restart_s);
    return isinf(mtbf_s) ? ettr : ettr * exp(-input->saves.durable_s / mtbf_s);
}

double run_ettr_closed_form(const RunInput *input)
{
    double wall_s = 0.0;
    for (size_t i = 0; i < input->phase_count; i++)
        wall_s += input->phases[i].useful_s / phase_ettr(input, &input->phases[i]) +
                  input->phases[i].pause_s;
    return run_useful_s(input) / wall_s;
}
