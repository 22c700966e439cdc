#include "reports/serving_search.h"

#include "reports/ascii.h"
#include "reports/files.h"
#include "reports/number_field.h"
#include "reports/terminal_parts.h"

#include <math.h>

/* ---- tables -------------------------------------------------------------------------------------
 */

#define TRIAL(MEMBER)                                                                              \
    {                                                                                              \
#MEMBER, offsetof(ServingTrial, MEMBER)                                                    \
    }
#define POINT(MEMBER)                                                                              \
    {                                                                                              \
#MEMBER, offsetof(PriceSpeedPoint, MEMBER)                                                 \
    }

static const NumberField TRIAL_FIELDS[] = {TRIAL(tensor),
                                           TRIAL(pipeline),
                                           TRIAL(max_batch),
                                           TRIAL(replicas),
                                           TRIAL(gpus),
                                           TRIAL(rate_per_s),
                                           TRIAL(ttft_p99_s),
                                           TRIAL(tpot_p99_s),
                                           TRIAL(usd_per_1k_tokens),
                                           TRIAL(usd_per_1m_input),
                                           TRIAL(usd_per_1m_output),
                                           TRIAL(worst)};
enum { TRIAL_FIELD_COUNT = sizeof TRIAL_FIELDS / sizeof *TRIAL_FIELDS };

static const NumberField POINT_FIELDS[] = {
    POINT(tensor),         POINT(pipeline),          POINT(gpus),
    POINT(max_batch),      POINT(decoding),          POINT(tokens_per_s),
    POINT(requests_per_s), POINT(usd_per_1k_tokens), POINT(usd_per_1k_output)};
enum { POINT_FIELD_COUNT = sizeof POINT_FIELDS / sizeof *POINT_FIELDS };

/* ---- the sentence -------------------------------------------------------------------------------
 */

static void price_of(const PriceSpeed *curve, size_t index, char *text, size_t text_bytes)
{
    if (index == curve->count)
        snprintf(text, text_bytes, "are out of reach at any price");
    else {
        char cost[64];
        format_quantity(curve->points[index].usd_per_1k_tokens, "USD", cost, sizeof cost);
        snprintf(text, text_bytes, "cost %s", cost);
    }
}

void price_speed_sentence(const PriceSpeed *curve, char *text, size_t text_bytes)
{
    char wanted[64], slow[128], fast[128], most[160], together[96];
    const double wish = curve->wanted_usd_per_1k;
    text[0] = '\0';
    if (!(wish > 0 && curve->slow_tokens_per_s > 0))
        return;
    format_quantity(wish, "USD", wanted, sizeof wanted);
    price_of(curve, curve->cheapest_slow, slow, sizeof slow);
    price_of(curve, curve->cheapest_fast, fast, sizeof fast);
    if (curve->fastest_at_price == curve->count)
        snprintf(most, sizeof most, "no layout is as cheap as %s per 1k tokens", wanted);
    else
        snprintf(most, sizeof most, "at %s per 1k tokens a reader gets %.3g tokens/s at most",
                 wanted, curve->points[curve->fastest_at_price].tokens_per_s);
    const int fast_met = curve->cheapest_fast < curve->count &&
                         curve->points[curve->cheapest_fast].usd_per_1k_tokens <= wish;
    const int slow_met = curve->cheapest_slow < curve->count &&
                         curve->points[curve->cheapest_slow].usd_per_1k_tokens <= wish;
    snprintf(together, sizeof together, "%s",
             fast_met   ? "Price and reading speed are met together."
             : slow_met ? "The price is met together with a slow reader, not with a fast one."
                        : "Price and reading speed are not met together.");
    snprintf(text, text_bytes, "%s At %.0f%% of full load %s; %.3g tokens/s %s, %.3g tokens/s %s.",
             together, 100 * curve->load, most, curve->slow_tokens_per_s, slow,
             curve->fast_tokens_per_s, fast);
}

/* ---- terminal -----------------------------------------------------------------------------------
 */

static void print_trial(FILE *out, const ServingTrial *trial)
{
    char ttft[64], tpot[64], cost[64];
    format_quantity(trial->ttft_p99_s, "s", ttft, sizeof ttft);
    format_quantity(trial->tpot_p99_s, "s", tpot, sizeof tpot);
    format_quantity(trial->usd_per_1k_tokens, "USD", cost, sizeof cost);
    ascii_linef(out, "  %3.0f x %-3.0f %5.0f %8.0f %6.0f %7.4g %9s %9s %9s %s", trial->tensor,
                trial->pipeline, trial->max_batch, trial->replicas, trial->gpus, trial->rate_per_s,
                ttft, tpot, cost,
                trial->holds    ? "yes"
                : trial->stable ? "no"
                                : "full");
}

