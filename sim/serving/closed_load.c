#include "sim/serving/closed_load.h"

#include "models/serving_side.h"
#include "sim/serving/arrivals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How long to watch. The first passes let the line settle; after that requests are counted until
 * the percentiles have enough of them, or until so many passes that long outputs in small batches
 * do not run for ever. A cycle is a pass of each microbatch: windows of whole cycles count each
 * equally often. */
enum {
    WARM_UP_CYCLES = 16,
    WATCHED_PASSES = 16, /* between two looks, rounded up to cycles */
    ENOUGH_FINISHED = 1024,
    MANY_PASSES = 8000,
    FEW_FINISHED = 64,
    MOST_PASSES = 400000,
    MOST_REDRAWN = 1000 /* requests that no lane can hold, one after the other */
};

typedef struct ClosedLoad {
    const Scenario *scenario;
    Replica *replica;
    size_t stages;
    ArrivalStream requests;
    size_t places, users;    /* users: requests in flight */
    double line_blocks;      /* that a request in the line will start with, mean */
    QueuedRequest next;      /* comes as soon as there is room for it */
    EarlierRequest *earlier; /* by tag - 1; as many as there are places */
    double cycle_s;          /* seconds between two passes of a microbatch, measured */
    double per_pass;         /* tokens that a decoding sequence gets from a pass, mean */
    int measuring;
    double finished;
    double empty_seconds, changed_s; /* places without a user, summed over time up to changed_s */
    ServeLatencies *latencies;
    Status status; /* of a request that follows another */
    Error error;
} ClosedLoad;

/* ---- requests ----------------------------------------------------------------------------------
 */

static int prompts_are_read_here(const ClosedLoad *load)
{
    return load->scenario->serving.prefill_chunk_tokens >= 1;
}

/* The next request of the mix that a lane can hold; `under_way`: met in the middle of its answer.
 */
static Status next_request(ClosedLoad *load, int under_way, QueuedRequest *request, Error *error)
{
    Status status = STATUS_NO;
    for (size_t i = 0; i < MOST_REDRAWN && status == STATUS_NO; i++) {
        double prompt, output;
        arrivals_lengths(&load->requests, under_way, &prompt, &output);
        *request =
            (QueuedRequest){.first_s = -1, .prompt = (uint32_t)prompt, .output = (uint32_t)output};
        if (!prompts_are_read_here(load)) { /* the first token comes with the prompt */
            request->output = (uint32_t)fmax(2, output);
            request->given = 1;
        }
        status = replica_can_hold(load->replica, request, error);
    }
    return status;
}

/* When its first token came, and when it was asked. */
static double first_s(const ClosedLoad *load, const QueuedRequest *request)
{
    if (request->tag > 0 && load->earlier[request->tag - 1].decodes) {
        const EarlierRequest *earlier = &load->earlier[request->tag - 1];
        return earlier->placed_s - earlier->given / load->per_pass * load->cycle_s;
    }
    return request->first_s >= 0 ? request->first_s : request->arrival_s;
}

static double asked_s(const ClosedLoad *load, const QueuedRequest *request)
{
    if (request->tag == 0)
        return request->arrival_s;
    const EarlierRequest *earlier = &load->earlier[request->tag - 1];
    const double from_s = earlier->decodes ? first_s(load, request) : earlier->placed_s;
    return from_s - earlier->passes_waited * load->cycle_s;
}

static void on_first_token(void *context, const QueuedRequest *request, double now_s)
{
    ClosedLoad *load = context;
    if (load->measuring)
        latency_add(&load->latencies->ttft, now_s - asked_s(load, request));
}

static void change_users(ClosedLoad *load, int by, double now_s)
{
    load->empty_seconds += (double)(load->places - load->users) * (now_s - load->changed_s);
    load->changed_s = now_s;
    load->users = by < 0 ? load->users - 1 : load->users + 1;
}

/* A place, and memory beside what is in use and what the line will need. */
static int has_room(ClosedLoad *load)
{
    const ReplicaMemory *memory = replica_memory(load->replica);
    const double blocks = (double)replica_blocks_used(load->replica) +
                          load->line_blocks * (double)replica_waiting(load->replica) +
                          (double)lane_blocks_to_start(replica_lane(load->replica, 0), &load->next);
    return load->users < load->places && (blocks <= memory->blocks || load->users == 0);
}

static Status refill(ClosedLoad *load, double now_s)
{
    Status status = STATUS_OK;
    while (status == STATUS_OK && has_room(load)) {
        load->next.arrival_s = now_s;
        status = replica_offer(load->replica, &load->next, &load->error);
        change_users(load, 1, now_s);
        if (status == STATUS_OK)
            status = next_request(load, 0, &load->next, &load->error);
    }
    return status;
}

