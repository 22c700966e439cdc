#include "sim/serving/steady_state.h"

#include "models/serving_side.h"
#include "sim/serving/simulation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How long to watch. The first passes let queues settle; after that requests are counted until the
 * percentiles have enough of them, or until so many passes that long outputs in small batches do
 * not run for ever. */
enum {
    WARM_UP_CYCLES = 16,
    ENOUGH_FINISHED = 1024,
    MANY_PASSES = 8000,
    FEW_FINISHED = 64,
    MOST_PASSES = 400000,
    MOST_REQUESTS = 1 << 22
};

static void admit(Simulation *simulation, Microbatch *microbatch)
{
    const uint32_t index =
        simulation_take(simulation, simulation->next_prompt, simulation->next_output);
    simulation->requests[index].admitted_s = engine_now(simulation->engine);
    microbatch_enqueue(microbatch, index);
    simulation_draw(simulation, 0, &simulation->next_prompt, &simulation->next_output);
}

/* Chooses the prompts that the next pass works on: from the head of the queue, until the chunk is
 * full. Returns the tokens of context that these prompt tokens attend to, in all. */
static double take_prompts(Simulation *simulation, Microbatch *microbatch)
{
    double attended = 0;

    microbatch->ended_prompts = 0;
    microbatch->pass_prefill = 0;
    while (microbatch->ended_prompts < microbatch->waiting) {
        ServeRequest *request =
            &simulation->requests[microbatch_waiting(microbatch, microbatch->ended_prompts)];
        const double room = simulation->chunk - microbatch->pass_prefill;
        const double tokens = fmin(room, request->prompt - request->prompt_done);
        if (tokens <= 0)
            break;
        /* Token i of a prompt attends to i tokens; in the mean of a piece, its middle. */
        attended += tokens * (request->prompt_done + tokens / 2);
        request->prompt_done += tokens;
        microbatch->pass_prefill += tokens;
        if (request->prompt_done < request->prompt)
            break;
        microbatch->ended_prompts++;
    }
    return attended;
}

/* Prompts read elsewhere: all waiting sequences join the pass. */
static void take_prefilled(Simulation *simulation, Microbatch *microbatch)
{
    microbatch->ended_prompts = microbatch->waiting;
    for (size_t i = 0; i < microbatch->waiting; i++) {
        const uint32_t index = microbatch_waiting(microbatch, i);
        ServeRequest *request = &simulation->requests[index];
        request->last_pass = microbatch->pass + (uint64_t)request->output - 1;
        request->prompt_done = request->prompt;
        request->had_input = request->prompt;
        microbatch->context_sum += request->prompt;
        microbatch_decode(microbatch, simulation->requests, index);
    }
}

/* Adds what the pass costs to the sums of the window. */
static void count_pass(Simulation *simulation, const Microbatch *microbatch, const PassLoad *load,
                       const ServeStageTime *parts)
{
    ServeCounters *counters = simulation->counters;
    StageCost *cost = simulation->cost;
    const double layers = simulation->scenario->model.layers;
    const TokenCost tokens = stage_cost_tokens(cost, load->decode + load->prefill);

    /* Prompts read elsewhere decode already while they are still in the queue. */
    const size_t also_waiting = simulation->chunk > 0 ? microbatch->waiting : 0;
    counters->sequences += load->decode + (double)also_waiting;
    counters->decoding += load->decode;
    counters->attended_tokens +=
        load->decode * load->context + load->prefill * load->prefill_context;
    counters->bytes_read += (double)simulation->gpus_per_stage *
                            (stage_cost_weight_bytes(cost, layers, &tokens) +
                             layers * stage_cost_kv_bytes(cost, load) + tokens.head.weights_bytes);

    /* What prompts add is the time of the pass over that of the same pass without them. */
    counters->slowest_s += parts->total_s;
    if (load->prefill > 0) {
        ServeStageTime answers = {0};
        if (load->decode > 0) {
            const PassLoad alone = {.decode = load->decode, .context = load->context};
            stage_cost_pipeline(cost, &simulation->layout, &alone, simulation->stage_s, &answers);
        }
        counters->slowest_prefill_s += fmax(0, parts->total_s - answers.total_s);
    }
    stage_time_add(&counters->stage, parts, 1);
}

static void pass_ended(Engine *engine, void *context, uint64_t payload);

/* Sends a microbatch through the pipeline. Stages serve microbatches in the order of their arrival
 * and the order never changes, so when the last stage is done follows from the recurrence of queues
 * in tandem: done(stage) = max(done before, stage free) + time. One event a pass is enough. */
