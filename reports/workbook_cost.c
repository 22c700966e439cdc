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
    ROW_GPU_HOURS = 4,
    ROW_RENT,
    ROW_ENERGY,
    ROW_ENERGY_USD,
    ROW_TOTAL,
    ROW_CO2,
    ROW_MFU,
    ROW_6ND
};

static void put_line(Book *book, lxw_worksheet *sheet, int row, lxw_col_t column,
                     const char *formula, double value, lxw_format *format)
{
    book_formula(book, sheet, (lxw_row_t)(row - 1), column, formula, value, format);
}

static void put_case(Book *book, lxw_worksheet *sheet, const CostInputs *inputs, int which)
{
    CostLine line = cost_line(inputs, inputs->days[which]);
    const BookFormats *formats = &book->formats;
    const char *days = day_names[which];
    lxw_col_t column = (lxw_col_t)(1 + which);
    char letter = (char)('B' + which), formula[256];
    snprintf(formula, sizeof formula, "=gpu_count*%s*24", days);
    put_line(book, sheet, ROW_GPU_HOURS, column, formula, line.gpu_hours, formats->number);
    snprintf(formula, sizeof formula, "=%c%d*price_gpu_hour", letter, ROW_GPU_HOURS);
    put_line(book, sheet, ROW_RENT, column, formula, line.rent_usd, formats->money);
    snprintf(formula, sizeof formula,
             "=ROUNDUP(gpu_count/node_gpus,0)*node_power_w/1000*pue_ratio*%s*24", days);
    put_line(book, sheet, ROW_ENERGY, column, formula, line.energy_kwh, formats->number);
    snprintf(formula, sizeof formula, "=IF(energy_included=1,0,%c%d*price_kwh)", letter,
             ROW_ENERGY);
    put_line(book, sheet, ROW_ENERGY_USD, column, formula, line.energy_usd, formats->money);
    snprintf(formula, sizeof formula, "=%c%d+%c%d", letter, ROW_RENT, letter, ROW_ENERGY_USD);
    put_line(book, sheet, ROW_TOTAL, column, formula, line.total_usd, formats->money);
    snprintf(formula, sizeof formula, "=%c%d*co2_kg_kwh", letter, ROW_ENERGY);
    put_line(book, sheet, ROW_CO2, column, formula, line.co2_kg, formats->number);
    snprintf(formula, sizeof formula, "=train_flops_exact/(%s*86400*gpu_count*peak_flops_gpu)",
             days);
    put_line(book, sheet, ROW_MFU, column, formula, line.mfu_exact, formats->percent);
    snprintf(formula, sizeof formula, "=train_flops_sixnd/(%s*86400*gpu_count*peak_flops_gpu)",
             days);
    put_line(book, sheet, ROW_6ND, column, formula, line.mfu_6nd, formats->percent);
}

static void put_block(Book *book, lxw_worksheet *sheet, const CostInputs *inputs)
{
    static const char *const heads[] = {"", "At the median", "At p5 of days", "At p95 of days",
                                        "Unit"};
    static const struct {
        const char *label, *unit;
    } rows[] = {
        {"GPU-hours", "GPU-hours"},
        {"Rent", "USD"},
        {"Energy", "kWh"},
        {"Energy, paid beside the rent", "USD"},
        {"Cost", "USD"},
        {"Carbon dioxide", "kg"},
        {"Effective MFU, exact FLOPs", ""},
        {"Effective MFU, 6ND", ""},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        book_text(book, sheet, 2, (lxw_col_t)i, heads[i], book->formats.head);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lxw_row_t row = (lxw_row_t)(ROW_GPU_HOURS - 1 + (int)i);
        book_text(book, sheet, row, 0, rows[i].label, book->formats.text);
        book_text(book, sheet, row, 4, rows[i].unit[0] != '\0' ? rows[i].unit : "fraction of peak",
                  book->formats.text);
    }
    for (int which = 0; which < CASES; which++)
        put_case(book, sheet, inputs, which);
}

/* Days, dollars and MFU are one number seen three ways: each published figure and what it means for
 * the other two, at the published GPUs and FLOPs. */
