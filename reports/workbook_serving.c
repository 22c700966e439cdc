/* The sheets of one serving scenario: its answer, what its price follows from, and that price as
 * live arithmetic: by throughput, by how much of the capacity is sold, and for a demand. */
#include "reports/workbook_book.h"

#include "reports/format.h"

#include <stdarg.h>

enum { CASES = 3, DAY_S = 86400 };

typedef struct ServingInputs {
    double input_per_s[CASES], output_per_s[CASES]; /* p50, p5, p95; of all GPUs, nothing unsold */
    double input_share;                             /* of the time: what prompts take */
    double gpus, gpu_hour_usd, grid_kw, energy_usd_per_kwh, energy_included;
    const char *grid_source, *sold_path;
    double sold;
    double list_input_usd, list_output_usd; /* a million tokens; 0: no list price */
} ServingInputs;

static double median_of(const Book *book, const char *name)
{
    Summary summary;
    return book_metric(book->run.metrics, name, &summary) ? summary.p50 : 0;
}

static void rates_of(const Book *book, const char *name, double *rates)
{
    Summary summary;
    if (!book_metric(book->run.metrics, name, &summary))
        return;
    rates[0] = summary.p50;
    rates[1] = summary.p5;
    rates[2] = summary.p95;
}

/* The share of the bill that input tokens bear, from the two prices at the median rates. */
static double input_share_of(const Book *book, const ServingInputs *inputs)
{
    const double input = median_of(book, "cost.usd_per_1m_input") * inputs->input_per_s[0];
    const double output = median_of(book, "cost.usd_per_1m_output") * inputs->output_per_s[0];
    return input + output > 0 ? input / (input + output) : 0;
}

static void collect(const Book *book, ServingInputs *inputs)
{
    const Scenario *scenario = book->run.scenario;
    const PriceSpec *prices = &scenario->prices;
    const Metric *power = metrics_find(book->run.metrics, "power.grid_w");
    rates_of(book, "throughput.input_tokens_per_s", inputs->input_per_s);
    rates_of(book, "throughput.output_tokens_per_s", inputs->output_per_s);
    inputs->input_share = input_share_of(book, inputs);
    inputs->gpus = median_of(book, "plan.gpus");
    inputs->gpu_hour_usd = median_of(book, "cost.usd_per_gpu_hour");
    inputs->energy_usd_per_kwh =
        book_input_median(book, "prices.energy", prices->energy_usd_per_j, JOULES_PER_KWH);
    inputs->energy_included = prices->energy_included != 0 && prices->basis != PRICE_OWNED;
    /* A load knows what it draws; a full batch is taken at the node's power under load. */
    inputs->grid_kw = power != NULL ? median_of(book, "power.grid_w") / 1e3
                                    : inputs->gpus / scenario->hardware.node.gpus *
                                          book_input_median(book, "hardware.node.power",
                                                            scenario->hardware.node.power_w, 1e-3) *
                                          book_input_median(book, "prices.pue", prices->pue, 1);
    inputs->grid_source = power != NULL ? "simulated: what the load draws"
                                        : "nodes x hardware.node.power x prices.pue";
    /* The tokens of a load are those that came, all of them paid for. */
    inputs->sold = power != NULL ? 1 : scenario->serving.utilisation;
    inputs->sold_path = power != NULL ? NULL : "serving.utilisation";
    inputs->list_input_usd = 1e3 * prices->list_per_1k_input_usd;
    inputs->list_output_usd = 1e3 * prices->list_per_1k_output_usd;
}

