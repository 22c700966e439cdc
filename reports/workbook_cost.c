/* The Cost sheet: arithmetic that a reader can check and change, over the names of the Inputs
 * sheet, with results cached as the same arithmetic in C gives them. */
#include "reports/workbook_book.h"

#include <math.h>

enum { CASES = 3 }; /* median, p5, p95 of the duration */

static const char *const day_names[CASES] = {"run_days", "run_days_p5", "run_days_p95"};
static const double day_s = 86400, hours_per_day = 24;

/* Relative difference that rounding may leave between the sheet and the simulation. */
static const double check_tolerance = 1e-6;

/* The same line of the sheet for one duration, in C. */
typedef struct CostLine {
    double gpu_hours, rent_usd, energy_kwh, energy_usd, total_usd, co2_kg, mfu_exact, mfu_6nd;
} CostLine;

static CostLine cost_line(const CostInputs *inputs, double days)
{
    CostLine line;
    double peak = days * day_s * inputs->gpus * inputs->peak_flops_per_s;
    line.gpu_hours = inputs->gpus * days * hours_per_day;
    line.rent_usd = line.gpu_hours * inputs->gpu_hour_usd;
    line.energy_kwh = ceil(inputs->gpus / inputs->node_gpus) * inputs->node_power_w / 1000 *
                      inputs->pue * days * hours_per_day;
    line.energy_usd =
        inputs->energy_included != 0 ? 0 : line.energy_kwh * inputs->energy_usd_per_kwh;
    line.total_usd = line.rent_usd + line.energy_usd;
    line.co2_kg = line.energy_kwh * inputs->co2_kg_per_kwh;
    line.mfu_exact = inputs->flops_exact / peak;
    line.mfu_6nd = inputs->flops_6nd / peak;
    return line;
}

/* Rows of the first block, 1-based as the formulas name them. */
enum {
    ROW_HEADS = 4,
    ROW_DAYS,
    ROW_GPU_HOURS,
    ROW_RENT,
    ROW_ENERGY,
    ROW_ENERGY_USD,
    ROW_TOTAL,
    ROW_CO2,
    ROW_MFU,
    ROW_6ND
};
enum { COLUMN_UNIT = 4, COLUMN_HOW = 5 };

static void put_line(Book *book, lxw_worksheet *sheet, int row, lxw_col_t column,
                     const char *formula, double value, CellStyle style, const char *format)
{
    book_formula(book, sheet, (lxw_row_t)(row - 1), column, formula, value,
                 book_number_format(book, style, format));
}

static const char as_usd[] = "$#,##0", as_count[] = "#,##0", as_share[] = "0.0%",
                  as_days[] = "#,##0.0";

static void put_case(Book *book, lxw_worksheet *sheet, const CostInputs *inputs, int which)
{
    CostLine line = cost_line(inputs, inputs->days[which]);
    const char *days = day_names[which];
    lxw_col_t column = (lxw_col_t)(1 + which);
    char letter = (char)('B' + which), formula[256];
    snprintf(formula, sizeof formula, "=%s", days);
    put_line(book, sheet, ROW_DAYS, column, formula, inputs->days[which], CELL_FORMULA, as_days);
    snprintf(formula, sizeof formula, "=gpu_count*%s*24", days);
    put_line(book, sheet, ROW_GPU_HOURS, column, formula, line.gpu_hours, CELL_FORMULA, as_count);
    snprintf(formula, sizeof formula, "=%c%d*price_gpu_hour", letter, ROW_GPU_HOURS);
    put_line(book, sheet, ROW_RENT, column, formula, line.rent_usd, CELL_FORMULA, as_usd);
    snprintf(formula, sizeof formula,
             "=ROUNDUP(gpu_count/node_gpus,0)*node_power_w/1000*pue_ratio*%s*24", days);
    put_line(book, sheet, ROW_ENERGY, column, formula, line.energy_kwh, CELL_FORMULA, as_count);
    snprintf(formula, sizeof formula, "=IF(energy_included=1,0,%c%d*price_kwh)", letter,
             ROW_ENERGY);
    put_line(book, sheet, ROW_ENERGY_USD, column, formula, line.energy_usd, CELL_FORMULA, as_usd);
    snprintf(formula, sizeof formula, "=%c%d+%c%d", letter, ROW_RENT, letter, ROW_ENERGY_USD);
    put_line(book, sheet, ROW_TOTAL, column, formula, line.total_usd, CELL_TOTAL, as_usd);
    snprintf(formula, sizeof formula, "=%c%d*co2_kg_kwh", letter, ROW_ENERGY);
    put_line(book, sheet, ROW_CO2, column, formula, line.co2_kg, CELL_FORMULA, as_count);
    snprintf(formula, sizeof formula, "=train_flops_exact/(%s*86400*gpu_count*peak_flops_gpu)",
             days);
    put_line(book, sheet, ROW_MFU, column, formula, line.mfu_exact, CELL_FORMULA, as_share);
    snprintf(formula, sizeof formula, "=train_flops_sixnd/(%s*86400*gpu_count*peak_flops_gpu)",
             days);
    put_line(book, sheet, ROW_6ND, column, formula, line.mfu_6nd, CELL_FORMULA, as_share);
}

