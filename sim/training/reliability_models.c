/* The table of models: parameters with their bounds, metrics with their closed form and process. */
#include "sim/training/reliability_forms.h"
#include "sim/training/reliability_process.h"
#include "sim/training/run.h"

#include <math.h>

/* ---- closed forms by the names of parameters ---------------------------------------------------
 */

#define VALUE(name) reliability_value(input, name)
#define FORM(function)                                                                             \
    static Status function(const ReliabilityCase *input, double *value, Error *error)

FORM(tau_exact)
{
    (void)error;
    *value = run_interval_exact(VALUE("M"), VALUE("delta"));
    return STATUS_OK;
}

FORM(tau_daly)
{
    (void)error;
    *value = run_interval_daly(VALUE("M"), VALUE("delta"));
    return STATUS_OK;
}

FORM(tau_daly_first)
{
    (void)error; /* Daly 2003: Young's less the save itself */
    *value = run_interval_young(VALUE("M"), VALUE("delta")) - VALUE("delta");
    return STATUS_OK;
}

FORM(tau_young)
{
    (void)error;
    *value = run_interval_young(VALUE("M"), VALUE("delta"));
    return STATUS_OK;
}

FORM(ettr_s1)
{
    (void)error;
    *value = run_ettr_s1(VALUE("M"), VALUE("tau"), VALUE("delta"), VALUE("D"), VALUE("R"));
    return STATUS_OK;
}

FORM(ettr_s2)
{
    (void)error;
    *value = run_ettr_s2(VALUE("M"), VALUE("tau"), VALUE("delta"), VALUE("D"), VALUE("R"));
    return STATUS_OK;
}

FORM(ettr_linear)
{
    (void)error;
    *value = reliability_ettr_linear(VALUE("n_nodes") * VALUE("rf_per_node"), VALUE("dt"),
                                     VALUE("w"), VALUE("u0"));
    return STATUS_OK;
}

FORM(linear_interval)
{
    (void)error; /* sqrt(2 w / (N r_f)): Young's, with w for delta */
    *value = run_interval_young(1.0 / (VALUE("n_nodes") * VALUE("rf_per_node")), VALUE("w"));
    return STATUS_OK;
}

RenewalCase renewal_case(const ReliabilityCase *input)
{
    double mean_s = VALUE("mean"), stall_s = VALUE("delta");
    return (RenewalCase){
        .law = {.kind = (LawKind)reliability_word(input, "dist"),
                .mean = isnan(mean_s) ? VALUE("M") : mean_s,
                .shape = VALUE("shape")},
        .tau_s = VALUE("tau"),
        .delta_s = isnan(stall_s) ? VALUE("block") : stall_s,
        .persist_s = VALUE("persist"),
        .restart_s = VALUE("D") + VALUE("R"),
    };
}

FORM(ettr_renewal)
{
    (void)error;
    RenewalCase renewal = renewal_case(input);
    *value = reliability_ettr_renewal(&renewal.law, renewal.tau_s, renewal.delta_s,
                                      renewal.persist_s, renewal.restart_s);
    return STATUS_OK;
}

FORM(ettr_async)
{
    RenewalCase renewal = renewal_case(input);
    if (renewal.law.kind != LAW_EXPONENTIAL)
        return ettr_renewal(input, value, error);
    /* what was done in the last P before a failure is lost as well: S2 e^(-P/M) */
    *value = run_ettr_s2(renewal.law.mean, renewal.tau_s, renewal.delta_s, 0.0, renewal.restart_s) *
             exp(-renewal.persist_s / renewal.law.mean);
    return STATUS_OK;
}

TwoLevel two_level_case(const ReliabilityCase *input)
{
    return (TwoLevel){.mtbf_s = VALUE("M"),
                      .tau_s = VALUE("tau1"),
                      .block1_s = VALUE("block1"),
                      .block2_s = VALUE("block2"),
                      .restart1_s = VALUE("R1"),
                      .restart2_s = VALUE("R2"),
                      .segments = VALUE("n2"),
                      .level1_share = VALUE("f1")};
}

FORM(ettr_two_level)
{
    (void)error;
    TwoLevel levels = two_level_case(input);
    *value = reliability_ettr_two_level(&levels);
    return STATUS_OK;
}

/* Independent classes: lambda_job = sum N_c lambda_c. */
FORM(mix_mtbf)
{
    (void)error;
    *value = 1.0 / reliability_mix_rate_per_s(input->mix, VALUE("n_gpu"), NULL);
    return STATUS_OK;
}

