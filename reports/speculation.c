#include "reports/speculation.h"

#include "models/speculation.h"
#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/gnuplot.h"
#include "reports/terminal.h"

#include <math.h>
#include <string.h>

static double over(double a, double b)
{
    return b > 0 ? a / b : 0;
}

typedef struct Gains {
    double tpot, e2e, stable;
} Gains;

static Gains gains_of(const LoadForecast *forecast, const LoadForecast *plain)
{
    const LoadPoint *with = &forecast->point, *without = &plain->point;
    return (Gains){over(without->latency_s[LATENCY_TPOT][LATENCY_MEAN],
                        with->latency_s[LATENCY_TPOT][LATENCY_MEAN]),
                   over(without->latency_s[LATENCY_E2E][LATENCY_MEAN],
                        with->latency_s[LATENCY_E2E][LATENCY_MEAN]),
                   over(forecast->stable_maximum_per_s, plain->stable_maximum_per_s)};
}

/* "helps from 1 to 37 sequences". */
static void put_range(const SpeculationMap *map, char *text, size_t bytes)
{
    const double last = map->points[map->count - 1].batch;
    if (map->helps_from <= 0)
        snprintf(text, bytes, "helps at no batch up to %.0f", last);
    else if (map->to_the_end)
        snprintf(text, bytes, "helps from batch %.0f to the largest that fits, %.0f",
                 map->helps_from, last);
    else
        snprintf(text, bytes, "helps from batch %.0f to %.0f, no longer at %.0f", map->helps_from,
                 map->helps_to, map->helps_to + 1);
}

/* ---- terminal -----------------------------------------------------------------------------------
 */

static void print_map(FILE *out, const SpeculationMap *map)
{
    char range[120];
    ascii_linef(out, "  %-9s %15s %15s %11s %9s %14s", "batch", "a token without", "a token with",
                "drafting", "speed-up", "best length");
    for (size_t i = 0; i < map->count; i++) {
        const SpeculationPoint *point = &map->points[i];
        char plain[64], with[64], best[32] = "none";
        format_quantity(point->plain_s, "s", plain, sizeof plain);
        format_quantity(point->round_s / map->tokens_per_round, "s", with, sizeof with);
        if (point->best_length > 0)
            snprintf(best, sizeof best, "%.0f (%.2fx)", point->best_length, point->best_speedup);
        ascii_linef(out, "  %-9.0f %15s %15s %10.0f%% %8.2fx %14s", point->batch, plain, with,
                    100 * over(point->draft_s, point->round_s), point->speedup, best);
    }
    put_range(map, range, sizeof range);
    ascii_linef(out, "  speculation %s", range);
}

void terminal_speculation(FILE *out, const SpeculationSpec *speculation,
                          const LoadForecast *forecast, const LoadForecast *plain)
{
    const SpeculationMap *map = &forecast->speculation;
    const Gains gains = gains_of(forecast, plain);
    char most[64], before[64];
    if (map->count == 0)
        return;
    format_quantity(forecast->stable_maximum_per_s, "", most, sizeof most);
    format_quantity(plain->stable_maximum_per_s, "requests/s", before, sizeof before);
    ascii_linef(out, "speculation: %.0f drafts a round, %.2f tokens expected of it, %.2f had",
                speculation->length, map->tokens_per_round, forecast->point.tokens_per_round);
    if (speculation->rule == ACCEPT_RELAXED)
        ascii_linef(out,
                    "  relaxed: %.0f%% of drafts taken in place of %.0f%%; a token comes up to "
                    "%.2gx as often",
                    100 * speculation->relaxed_acceptance, 100 * speculation->acceptance,
                    1 / speculation->lenience);
    if (forecast->point.rate_per_s == plain->point.rate_per_s)
        ascii_linef(out, "  at this load: %.2fx the speed of tokens, %.2fx that of whole requests",
                    gains.tpot, gains.e2e);
    ascii_linef(out, "  the line stays short up to %s, without speculation up to %s", most, before);
    print_map(out, map);
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

void json_put_speculation(JsonBuilder *builder, const SpeculationSpec *speculation,
                          const LoadForecast *forecast, const LoadForecast *plain)
{
    const SpeculationMap *map = &forecast->speculation;
    const Gains gains = gains_of(forecast, plain);
    json_t *root = builder->root;
    json_t *points = json_array();
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"speculation.length", speculation->length},
        {"speculation.tokens_per_round", map->tokens_per_round},
        {"speculation.tokens_per_round_had", forecast->point.tokens_per_round},
        {"speculation.speedup_tpot", gains.tpot},
        {"speculation.speedup_e2e", gains.e2e},
        {"speculation.stable_ratio", gains.stable},
        {"speculation.plain_stable_maximum_per_s", plain->stable_maximum_per_s},
        {"speculation.plain_rate_per_s", plain->point.rate_per_s},
        {"speculation.plain_tpot_s_mean", plain->point.latency_s[LATENCY_TPOT][LATENCY_MEAN]},
        {"speculation.plain_e2e_s_mean", plain->point.latency_s[LATENCY_E2E][LATENCY_MEAN]},
        {"speculation.helps_from", map->helps_from},
        {"speculation.helps_to", map->helps_to},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_put(builder, root, numbers[i].key, json_number(numbers[i].value));
    for (size_t i = 0; i < map->count; i++) {
        const SpeculationPoint *point = &map->points[i];
        json_t *object = json_object();
        json_put(builder, object, "batch", json_number(point->batch));
        json_put(builder, object, "plain_token_s", json_number(point->plain_s));
        json_put(builder, object, "token_s", json_number(point->round_s / map->tokens_per_round));
        json_put(builder, object, "round_s", json_number(point->round_s));
        json_put(builder, object, "draft_s", json_number(point->draft_s));
        json_put(builder, object, "speedup", json_number(point->speedup));
        json_put(builder, object, "best_length", json_number(point->best_length));
        json_put(builder, object, "best_speedup", json_number(point->best_speedup));
        json_append(builder, points, object);
    }
    json_put(builder, root, "speculation.points", points);
}