static void start_pass(Simulation *simulation, Microbatch *microbatch)
{
    double attended = 0;

    if (simulation->chunk > 0)
        attended = take_prompts(simulation, microbatch);
    else
        take_prefilled(simulation, microbatch);

    microbatch->pass_decode = (double)microbatch->decoding;
    if (microbatch->decoding == 0 && microbatch->pass_prefill <= 0) {
        microbatch->idle = 1;
        return;
    }
    const PassLoad load = {
        .decode = microbatch->pass_decode,
        .context = microbatch->decoding > 0 ? microbatch->context_sum / microbatch->pass_decode : 0,
        .prefill = microbatch->pass_prefill,
        .prefill_context = microbatch->pass_prefill > 0 ? attended / microbatch->pass_prefill : 0,
    };
    ServeStageTime slowest;
    stage_cost_pipeline(simulation->cost, &simulation->layout, &load, simulation->stage_s,
                        &slowest);

    double done_s = engine_now(simulation->engine);
    for (size_t stage = 0; stage < simulation->layout.stages; stage++) {
        done_s = fmax(done_s, simulation->stage_free_s[stage]) + simulation->stage_s[stage];
        simulation->stage_free_s[stage] = done_s;
    }
    if (simulation->measuring)
        count_pass(simulation, microbatch, &load, &slowest);

    microbatch->idle = 0;
    const uint64_t index = (uint64_t)(microbatch - simulation->microbatches);
    if (engine_schedule(simulation->engine, done_s, pass_ended, simulation, index) == 0)
        simulation->failed = 1;
}

static void finish(Simulation *simulation, uint32_t index, double now)
{
    const ServeRequest *request = &simulation->requests[index];
    ServeCounters *counters = simulation->counters;

    simulation->ledger.input_finished += request->prompt - request->had_input;
    simulation->ledger.output_finished += request->output - request->had_output;
    simulation->kv_reserved -= request->prompt + request->output;
    simulation->in_flight--;
    simulation->unused[simulation->unused_count++] = index;
    if (!simulation->measuring)
        return;
    counters->finished++;
    latency_add(&counters->e2e, now - request->admitted_s);
    if (request->output > 1)
        latency_add(&counters->tpot, (now - request->first_token_s) / (request->output - 1));
}

/* Every decoding sequence has one more token; prompts that were read to their end have their first.
 */
static void hand_out_tokens(Simulation *simulation, Microbatch *microbatch, double now)
{
    double tokens = microbatch->pass_decode;

    microbatch->context_sum += microbatch->pass_decode;
    for (; microbatch->ended_prompts > 0; microbatch->ended_prompts--) {
        const uint32_t index = microbatch_dequeue(microbatch);
        ServeRequest *request = &simulation->requests[index];
        request->first_token_s = now;
        if (simulation->measuring)
            latency_add(&simulation->counters->ttft, now - request->admitted_s);
        if (simulation->chunk > 0) {
            request->last_pass = microbatch->pass + (uint64_t)request->output - 1;
            microbatch->context_sum += request->prompt + 1;
            microbatch_decode(microbatch, simulation->requests, index);
            tokens++;
        }
    }
    simulation->ledger.output_processed += tokens;
    simulation->ledger.input_processed += microbatch->pass_prefill;
    if (simulation->measuring) {
        simulation->counters->decode_tokens += tokens;
        simulation->counters->prefill_tokens += microbatch->pass_prefill;
    }
    microbatch->pass_prefill = 0;
    while (microbatch->decoding > 0) {
        const uint32_t index = microbatch_first_to_end(microbatch);
        const ServeRequest *request = &simulation->requests[index];
        if (request->last_pass > microbatch->pass)
            break;
        microbatch->context_sum -= request->prompt + request->output;
        microbatch_end_first(microbatch, simulation->requests);
        finish(simulation, index, now);
    }
}

/* The microbatch that just ended a pass takes new sequences while it has no more than the others in
 * the mean; microbatches that ran dry take what is left. */
static void refill(Simulation *simulation, Microbatch *microbatch)
{
    while (simulation_fits(simulation, simulation->next_prompt, simulation->next_output) &&
           microbatch_sequences(microbatch) * simulation->microbatch_count <= simulation->in_flight)
        admit(simulation, microbatch);

    for (size_t i = 0; i < simulation->microbatch_count; i++) {
        Microbatch *other = &simulation->microbatches[i];
        if (other == microbatch || !other->idle)
            continue;
        if (!simulation_fits(simulation, simulation->next_prompt, simulation->next_output))
            break;
        admit(simulation, other);
        start_pass(simulation, other);
    }
}