static void print_answer(FILE *out, const SearchReport *report)
{
    const ServingTrial *best = &report->search->best;
    char cost[64], wanted[64];
    format_quantity(best->usd_per_1k_tokens, "USD", cost, sizeof cost);
    if (!report->search->found)
        ascii_linef(out, "nothing holds the objective; nearest miss: %.3g times its limit",
                    best->worst);
    else if (report->curve == NULL)
        ascii_linef(out, "fewest GPUs that hold the objective at %.4g requests/s: %.0f",
                    best->rate_per_s, best->gpus);
    else
        ascii_linef(out, "lowest cost of 1k tokens that holds the objective: %s", cost);
    ascii_linef(out, "  TP %.0f x PP %.0f, %.0f replica%s, batch up to %.0f, %.4g requests/s",
                best->tensor, best->pipeline, best->replicas, best->replicas > 1 ? "s" : "",
                best->max_batch, best->rate_per_s);
    ascii_linef(out, "  1M input tokens $%.4g, 1M output tokens $%.4g", best->usd_per_1m_input,
                best->usd_per_1m_output);
    if (report->margin >= 0 && report->search->found) {
        format_quantity(best->usd_per_1k_tokens / (1 - report->margin), "USD", wanted,
                        sizeof wanted);
        ascii_linef(out, "  a margin of %.1f%% needs a price of %s per 1k tokens",
                    100 * report->margin, wanted);
    }
}

void terminal_serving_search(FILE *out, const SearchReport *report, TerminalStyle style)
{
    const ServingSearch *search = report->search;
    ascii_linef(out, "%s", report->scenario->title);
    print_answer(out, report);
    ascii_linef(out, "  %9s %5s %8s %6s %7s %9s %9s %9s %s", "TP x PP", "batch", "replicas", "GPUs",
                "req/s", "TTFT p99", "TPOT p99", "USD/1k", "holds");
    for (size_t i = 0; i < search->trial_count; i++)
        print_trial(out, &search->trials[i]);
    if (search->refused > 0)
        ascii_wrapf(out, 0, "%zu layouts do not fit: %s", search->refused, search->refusal);
    if (report->curve != NULL) {
        char sentence[400];
        price_speed_sentence(report->curve, sentence, sizeof sentence);
        ascii_wrap(out, sentence, 0);
    }
    terminal_provenance(out, report->provenance, style);
}

/* ---- JSON and CSV -------------------------------------------------------------------------------
 */

static json_t *trial_object(JsonBuilder *builder, const ServingTrial *trial)
{
    json_t *object = json_object();
    json_put_numbers(builder, object, TRIAL_FIELDS, TRIAL_FIELD_COUNT, trial);
    json_put(builder, object, "stable", json_truth(trial->stable));
    json_put(builder, object, "holds", json_truth(trial->holds));
    return object;
}

char *json_serving_search(const SearchReport *report, Error *error)
{
    JsonBuilder builder;
    const ServingSearch *search = report->search;
    json_start(&builder, report->provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_t *root = builder.root;
    json_put(&builder, root, "title", json_text(report->scenario->title));
    json_put(&builder, root, "found", json_truth(search->found));
    json_put(&builder, root, "best", trial_object(&builder, &search->best));
    json_put(&builder, root, "refused", json_count(search->refused));
    if (report->margin >= 0)
        json_put(&builder, root, "price_for_margin.usd_per_1k_tokens",
                 json_number(search->best.usd_per_1k_tokens / (1 - report->margin)));
    json_t *tried = json_array();
    for (size_t i = 0; i < search->trial_count; i++)
        json_append(&builder, tried, trial_object(&builder, &search->trials[i]));
    json_put(&builder, root, "tried", tried);
    if (report->curve != NULL) {
        char sentence[400];
        price_speed_sentence(report->curve, sentence, sizeof sentence);
        json_put(&builder, root, "price_speed.sentence", json_text(sentence));
        json_t *points = json_array();
        for (size_t i = 0; i < report->curve->count; i++) {
            json_t *object = json_object();
            json_put_numbers(&builder, object, POINT_FIELDS, POINT_FIELD_COUNT,
                             &report->curve->points[i]);
            json_append(&builder, points, object);
        }
        json_put(&builder, root, "price_speed.points", points);
    }
    return json_finish(&builder, error);
}

static Status write_csv(const char *directory, const char *name, const NumberField *fields,
                        size_t field_count, const void *rows, size_t row_bytes, size_t row_count,
                        Error *error)
{
    TextFile file;
    const Status status = files_begin(&file, error);
    if (status != STATUS_OK)
        return status;
    csv_put_names(file.out, fields, field_count);
    fputs("\r\n", file.out);
    for (size_t i = 0; i < row_count; i++) {
        csv_put_numbers(file.out, fields, field_count, (const char *)rows + i * row_bytes);
        fputs("\r\n", file.out);
    }
    return files_finish(&file, directory, name, error);
}

Status csv_serving_search(const char *directory, const SearchReport *report, Error *error)
{
    const ServingSearch *search = report->search;
    Status status = write_csv(directory, "tried.csv", TRIAL_FIELDS, TRIAL_FIELD_COUNT,
                              search->trials, sizeof search->trials[0], search->trial_count, error);
    if (status == STATUS_OK && report->curve != NULL)
        status = write_csv(directory, "price-speed.csv", POINT_FIELDS, POINT_FIELD_COUNT,
                           report->curve->points, sizeof report->curve->points[0],
                           report->curve->count, error);
    return status;
}
