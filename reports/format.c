#include "reports/format.h"

#include "reports/terminal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How the values of one unit are scaled and named. */
typedef struct Step {
    double from; /* smallest magnitude that takes this step */
    double factor;
    const char *suffix;
} Step;

typedef struct Family {
    const char *unit;
    const Step *steps; /* largest first; the last one takes all that is left */
    int counts;        /* whole numbers below 100,000 are written out */
} Family;

static const Step seconds[] = {
    {172800, 1 / 86400.0, " days"},
    {7200, 1 / 3600.0, " h"},
    {300, 1 / 60.0, " min"},
    {1, 1, " s"},
    {1e-3, 1e3, " ms"},
    {0, 1e6, " us"},
};
static const Step bytes[] = {
    {1e15, 1e-15, " PB"}, {1e12, 1e-12, " TB"}, {1e9, 1e-9, " GB"},
    {1e6, 1e-6, " MB"},   {1e3, 1e-3, " kB"},   {0, 1, " bytes"},
};
static const Step bytes_per_s[] = {
    {1e12, 1e-12, " TB/s"}, {1e9, 1e-9, " GB/s"}, {1e6, 1e-6, " MB/s"}, {0, 1, " B/s"}};
static const Step bits_per_s[] = {
    {1e12, 1e-12, " Tb/s"}, {1e9, 1e-9, " Gb/s"}, {1e6, 1e-6, " Mb/s"}, {0, 1, " b/s"}};
static const Step flops[] = {
    {1e18, 1, " FLOPs"},    {1e15, 1e-15, " PFLOPs"}, {1e12, 1e-12, " TFLOPs"},
    {1e9, 1e-9, " GFLOPs"}, {1e6, 1e-6, " MFLOPs"},   {0, 1, " FLOPs"},
};
static const Step flops_per_s[] = {
    {1e18, 1e-18, " EFLOP/s"}, {1e15, 1e-15, " PFLOP/s"}, {1e12, 1e-12, " TFLOP/s"},
    {1e9, 1e-9, " GFLOP/s"},   {0, 1, " FLOP/s"},
};
static const Step usd[] = {{1e9, 1e-9, "B"}, {1e6, 1e-6, "M"}, {1e4, 1e-3, "k"}, {0, 1, ""}};
static const Step fraction[] = {{0, 100, "%"}};
static const Step energy_kwh[] = {{1e6, 1e-6, " GWh"}, {1e3, 1e-3, " MWh"}, {0, 1, " kWh"}};
static const Step mass_kg[] = {{1e6, 1e-6, " kt"}, {1e3, 1e-3, " t"}, {0, 1, " kg"}};
static const Step power_w[] = {{1e6, 1e-6, " MW"}, {1e3, 1e-3, " kW"}, {0, 1, " W"}};

static const Family families[] = {
    {"s", seconds, 0},       {"bytes", bytes, 0},        {"bytes/s", bytes_per_s, 0},
    {"B/s", bytes_per_s, 0}, {"bit/s", bits_per_s, 0},   {"FLOPs", flops, 0},
    {"FLOP", flops, 0},      {"FLOP/s", flops_per_s, 0}, {"fraction", fraction, 0},
    {"kWh", energy_kwh, 0},  {"kg", mass_kg, 0},         {"W", power_w, 0},
};

/* Everything that is counted: billions as the field writes parameters and tokens. */
static const Step counted[] = {{1e18, 1, ""},    {1e12, 1e-12, "T"}, {1e9, 1e-9, "B"},
                               {1e6, 1e-6, "M"}, {1e5, 1e-3, "k"},   {0, 1, ""}};

static const Step *pick(const Step *steps, double magnitude)
{
    while (magnitude < steps->from)
        steps++;
    return steps;
}

/* Three significant digits, four from 100 on; -1 asks for exponents. */
static int decimals_for(double shown)
{
    if (shown >= 1e6)
        return -1;
    if (shown >= 1000)
        return 0;
    if (shown >= 10)
        return 1;
    if (shown >= 1 || shown == 0)
        return 2;
    return (int)fmin(12, 2 - floor(log10(shown)));
}

/* Rates and ratios carry their unit behind a space; an empty unit and "1" carry none. */
static void unit_suffix(const char *scale, const char *unit, char *suffix, size_t suffix_bytes)
{
    int bare = unit[0] == '\0' || strcmp(unit, "1") == 0;
    snprintf(suffix, suffix_bytes, "%s%s%s", scale, bare ? "" : " ", bare ? "" : unit);
}