static void put_block(Book *book, lxw_worksheet *sheet, const CostInputs *inputs)
{
    static const char *const heads[] = {"The run as simulated", "Median", "p5 of the duration",
                                        "p95 of the duration",  "Unit",   "How it is computed"};
    static const struct {
        const char *label, *unit, *how;
    } rows[] = {
        {"Duration", "days", "simulated, from Inputs"},
        {"GPU-hours", "GPU-hours", "GPUs x days x 24"},
        {"Rent", "USD", "GPU-hours x rent of one GPU"},
        {"Energy", "kWh", "nodes x power of one node x power usage effectiveness x hours"},
        {"Energy bill beside the rent", "USD",
         "energy x price of energy; 0 when the rent includes it"},
        {"Cost", "USD", "rent + energy bill"},
        {"Carbon dioxide", "kg", "energy x carbon of energy"},
        {"Effective MFU, exact FLOPs", "of peak",
         "exact FLOPs / (seconds x GPUs x peak of one GPU)"},
        {"Effective MFU, 6ND", "of peak", "6ND FLOPs / (seconds x GPUs x peak of one GPU)"},
    };
    book_heads(book, sheet, ROW_HEADS - 1, 0, heads, "lrrril");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lxw_row_t row = (lxw_row_t)(ROW_DAYS - 1 + (int)i);
        book_text(book, sheet, row, 0, rows[i].label,
                  row == ROW_TOTAL - 1 ? book->formats.bold : book->formats.text);
        book_text(book, sheet, row, COLUMN_UNIT, rows[i].unit, book->formats.unit);
        book_text(book, sheet, row, COLUMN_HOW, rows[i].how, book->formats.text);
    }
    for (int which = 0; which < CASES; which++)
        put_case(book, sheet, inputs, which);
}

/* Days, dollars and MFU are one number seen three ways: each published figure and what it means for
 * the other two, at the published GPUs and FLOPs. */
static void put_three_ways(Book *book, lxw_worksheet *sheet, const CostInputs *inputs, int *row)
{
    const struct {
        const char *label, *days_formula, *how;
        double days;
    } cases[] = {
        {"Published duration, low", "=claim_days_low", "days as published", inputs->claim_days_low},
        {"Published duration, high", "=claim_days_high", "days as published",
         inputs->claim_days_high},
        {"What the published cost pays for", "=claim_cost_usd/(claim_gpus*24*price_gpu_hour)",
         "days = published cost / (published GPUs x 24 x rent of one GPU)",
         inputs->claim_cost_usd / (inputs->claim_gpus * hours_per_day * inputs->gpu_hour_usd)},
        {"Simulated median duration", "=run_days", "days as simulated", inputs->days[0]},
    };
    static const char *const heads[] = {"Published figures, one number seen three ways",
                                        "Days",
                                        "Cost",
                                        "Effective MFU",
                                        "",
                                        "How it is computed"};
    book_heads(book, sheet, (lxw_row_t)(*row - 1), 0, heads, "lrrril");
    (*row)++;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char formula[128];
        double days = cases[i].days;
        if (!isfinite(days))
            continue;
        book_text(book, sheet, (lxw_row_t)(*row - 1), 0, cases[i].label, book->formats.text);
        put_line(book, sheet, *row, 1, cases[i].days_formula, days, CELL_FORMULA, as_days);
        snprintf(formula, sizeof formula, "=B%d*24*claim_gpus*price_gpu_hour", *row);
        put_line(book, sheet, *row, 2, formula,
                 days * hours_per_day * inputs->claim_gpus * inputs->gpu_hour_usd, CELL_FORMULA,
                 as_usd);
        snprintf(formula, sizeof formula, "=claim_flops/(B%d*86400*claim_gpus*peak_flops_gpu)",
                 *row);
        put_line(book, sheet, *row, 3, formula,
                 inputs->claim_flops /
                     (days * day_s * inputs->claim_gpus * inputs->peak_flops_per_s),
                 CELL_FORMULA, as_share);
        book_text(book, sheet, (lxw_row_t)(*row - 1), COLUMN_HOW, cases[i].how, book->formats.text);
        (*row)++;
    }
    book_text(
        book, sheet, (lxw_row_t)(*row - 1), 0,
        "Cost and MFU of these rows are at the published GPUs and training FLOPs and the rent "
        "of Inputs.",
        book->formats.note);
    (*row)++;
}