static void on_finished(void *context, const QueuedRequest *request, double now_s)
{
    ClosedLoad *load = context;
    if (load->measuring) {
        load->finished++;
        latency_add(&load->latencies->e2e, now_s - asked_s(load, request));
        if (request->output > 1)
            latency_add(&load->latencies->tpot,
                        (now_s - first_s(load, request)) / (request->output - 1.0));
    }
    change_users(load, -1, now_s);
    const Status status = refill(load, now_s);
    if (status != STATUS_OK)
        load->status = status;
}

/* ---- the beginning -----------------------------------------------------------------------------
 */

/* The steady state to start from, for one microbatch of `sequences`, in passes: requests arrive at
 * rate r a pass; each reads its prompt for at least max(1, prompt / chunk) passes and then decodes
 * for output - 1 passes (fewer with drafts); the chunk bounds r <= chunk / prompt. By Little's law
 * r * passes = sequences. */
typedef struct SteadyGuess {
    double rate;              /* requests a pass */
    double decoding;          /* sequences past their prompt */
    double waiting_passes;    /* that a request spends before its first token */
    double through_s, slow_s; /* one pass through all stages, and its longest stage */
} SteadyGuess;

/* Whether a lane drafts while so many of its sequences decode. */
static int drafts_for(const LaneLimits *limits, double sequences)
{
    return limits->speculation.length > 0 &&
           (limits->drafting_sequences <= 0 || sequences <= limits->drafting_sequences);
}

/* A pass of decoding at a mean context of the mix; `per_sequence`: tokens that it gives to each. */
static PassLoad decoding_pass(const ClosedLoad *load, double sequences, double *per_sequence)
{
    const ServingSpec *serving = &load->scenario->serving;
    const LaneLimits *limits = &replica_lane(load->replica, 0)->limits;
    const int drafts = drafts_for(limits, sequences);
    PassLoad pass = {.decode = sequences,
                     .context = fmin(serving->prompt_tokens + serving->output_tokens / 2,
                                     serving->context_limit),
                     .drafts = drafts ? (double)limits->speculation.length : 0};
    pass.context += pass.drafts / 2;
    *per_sequence = drafts ? limits->speculation.mean : 1;
    return pass;
}

static SteadyGuess guess_steady_state(ClosedLoad *load, double sequences)
{
    const ServingSpec *serving = &load->scenario->serving;
    const LaneLimits *limits = &replica_lane(load->replica, 0)->limits;
    const double context_limit = serving->context_limit;
    const double prompt = fmin(serving->prompt_tokens, context_limit - 1);
    const double output = fmin(serving->output_tokens, context_limit - prompt);
    double chunk = limits->prompt_tokens;
    double stage_s[MAX_STAGES];
    ServeStageTime slowest;
    SteadyGuess guess = {0};
    PassLoad pass = decoding_pass(load, sequences, &load->per_pass);
    const double answer_passes = (output - 1) / load->per_pass;

    if (limits->iteration_tokens > 0)
        chunk = fmin(chunk, fmax(1, limits->iteration_tokens - pass_tokens(&pass)));
    if (!prompts_are_read_here(load)) {
        guess.rate = sequences / fmax(1, answer_passes);
        guess.decoding = sequences;
        guess.waiting_passes = 0;
    } else {
        const double passes = fmax(1, prompt / chunk) + answer_passes;
        /* Where prompts go first, nobody waits for the answers of others. */
        guess.rate = serving->batching == BATCH_PREFILL_FIRST
                         ? sequences / passes
                         : fmin(sequences / passes, chunk / prompt);
        guess.decoding = guess.rate * answer_passes;
        guess.waiting_passes = (sequences - guess.decoding) / guess.rate;
        pass.prefill = guess.rate * prompt;
        pass.prefill_context = prompt / 2;
    }
    pass.decode = guess.decoding;
    replica_price(load->replica, &pass, stage_s, &slowest);
    guess.slow_s = slowest.total_s;
    for (size_t i = 0; i < load->stages; i++)
        guess.through_s += stage_s[i];
    return guess;
}

/* What the first requests have taken of a lane that has not planned yet. */
typedef struct LaneFill {
    size_t decoding, waiting;
    uint64_t waiting_blocks;
} LaneFill;

