#include "reports/json.h"

#include "reports/json_build.h"

static json_t *optional_number(int has, double value)
{
    return has ? json_number(value) : json_null();
}

static void put_claims(JsonBuilder *builder, const AuditResult *audit)
{
    json_t *claims = json_array();
    for (size_t i = 0; i < audit->file->claim_count; i++) {
        const ClaimResult *result = &audit->claims[i];
        const Claim *claim = result->claim;
        json_t *entry = json_object();
        json_put(builder, entry, "id", json_text(claim->id));
        json_put(builder, entry, "claim", json_text(claim->claim));
        json_put(builder, entry, "topic", json_text(claim->topic));
        json_put(builder, entry, "low", optional_number(claim->has_low, claim->low));
        json_put(builder, entry, "high", optional_number(claim->has_high, claim->high));
        json_put(builder, entry, "unit", json_text(claim->unit));
        json_put(builder, entry, "source", json_text(claim->source));
        json_put(builder, entry, "quantity",
                 json_text(claim->quantity[0] != '\0' ? claim->quantity : claim->holds));
        json_put(builder, entry, "simulated",
                 result->has_simulated ? json_quantity(&result->simulated) : json_null());
        json_put(builder, entry, "verdict", json_text(verdict_name(result->verdict)));
        json_put(builder, entry, "reason", json_text(result->reason));
        json_append(builder, claims, entry);
    }
    json_put(builder, builder->root, "claims", claims);
    json_put(builder, builder->root, "summary.claims", json_count(audit->file->claim_count));
    json_t *summary = json_object_get(builder->root, "summary");
    for (int v = 0; v < VERDICT_COUNT; v++)
        json_put(builder, summary, verdict_name((Verdict)v), json_count(audit->verdicts[v]));
}

static void put_headline(JsonBuilder *builder, const AuditScenario *headline)
{
    static const struct {
        const char *key, *metric;
    } rows[] = {
        {"days", "run.days"},
        {"cost_usd", "cost.usd"},
        {"mfu_effective", "run.mfu_effective"},
        {"mfu_effective_6nd", "run.mfu_effective_6nd"},
        {"goodput", "run.goodput"},
    };
    json_t *entry = json_object();
    json_put(builder, entry, "name", json_text(headline->spec->name));
    json_put(builder, entry, "scenario", json_text(headline->spec->scenario));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const Metric *metric =
            headline->metrics != NULL ? metrics_find(headline->metrics, rows[i].metric) : NULL;
        if (metric != NULL)
            json_put_metric(builder, entry, rows[i].key, metric, 1);
        else
            json_put(builder, entry, rows[i].key, json_null());
    }
    json_put(builder, builder->root, "headline", entry);
}

static void put_scenarios(JsonBuilder *builder, const AuditResult *audit)
{
    json_t *scenarios = json_array();
    for (size_t i = 0; i < audit->scenario_count; i++) {
        const AuditScenario *scenario = &audit->scenarios[i];
        int training = scenario->scenario.kind == SCENARIO_TRAINING;
        json_t *entry = json_object();
        json_t *sets = json_array();
        for (size_t s = 0; s < scenario->spec->set_count; s++)
            json_append(builder, sets, json_text(scenario->spec->sets[s]));
        json_put(builder, entry, "name", json_text(scenario->spec->name));
        json_put(builder, entry, "scenario", json_text(scenario->spec->scenario));
        json_put(builder, entry, "title", json_text(scenario->scenario.title));
        json_put(builder, entry, "sha256", json_text(scenario->sha256));
        json_put(builder, entry, "kind", json_text(training ? "training" : "serving"));
        json_put(builder, entry, "reps",
                 json_count(training ? scenario->train.reps : scenario->serve.reps));
        json_put(builder, entry, "feasible", json_truth(!scenario->infeasible));
        json_put(builder, entry, "reason", json_text(scenario->reason));
        json_put(builder, entry, "set", sets);
        if (training)
            json_put(builder, entry, "dropped_note", json_text(scenario->train.dropped_note));
        json_append(builder, scenarios, entry);
    }
    json_put(builder, builder->root, "scenarios", scenarios);
}

char *json_audit(const AuditResult *audit, const Provenance *provenance, Error *error)
{
    JsonBuilder builder;
    json_start(&builder, provenance);
    if (builder.failed)
        return json_finish(&builder, error);
    json_put(&builder, builder.root, "title", json_text(audit->file->title));
    put_claims(&builder, audit);
    if (audit->headline != NULL)
        put_headline(&builder, audit->headline);
    else
        json_put(&builder, builder.root, "headline", json_null());
    put_scenarios(&builder, audit);
    json_t *drivers = json_array();
    for (size_t i = 0; i < audit->driver_count; i++)
        json_append(&builder, drivers,
                    json_pack("{s:o, s:o}", "input", json_text(audit->drivers[i].input), "rho",
                              json_number(audit->drivers[i].rho)));
    json_put(&builder, builder.root, "drivers", drivers);
    return json_finish(&builder, error);
}