static int seen_enough(const Simulation *simulation)
{
    const double finished = simulation->counters->finished;
    const uint64_t passes = simulation->passes - simulation->warm_up_passes;

    /* Whole cycles, so that each microbatch counts equally often. */
    if (passes % simulation->microbatch_count != 0)
        return 0;
    return finished >= ENOUGH_FINISHED || (passes >= MANY_PASSES && finished >= FEW_FINISHED) ||
           passes >= MOST_PASSES;
}

static void start_window(Simulation *simulation, double now)
{
    simulation->measuring = 1;
    simulation->window_start_s = now;
    simulation_date_back(simulation, (now - simulation->first_cycle_end_s) / (WARM_UP_CYCLES - 1));
}

static void pass_ended(Engine *engine, void *context, uint64_t payload)
{
    Simulation *simulation = context;
    Microbatch *microbatch = &simulation->microbatches[payload];
    const double now = engine_now(engine);

    hand_out_tokens(simulation, microbatch, now);
    microbatch->pass++;
    simulation->passes++;
    if (simulation->measuring && seen_enough(simulation)) {
        simulation->counters->window_s = now - simulation->window_start_s;
        simulation->counters->passes = (double)(simulation->passes - simulation->warm_up_passes);
        engine_stop(engine);
        return;
    }
    refill(simulation, microbatch);
    if (simulation->passes == simulation->microbatch_count)
        simulation->first_cycle_end_s = now;
    if (simulation->passes == simulation->warm_up_passes)
        start_window(simulation, now);
    start_pass(simulation, microbatch);
    if (simulation->failed)
        engine_stop(engine);
}

static void first_pass(Engine *engine, void *context, uint64_t payload)
{
    Simulation *simulation = context;

    start_pass(simulation, &simulation->microbatches[payload]);
    if (simulation->failed)
        engine_stop(engine);
}

/* Fills the cluster and sets the microbatches off one by one. */
static void start_all(Simulation *simulation)
{
    const double apart_s = simulation_fill(simulation);

    simulation_draw(simulation, 0, &simulation->next_prompt, &simulation->next_output);
    for (size_t i = 0; i < simulation->microbatch_count; i++)
        if (engine_schedule(simulation->engine, (double)i * apart_s, first_pass, simulation, i) ==
            0)
            simulation->failed = 1;
}

static Status allocate(Simulation *simulation, Error *error)
{
    const size_t count = simulation->microbatch_count;
    const size_t room = simulation->most_in_flight / count + 2;

    simulation->microbatches = calloc(count, sizeof *simulation->microbatches);
    simulation->requests = calloc(simulation->most_in_flight, sizeof *simulation->requests);
    simulation->unused = calloc(simulation->most_in_flight, sizeof *simulation->unused);
    simulation->indices = calloc(2 * count * room, sizeof *simulation->indices);
    if (!simulation->microbatches || !simulation->requests || !simulation->unused ||
        !simulation->indices)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for %zu sequences",
                         simulation->most_in_flight);

    for (size_t i = 0; i < count; i++) {
        simulation->microbatches[i].ring = simulation->indices + 2 * i * room;
        simulation->microbatches[i].heap = simulation->indices + (2 * i + 1) * room;
        simulation->microbatches[i].room = room;
    }
    while (simulation->unused_count < simulation->most_in_flight) {
        simulation->unused[simulation->unused_count] =
            (uint32_t)(simulation->most_in_flight - 1 - simulation->unused_count);
        simulation->unused_count++;
    }
    return STATUS_OK;
}

/* Tokens of requests in flight at the end, for the ledger. */
static void count_under_way(Simulation *simulation)
{
    for (size_t i = 0; i < simulation->microbatch_count; i++) {
        const Microbatch *microbatch = &simulation->microbatches[i];
        for (size_t j = 0; j < microbatch->decoding; j++) {
            const ServeRequest *request = &simulation->requests[microbatch->heap[j]];
            /* last_pass is the pass of the last token: those after the last ended pass are to come.
             */
            const double left = (double)(request->last_pass + 1 - microbatch->pass);
            simulation->ledger.output_under_way += request->output - left - request->had_output;
            simulation->ledger.input_under_way += request->prompt - request->had_input;
        }
        for (size_t j = 0; j < microbatch->waiting && simulation->chunk > 0; j++) {
            const ServeRequest *request = &simulation->requests[microbatch_waiting(microbatch, j)];
            simulation->ledger.input_under_way += request->prompt_done;
        }
        /* Prompt tokens of a pass under way are taken from the queue, but not yet processed. */
        simulation->ledger.input_under_way -= microbatch->pass_prefill;
    }
}