FORM(mix_rate)
{
    (void)error;
    *value = reliability_mix_rate_per_s(input->mix, VALUE("n_gpu"), NULL);
    return STATUS_OK;
}

FORM(ettr_mix)
{
    double rates_per_s[RELIABILITY_MAX_LIST], down_s = 0.0;
    double rate_per_s = reliability_mix_rate_per_s(input->mix, VALUE("n_gpu"), rates_per_s);
    if (input->list_count != input->mix->count)
        return error_set(error, STATUS_INVALID, "down: %zu times for %zu classes of failures",
                         input->list_count, input->mix->count);
    if (!(VALUE("tau") > 0.0))
        return error_set(error, STATUS_INVALID, "ETTR needs a parameter 'tau'");
    for (size_t i = 0; i < input->list_count; i++)
        down_s += rates_per_s[i] / rate_per_s * input->list[i];
    *value = run_ettr_s2(1.0 / rate_per_s, VALUE("tau"), VALUE("delta"), down_s, VALUE("R"));
    return STATUS_OK;
}

FORM(spares_wait)
{
    (void)error;
    *value = reliability_erlang_b(VALUE("N") * VALUE("rf_per_node") * VALUE("repair"),
                                  VALUE("spares") + 1.0);
    return STATUS_OK;
}

FORM(crews_wait)
{
    (void)error;
    *value = reliability_all_in_repair(VALUE("N") * VALUE("rf_per_node"), VALUE("repair"),
                                       VALUE("crews"), VALUE("spares") + 1.0);
    return STATUS_OK;
}

FORM(standby)
{
    (void)error;
    *value = reliability_standby_quantile(VALUE("machines"), VALUE("p_fail_per_window"),
                                          VALUE("quantile"));
    return STATUS_OK;
}

FORM(ettr_detection)
{
    (void)error; /* only the mean of the detection time enters */
    double hang = VALUE("hang_fraction");
    double detection_s = hang * VALUE("detect_hang") + (1.0 - hang) * VALUE("detect_fast");
    *value =
        run_ettr_s2(VALUE("M"), VALUE("tau"), VALUE("delta"), VALUE("D") + detection_s, VALUE("R"));
    return STATUS_OK;
}

FORM(elastic_throughput)
{
    (void)error;
    *value = reliability_elastic(VALUE("replicas"), VALUE("job_rate_per"), VALUE("T_rep"),
                                 VALUE("pause_drop") + VALUE("pause_rejoin"));
    return STATUS_OK;
}

FailSlow fail_slow_case(const ReliabilityCase *input)
{
    return (FailSlow){.nodes = VALUE("N"),
                      .rate_per_node_s = VALUE("rate_per_node"),
                      .duration_s = VALUE("dur"),
                      .evict_after_s = VALUE("evict_after"),
                      .pause_s = VALUE("pause"),
                      .slow = {VALUE("slow1"), VALUE("slow2")},
                      .worse_share = VALUE("P_slow2")};
}

FORM(fail_slow_throughput)
{
    FailSlow slow = fail_slow_case(input);
    if (slow.slow[0] > slow.slow[1])
        return error_set(error, STATUS_INVALID, "slow1 = %g is above slow2 = %g", slow.slow[0],
                         slow.slow[1]);
    *value = reliability_fail_slow(&slow);
    return STATUS_OK;
}

FORM(noise_maximum)
{
    (void)error;
    *value = reliability_noise_maximum((NoiseLaw)reliability_word(input, "law"), VALUE("N"),
                                       VALUE("cv"));
    return STATUS_OK;
}

LossSpike loss_spike_case(const ReliabilityCase *input)
{
    return (LossSpike){.rate_per_step = VALUE("h_per_step"),
                       .step_s = VALUE("t_step"),
                       .restart_s = VALUE("R"),
                       .detect_steps = VALUE("detect_steps"),
                       .back_steps = VALUE("rollback_steps"),
                       .save_every_steps = VALUE("ckpt_every_steps"),
                       .save_s = VALUE("delta")};
}

FORM(ettr_loss_spike)
{
    (void)error;
    LossSpike spike = loss_spike_case(input);
    *value = reliability_ettr_loss_spike(&spike);
    return STATUS_OK;
}

FORM(ettr_notice)
{
    (void)error;
    *value = reliability_ettr_notice(VALUE("M"), VALUE("tau"), VALUE("delta"), VALUE("gap"));
    return STATUS_OK;
}

