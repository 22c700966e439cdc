/* The Inputs sheet: what the cost sheet computes from, in yellow, then everything that the scenario
 * says. */
#include "configs/reader/sample.h"
#include "hw/price.h"
#include "reports/workbook_book.h"

#include "reports/claim_lookup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ResolvedValue *resolved(const Book *book, const char *path)
{
    for (size_t i = 0; book->inputs != NULL && path != NULL && i < book->inputs->count; i++)
        if (strcmp(book->inputs->values[i].path, path) == 0)
            return &book->inputs->values[i];
    return NULL;
}

static const UncertainInput *uncertain(const Book *book, const char *path)
{
    const Scenario *scenario = book->run.scenario;
    for (size_t i = 0; path != NULL && i < scenario->uncertain_count; i++)
        if (strcmp(scenario->uncertain[i].path, path) == 0)
            return &scenario->uncertain[i];
    return NULL;
}

double book_input_median(const Book *book, const char *path, double fixed, double to_unit)
{
    char name[METRIC_NAME_BYTES];
    Summary summary;
    snprintf(name, sizeof name, "input.%s", path);
    if (!book_metric(book->run.metrics, name, &summary))
        return fixed * to_unit;
    return summary.p50 * to_unit;
}

static const double widths[INPUT_COLUMN_COUNT] = {46, 18, 10, 13, 13, 44, 96};

static void put_source(Book *book, lxw_worksheet *sheet, lxw_row_t row, const char *origin,
                       const char *source)
{
    book_text(book, sheet, row, INPUT_COLUMN_ORIGIN, origin, book->formats.unit);
    book_text(book, sheet, row, INPUT_COLUMN_SOURCE, source, book->formats.wrapped);
    book_row_lines(book, sheet, row, book_lines(source, widths[INPUT_COLUMN_SOURCE]));
}

static void put_row(Book *book, lxw_worksheet *sheet, lxw_row_t *row, CellStyle style,
                    const InputRow *input)
{
    const ResolvedValue *value_of = resolved(book, input->path);
    const UncertainInput *range = uncertain(book, input->path);
    const char *format = number_format_of(input->unit, &input->value, 1);
    book_text(book, sheet, *row, INPUT_COLUMN_NAME, input->label, book->formats.text);
    book_number(book, sheet, *row, INPUT_COLUMN_VALUE, input->value,
                book_number_format(book, style, format));
    book_text(book, sheet, *row, INPUT_COLUMN_UNIT, input->unit, book->formats.unit);
    if (range != NULL && range->distribution != DRAW_CHOICE) {
        lxw_format *bound = book_number_format(book, CELL_PUBLISHED, format);
        book_number(book, sheet, *row, INPUT_COLUMN_LOW, range->low * input->to_unit, bound);
        book_number(book, sheet, *row, INPUT_COLUMN_HIGH, range->high * input->to_unit, bound);
    }
    put_source(book, sheet, *row, value_of != NULL ? value_of->origin : "",
               value_of != NULL ? value_of->source : input->source);
    book_define(book, input->name, "Inputs", *row, INPUT_COLUMN_VALUE);
    (*row)++;
}

void book_input_rows(Book *book, lxw_worksheet *sheet, lxw_row_t *row, CellStyle style,
                     const char *title, const InputRow *rows, size_t count)
{
    book_text(book, sheet, (*row)++, INPUT_COLUMN_NAME, title, book->formats.section);
    for (size_t i = 0; i < count; i++)
        put_row(book, sheet, row, style, &rows[i]);
    (*row)++;
}

static void claimed(const Book *book, const char *metric, double *low, double *high,
                    const char **source)
{
    const ClaimResult *result = claim_about(book->audit, book->run.name, metric);
    if (result == NULL || (!result->claim->has_low && !result->claim->has_high))
        return;
    *low = result->claim->has_low ? result->claim->low : result->claim->high;
    *high = result->claim->has_high ? result->claim->high : result->claim->low;
    if (source != NULL)
        *source = result->claim->source;
}

static double median(const Book *book, const char *name)
{
    Summary summary;
    return book_metric(book->run.metrics, name, &summary) ? summary.p50 : (double)NAN;
}