static void put_three_ways(Book *book, lxw_worksheet *sheet, const CostInputs *inputs, int *row)
{
    const struct {
        const char *label, *days_formula;
        double days;
    } cases[] = {
        {"Published duration, low", "=claim_days_low", inputs->claim_days_low},
        {"Published duration, high", "=claim_days_high", inputs->claim_days_high},
        {"What the published cost pays for", "=claim_cost_usd/(claim_gpus*24*price_gpu_hour)",
         inputs->claim_cost_usd / (inputs->claim_gpus * hours_per_day * inputs->gpu_hour_usd)},
        {"Simulated median, at the published GPUs", "=run_days", inputs->days[0]},
    };
    static const char *const heads[] = {"One number seen three ways", "Days", "Cost",
                                        "Effective MFU"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        book_text(book, sheet, (lxw_row_t)(*row - 1), (lxw_col_t)i, heads[i], book->formats.head);
    (*row)++;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char formula[128];
        double days = cases[i].days;
        if (!isfinite(days))
            continue;
        book_text(book, sheet, (lxw_row_t)(*row - 1), 0, cases[i].label, book->formats.text);
        put_line(book, sheet, *row, 1, cases[i].days_formula, days, book->formats.number);
        snprintf(formula, sizeof formula, "=B%d*24*claim_gpus*price_gpu_hour", *row);
        put_line(book, sheet, *row, 2, formula,
                 days * hours_per_day * inputs->claim_gpus * inputs->gpu_hour_usd,
                 book->formats.money);
        snprintf(formula, sizeof formula, "=claim_flops/(B%d*86400*claim_gpus*peak_flops_gpu)",
                 *row);
        put_line(book, sheet, *row, 3, formula,
                 inputs->claim_flops /
                     (days * day_s * inputs->claim_gpus * inputs->peak_flops_per_s),
                 book->formats.percent);
        (*row)++;
    }
}

/* Medians multiply only where one of the factors is the same in every draw. */
static int varies(const Book *book, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[METRIC_NAME_BYTES];
        snprintf(name, sizeof name, "input.%s", paths[i]);
        const Metric *metric = metrics_find(book->headline->metrics, name);
        for (size_t v = 1; metric != NULL && v < metric->count; v++)
            if (metric->values[v] > metric->values[0] || metric->values[v] < metric->values[0])
                return 1;
    }
    return 0;
}

/* Each line: the sheet's number, the simulation's, and their difference, which must be zero. */
static void put_checks(Book *book, lxw_worksheet *sheet, const CostInputs *inputs, int *row)
{
    static const char *const money[] = {"prices.gpu_hour", "prices.energy", "prices.pue",
                                        "prices.energy_included", "hardware.node.power"};
    static const char *const energy[] = {"prices.pue", "hardware.node.power"};
    int energy_paid = book->headline->scenario.prices.energy_included == 0;
    const CostLine line = cost_line(inputs, inputs->days[0]);
    double sum = 0;
    const struct {
        const char *label, *metric;
        int cell;
        double here; /* what the sheet's cell computes */
        const char *const *factors;
        size_t factor_count;
    } checks[] = {
        {"GPU-hours", "run.gpu_hours", ROW_GPU_HOURS, line.gpu_hours, NULL, 0},
        /* power moves the cost only where energy is paid for */
        {"Cost", "cost.usd", ROW_TOTAL, line.total_usd, money, energy_paid ? 5 : 1},
        {"Energy", "cost.energy_kwh", ROW_ENERGY, line.energy_kwh, energy, 2},
    };
    static const char *const heads[] = {"Checks", "This sheet", "Simulated median", "Difference"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        book_text(book, sheet, (lxw_row_t)(*row - 1), (lxw_col_t)i, heads[i], book->formats.head);
    int first = ++*row;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const Metric *metric = metrics_find(book->headline->metrics, checks[i].metric);
        Summary summary;
        char formula[128];
        if (metric == NULL || metrics_summary(metric, &summary, NULL) != STATUS_OK)
            continue;
        book_text(book, sheet, (lxw_row_t)(*row - 1), 0, checks[i].label, book->formats.text);
        if (varies(book, checks[i].factors, checks[i].factor_count)) {
            book_text(book, sheet, (lxw_row_t)(*row - 1), 1,
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
        put_line(book, sheet, *row, 1, formula, checks[i].here, book->formats.number);
        book_number(book, sheet, (lxw_row_t)(*row - 1), 2, summary.p50, book->formats.simulated);
        snprintf(formula, sizeof formula, "=IF(ABS(B%d-C%d)<=%.9f*ABS(C%d),0,B%d-C%d)", *row, *row,
                 check_tolerance, *row, *row, *row);
        put_line(book, sheet, *row, 3, formula, difference, book->formats.number);
        (*row)++;
    }
    if (*row == first)
        return;
    char formula[64];
    book_text(book, sheet, (lxw_row_t)(*row - 1), 0,
              "Sum of checks (0 while Inputs are as simulated)", book->formats.head);
    snprintf(formula, sizeof formula, "=SUM(D%d:D%d)", first, *row - 1);
    put_line(book, sheet, *row, 3, formula, sum, book->formats.head);
}

void book_cost(Book *book, lxw_worksheet *sheet, const CostInputs *inputs)
{
    worksheet_set_column(sheet, 0, 0, 46, NULL);
    worksheet_set_column(sheet, 1, 4, 18, NULL);
    book_text(book, sheet, 0, 0, "What the run costs", book->formats.title);
    if (!inputs->present) {
        book_text(book, sheet, 1, 0, "There is no training run to cost.", book->formats.note);
        return;
    }
    book_text(book, sheet, 1, 0,
              "Every number here is a formula over the names of the Inputs sheet.",
              book->formats.note);
    put_block(book, sheet, inputs);
    int row = ROW_6ND + 2;
    put_three_ways(book, sheet, inputs, &row);
    row++;
    put_checks(book, sheet, inputs, &row);
}