FORM(ettr_no_notice)
{
    (void)error;
    *value = run_ettr_s2(VALUE("M"), VALUE("tau"), VALUE("delta"), VALUE("gap"), 0.0);
    return STATUS_OK;
}

#define WALL(function)                                                                             \
    function(VALUE("M"), VALUE("tau"), VALUE("delta"), VALUE("D"), VALUE("R"), VALUE("segments"))

FORM(wall_mean_s1)
{
    (void)error;
    *value = WALL(reliability_wall_mean_s1);
    return STATUS_OK;
}

FORM(wall_mean_s2)
{
    (void)error;
    *value = WALL(reliability_wall_mean_s2);
    return STATUS_OK;
}

FORM(wall_sd_s1)
{
    (void)error;
    *value = WALL(reliability_wall_sd_s1);
    return STATUS_OK;
}

FORM(wall_sd_s2)
{
    (void)error;
    *value = WALL(reliability_wall_sd_s2);
    return STATUS_OK;
}

FORM(effective_mfu)
{
    (void)error;
    *value = reliability_effective_mfu(VALUE("flops"), VALUE("gpus"), VALUE("days") * 86400.0,
                                       VALUE("peak"));
    return STATUS_OK;
}

FORM(gpu_hours)
{
    (void)error;
    *value = VALUE("gpus") * VALUE("days") * 24.0;
    return STATUS_OK;
}

FORM(cost_usd)
{
    (void)error;
    *value = VALUE("gpus") * VALUE("days") * 24.0 * VALUE("usd_per_gpu_h");
    return STATUS_OK;
}

FORM(copies_survive)
{
    double machines = VALUE("machines"), copies = VALUE("copies"), lost = VALUE("lost_together");
    if (fmod(machines, copies) > 0.0 || lost > machines)
        return error_set(error, STATUS_INVALID,
                         "%.0f machines: not in groups of %.0f, or fewer than %.0f are lost",
                         machines, copies, lost);
    return reliability_copies_survive(machines, copies, lost, value, error);
}

FORM(ettr_wall_clock)
{
    /* Failures counted by elapsed time: if nothing fails while down, M_run = M_wall - down. */
    double run_clock_s = VALUE("M_wall") - VALUE("down");
    if (!(run_clock_s > 0.0))
        return error_set(error, STATUS_INVALID,
                         "M_wall = %g s is not above down = %g s: the job never runs",
                         VALUE("M_wall"), VALUE("down"));
    *value = run_ettr_s2(run_clock_s, VALUE("tau"), VALUE("delta"), VALUE("down"), 0.0);
    return STATUS_OK;
}

FORM(in_repair_mean)
{
    (void)error;
    *value = reliability_in_repair_mean(input->list, input->list_sizes, input->list_count,
                                        VALUE("repair"));
    return STATUS_OK;
}

FORM(in_repair_sd)
{
    (void)error;
    *value = reliability_in_repair_sd(input->list, input->list_sizes, input->list_count,
                                      VALUE("repair"));
    return STATUS_OK;
}

/* ---- parameters --------------------------------------------------------------------------------
 */

/* In the order of LawKind. */
#define LAW_WORDS "exponential weibull gamma lognormal fixed"

/* Bounds keep products and quotients of any two of them far from the ends of a double. */
#define LEAST_S    1e-6
#define MOST_S     1e12
#define MOST_UNITS 1e7

/* clang-format off */
#define TIME(name)          {name, QUANTITY_TIME, LEAST_S, MOST_S, 0, 0.0, NULL}
#define TIME_OR_ZERO(name)  {name, QUANTITY_TIME, 0.0, MOST_S, 0, 0.0, NULL}
#define MAYBE_TIME(name)    {name, QUANTITY_TIME, 0.0, MOST_S, 1, 0.0, NULL}
#define TIME_OR_NONE(name)  {name, QUANTITY_TIME, LEAST_S, MOST_S, 1, HUGE_VAL, "none"}
#define RATE(name)          {name, QUANTITY_RATE, 1e-15, 1e3, 0, 0.0, NULL}
#define WHOLE(name, low)    {name, QUANTITY_WHOLE, low, MOST_UNITS, 0, 0.0, NULL}
#define NUMBER(name, low, high) {name, QUANTITY_NUMBER, low, high, 0, 0.0, NULL}
#define SHARE(name)         NUMBER(name, 0.0, 1.0)
#define WORD(name, words)   {name, QUANTITY_WORD, 0.0, 0.0, 0, 0.0, words}
#define MAYBE_WORD(name, words, otherwise) {name, QUANTITY_WORD, 0.0, 0.0, 1, otherwise, words}
#define END                 {NULL, QUANTITY_NUMBER, 0.0, 0.0, 0, 0.0, NULL}