static void put_inputs(Book *book, lxw_worksheet *sheet, const ServingInputs *inputs)
{
    static const char from[] = "simulated";
    const double day_input = inputs->input_per_s[0] * inputs->sold * DAY_S;
    const double day_output = inputs->output_per_s[0] * inputs->sold * DAY_S;
    static const char one_day[] = "what one deployment sells in a day: put your own here";
    const InputRow prices[] = {
        {"GPUs of one deployment", "gpu_count", inputs->gpus, "GPUs", NULL, 1,
         "tensor x pipeline x replicas"},
        {"Rent of one GPU", "price_gpu_hour", inputs->gpu_hour_usd, "USD/h", "prices.gpu_hour", 1,
         ""},
        {"Power from the grid, one deployment", "grid_kw", inputs->grid_kw, "kW", NULL, 1,
         inputs->grid_source},
        {"Price of energy", "price_kwh", inputs->energy_usd_per_kwh, "USD/kWh", "prices.energy",
         JOULES_PER_KWH, ""},
        {"Rent includes energy (1 yes, 0 no)", "energy_included", inputs->energy_included, "",
         "prices.energy_included", 1, ""},
        {"Share of the tokens below that is sold", "sold_share", inputs->sold, "fraction",
         inputs->sold_path, 1, "1: the tokens of a load are those that came"},
        {"List price of a million input tokens", "list_input_usd", inputs->list_input_usd, "USD",
         "prices.list_per_1k_input", 1e3, "none given: put your own here"},
        {"List price of a million output tokens", "list_output_usd", inputs->list_output_usd, "USD",
         "prices.list_per_1k_output", 1e3, "none given: put your own here"},
    };
    const InputRow demand[] = {
        {"Input tokens of a day", "demand_input", day_input, "tokens", NULL, 1, one_day},
        {"Output tokens of a day", "demand_output", day_output, "tokens", NULL, 1, one_day},
        {"Busiest hour over the mean", "demand_peak", 1 / inputs->sold, "ratio", NULL, 1,
         "1 / the share that is sold"},
    };
    const InputRow simulated[] = {
        {"Input, median", "input_tokens_s", inputs->input_per_s[0], "tokens/s", NULL, 1, from},
        {"Input, p5", "input_tokens_s_p5", inputs->input_per_s[1], "tokens/s", NULL, 1, from},
        {"Input, p95", "input_tokens_s_p95", inputs->input_per_s[2], "tokens/s", NULL, 1, from},
        {"Output, median", "output_tokens_s", inputs->output_per_s[0], "tokens/s", NULL, 1, from},
        {"Output, p5", "output_tokens_s_p5", inputs->output_per_s[1], "tokens/s", NULL, 1, from},
        {"Output, p95", "output_tokens_s_p95", inputs->output_per_s[2], "tokens/s", NULL, 1, from},
        {"Share of the bill that input bears", "input_share", inputs->input_share, "fraction", NULL,
         1, "simulated: the share of the time that prompts take"},
    };
    lxw_row_t row = book_inputs_begin(
        book, sheet, "Yellow cells may be changed: the Cost sheet follows at once.");
    book_input_rows(book, sheet, &row, CELL_INPUT, "Prices and machines (the Cost sheet follows)",
                    prices, sizeof prices / sizeof *prices);
    book_input_rows(book, sheet, &row, CELL_INPUT, "A demand to plan for (the Cost sheet follows)",
                    demand, sizeof demand / sizeof *demand);
    book_input_rows(book, sheet, &row, CELL_SIMULATED,
                    "Of the simulation (what drives these needs a new simulation to change)",
                    simulated, sizeof simulated / sizeof *simulated);
    book_inputs_all(book, sheet, row);
}

/* ---- Cost ---- */

static const char *const suffixes[CASES] = {"", "_p5", "_p95"};

static double usd_per_hour(const ServingInputs *inputs)
{
    return inputs->gpus * inputs->gpu_hour_usd +
           (inputs->energy_included != 0 ? 0 : inputs->grid_kw * inputs->energy_usd_per_kwh);
}

static double per(double usd, double tokens)
{
    return tokens > 0 ? usd / tokens : 0;
}

static const char as_rate[] = "#,##0", as_usd[] = "$#,##0.00", as_usd_per_1k[] = "$0.00000",
                  as_usd_per_1m[] = "$#,##0.000", as_share[] = "0.0%";

/* A formula and what it gives. */
__attribute__((format(printf, 7, 8))) static void put(Book *book, lxw_worksheet *sheet,
                                                      lxw_row_t row, lxw_col_t column,
                                                      const char *format, double value,
                                                      const char *formula, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, formula);
    vsnprintf(text, sizeof text, formula, arguments);
    va_end(arguments);
    book_formula(book, sheet, row, column, text, value,
                 book_number_format(book, CELL_FORMULA, format));
}