static Status check_load(const Scenario *scenario, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    ServeMemory memory;

    if (!(serving->utilisation > 0 && serving->utilisation <= 1))
        return error_set(error, STATUS_INVALID,
                         "serving.utilisation is %g: more than 0 and at most 1 is needed",
                         serving->utilisation);
    if (!(serving->tensor >= 1 && serving->pipeline >= 1 && serving->pipeline <= MAX_STAGES &&
          serving->pipeline <= scenario->model.layers && serving->max_batch >= 1 &&
          serving->context_limit >= 2 && serving->prompt_tokens >= 1 &&
          serving->output_tokens >= 1 && serving->length_sigma >= 0 &&
          serving->prefill_chunk_tokens >= 0))
        return error_set(
            error, STATUS_INVALID,
            "serving: tensor, pipeline (at most the layers), max_batch and lengths must "
            "be at least 1, context_limit at least 2");
    if (serving_is_disaggregated(serving)) {
        error_set(error, STATUS_INVALID, "serving.disaggregated is simulated under a load only");
        error_hint(error, "--load RATE, --trace FILE or --find rate");
        return STATUS_INVALID;
    }
    if (serving->speculation.length > 0 || serving->batching == BATCH_STATIC) {
        error_set(error, STATUS_INVALID, "%s simulated under a load only",
                  serving->speculation.length > 0 ? "speculation is" : "static batches are");
        error_hint(error, "--load RATE, --trace FILE or --find rate");
        return STATUS_INVALID;
    }
    serve_memory(scenario, &memory);
    if (!memory.fits)
        return error_set(error, STATUS_NO, "%s", memory.reason);
    return STATUS_OK;
}

static void set_up(Simulation *simulation, const Scenario *scenario)
{
    const ServingSpec *serving = &scenario->serving;
    ServeMemory memory;

    serve_memory(scenario, &memory);
    simulation->scenario = scenario;
    const double groups = stage_attention_groups(serving->attention_data, serving->tensor);
    simulation->chunk = floor(groups * serving->prefill_chunk_tokens);
    simulation->kv_capacity = memory.kv_capacity_tokens;
    simulation->gpus_per_stage = (size_t)serving->tensor;

    /* The shortest request is one token of prompt and one of answer. */
    const double most =
        fmin(fmin(groups * serving->max_batch, memory.kv_capacity_tokens / 2), MOST_REQUESTS);
    simulation->most_in_flight = (size_t)fmax(1, most);
    stage_layout(&scenario->model, (size_t)serving->pipeline, &simulation->layout);
    simulation->microbatch_count = simulation->layout.stages < simulation->most_in_flight
                                       ? simulation->layout.stages
                                       : simulation->most_in_flight;
    simulation->warm_up_passes = WARM_UP_CYCLES * simulation->microbatch_count;
}

Status serve_simulate_with(Engine *engine, ServeScratch *scratch, const Scenario *scenario,
                           unsigned long long seed, unsigned long long replication,
                           ServeOutcome *outcome, Error *error)
{
    Simulation *simulation = NULL;

    memset(outcome, 0, sizeof *outcome);
    Status status = check_load(scenario, error);
    if (status != STATUS_OK)
        return status;
    simulation = calloc(1, sizeof *simulation);
    if (!simulation)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");

    set_up(simulation, scenario);
    memset(&scratch->counters, 0, sizeof scratch->counters);
    stage_cost_prepare(&scratch->cost, scenario);
    simulation->engine = engine;
    simulation->cost = &scratch->cost;
    simulation->counters = &scratch->counters;
    simulation->lengths = random_stream(seed, "request lengths", replication);
    status = allocate(simulation, error);
    if (status != STATUS_OK)
        goto cleanup;

    engine_reset(engine);
    start_all(simulation);
    status = engine_run(engine, HUGE_VAL, error);
    if (status != STATUS_OK)
        goto cleanup;

    count_under_way(simulation);
    serve_outcome_fill(scenario, simulation->cost, &simulation->layout,
                       (double)simulation->microbatch_count, simulation->counters, outcome);
    outcome->ledger = simulation->ledger;
    outcome->events = engine_events_run(engine);

cleanup:
    free(simulation->indices);
    free(simulation->unused);
    free(simulation->requests);
    free(simulation->microbatches);
    free(simulation);
    return status;
}

Status serve_simulate(Engine *engine, const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, ServeOutcome *outcome, Error *error)
{
    ServeScratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");

    const Status status =
        serve_simulate_with(engine, scratch, scenario, seed, replication, outcome, error);
    free(scratch);
    return status;
}