static const ParameterSpec INTERVAL[] = {TIME("delta"), TIME("M"), END};
static const ParameterSpec SEGMENTS[] = {
    TIME("M"), TIME("tau"), TIME_OR_ZERO("delta"), MAYBE_TIME("D"), MAYBE_TIME("R"), END};
static const ParameterSpec LINEAR[] = {
    WHOLE("n_nodes", 1.0), RATE("rf_per_node"), TIME("dt"), MAYBE_TIME("w"), MAYBE_TIME("u0"), END};
static const ParameterSpec RENEWAL[] = {
    WORD("dist", LAW_WORDS),
    {"shape", QUANTITY_NUMBER, 0.05, 100.0, 1, 1.0, NULL},
    TIME("mean"), TIME("tau"), TIME_OR_ZERO("delta"), MAYBE_TIME("persist"), MAYBE_TIME("D"), MAYBE_TIME("R"), END};
static const ParameterSpec ASYNC[] = {
    MAYBE_WORD("dist", LAW_WORDS, LAW_EXPONENTIAL),
    {"shape", QUANTITY_NUMBER, 0.05, 100.0, 1, 1.0, NULL},
    TIME("M"), TIME("tau"), TIME_OR_ZERO("block"), TIME_OR_ZERO("persist"), MAYBE_TIME("D"), MAYBE_TIME("R"), END};
static const ParameterSpec TWO_LEVEL[] = {
    TIME("M"), TIME("tau1"), TIME_OR_ZERO("block1"), TIME_OR_ZERO("block2"), WHOLE("n2", 1.0), SHARE("f1"),
    TIME_OR_ZERO("R1"), TIME_OR_ZERO("R2"), END};
static const ParameterSpec HIERARCHY[] = {
    WHOLE("n_gpu", 1.0), {"down", QUANTITY_TIMES, 0.0, MOST_S, 1, 0.0, NULL},
    MAYBE_TIME("tau"), MAYBE_TIME("delta"), MAYBE_TIME("R"), END};
static const ParameterSpec SPARES[] = {
    WHOLE("N", 1.0), WHOLE("spares", 0.0), RATE("rf_per_node"), TIME("repair"),
    MAYBE_WORD("repair", REPAIR_LAW_WORDS, 0.0), END};
static const ParameterSpec CREWS[] = {
    WHOLE("N", 1.0), WHOLE("spares", 0.0), RATE("rf_per_node"), TIME("repair"), WHOLE("crews", 1.0), END};
static const ParameterSpec STANDBY[] = {
    WHOLE("machines", 1.0), SHARE("p_fail_per_window"), NUMBER("quantile", 0.0, 0.999999999), END};
static const ParameterSpec DETECTION[] = {
    TIME("M"), TIME("tau"), TIME_OR_ZERO("delta"), MAYBE_TIME("D"), MAYBE_TIME("R"), SHARE("hang_fraction"),
    TIME_OR_ZERO("detect_fast"), TIME_OR_ZERO("detect_hang"), END};
static const ParameterSpec ELASTIC[] = {
    WHOLE("replicas", 1.0), RATE("job_rate_per"), TIME("T_rep"), MAYBE_TIME("pause_drop"), MAYBE_TIME("pause_rejoin"),
    MAYBE_WORD("repair", REPAIR_LAW_WORDS, 0.0), END};
static const ParameterSpec FAIL_SLOW[] = {
    WHOLE("N", 1.0), RATE("rate_per_node"), TIME("dur"), TIME_OR_NONE("evict_after"), MAYBE_TIME("pause"),
    NUMBER("slow1", 1.0, 1e6), NUMBER("slow2", 1.0, 1e6), SHARE("P_slow2"), END};
static const ParameterSpec NOISE[] = {
    WHOLE("N", 1.0), NUMBER("cv", 0.0, 10.0), MAYBE_WORD("law", NOISE_LAW_WORDS, NOISE_NORMAL), END};
static const ParameterSpec LOSS_SPIKE[] = {
    NUMBER("h_per_step", 1e-12, 1.0), TIME("t_step"), MAYBE_TIME("R"), WHOLE("detect_steps", 0.0), WHOLE("rollback_steps", 0.0),
    WHOLE("ckpt_every_steps", 1.0), MAYBE_TIME("delta"), END};
