/* The Inputs sheet: what the cost sheet computes from, in yellow, then everything that the scenario
 * says. */
#include "reports/workbook_book.h"

#include "reports/claim_lookup.h"

#include <math.h>
#include <string.h>

static const double joules_per_kwh = 3.6e6;

static const ResolvedValue *resolved(const Book *book, const char *path)
{
    for (size_t i = 0; book->inputs != NULL && path != NULL && i < book->inputs->count; i++)
        if (strcmp(book->inputs->values[i].path, path) == 0)
            return &book->inputs->values[i];
    return NULL;
}

static const UncertainInput *uncertain(const Book *book, const char *path)
{
    const Scenario *scenario = &book->headline->scenario;
    for (size_t i = 0; path != NULL && i < scenario->uncertain_count; i++)
        if (strcmp(scenario->uncertain[i].path, path) == 0)
            return &scenario->uncertain[i];
    return NULL;
}

/* An input's median over the draws; its value when it is not drawn. */
static double drawn(const Book *book, const char *path, double fixed, double to_unit)
{
    char name[METRIC_NAME_BYTES];
    Summary summary;
    snprintf(name, sizeof name, "input.%s", path);
    const Metric *metric = metrics_find(book->headline->metrics, name);
    if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
        return fixed * to_unit;
    return summary.p50 * to_unit;
}

/* One row of the block; defines `name` for the value's cell. */
static void row_of(Book *book, lxw_worksheet *sheet, lxw_row_t *row, const char *label,
                   const char *name, double value, const char *unit, const char *path,
                   double to_unit, const char *source)
{
    const ResolvedValue *value_of = resolved(book, path);
    const UncertainInput *range = uncertain(book, path);
    book_text(book, sheet, *row, 0, label, book->formats.text);
    book_number(book, sheet, *row, 1, value, book->formats.input);
    book_text(book, sheet, *row, 2, unit, book->formats.text);
    if (range != NULL && range->distribution != DRAW_CHOICE) {
        book_number(book, sheet, *row, 3, range->low * to_unit, book->formats.text);
        book_number(book, sheet, *row, 4, range->high * to_unit, book->formats.text);
    }
    book_text(book, sheet, *row, 5, value_of != NULL ? value_of->source : source,
              book->formats.wrapped);
    book_text(book, sheet, *row, 6, value_of != NULL ? value_of->origin : "",
              book->formats.wrapped);
    book_define(book, name, "Inputs", *row, 1);
    (*row)++;
}

static void claimed(const Book *book, const char *metric, double *low, double *high,
                    const char **source)
{
    const ClaimResult *result = claim_about(book->audit, book->headline->spec->name, metric);
    if (result == NULL || (!result->claim->has_low && !result->claim->has_high))
        return;
    *low = result->claim->has_low ? result->claim->low : result->claim->high;
    *high = result->claim->has_high ? result->claim->high : result->claim->low;
    if (source != NULL)
        *source = result->claim->source;
}

static double median(const Book *book, const char *name)
{
    const Metric *metric = metrics_find(book->headline->metrics, name);
    Summary summary;
    if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
        return (double)NAN;
    return summary.p50;
}

static void collect(const Book *book, CostInputs *inputs)
{
    const Scenario *scenario = &book->headline->scenario;
    const StepInput *step = &book->headline->train.step_input;
    const PriceSpec *prices = &scenario->prices;
    const Metric *days = metrics_find(book->headline->metrics, "run.days");
    Summary summary;
    if (days == NULL || metrics_summary(days, &summary, NULL) != STATUS_OK || !(step->gpus > 0))
        return;
    inputs->present = 1;
    inputs->days[0] = summary.p50;
    inputs->days[1] = summary.p5;
    inputs->days[2] = summary.p95;
    inputs->gpus = fmax(scenario->hardware.gpus, step->gpus);
    inputs->peak_flops_per_s = step->peak_flops_per_s / step->gpus;
    inputs->flops_exact = median(book, "run.flops_total");
    inputs->flops_6nd = median(book, "run.flops_6nd");
    inputs->gpu_hour_usd = drawn(book, "prices.gpu_hour", prices->gpu_hour_usd, 1);
    inputs->node_gpus = scenario->hardware.node.gpus;
    inputs->node_power_w = drawn(book, "hardware.node.power", scenario->hardware.node.power_w, 1);
    inputs->pue = drawn(book, "prices.pue", prices->pue, 1);
    inputs->energy_usd_per_kwh =
        drawn(book, "prices.energy", prices->energy_usd_per_j, joules_per_kwh);
    inputs->co2_kg_per_kwh = drawn(book, "prices.co2", prices->co2_kg_per_j, joules_per_kwh);
    inputs->energy_included = prices->energy_included != 0;
}

static void put_simulated(Book *book, lxw_worksheet *sheet, lxw_row_t *row,
                          const CostInputs *inputs)
{
    static const char from[] = "simulated";
    const Scenario *scenario = &book->headline->scenario;
    int fp8 = scenario->training.precision == PRECISION_FP8 &&
              scenario->hardware.gpu.peak_fp8_flops_per_s > 0;
    row_of(book, sheet, row, "Duration, median", "run_days", inputs->days[0], "days", NULL, 1,
           from);
    row_of(book, sheet, row, "Duration, p5", "run_days_p5", inputs->days[1], "days", NULL, 1, from);
    row_of(book, sheet, row, "Duration, p95", "run_days_p95", inputs->days[2], "days", NULL, 1,
           from);
    row_of(book, sheet, row, "Training FLOPs, exact count", "train_flops_exact",
           inputs->flops_exact, "FLOPs", NULL, 1, "matmuls and causal attention of all tokens");
    row_of(book, sheet, row, "Training FLOPs, 6ND", "train_flops_sixnd", inputs->flops_6nd, "FLOPs",
           NULL, 1, "6 x active parameters x tokens");
    row_of(book, sheet, row, "Peak of one GPU at the products' precision", "peak_flops_gpu",
           inputs->peak_flops_per_s, "FLOP/s",
           fp8 ? "hardware.gpu.peak_fp8" : "hardware.gpu.peak_bf16", 1, "");
}