static int lane_has_room(const Lane *lane, const LaneFill *fill, const QueuedRequest *request)
{
    const uint64_t blocks = lane_blocks_to_start(lane, request) + fill->waiting_blocks;
    return lane->unused_count > fill->waiting && lane->blocks_used + blocks <= lane->limits.blocks;
}

/* Gives a request its place in a lane; some of it lies behind it already. */
static Status place(ClosedLoad *load, size_t index, LaneFill *fill, QueuedRequest *request,
                    int decodes, const SteadyGuess *guess, Error *error)
{
    const Lane *lane = replica_lane(load->replica, index);
    EarlierRequest *earlier = &load->earlier[load->users++];
    const double start_s = (double)index * guess->slow_s;
    request->tag = (uint32_t)load->users;
    *earlier = (EarlierRequest){.decodes = decodes};
    if (decodes) {
        const double left =
            1 + floor(random_uniform(&load->requests.lengths) * (request->output - 1.0));
        request->given = request->output - (uint32_t)left;
        request->first_s = 0;
        earlier->placed_s = start_s + guess->through_s;
        earlier->given = request->given;
        earlier->passes_waited = guess->waiting_passes;
        fill->decoding++;
        replica_resume(load->replica, index, request);
        return STATUS_OK;
    }
    fill->waiting++;
    fill->waiting_blocks += lane_blocks_to_start(lane, request);
    earlier->placed_s = start_s;
    earlier->passes_waited = fmax(0, guess->waiting_passes - (double)fill->waiting / guess->rate);
    return replica_offer(load->replica, request, error);
}

/* Fills the replica in turn, lane by lane, until its places or its memory are used up. */
static Status fill_replica(ClosedLoad *load, Error *error)
{
    const ReplicaMemory *memory = replica_memory(load->replica);
    const ServingSpec *serving = &load->scenario->serving;
    const size_t lanes = replica_lane_count(load->replica);
    const double mean =
        fmin(serving->prompt_tokens + serving->output_tokens, serving->context_limit);
    const double most =
        fmax(1, fmin(memory->sequences, floor(memory->blocks * memory->block_tokens / mean)));
    const double sequences = most / (double)lanes;
    const SteadyGuess guess = guess_steady_state(load, sequences);
    const double decoding_share = guess.decoding / sequences;
    LaneFill *fills = calloc(lanes, sizeof *fills);
    Status status =
        fills == NULL ? error_set(error, STATUS_ENVIRONMENT, "out of memory") : STATUS_OK;
    for (size_t turn = 0, refused = 0; status == STATUS_OK && load->users < load->places;) {
        QueuedRequest request;
        const LaneFill *fill = &fills[turn];
        const double next = (double)(fill->decoding + fill->waiting) + 1;
        int decodes = (double)fill->decoding + 0.5 < next * decoding_share;
        status = next_request(load, decodes, &request, error);
        decodes = decodes && request.output > 1;
        for (refused = 0; refused < lanes; refused++, turn = (turn + 1) % lanes)
            if (lane_has_room(replica_lane(load->replica, turn), &fills[turn], &request))
                break;
        if (refused == lanes)
            break;
        if (status == STATUS_OK)
            status = place(load, turn, &fills[turn], &request, decodes, &guess, error);
        turn = (turn + 1) % lanes;
    }
    free(fills);
    if (status == STATUS_OK)
        status = next_request(load, 0, &load->next, error);
    return status == STATUS_OK ? refill(load, 0) : status;
}

/* ---- the run -----------------------------------------------------------------------------------
 */

static Status check(const Scenario *scenario, Error *error)
{
    const ServingSpec *serving = &scenario->serving;
    if (!(serving->utilisation > 0 && serving->utilisation <= 1))
        return error_set(error, STATUS_INVALID,
                         "serving.utilisation is %g: more than 0 and at most 1 is needed",
                         serving->utilisation);
    if (!(serving->context_limit >= 2 && serving->prompt_tokens >= 1 &&
          serving->output_tokens >= 1 && serving->length_sigma >= 0))
        return error_set(error, STATUS_INVALID,
                         "serving: lengths must be at least 1, context_limit at least 2");
    const char *what = serving_is_disaggregated(serving)   ? "serving.disaggregated is"
                       : serving->batching == BATCH_STATIC ? "static batches are"
                                                           : NULL;
    if (what == NULL)
        return STATUS_OK;
    error_set(error, STATUS_INVALID, "%s simulated under a load only", what);
    error_hint(error, "--load RATE, --trace FILE or --find rate");
    return STATUS_INVALID;
}