/* One column of the first block; the hour's cost is its fourth line. */
static void put_case(Book *book, lxw_worksheet *sheet, lxw_row_t row, const ServingInputs *inputs,
                     int which)
{
    const lxw_col_t column = (lxw_col_t)(1 + which);
    const char *suffix = suffixes[which], letter = (char)('B' + which);
    const double input = inputs->input_per_s[which] * inputs->sold;
    const double output = inputs->output_per_s[which] * inputs->sold;
    const double hour = usd_per_hour(inputs), share = inputs->input_share;
    const double income =
        3600 * (input * inputs->list_input_usd + output * inputs->list_output_usd) / 1e6;
    const unsigned input_row = row + 1, output_row = row + 2, hour_row = row + 3;
    put(book, sheet, row++, column, as_rate, input, "=input_tokens_s%s*sold_share", suffix);
    put(book, sheet, row++, column, as_rate, output, "=output_tokens_s%s*sold_share", suffix);
    put(book, sheet, row++, column, as_usd, hour,
        "=gpu_count*price_gpu_hour+IF(energy_included=1,0,grid_kw*price_kwh)");
    put(book, sheet, row++, column, as_usd_per_1k, per(hour / 3.6, input + output),
        "=IF(%c%u+%c%u>0,%c%u/3.6/(%c%u+%c%u),0)", letter, input_row, letter, output_row, letter,
        hour_row, letter, input_row, letter, output_row);
    put(book, sheet, row++, column, as_usd_per_1m, per(hour / 3600 * 1e6 * share, input),
        "=IF(%c%u>0,%c%u/3600*1000000*input_share/%c%u,0)", letter, input_row, letter, hour_row,
        letter, input_row);
    put(book, sheet, row++, column, as_usd_per_1m, per(hour / 3600 * 1e6 * (1 - share), output),
        "=IF(%c%u>0,%c%u/3600*1000000*(1-input_share)/%c%u,0)", letter, output_row, letter,
        hour_row, letter, output_row);
    put(book, sheet, row++, column, as_usd, income,
        "=3600*(%c%u*list_input_usd+%c%u*list_output_usd)/1000000", letter, input_row, letter,
        output_row);
    put(book, sheet, row++, column, as_share, income > 0 ? 1 - hour / income : 0,
        "=IF(%c%u>0,1-%c%u/%c%u,0)", letter, hour_row + 4, letter, hour_row, letter, hour_row + 4);
}

static lxw_row_t put_block(Book *book, lxw_worksheet *sheet, lxw_row_t row,
                           const ServingInputs *inputs)
{
    static const char *const heads[] = {
        "The deployment as simulated", "Median throughput", "p5", "p95", "Unit",
        "How it is computed"};
    static const struct {
        const char *label, *unit, *how;
    } lines[] = {
        {"Input tokens sold", "tokens/s", "simulated, from Inputs, x the share that is sold"},
        {"Output tokens sold", "tokens/s", "likewise"},
        {"Cost of an hour", "USD", "GPUs x rent, and energy where the rent does not include it"},
        {"Cost per 1k tokens, input and output", "USD", "cost / all tokens of an hour x 1,000"},
        {"Cost per 1M input tokens", "USD", "cost x the share that input bears / input tokens"},
        {"Cost per 1M output tokens", "USD", "the rest of the cost / output tokens"},
        {"Income of an hour at the list price", "USD", "tokens x list price; 0: there is none"},
        {"Margin", "of income", "1 - cost / income; 0: there is no list price"},
    };
    book_heads(book, sheet, row++, 0, heads, "lrrril");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        book_text(book, sheet, row + (lxw_row_t)i, 0, lines[i].label, book->formats.text);
        book_text(book, sheet, row + (lxw_row_t)i, 4, lines[i].unit, book->formats.unit);
        book_text(book, sheet, row + (lxw_row_t)i, 5, lines[i].how, book->formats.text);
    }
    for (int which = 0; which < CASES; which++)
        put_case(book, sheet, row, inputs, which);
    return row + sizeof lines / sizeof *lines + 1;
}

/* The same hour's bill over fewer tokens. Energy stays as it is: an upper bound where it is paid
 * for beside the rent. */