/* ---- files --------------------------------------------------------------------------------------
 */

static void put_csv(FILE *out, const SpeculationMap *map, const Provenance *provenance)
{
    fprintf(out, "batch,plain_token_s,token_s,round_s,draft_s,speedup,plain_tokens_per_s,"
                 "tokens_per_s,best_length,best_speedup,scenario_sha256,seed,program\r\n");
    for (size_t i = 0; i < map->count; i++) {
        const SpeculationPoint *point = &map->points[i];
        const double row[] = {point->batch,
                              point->plain_s,
                              point->round_s / map->tokens_per_round,
                              point->round_s,
                              point->draft_s,
                              point->speedup,
                              point->batch / point->plain_s,
                              point->batch * map->tokens_per_round / point->round_s,
                              point->best_length,
                              point->best_speedup};
        for (size_t j = 0; j < sizeof row / sizeof *row; j++)
            fprintf(out, "%.17g,", row[j]);
        fprintf(out, "%s,%llu,%s\r\n", provenance->sha256, provenance->seed, PROGRAM_VERSION);
    }
}

static void put_data(FILE *data, const SpeculationMap *map)
{
    fprintf(data, "# batch, speed-up, speed-up of the best length, that length\n");
    for (size_t i = 0; i < map->count; i++) {
        const SpeculationPoint *point = &map->points[i];
        fprintf(data, "%.0f %.9g %.9g %.0f\n", point->batch, point->speedup, point->best_speedup,
                point->best_length);
    }
}

static void put_script(FILE *script, const SpeculationSpec *speculation, const SpeculationMap *map,
                       const Provenance *provenance)
{
    char title[256], subtitle[256], range[120];
    put_range(map, range, sizeof range);
    snprintf(title, sizeof title, "Speculation with %.0f drafts %s", speculation->length, range);
    snprintf(subtitle, sizeof subtitle,
             "%.90s; %.2f tokens a round, contexts of %.0f tokens; sha256 %.12s, flopcast %s",
             provenance->scenario, map->tokens_per_round, map->context, provenance->sha256,
             PROGRAM_VERSION);
    gnuplot_begin(script, "speculation", title, subtitle);
    fprintf(script,
            "set tmargin 6\nset bmargin 4.5\nset lmargin 11\nset rmargin 4\n"
            "set logscale x 2\nset format x '%%.0f'\n"
            "set yrange [0:*]\n"
            "set xlabel 'sequences that decode'\n"
            "set ylabel 'speed over that without speculation'\n"
            "set grid ytics linecolor rgb '#dddddd'\n"
            "set key at graph 0.98,0.05 right bottom samplen 2\n"
            "plot 1 with lines dashtype 2 linecolor rgb '" COLOR_GREY "' title 'no gain', \\\n"
            "     'speculation.dat' using 1:3 with linespoints pointtype 6 linecolor rgb "
            "'" COLOR_LIGHT "' title 'best draft length at each batch', \\\n"
            "     'speculation.dat' using 1:3:4 with labels offset 0,0.8 textcolor rgb "
            "'" COLOR_LIGHT "' notitle, \\\n"
            "     'speculation.dat' using 1:2 with linespoints linewidth 2 pointtype 7 linecolor "
            "rgb '" COLOR_MAIN "' title '%.0f drafts'\n",
            speculation->length);
    gnuplot_end(script);
}

Status csv_speculation(const char *directory, const LoadForecast *forecast,
                       const Provenance *provenance, Error *error)
{
    TextFile table;
    const Status status = files_begin(&table, error);
    if (status != STATUS_OK)
        return status;
    put_csv(table.out, &forecast->speculation, provenance);
    return files_finish(&table, directory, "speculation.csv", error);
}

Status plot_speculation(const char *directory, const SpeculationSpec *speculation,
                        const LoadForecast *forecast, const Provenance *provenance, Error *error)
{
    const SpeculationMap *map = &forecast->speculation;
    TextFile script = {0}, data = {0};
    Status status = files_begin(&script, error);
    if (status == STATUS_OK)
        status = files_begin(&data, error);
    if (status != STATUS_OK)
        goto cleanup;
    put_data(data.out, map);
    put_script(script.out, speculation, map, provenance);
    status = files_finish(&data, directory, "speculation.dat", error);
    if (status == STATUS_OK)
        status = files_finish(&script, directory, "speculation.gp", error);
    if (status == STATUS_OK)
        status = gnuplot_figure(directory, "speculation", error);
cleanup:
    files_abandon(&script);
    files_abandon(&data);
    return status;
}