static void put_prices(Book *book, lxw_worksheet *sheet, lxw_row_t *row, const CostInputs *inputs)
{
    row_of(book, sheet, row, "GPUs", "gpu_count", inputs->gpus, "GPUs", "hardware.gpus", 1, "");
    row_of(book, sheet, row, "Rent of one GPU", "price_gpu_hour", inputs->gpu_hour_usd, "USD/h",
           "prices.gpu_hour", 1, "");
    row_of(book, sheet, row, "GPUs of one node", "node_gpus", inputs->node_gpus, "GPUs",
           "hardware.node.gpus", 1, "");
    row_of(book, sheet, row, "Power of one node", "node_power_w", inputs->node_power_w, "W",
           "hardware.node.power", 1, "");
    row_of(book, sheet, row, "Power usage effectiveness", "pue_ratio", inputs->pue, "ratio",
           "prices.pue", 1, "");
    row_of(book, sheet, row, "Price of energy", "price_kwh", inputs->energy_usd_per_kwh, "USD/kWh",
           "prices.energy", joules_per_kwh, "");
    row_of(book, sheet, row, "Rent includes energy (1 yes, 0 no)", "energy_included",
           inputs->energy_included, "", "prices.energy_included", 1, "");
    row_of(book, sheet, row, "Carbon of energy", "co2_kg_kwh", inputs->co2_kg_per_kwh, "kg/kWh",
           "prices.co2", joules_per_kwh, "");
}

/* What was published, so that the cost sheet can show which of its figures go together. */
static void put_published(Book *book, lxw_worksheet *sheet, lxw_row_t *row, CostInputs *inputs)
{
    const char *gpu_source = "simulated: none published",
               *flop_source = "simulated: none published";
    const char *day_source = "", *cost_source = "";
    double unused;
    inputs->claim_gpus = inputs->gpus;
    inputs->claim_flops = inputs->flops_6nd;
    inputs->claim_days_low = inputs->claim_days_high = inputs->claim_cost_usd = (double)NAN;
    claimed(book, "plan.gpus", &unused, &inputs->claim_gpus, &gpu_source);
    claimed(book, "run.flops_6nd", &unused, &inputs->claim_flops, &flop_source);
    claimed(book, "run.days", &inputs->claim_days_low, &inputs->claim_days_high, &day_source);
    claimed(book, "cost.usd", &unused, &inputs->claim_cost_usd, &cost_source);
    row_of(book, sheet, row, "Published GPUs", "claim_gpus", inputs->claim_gpus, "GPUs", NULL, 1,
           gpu_source);
    row_of(book, sheet, row, "Published training FLOPs", "claim_flops", inputs->claim_flops,
           "FLOPs", NULL, 1, flop_source);
    if (isfinite(inputs->claim_days_low)) {
        row_of(book, sheet, row, "Published duration, low", "claim_days_low",
               inputs->claim_days_low, "days", NULL, 1, day_source);
        row_of(book, sheet, row, "Published duration, high", "claim_days_high",
               inputs->claim_days_high, "days", NULL, 1, day_source);
    }
    if (isfinite(inputs->claim_cost_usd))
        row_of(book, sheet, row, "Published cost", "claim_cost_usd", inputs->claim_cost_usd, "USD",
               NULL, 1, cost_source);
}

static void put_all_values(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    book_text(book, sheet, row++, 0,
              "Every input of the scenario, as resolved (a change here needs a new simulation)",
              book->formats.note);
    static const char *const titles[] = {"Key", "Value", "", "", "", "Source", "Origin"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        book_text(book, sheet, row, (lxw_col_t)i, titles[i], book->formats.head);
    row++;
    for (size_t i = 0; i < book->inputs->count; i++, row++) {
        const ResolvedValue *value = &book->inputs->values[i];
        book_text(book, sheet, row, 0, value->path, book->formats.text);
        book_text(book, sheet, row, 1, value->value, book->formats.input_text);
        book_text(book, sheet, row, 5, value->source, book->formats.wrapped);
        book_text(book, sheet, row, 6, value->origin, book->formats.text);
    }
}

void book_inputs(Book *book, lxw_worksheet *sheet, CostInputs *inputs)
{
    static const char *const titles[] = {"Input", "Value",  "Unit",  "Low",
                                         "High",  "Source", "Origin"};
    static const double widths[] = {44, 16, 9, 12, 12, 60, 46};
    lxw_row_t row = 0;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        worksheet_set_column(sheet, (lxw_col_t)i, (lxw_col_t)i, widths[i], NULL);
    if (book->headline != NULL)
        collect(book, inputs);
    if (inputs->present) {
        book_text(
            book, sheet, row++, 0,
            "Yellow cells may be changed: the Cost sheet follows. Duration and FLOPs come from "
            "the simulation.",
            book->formats.note);
        for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
            book_text(book, sheet, row, (lxw_col_t)i, titles[i], book->formats.head);
        row++;
        put_prices(book, sheet, &row, inputs);
        put_simulated(book, sheet, &row, inputs);
        put_published(book, sheet, &row, inputs);
        row++;
    }
    if (book->inputs != NULL && book->inputs->count > 0)
        put_all_values(book, sheet, row);
}