static lxw_row_t put_utilisation(Book *book, lxw_worksheet *sheet, lxw_row_t row,
                                 const ServingInputs *inputs, unsigned hour_row)
{
    static const char *const heads[] = {"Price by what is sold, median throughput",
                                        "Per 1k tokens",
                                        "Per 1M input",
                                        "Per 1M output",
                                        "",
                                        ""};
    const double hour = usd_per_hour(inputs), share = inputs->input_share;
    book_heads(book, sheet, row++, 0, heads, "lrrril");
    for (int tenths = 10; tenths >= 1; tenths--, row++) {
        const double sold = tenths / 10.0;
        const double input = inputs->input_per_s[0] * sold, output = inputs->output_per_s[0] * sold;
        const unsigned line = row + 1;
        book_number(book, sheet, row, 0, sold, book_number_format(book, CELL_PUBLISHED, "0%"));
        put(book, sheet, row, 1, as_usd_per_1k, per(hour / 3.6, input + output),
            "=IF(input_tokens_s+output_tokens_s>0,B$%u/3.6/((input_tokens_s+output_tokens_s)*A%u),"
            "0)",
            hour_row, line);
        put(book, sheet, row, 2, as_usd_per_1m, per(hour / 3600 * 1e6 * share, input),
            "=IF(input_tokens_s>0,B$%u/3600*1000000*input_share/(input_tokens_s*A%u),0)", hour_row,
            line);
        put(book, sheet, row, 3, as_usd_per_1m, per(hour / 3600 * 1e6 * (1 - share), output),
            "=IF(output_tokens_s>0,B$%u/3600*1000000*(1-input_share)/(output_tokens_s*A%u),0)",
            hour_row, line);
    }
    return row + 1;
}

/* Deployments side by side, as many as the busiest hour needs. */
static void put_demand(Book *book, lxw_worksheet *sheet, lxw_row_t row, const ServingInputs *inputs,
                       unsigned hour_row)
{
    static const char *const heads[] = {
        "For the demand of Inputs", "Median throughput", "", "", "Unit", "How it is computed"};
    static const struct {
        const char *label, *unit, *how;
    } lines[] = {
        {"Deployments", "deployments",
         "tokens of the busiest second / what one deployment makes, the scarcer of input and "
         "output, rounded up"},
        {"GPUs", "GPUs", "deployments x GPUs of one"},
        {"Cost of a day", "USD", "deployments x cost of an hour x 24"},
        {"Cost of 30 days", "USD", "likewise"},
        {"Cost per 1k tokens of the demand", "USD", "cost of a day / tokens of a day x 1,000"},
    };
    const double input = inputs->input_per_s[0], output = inputs->output_per_s[0];
    /* at the demand and peak that Inputs start with: what is sold x 1/sold is what is made */
    const double deployments = input + output > 0 ? 1 : 0;
    const double day = deployments * usd_per_hour(inputs) * 24;
    const lxw_col_t column = 1;
    const unsigned first = row + 2;
    book_heads(book, sheet, row++, 0, heads, "lrrril");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        book_text(book, sheet, row + (lxw_row_t)i, 0, lines[i].label, book->formats.text);
        book_text(book, sheet, row + (lxw_row_t)i, 4, lines[i].unit, book->formats.unit);
        book_text(book, sheet, row + (lxw_row_t)i, 5, lines[i].how, book->formats.text);
    }
    /* 1e-9: a quotient of 1 that rounding made larger is no second deployment */
    put(book, sheet, row++, column, as_rate, deployments,
        "=ROUNDUP(MAX(IF(input_tokens_s>0,demand_input/input_tokens_s,0),IF(output_tokens_s>0,"
        "demand_output/output_tokens_s,0))*demand_peak/86400-0.000000001,0)");
    put(book, sheet, row++, column, as_rate, deployments * inputs->gpus, "=B%u*gpu_count", first);
    put(book, sheet, row++, column, as_usd, day, "=B%u*B%u*24", first, hour_row);
    put(book, sheet, row++, column, as_usd, 30 * day, "=30*B%u", first + 2);
    put(book, sheet, row++, column, as_usd_per_1k,
        per(1e3 * day, (input + output) * inputs->sold * DAY_S),
        "=IF(demand_input+demand_output>0,1000*B%u/(demand_input+demand_output),0)", first + 2);
}

