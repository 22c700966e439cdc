/* From a training scenario to numbers with intervals: draws the uncertain inputs, simulates a step
 * and a run for each draw, and collects everything as metrics.
 *
 * Nominal quantities (model, memory, step of the midpoint scenario) are scalars; run, cost, step
 * and input metrics that depend on draws are vectors of `reps`. Names follow the JSON contract with
 * dots: model.params_total, model.params_active, model.params_per_expert, model.params_attention,
 *   model.flops_per_token_forward, model.flops_per_token_training, ...
 *   memory.weights_bytes ... memory.total_bytes, memory.capacity_bytes, memory.fits
 *   step.seconds, step.tokens, step.mfu, step.hfu, step.tflops_per_gpu, step.tokens_per_s_per_gpu,
 *   step.bubble_fraction, step.breakdown_s.compute ..., run.days, run.goodput, run.mfu_effective,
 *   run.failures, run.gpu_hours, run.flops_total, run.lost_hours.*, run.badput_hours.*,
 *   run.time_goodput, run.throughput_goodput, run.failures_by_class.<name>, cost.usd,
 * cost.items_usd.*, cost.energy_kwh, cost.co2_kg, input.<path> for every uncertain input.
 */
#ifndef SIM_TRAINING_FORECAST_H
#define SIM_TRAINING_FORECAST_H

#include "configs/reader/scenario.h"
#include "models/memory.h"
#include "sim/engine/forecast_options.h"
#include "sim/engine/metrics.h"
#include "sim/training/run.h"
#include "sim/training/step.h"

typedef struct TrainForecast {
    MemoryPlan memory;
    StepInput step_input; /* of the midpoint scenario */
    StepResult step;      /* of the midpoint scenario at the detail asked for, with spans */
    RunInput run_input;   /* of the midpoint scenario */
    MetricSet metrics;
    size_t reps; /* that were simulated: more than asked for where a precision was */
    double
        precision; /* that was reached: half the 95% interval over the value; 0: none asked for */
    size_t dropped_choices; /* choices of uncertain inputs that no plan in memory allows */
    char dropped_note[512]; /* which, and why: computed */
} TrainForecast;

/* STATUS_NO with the reason when the plan does not fit in memory. Uncertain choices under which the
 * plan does not fit (a recomputation mode, a gradient precision) are left out of the draws and
 * named in dropped_note; when none fits, the plan does not fit. A draw that still does not fit
 * (numbers use memory too) is drawn again, so what is sampled is the scenario given that it fits;
 * plan.share_of_draws_that_fit says how often. The noise between replicas is simulated with all
 * replicas at a few levels on the midpoint scenario and interpolated for each draw. The same seed
 * gives the same bytes for any number of threads. On STATUS_NO the metrics hold model.*, memory.*
 * and plan.*. The caller frees the forecast whatever was returned. */
Status train_forecast(const Scenario *scenario, const ForecastOptions *options,
                      TrainForecast *forecast, Error *error);
void train_forecast_free(TrainForecast *forecast);

#endif