QuantityScale quantity_scale(double value, const char *unit)
{
    QuantityScale scale = {.prefix = "", .factor = 1};
    double magnitude = isfinite(value) ? fabs(value) : 0;
    const Step *step = NULL;
    int counts = 0;
    if (strncmp(unit, "USD", 3) == 0) { /* "USD", "USD per 1k tokens", "USD/h" */
        step = pick(usd, magnitude);
        scale.prefix = "$";
        snprintf(scale.suffix, sizeof scale.suffix, "%s%s", step->suffix, unit + 3);
    }
    for (size_t i = 0; step == NULL && i < sizeof families / sizeof *families; i++) {
        if (strcmp(unit, families[i].unit) != 0)
            continue;
        step = pick(families[i].steps, magnitude == 0 ? 1 : magnitude);
        snprintf(scale.suffix, sizeof scale.suffix, "%s", step->suffix);
    }
    if (step == NULL) {
        step = pick(counted, magnitude);
        unit_suffix(step->suffix, unit, scale.suffix, sizeof scale.suffix);
        counts = step->factor == 1 && magnitude == floor(magnitude);
    }
    scale.factor = step->factor;
    scale.decimals = decimals_for(magnitude * step->factor);
    /* 120 layers, 24960 GPUs: a whole count needs no zeros behind a point */
    if (counts && scale.decimals > 0)
        scale.decimals = 0;
    return scale;
}

/* "2.15e+25" -> "2.15e25", as it is written in print. */
static void drop_exponent_plus(char *text)
{
    char *plus = strstr(text, "e+");
    if (plus != NULL)
        memmove(plus + 1, plus + 2, strlen(plus + 2) + 1);
}

void format_scaled(double value, const QuantityScale *scale, char *text, size_t text_bytes)
{
    double shown = value * scale->factor;
    if (!isfinite(value))
        snprintf(text, text_bytes, "n/a");
    else if (scale->decimals < 0)
        snprintf(text, text_bytes, "%s%s%.3g", shown < 0 ? "-" : "", scale->prefix, fabs(shown));
    else
        snprintf(text, text_bytes, "%s%s%.*f", shown < 0 ? "-" : "", scale->prefix, scale->decimals,
                 fabs(shown));
    drop_exponent_plus(text);
}

void format_quantity(double value, const char *unit, char *text, size_t text_bytes)
{
    QuantityScale scale = quantity_scale(value, unit);
    char number[48];
    format_scaled(value, &scale, number, sizeof number);
    snprintf(text, text_bytes, "%s%s", number, isfinite(value) ? scale.suffix : "");
}

void format_summary(const Summary *summary, const char *unit, char *text, size_t text_bytes)
{
    QuantityScale scale = quantity_scale(summary->p50, unit);
    char middle[48], low[48], high[48];
    if (!(summary->p95 > summary->p5)) {
        format_quantity(summary->p50, unit, text, text_bytes);
        return;
    }
    /* a median that happens to be whole must not round its neighbours to whole numbers */
    int decimals = decimals_for(fabs(summary->p50) * scale.factor);
    if (fabs(summary->p95 - summary->p5) * scale.factor < 100)
        scale.decimals = decimals;
    format_scaled(summary->p50, &scale, middle, sizeof middle);
    scale.prefix = "";
    format_scaled(summary->p5, &scale, low, sizeof low);
    format_scaled(summary->p95, &scale, high, sizeof high);
    snprintf(text, text_bytes, "%s%s [%s .. %s]", middle, scale.suffix, low, high);
}

void format_claim_range(const Claim *claim, char *text, size_t text_bytes)
{
    if (!claim->has_low && !claim->has_high) {
        snprintf(text, text_bytes, "-");
        return;
    }
    /* published figures have few digits of their own: as many as were printed, and no more */
    double low = claim->has_low ? claim->low : claim->high;
    double high = claim->has_high ? claim->high : claim->low;
    QuantityScale scale = quantity_scale(high, claim->unit);
    const char *bound = claim->has_low && claim->has_high ? ""
                        : claim->has_low                  ? "at least "
                                                          : "up to ";
    if (low < high)
        snprintf(text, text_bytes, "%s%.6g .. %.6g%s", scale.prefix, low * scale.factor,
                 high * scale.factor, scale.suffix);
    else
        snprintf(text, text_bytes, "%s%s%.6g%s", bound, scale.prefix, high * scale.factor,
                 scale.suffix);
    drop_exponent_plus(text);
}

const char *metric_display_unit(const Metric *metric)
{
    static const char *const shares[] = {"mfu", "hfu", "mbu", "goodput", "bubble_fraction"};
    const char *dot = strrchr(metric->name, '.');
    const char *last = dot != NULL ? dot + 1 : metric->name;
    for (size_t i = 0; metric->unit[0] == '\0' && i < sizeof shares / sizeof *shares; i++)
        if (strncmp(last, shares[i], strlen(shares[i])) == 0)
            return "fraction";
    return strcmp(metric->unit, "1/s") == 0 ? "per s" : metric->unit;
}

void format_count(double value, char *text, size_t text_bytes)
{
    char digits[40];
    size_t used = 0;
    snprintf(digits, sizeof digits, "%.0f", isfinite(value) ? fabs(value) : 0);
    size_t length = strlen(digits);
    if (value < 0 && used + 1 < text_bytes)
        text[used++] = '-';
    for (size_t i = 0; i < length && used + 2 < text_bytes; i++) {
        text[used++] = digits[i];
        if ((length - 1 - i) % 3 == 0 && i + 1 < length)
            text[used++] = ',';
    }
    if (text_bytes > 0)
        text[used < text_bytes ? used : text_bytes - 1] = '\0';
}
