#include "sim/training/feasible.h"

#include "configs/reader/sample.h"
#include "configs/reader/schema.h"
#include "models/course.h"
#include "models/plan_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Every part of a course must fit; the plan is that of the part with the least room. */
static int course_fits(const Scenario *scenario, MemoryPlan *plan)
{
    CoursePart parts[MAX_COURSE_PARTS];
    Scenario one;
    MemoryPlan part;
    const size_t count = course_parts(scenario, parts);
    for (size_t i = 0; i < count; i++) {
        course_apply(scenario, &parts[i], &one);
        memory_plan(&one, &part);
        if (i == 0 || part.worst.total_bytes - part.capacity_bytes >
                          plan->worst.total_bytes - plan->capacity_bytes)
            *plan = part;
    }
    return plan->fits;
}

int plan_fits(const Scenario *scenario, MemoryPlan *plan)
{
    if (plan_check(scenario, NULL) != STATUS_OK)
        return 0;
    if (scenario->course_count > 0)
        return course_fits(scenario, plan);
    memory_plan(scenario, plan);
    return plan->fits;
}

/* The choices of one input, and what trying them showed. */
typedef struct Candidate {
    const UncertainInput *input;
    size_t index; /* in scenario->uncertain */
    int fits[MAX_CHOICES];
    double least_bytes[MAX_CHOICES]; /* of the worst stage, over the other inputs' choices; 0: no
                                        valid plan */
    double capacity_bytes[MAX_CHOICES];
    size_t stage[MAX_CHOICES];
} Candidate;

/* Inputs that are drawn from choices, as many as their combinations can be tried. */
static size_t find_candidates(const Scenario *scenario, Candidate *candidates, size_t *combinations)
{
    size_t count = 0;
    *combinations = 1;
    for (size_t i = 0; i < scenario->uncertain_count; i++) {
        const UncertainInput *input = &scenario->uncertain[i];
        if (input->distribution != DRAW_CHOICE || input->choice_count < 2 ||
            *combinations * input->choice_count > MAX_COMBINATIONS)
            continue;
        *combinations *= input->choice_count;
        candidates[count++] = (Candidate){.input = input, .index = i};
    }
    return count;
}

/* The digits of `combination` in the mixed base of the choice counts; the last input changes first,
 * so the first combination that fits is the nearest to what was written first. */
static void apply_combination(const Candidate *candidates, size_t count, size_t combination,
                              size_t *choices, Scenario *scenario)
{
    for (size_t i = count; i-- > 0;) {
        choices[i] = combination % candidates[i].input->choice_count;
        combination /= candidates[i].input->choice_count;
        scenario_set_field(scenario, candidates[i].input, candidates[i].input->choices[choices[i]]);
    }
}

static void note_trial(Candidate *candidate, size_t choice, const MemoryPlan *plan, int fits)
{
    candidate->fits[choice] |= fits;
    double bytes = plan->worst.total_bytes;
    if (bytes > 0.0 &&
        (candidate->least_bytes[choice] <= 0.0 || bytes < candidate->least_bytes[choice])) {
        candidate->least_bytes[choice] = bytes;
        candidate->capacity_bytes[choice] = plan->capacity_bytes;
        candidate->stage[choice] = plan->worst_stage;
    }
}

/* "full" for 2 where the schema knows the word, else the number. */
static void choice_text(const UncertainInput *input, double value, char *text, size_t text_bytes)
{
    char key[NAME_BYTES];
    const Schema *schema = &SCENARIO_SCHEMA;
    const Field *field = NULL;
    for (const char *part = input->path; part != NULL && schema != NULL;) {
        size_t length = strcspn(part, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, part);
        field = schema_field(schema, key);
        schema = field != NULL && field->kind == FIELD_GROUP ? field->group : NULL;
        part = part[length] == '.' ? part + length + 1 : NULL;
    }
    snprintf(text, text_bytes, "%g", value);
    if (field == NULL || field->kind != FIELD_WORD || field->words == NULL)
        return;
    for (size_t i = 0; field->words[i] != NULL; i++)
        if ((double)i == value)
            snprintf(text, text_bytes, "%s", field->words[i]);
}

static void append(char *text, size_t text_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t text_bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
}

static void describe_dropped(const Candidate *candidate, size_t choice, char *note,
                             size_t note_bytes)
{
    const double gigabyte = 1e9;
    char value[NAME_BYTES];
    choice_text(candidate->input, candidate->input->choices[choice], value, sizeof value);
    append(note, note_bytes, "%s%s: %s ", note[0] != '\0' ? "; " : "", candidate->input->path,
           value);
    if (candidate->least_bytes[choice] > 0.0)
        append(note, note_bytes, "needs %.1f of %.1f GB on stage %zu",
               candidate->least_bytes[choice] / gigabyte,
               candidate->capacity_bytes[choice] / gigabyte, candidate->stage[choice] + 1);
    else
        append(note, note_bytes, "contradicts the rest of the plan");
}

static void drop_choices(const Candidate *candidate, Feasible *feasible)
{
    UncertainInput *kept = &feasible->kept.uncertain[candidate->index];
    kept->choice_count = 0;
    for (size_t choice = 0; choice < candidate->input->choice_count; choice++) {
        if (candidate->fits[choice]) {
            kept->choices[kept->choice_count++] = candidate->input->choices[choice];
        } else {
            feasible->dropped++;
            describe_dropped(candidate, choice, feasible->note, sizeof feasible->note);
        }
    }
}

Status plan_refuse(const Scenario *scenario, const MemoryPlan *plan, Error *error)
{
    Status status = plan_check(scenario, error);
    if (status != STATUS_OK)
        return status;
    char text[ERROR_TEXT_BYTES];
    memory_explain(plan, text, sizeof text);
    return error_set(error, STATUS_NO, "%s", text);
}

Status feasible_choices(const Scenario *scenario, Feasible *feasible, Error *error)
{
    Candidate candidates[MAX_UNCERTAIN];
    size_t choices[MAX_UNCERTAIN], combinations;
    size_t count = find_candidates(scenario, candidates, &combinations);
    int found = 0;

    feasible->kept = *scenario;
    feasible->dropped = 0;
    feasible->note[0] = '\0';
    feasible->memory = (MemoryPlan){0};
    scenario_midpoint(scenario, &feasible->midpoint);
    Scenario trial = feasible->midpoint;
    for (size_t i = 0; i < combinations; i++) {
        MemoryPlan plan = {0};
        apply_combination(candidates, count, i, choices, &trial);
        int fits = plan_fits(&trial, &plan);
        for (size_t j = 0; j < count; j++)
            note_trial(&candidates[j], choices[j], &plan, fits);
        int nearer = plan.worst.total_bytes > 0.0 &&
                     plan.worst.total_bytes < feasible->memory.worst.total_bytes;
        if (!found && (i == 0 || fits || nearer)) {
            feasible->midpoint = trial;
            feasible->memory = plan;
        }
        found |= fits;
    }
    if (!found)
        return plan_refuse(&feasible->midpoint, &feasible->memory, error);

    for (size_t i = 0; i < count; i++)
        drop_choices(&candidates[i], feasible);
    return STATUS_OK;
}