static const ParameterSpec PREEMPTION[] = {
    TIME("M"), TIME("tau"), TIME_OR_ZERO("delta"), MAYBE_TIME("gap"), END};
static const ParameterSpec FINITE[] = {
    TIME("M"), TIME("tau"), TIME_OR_ZERO("delta"), MAYBE_TIME("D"), MAYBE_TIME("R"), WHOLE("segments", 1.0), END};
static const ParameterSpec COST[] = {
    WHOLE("gpus", 1.0), NUMBER("days", 1e-6, 1e6), NUMBER("flops", 1.0, 1e40), NUMBER("peak", 1.0, 1e30),
    {"usd_per_gpu_h", QUANTITY_NUMBER, 0.0, 1e9, 1, 1.0, NULL}, END};
static const ParameterSpec COPIES[] = {
    WHOLE("machines", 1.0), WHOLE("copies", 1.0), WHOLE("lost_together", 1.0), END};
static const ParameterSpec WALL_CLOCK[] = {
    TIME("M_wall"), TIME_OR_ZERO("down"), TIME("tau"), TIME_OR_ZERO("delta"), END};
static const ParameterSpec CORRELATED[] = {
    {"classes", QUANTITY_BATCHES, 1e-15, 1e3, 0, 0.0, NULL}, TIME("repair"), END};

/* ---- metrics -----------------------------------------------------------------------------------
 */

#define METRIC(name, form, process) {name, QUANTITY_NUMBER, form, process, ESTIMATE_MEAN, 0}
#define MEAN_TIME(name, form, process) {name, QUANTITY_TIME, form, process, ESTIMATE_MEAN, 0}
#define SPREAD_TIME(name, form, process) {name, QUANTITY_TIME, form, process, ESTIMATE_DEVIATION, 0}
#define NO_MORE {NULL, QUANTITY_NUMBER, NULL, NULL, ESTIMATE_MEAN, 0}

static const ReliabilityMetric INTERVAL_METRICS[] = {
    MEAN_TIME("tau_exact", tau_exact, NULL),
    MEAN_TIME("tau_daly_higher_order", tau_daly, NULL),
    MEAN_TIME("tau_daly_first_order", tau_daly_first, NULL),
    MEAN_TIME("tau_young", tau_young, NULL),
    NO_MORE};
static const ReliabilityMetric EXPOSED_METRICS[] = {METRIC("ETTR", ettr_s1, process_run_exposed), NO_MORE};
static const ReliabilityMetric SAFE_METRICS[] = {METRIC("ETTR", ettr_s2, process_run_safe), NO_MORE};
static const ReliabilityMetric LINEAR_METRICS[] = {
    METRIC("ETTR_linear", ettr_linear, NULL), MEAN_TIME("dt_opt", linear_interval, NULL), NO_MORE};
static const ReliabilityMetric RENEWAL_METRICS[] = {METRIC("ETTR", ettr_renewal, process_run_renewal), NO_MORE};
static const ReliabilityMetric ASYNC_METRICS[] = {METRIC("ETTR", ettr_async, process_run_renewal), NO_MORE};
static const ReliabilityMetric TWO_LEVEL_METRICS[] = {METRIC("ETTR", ettr_two_level, process_run_two_level), NO_MORE};
static const ReliabilityMetric HIERARCHY_METRICS[] = {
    {"ETTR", QUANTITY_NUMBER, ettr_mix, process_run_classes, ESTIMATE_MEAN, 1},
    {"job_MTBF", QUANTITY_TIME, mix_mtbf, process_run_failures, ESTIMATE_MEAN, 1},
    {"failures_per", QUANTITY_RATE, mix_rate, NULL, ESTIMATE_MEAN, 1},
    NO_MORE};
static const ReliabilityMetric SPARES_METRICS[] = {METRIC("P_job_waits_for_a_node", spares_wait, process_run_spares), NO_MORE};
static const ReliabilityMetric CREWS_METRICS[] = {METRIC("P_job_waits_for_a_node", crews_wait, process_run_crews), NO_MORE};
static const ReliabilityMetric STANDBY_METRICS[] = {METRIC("standby_machines", standby, NULL), NO_MORE};
static const ReliabilityMetric DETECTION_METRICS[] = {METRIC("ETTR", ettr_detection, process_run_detection), NO_MORE};
static const ReliabilityMetric ELASTIC_METRICS[] = {METRIC("throughput_fraction", elastic_throughput, process_run_elastic), NO_MORE};
static const ReliabilityMetric FAIL_SLOW_METRICS[] = {
    METRIC("throughput_fraction", fail_slow_throughput, process_run_fail_slow), NO_MORE};