/* Where the money goes: means over the draws, since only means of the lines add up to the mean of
 * the whole. Failures are everything paid for in time that left no work behind. */
static void put_items(Book *book, lxw_worksheet *sheet, int *row)
{
    static const char *const heads[] = {
        "Where the cost goes, mean of the draws", "Mean", "Share", "", "Unit", "What it is"};
    static const struct {
        const char *metric, *label, *what;
    } items[] = {
        {"cost.items_usd.gpus", "GPUs", "rent, or what is written off, while work was kept"},
        {"cost.items_usd.network", "Network", "switches and cables, likewise"},
        {"cost.items_usd.facility", "Facility", "power and cooling up to the nodes, likewise"},
        {"cost.items_usd.storage", "Storage", "likewise"},
        {"cost.items_usd.energy", "Energy", "beside the rent, likewise"},
        {"cost.items_usd.staff", "Staff", "likewise"},
        {"cost.items_usd.failures", "Failures",
         "all of the above while work was lost, saved, found broken, replaced or restarted, and "
         "spare nodes"},
    };
    const size_t count = sizeof items / sizeof *items;
    const int first = *row + 1, total = first + (int)count;
    double sum = 0, means[sizeof items / sizeof *items] = {0};
    for (size_t i = 0; i < count; i++) {
        Summary summary;
        if (!book_metric(book->run.metrics, items[i].metric, &summary))
            return;
        means[i] = summary.mean;
        sum += means[i];
    }
    book_heads(book, sheet, (lxw_row_t)(*row - 1), 0, heads, "lrrril");
    for (size_t i = 0; i <= count; i++) {
        const int at = first + (int)i;
        const int is_total = i == count;
        char formula[64];
        book_text(book, sheet, (lxw_row_t)(at - 1), 0, is_total ? "Cost" : items[i].label,
                  is_total ? book->formats.bold : book->formats.text);
        book_text(book, sheet, (lxw_row_t)(at - 1), COLUMN_UNIT, "USD", book->formats.unit);
        book_text(book, sheet, (lxw_row_t)(at - 1), COLUMN_HOW,
                  is_total ? "the lines above" : items[i].what, book->formats.text);
        if (is_total) {
            snprintf(formula, sizeof formula, "=SUM(B%d:B%d)", first, total - 1);
            put_line(book, sheet, at, 1, formula, sum, CELL_TOTAL, as_usd);
        } else {
            book_number(book, sheet, (lxw_row_t)(at - 1), 1, means[i],
                        book_number_format(book, CELL_SIMULATED, as_usd));
        }
        snprintf(formula, sizeof formula, "=IF(B%d=0,0,B%d/B%d)", total, at, total);
        put_line(book, sheet, at, 2, formula, sum > 0 ? (is_total ? sum : means[i]) / sum : 0,
                 CELL_FORMULA, as_share);
    }
    *row = total + 1;
}

/* Medians multiply only where one of the factors is the same in every draw. */
static int varies(const Book *book, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[METRIC_NAME_BYTES];
        snprintf(name, sizeof name, "input.%s", paths[i]);
        const Metric *metric = metrics_find(book->run.metrics, name);
        for (size_t v = 1; metric != NULL && v < metric->count; v++)
            if (metric->values[v] > metric->values[0] || metric->values[v] < metric->values[0])
                return 1;
    }
    return 0;
}

/* Zero is the good case and says so; anything else is a red number. */
static const char difference_format[] = "[Red]#,##0.00;[Red]-#,##0.00;\"0 (ok)\"";