static void put_cost(Book *book, lxw_worksheet *sheet, const ServingInputs *inputs)
{
    static const double widths[] = {44, 19, 15, 15, 13, 84};
    lxw_row_t row = 0;
    book_widths(book, sheet, widths, sizeof widths / sizeof *widths);
    book_keep_in_view(book, sheet, 2, 1);
    book_text(book, sheet, row++, 0, "What serving costs", book->formats.title);
    book_text(book, sheet, row++, 0, "Live: every number here is a formula over the Inputs sheet.",
              book->formats.note);
    row++;
    const unsigned hour_row = row + 4;
    row = put_block(book, sheet, row, inputs);
    row = put_utilisation(book, sheet, row, inputs, hour_row);
    put_demand(book, sheet, row, inputs, hour_row);
}

/* ---- Summary ---- */

static void put_summary(Book *book, lxw_worksheet *sheet)
{
    static const double widths[] = {34, 17, 17, 17, 13};
    static const char *const titles[] = {"Quantity", "Median", "p5", "p95", "Unit"};
    static const struct {
        const char *label, *metric;
    } rows[] = {
        {"Requests", "throughput.requests_per_s"},
        {"Input", "throughput.input_tokens_per_s"},
        {"Output", "throughput.output_tokens_per_s"},
        {"Stable maximum of requests", "load.stable_maximum_per_s"},
        {"Time to first token, p50", "latency.ttft_s.p50"},
        {"Time to first token, p99", "latency.ttft_s.p99"},
        {"Time per token, p50", "latency.tpot_s.p50"},
        {"Time per token, p99", "latency.tpot_s.p99"},
        {"Whole request, p50", "latency.e2e_s.p50"},
        {"Whole request, p99", "latency.e2e_s.p99"},
        {"FLOP/s used (MFU)", "utilisation.mfu"},
        {"Bandwidth used (MBU)", "utilisation.mbu"},
        {"Keys and values: share in use", "kv.occupancy"},
        {"Sequences that decode", "batch.decoding"},
        {"Cost per 1k tokens", "cost.usd_per_1k_tokens"},
        {"Cost per 1M input tokens", "cost.usd_per_1m_input"},
        {"Cost per 1M output tokens", "cost.usd_per_1m_output"},
        {"Cost of an hour", "cost.usd_per_hour"},
        {"GPUs", "plan.gpus"},
        {"Weights on each GPU", "memory.weights_bytes_per_gpu"},
        {"Room for keys and values", "kv.capacity_tokens"},
    };
    lxw_row_t row = 0;
    char note[160];
    book_widths(book, sheet, widths, sizeof widths / sizeof *widths);
    book_text(book, sheet, row++, 0, book->title, book->formats.title);
    snprintf(note, sizeof note, "median and p5 .. p95 of %zu simulation(s)",
             book->provenance->reps);
    book_text(book, sheet, row++, 0, note, book->formats.note);
    row++;
    book_heads(book, sheet, row++, 0, titles, "lrrri");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Summary summary;
        if (!book_metric(book->run.metrics, rows[i].metric, &summary))
            continue;
        const Metric *metric = metrics_find(book->run.metrics, rows[i].metric);
        const double values[] = {summary.p50, summary.p5, summary.p95};
        const char *unit = metric_display_unit(metric);
        lxw_format *format =
            book_number_format(book, CELL_SIMULATED, number_format_of(unit, values, CASES));
        book_text(book, sheet, row, 0, rows[i].label, book->formats.text);
        for (lxw_col_t c = 0; c < CASES; c++)
            book_number(book, sheet, row, (lxw_col_t)(1 + c), values[c], format);
        book_text(book, sheet, row++, 4, unit, book->formats.unit);
    }
    book_keep_in_view(book, sheet, 1, 1);
}

void book_serving(Book *book)
{
    ServingInputs inputs = {0};
    lxw_worksheet *summary = book_sheet(book, "Summary", 1);
    lxw_worksheet *entries = book_sheet(book, "Inputs", 0);
    lxw_worksheet *cost = book_sheet(book, "Cost", 1);
    lxw_worksheet *over_time = book->run.load != NULL ? book_sheet(book, "Over time", 0) : NULL;
    lxw_worksheet *provenance = book_sheet(book, "Provenance", 0);
    if (book->status != STATUS_OK)
        return;
    collect(book, &inputs);
    put_summary(book, summary);
    put_inputs(book, entries, &inputs);
    put_cost(book, cost, &inputs);
    if (over_time != NULL)
        book_over_time(book, over_time);
    book_provenance(book, provenance);
}