static void collect(const Book *book, CostInputs *inputs)
{
    const Scenario *scenario = book->run.scenario;
    const StepInput *step = &book->run.train->step_input;
    const PriceSpec *prices = &scenario->prices;
    Summary summary;
    if (!book_metric(book->run.metrics, "run.days", &summary) || !(step->gpus > 0))
        return;
    inputs->present = 1;
    inputs->days[0] = summary.p50;
    inputs->days[1] = summary.p5;
    inputs->days[2] = summary.p95;
    inputs->gpus = fmax(scenario->hardware.gpus, step->gpus);
    inputs->peak_flops_per_s = step->peak_flops_per_s / step->gpus;
    inputs->flops_exact = median(book, "run.flops_total");
    inputs->flops_6nd = median(book, "run.flops_6nd");
    /* Beside a rent by the hour: what all but energy costs an hour of a GPU, at the middle of what
     * is uncertain. Spare nodes cost as much as others. */
    Scenario middle;
    scenario_midpoint(scenario, &middle);
    const double nodes = ceil(inputs->gpus / scenario->hardware.node.gpus);
    const double with_spares = 1 + scenario->reliability.spares.nodes / nodes;
    inputs->gpu_hour_usd =
        with_spares * (prices->basis == PRICE_HOURLY
                           ? book_input_median(book, "prices.gpu_hour", prices->gpu_hour_usd, 1)
                           : price_gpu_hour_usd(&middle, inputs->gpus));
    inputs->node_gpus = scenario->hardware.node.gpus;
    inputs->node_power_w = with_spares * book_input_median(book, "hardware.node.power",
                                                           scenario->hardware.node.power_w, 1);
    inputs->pue = book_input_median(book, "prices.pue", prices->pue, 1);
    inputs->energy_usd_per_kwh =
        book_input_median(book, "prices.energy", prices->energy_usd_per_j, JOULES_PER_KWH);
    inputs->co2_kg_per_kwh =
        book_input_median(book, "prices.co2", prices->co2_kg_per_j, JOULES_PER_KWH);
    inputs->energy_included = prices->energy_included != 0 && prices->basis != PRICE_OWNED;
}

static void put_simulated(Book *book, lxw_worksheet *sheet, lxw_row_t *row,
                          const CostInputs *inputs)
{
    static const char from[] = "simulated";
    const Scenario *scenario = book->run.scenario;
    int fp8 = scenario->training.precision == PRECISION_FP8 &&
              scenario->hardware.gpu.peak_fp8_flops_per_s > 0;
    const char *peak = fp8 ? "hardware.gpu.peak_fp8" : "hardware.gpu.peak_bf16";
    const InputRow rows[] = {
        {"Duration, median", "run_days", inputs->days[0], "days", NULL, 1, from},
        {"Duration, p5", "run_days_p5", inputs->days[1], "days", NULL, 1, from},
        {"Duration, p95", "run_days_p95", inputs->days[2], "days", NULL, 1, from},
        {"Training FLOPs, exact count", "train_flops_exact", inputs->flops_exact, "FLOPs", NULL, 1,
         "matmuls and causal attention of all tokens"},
        {"Training FLOPs, 6ND", "train_flops_sixnd", inputs->flops_6nd, "FLOPs", NULL, 1,
         "6 x active parameters x tokens"},
        {"Peak of one GPU at the products' precision", "peak_flops_gpu", inputs->peak_flops_per_s,
         "FLOP/s", peak, 1, ""},
    };
    book_input_rows(book, sheet, row, CELL_SIMULATED,
                    "Of the simulation (what drives these needs a new simulation to change)", rows,
                    sizeof rows / sizeof *rows);
}

static void put_prices(Book *book, lxw_worksheet *sheet, lxw_row_t *row, const CostInputs *inputs)
{
    const InputRow rows[] = {
        {"GPUs", "gpu_count", inputs->gpus, "GPUs", "hardware.gpus", 1, ""},
        {"Rent of one GPU", "price_gpu_hour", inputs->gpu_hour_usd, "USD/h", "prices.gpu_hour", 1,
         ""},
        {"GPUs of one node", "node_gpus", inputs->node_gpus, "GPUs", "hardware.node.gpus", 1, ""},
        {"Power of one node", "node_power_w", inputs->node_power_w, "W", "hardware.node.power", 1,
         ""},
        {"Power usage effectiveness", "pue_ratio", inputs->pue, "ratio", "prices.pue", 1, ""},
        {"Price of energy", "price_kwh", inputs->energy_usd_per_kwh, "USD/kWh", "prices.energy",
         JOULES_PER_KWH, ""},
        {"Rent includes energy (1 yes, 0 no)", "energy_included", inputs->energy_included, "",
         "prices.energy_included", 1, ""},
        {"Carbon of energy", "co2_kg_kwh", inputs->co2_kg_per_kwh, "kg/kWh", "prices.co2",
         JOULES_PER_KWH, ""},
    };
    book_input_rows(book, sheet, row, CELL_INPUT, "Prices and machines (the Cost sheet follows)",
                    rows, sizeof rows / sizeof *rows);
}