/* Each line: the sheet's number, the simulation's, and their difference, which must be zero. */
static void put_checks(Book *book, lxw_worksheet *sheet, const CostInputs *inputs, int *row)
{
    static const char *const paid[] = {"prices.gpu_hour",
                                       "prices.basis",
                                       "prices.contract",
                                       "prices.year",
                                       "prices.rent_quantile",
                                       "prices.own.node",
                                       "prices.own.network_share",
                                       "prices.own.facility",
                                       "prices.own.storage",
                                       "prices.own.storage_price",
                                       "prices.own.useful_life",
                                       "prices.own.residual",
                                       "prices.own.capital",
                                       "prices.own.utilisation",
                                       "prices.own.staff",
                                       "prices.energy",
                                       "prices.pue",
                                       "prices.energy_included",
                                       "hardware.node.power"};
    static const char *const energy[] = {"prices.pue", "hardware.node.power"};
    const size_t all_paid = sizeof paid / sizeof *paid;
    int energy_paid = inputs->energy_included == 0;
    const CostLine line = cost_line(inputs, inputs->days[0]);
    double sum = 0;
    const struct {
        const char *label, *metric, *unit, *format;
        int cell;
        double here; /* what the sheet's cell computes */
        const char *const *factors;
        size_t factor_count;
    } checks[] = {
        {"GPU-hours", "run.gpu_hours", "GPU-hours", as_count, ROW_GPU_HOURS, line.gpu_hours, NULL,
         0},
        /* power moves the cost only where energy is paid for */
        {"Cost", "cost.usd", "USD", as_usd, ROW_TOTAL, line.total_usd, paid,
         energy_paid ? all_paid : all_paid - 4},
        {"Energy", "cost.energy_kwh", "kWh", as_count, ROW_ENERGY, line.energy_kwh, energy, 2},
    };
    static const char *const heads[] = {"Checks",     "This sheet", "Simulated median",
                                        "Difference", "Unit",       "How it is computed"};
    book_heads(book, sheet, (lxw_row_t)(*row - 1), 0, heads, "lrrril");
    int first = ++*row;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        Summary summary;
        char formula[128];
        if (!book_metric(book->run.metrics, checks[i].metric, &summary))
            continue;
        lxw_row_t at = (lxw_row_t)(*row - 1);
        book_text(book, sheet, at, 0, checks[i].label, book->formats.text);
        book_text(book, sheet, at, COLUMN_UNIT, checks[i].unit, book->formats.unit);
        if (varies(book, checks[i].factors, checks[i].factor_count)) {
            book_text(book, sheet, at, COLUMN_HOW,
                      "not checked: another factor is uncertain too, and medians do not multiply",
                      book->formats.note);
            (*row)++;
            continue;
        }
        double difference = checks[i].here - summary.p50;
        if (fabs(difference) <= check_tolerance * fabs(summary.p50))
            difference = 0;
        sum += difference;
        snprintf(formula, sizeof formula, "=B%d", checks[i].cell);
        put_line(book, sheet, *row, 1, formula, checks[i].here, CELL_FORMULA, checks[i].format);
        book_number(book, sheet, at, 2, summary.p50,
                    book_number_format(book, CELL_SIMULATED, checks[i].format));
        snprintf(formula, sizeof formula, "=IF(ABS(B%d-C%d)<=%.9f*ABS(C%d),0,B%d-C%d)", *row, *row,
                 check_tolerance, *row, *row, *row);
        put_line(book, sheet, *row, 3, formula, difference, CELL_CHECK, difference_format);
        book_text(book, sheet, at, COLUMN_HOW,
                  "this sheet less the simulation; rounding within 1e-6 counts as 0",
                  book->formats.text);
        (*row)++;
    }
    if (*row == first)
        return;
    char formula[64];
    book_text(book, sheet, (lxw_row_t)(*row - 1), 0,
              "Sum of checks (0 while Inputs are as simulated)", book->formats.section);
    snprintf(formula, sizeof formula, "=SUM(D%d:D%d)", first, *row - 1);
    put_line(book, sheet, *row, 3, formula, sum, CELL_CHECK, difference_format);
}

void book_cost(Book *book, lxw_worksheet *sheet, const CostInputs *inputs)
{
    static const double widths[] = {48, 19, 19, 19, 13, 72};
    book_widths(book, sheet, widths, sizeof widths / sizeof *widths);
    book_keep_in_view(book, sheet, 2, 1);
    book_text(book, sheet, 0, 0, "What the run costs", book->formats.title);
    if (!inputs->present) {
        book_text(book, sheet, 1, 0, "There is no training run to cost.", book->formats.note);
        return;
    }
    book_text(book, sheet, 1, 0,
              "Live: every number here is a formula over the Inputs sheet, except the simulated "
              "medians of the checks.",
              book->formats.note);
    put_block(book, sheet, inputs);
    int row = ROW_6ND + 2;
    put_items(book, sheet, &row);
    row++;
    if (book->audit != NULL) {
        put_three_ways(book, sheet, inputs, &row);
        row++;
    }
    put_checks(book, sheet, inputs, &row);
}