static const ReliabilityMetric NOISE_METRICS[] = {
    METRIC("mean_step_over_nominal", noise_maximum, process_noise_maximum), NO_MORE};
static const ReliabilityMetric LOSS_SPIKE_METRICS[] = {METRIC("ETTR", ettr_loss_spike, process_run_loss_spike), NO_MORE};
static const ReliabilityMetric NOTICE_METRICS[] = {METRIC("ETTR", ettr_notice, process_run_notice), NO_MORE};
static const ReliabilityMetric NO_NOTICE_METRICS[] = {METRIC("ETTR", ettr_no_notice, process_run_no_notice), NO_MORE};
static const ReliabilityMetric FINITE_EXPOSED_METRICS[] = {
    MEAN_TIME("mean_wall", wall_mean_s1, process_run_finite_exposed),
    SPREAD_TIME("sd_wall", wall_sd_s1, process_run_finite_exposed),
    NO_MORE};
static const ReliabilityMetric FINITE_SAFE_METRICS[] = {
    MEAN_TIME("mean_wall", wall_mean_s2, process_run_finite_safe),
    SPREAD_TIME("sd_wall", wall_sd_s2, process_run_finite_safe),
    NO_MORE};
static const ReliabilityMetric COST_METRICS[] = {
    METRIC("effective_MFU", effective_mfu, NULL), METRIC("gpu_hours", gpu_hours, NULL),
    METRIC("cost_usd", cost_usd, NULL), NO_MORE};
static const ReliabilityMetric COPIES_METRICS[] = {METRIC("P_all_shards_survive", copies_survive, process_copies), NO_MORE};
static const ReliabilityMetric WALL_CLOCK_METRICS[] = {METRIC("ETTR", ettr_wall_clock, process_run_wall_clock), NO_MORE};
static const ReliabilityMetric CORRELATED_METRICS[] = {
    METRIC("nodes_in_repair_mean", in_repair_mean, process_run_correlated),
    {"nodes_in_repair_sd", QUANTITY_NUMBER, in_repair_sd, process_run_correlated, ESTIMATE_DEVIATION, 0},
    NO_MORE};

const ReliabilityModel RELIABILITY_MODELS[] = {
    {"A.opt_interval", INTERVAL, INTERVAL_METRICS},
    {"B.S1_exposed_restart", SEGMENTS, EXPOSED_METRICS},
    {"C.S2_safe_restart", SEGMENTS, SAFE_METRICS},
    {"D.linear_estimator", LINEAR, LINEAR_METRICS},
    {"E.renewal_hazard", RENEWAL, RENEWAL_METRICS},
    {"F.async_save", ASYNC, ASYNC_METRICS},
    {"G.two_level", TWO_LEVEL, TWO_LEVEL_METRICS},
    {"H.hierarchy", HIERARCHY, HIERARCHY_METRICS},
    {"I.spares", SPARES, SPARES_METRICS},
    {"I.spares_crews", CREWS, CREWS_METRICS},
    {"I.standby_P99", STANDBY, STANDBY_METRICS},
    {"J.detection", DETECTION, DETECTION_METRICS},
    {"K.elastic_dp", ELASTIC, ELASTIC_METRICS},
    {"L.fail_slow", FAIL_SLOW, FAIL_SLOW_METRICS},
    {"L.step_noise_max", NOISE, NOISE_METRICS},
    {"M.loss_spike", LOSS_SPIKE, LOSS_SPIKE_METRICS},
    {"N.preempt_notice", PREEMPTION, NOTICE_METRICS},
    {"N.preempt_no_notice", PREEMPTION, NO_NOTICE_METRICS},
    {"O.finite_run_S1", FINITE, FINITE_EXPOSED_METRICS},
    {"O.finite_run_S2", FINITE, FINITE_SAFE_METRICS},
    {"P.gpt4_cost", COST, COST_METRICS},
    {"Q.memory_copies", COPIES, COPIES_METRICS},
    {"R.wall_clock_rate", WALL_CLOCK, WALL_CLOCK_METRICS},
    {"S.correlated_repair", CORRELATED, CORRELATED_METRICS},
};
/* clang-format on */
const size_t RELIABILITY_MODEL_COUNT = sizeof RELIABILITY_MODELS / sizeof RELIABILITY_MODELS[0];