/* What was published, so that the cost sheet can show which of its figures go together. */
static void put_published(Book *book, lxw_worksheet *sheet, lxw_row_t *row, CostInputs *inputs)
{
    const char *gpu_source = "simulated: none published",
               *flop_source = "simulated: none published";
    const char *day_source = "", *cost_source = "";
    InputRow rows[5];
    size_t count = 0;
    double unused;
    inputs->claim_gpus = inputs->gpus;
    inputs->claim_flops = inputs->flops_6nd;
    inputs->claim_days_low = inputs->claim_days_high = inputs->claim_cost_usd = (double)NAN;
    claimed(book, "plan.gpus", &unused, &inputs->claim_gpus, &gpu_source);
    claimed(book, "run.flops_6nd", &unused, &inputs->claim_flops, &flop_source);
    claimed(book, "run.days", &inputs->claim_days_low, &inputs->claim_days_high, &day_source);
    claimed(book, "cost.usd", &unused, &inputs->claim_cost_usd, &cost_source);
    rows[count++] =
        (InputRow){"Published GPUs", "claim_gpus", inputs->claim_gpus, "GPUs", NULL, 1, gpu_source};
    rows[count++] = (InputRow){"Published training FLOPs",
                               "claim_flops",
                               inputs->claim_flops,
                               "FLOPs",
                               NULL,
                               1,
                               flop_source};
    if (isfinite(inputs->claim_days_low)) {
        rows[count++] = (InputRow){"Published duration, low",
                                   "claim_days_low",
                                   inputs->claim_days_low,
                                   "days",
                                   NULL,
                                   1,
                                   day_source};
        rows[count++] = (InputRow){"Published duration, high",
                                   "claim_days_high",
                                   inputs->claim_days_high,
                                   "days",
                                   NULL,
                                   1,
                                   day_source};
    }
    if (isfinite(inputs->claim_cost_usd))
        rows[count++] =
            (InputRow){"Published cost", "claim_cost_usd", inputs->claim_cost_usd, "USD", NULL, 1,
                       cost_source};
    book_input_rows(book, sheet, row, CELL_INPUT, "As published (the Cost sheet follows)", rows,
                    count);
}

/* 1 when the whole text is one decimal number. */
static int is_number(const char *text, double *value)
{
    char *end = NULL;
    if (text[0] == '\0' || text[strspn(text, "0123456789.+-eE")] != '\0')
        return 0;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

void book_inputs_all(Book *book, lxw_worksheet *sheet, lxw_row_t row)
{
    if (book->inputs == NULL || book->inputs->count == 0)
        return;
    book_text(book, sheet, row++, INPUT_COLUMN_NAME,
              "Every input of the scenario, as resolved (a change here needs a new simulation)",
              book->formats.section);
    for (size_t i = 0; i < book->inputs->count; i++, row++) {
        const ResolvedValue *value = &book->inputs->values[i];
        double number;
        book_text(book, sheet, row, INPUT_COLUMN_NAME, value->path, book->formats.text);
        if (is_number(value->value, &number))
            book_number(book, sheet, row, INPUT_COLUMN_VALUE, number,
                        book_number_format(book, CELL_AS_GIVEN, number_format_of("", &number, 1)));
        else
            book_text(book, sheet, row, INPUT_COLUMN_VALUE, value->value, book->formats.given);
        put_source(book, sheet, row, value->origin, value->source);
    }
}

lxw_row_t book_inputs_begin(Book *book, lxw_worksheet *sheet, const char *note)
{
    static const char *const titles[INPUT_COLUMN_COUNT] = {"Input", "Value",  "Unit",  "Low",
                                                           "High",  "Origin", "Source"};
    lxw_row_t row = 0;
    book_widths(book, sheet, widths, INPUT_COLUMN_COUNT);
    book_text(book, sheet, row++, 0, "Inputs", book->formats.title);
    book_text(book, sheet, row++, 0, note, book->formats.note);
    book_heads(book, sheet, row++, 0, titles, "lrirril");
    book_keep_in_view(book, sheet, row, 1);
    return row;
}

void book_inputs(Book *book, lxw_worksheet *sheet, CostInputs *inputs)
{
    if (book->run.train != NULL)
        collect(book, inputs);
    lxw_row_t row = book_inputs_begin(
        book, sheet,
        inputs->present ? "Yellow cells may be changed: the Cost sheet follows at once."
                        : "There is no training run to cost.");
    if (inputs->present) {
        put_prices(book, sheet, &row, inputs);
        put_simulated(book, sheet, &row, inputs);
        if (book->audit != NULL)
            put_published(book, sheet, &row, inputs);
    }
    book_inputs_all(book, sheet, row);
}