static Status iterate(ClosedLoad *load, uint64_t cycles, Error *error)
{
    const Status status =
        replica_iterate(load->replica, cycles * replica_lane_count(load->replica), error);
    if (status == STATUS_OK && load->status != STATUS_OK) {
        *error = load->error;
        return load->status;
    }
    return status;
}

static int seen_enough(double finished, double passes)
{
    return finished >= ENOUGH_FINISHED || (passes >= MANY_PASSES && finished >= FEW_FINISHED) ||
           passes >= MOST_PASSES;
}

/* Tokens per second if all users decoded, at the mean context of the mix: prompts read elsewhere.
 */
static double decode_only_rate(const ClosedLoad *load, double users)
{
    const double lanes = (double)replica_lane_count(load->replica);
    double stage_s[MAX_STAGES], per_sequence;
    ServeStageTime slowest;
    const PassLoad pass = decoding_pass(load, users / lanes, &per_sequence);
    replica_price(load->replica, &pass, stage_s, &slowest);
    return users * per_sequence / serve_cycle_s(stage_s, load->stages, lanes);
}

static Status watch(ClosedLoad *load, ServeWindow *window, Error *error)
{
    Replica *replica = load->replica;
    Status status = iterate(load, 1, error);
    const double first_cycle_s = replica_now(replica);
    if (status == STATUS_OK)
        status = iterate(load, WARM_UP_CYCLES - 1, error);
    const double start_s = replica_now(replica);
    load->cycle_s = (start_s - first_cycle_s) / (WARM_UP_CYCLES - 1);
    load->measuring = 1;
    load->empty_seconds = 0;
    load->changed_s = start_s;
    replica_count_anew(replica);
    const size_t lanes = replica_lane_count(replica);
    while (status == STATUS_OK) {
        status = iterate(load, (WATCHED_PASSES + lanes - 1) / lanes, error);
        window->counters = replica_counters(replica);
        if (seen_enough(load->finished, window->counters.iterations))
            break;
    }
    window->seconds = replica_now(replica) - start_s;
    window->finished = load->finished;
    change_users(load, 1, replica_now(replica));
    window->users = (double)load->places - load->empty_seconds / window->seconds;
    window->microbatches = (double)lanes;
    window->decode_only_tokens_per_s = decode_only_rate(load, window->users);
    return status;
}

Status serve_simulate_with(ServeScratch *scratch, const Scenario *scenario, unsigned long long seed,
                           unsigned long long replication, ServeOutcome *outcome, Error *error)
{
    ClosedLoad load = {.scenario = scenario, .latencies = &scratch->latencies};
    const LaneSink sink = {
        .first_token = on_first_token, .finished = on_finished, .context = &load};
    ServeLatencies *latencies = load.latencies;
    ServeWindow window;

    memset(outcome, 0, sizeof *outcome);
    latencies->ttft.count = latencies->tpot.count = latencies->e2e.count = 0;
    Status status = check(scenario, error);
    if (status == STATUS_OK)
        status = replica_renew(scenario, &sink, 0, &scratch->replica, error);
    if (status != STATUS_OK)
        return status;
    const ReplicaMemory *memory = replica_memory(scratch->replica);
    load.replica = scratch->replica;
    RandomStream seeds = random_stream(seed, "unit", replication);
    replica_seed(load.replica, random_u64(&seeds));
    load.requests = arrivals_drawn(scenario, 1, UINT64_MAX, seed);
    load.requests.lengths = random_stream(seed, "request lengths", replication);
    load.stages = (size_t)scenario->serving.pipeline;
    load.places = (size_t)memory->sequences;
    load.line_blocks = ceil((scenario->serving.prompt_tokens + 1) / memory->block_tokens);
    if (scratch->earlier_room < load.places) {
        free(scratch->earlier);
        scratch->earlier = calloc(load.places, sizeof *scratch->earlier);
        scratch->earlier_room = scratch->earlier == NULL ? 0 : load.places;
    }
    if (scratch->earlier == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    load.earlier = scratch->earlier;
    status = fill_replica(&load, error);
    if (status == STATUS_OK)
        status = watch(&load, &window, error);
    if (status == STATUS_OK)
        serve_outcome_fill(scenario, &window, latencies, outcome);
    return status;
}

void serve_scratch_free(ServeScratch *scratch)
{
    replica_destroy(scratch->replica);
    free(scratch->earlier);
}

Status serve_simulate(const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, ServeOutcome *outcome, Error *error)
{
    ServeScratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory");
    const Status status = serve_simulate_with(scratch, scenario, seed, replication, outcome, error);
    serve_scratch_free(scratch);
    free(scratch);
    return status;
}
