#include "sim/serving/simulation.h"

#include <math.h>

/* Whole tokens, lognormal around a mean: mu = ln(mean) - sigma^2 / 2. A sequence met under way is
 * long with a probability in proportion to its length; the length-biased lognormal is the lognormal
 * with mu + sigma^2. */
static double draw_length(RandomStream *stream, double mean, double sigma, int biased)
{
    if (sigma <= 0)
        return fmax(1, round(mean));
    const double mu = log(mean) + (biased ? 0.5 : -0.5) * sigma * sigma;
    return fmax(1, round(exp(mu + sigma * random_normal(stream))));
}

void simulation_draw(Simulation *simulation, int under_way, double *prompt, double *output)
{
    const ServingSpec *serving = &simulation->scenario->serving;
    const double sigma = serving->length_sigma;

    *prompt = draw_length(&simulation->lengths, serving->prompt_tokens, sigma, 0);
    *output = draw_length(&simulation->lengths, serving->output_tokens, sigma, under_way);
    *prompt = fmin(*prompt, serving->context_limit - 1);
    *output = fmin(*output, serving->context_limit - *prompt);
}

int simulation_fits(const Simulation *simulation, double prompt, double output)
{
    return simulation->in_flight < simulation->most_in_flight &&
           simulation->kv_reserved + prompt + output <= simulation->kv_capacity;
}

uint32_t simulation_take(Simulation *simulation, double prompt, double output)
{
    const uint32_t index = simulation->unused[--simulation->unused_count];
    simulation->requests[index] = (ServeRequest){.prompt = prompt, .output = output};
    simulation->kv_reserved += prompt + output;
    simulation->in_flight++;
    return index;
}

/* The steady state to start from, for one microbatch of `sequences`, in passes: requests arrive at
 * rate r a pass; each reads its prompt for at least max(1, prompt / chunk) passes and then decodes
 * for output - 1 passes; the chunk bounds r <= chunk / prompt. By Little's law r * passes =
 * sequences. */
typedef struct SteadyGuess {
    double rate;           /* requests a pass */
    double decoding;       /* sequences past their prompt */
    double waiting_passes; /* that a request spends before its first token */
    double cycle_s;
} SteadyGuess;

static SteadyGuess guess_steady_state(Simulation *simulation, double sequences)
{
    const ServingSpec *serving = &simulation->scenario->serving;
    const double limit = serving->context_limit;
    const double prompt = fmin(serving->prompt_tokens, limit - 1);
    const double output = fmin(serving->output_tokens, limit - prompt);
    SteadyGuess guess;
    PassLoad load = {.context = fmin(prompt + output / 2, limit)};

    if (simulation->chunk > 0) {
        const double reading = fmax(1, prompt / simulation->chunk);
        guess.rate = fmin(sequences / (reading + output - 1), simulation->chunk / prompt);
        guess.decoding = guess.rate * (output - 1);
        guess.waiting_passes = (sequences - guess.decoding) / guess.rate;
        load.prefill = guess.rate * prompt;
        load.prefill_context = prompt / 2;
    } else {
        guess.rate = sequences / output;
        guess.decoding = sequences;
        guess.waiting_passes = 1;
    }
    load.decode = guess.decoding;

    ServeStageTime slowest;
    stage_cost_pipeline(simulation->cost, &simulation->layout, &load, simulation->stage_s,
                        &slowest);
    guess.cycle_s = serve_cycle_s(simulation->stage_s, simulation->layout.stages,
                                  (double)simulation->microbatch_count);
    return guess;
}

/* First token and admission of a placed request, by the passes that it has behind it. */
static void date_back(ServeRequest *request, double cycle_s)
{
    if (request->placed == PLACED_DECODING)
        request->first_token_s = request->placed_s - request->had_output * cycle_s;
    const double before_s =
        request->placed == PLACED_DECODING ? request->first_token_s : request->placed_s;
    request->admitted_s = before_s - request->passes_waited * cycle_s;
}

void simulation_date_back(Simulation *simulation, double cycle_s)
{
    for (size_t i = 0; i < simulation->most_in_flight; i++)
        if (simulation->requests[i].placed != PLACED_NOT)
            date_back(&simulation->requests[i], cycle_s);
}

/* A request in the middle of its answer: some passes to go, the rest behind it. */
static void place_decoding(Simulation *simulation, Microbatch *microbatch, uint32_t index,
                           double pass_end_s, const SteadyGuess *guess)
{
    ServeRequest *request = &simulation->requests[index];
    const double most_left = simulation->chunk > 0 ? request->output - 1 : request->output;
    const double left = 1 + floor(random_uniform(&simulation->lengths) * most_left);

    request->placed = PLACED_DECODING;
    request->placed_s = pass_end_s;
    request->passes_waited = guess->waiting_passes;
    request->had_input = request->prompt;
    request->prompt_done = request->prompt;
    request->had_output = request->output - left;
    request->last_pass = (uint64_t)left - 1;
    date_back(request, guess->cycle_s);
    microbatch->context_sum += request->prompt + request->had_output;
    microbatch_decode(microbatch, simulation->requests, index);
}

static void place_waiting(Simulation *simulation, Microbatch *microbatch, uint32_t index,
                          double start_s, const SteadyGuess *guess)
{
    ServeRequest *request = &simulation->requests[index];
    const double passes_to_go = (double)(microbatch->waiting + 1) / guess->rate;

    request->placed = PLACED_WAITING;
    request->placed_s = start_s;
    request->passes_waited = fmax(0, guess->waiting_passes - passes_to_go);
    date_back(request, guess->cycle_s);
    microbatch_enqueue(microbatch, index);
}

double simulation_fill(Simulation *simulation)
{
    const double count = (double)simulation->microbatch_count;
    const double mean = fmin(simulation->scenario->serving.prompt_tokens +
                                 simulation->scenario->serving.output_tokens,
                             simulation->scenario->serving.context_limit);
    const double sequences =
        fmin((double)simulation->most_in_flight, fmax(1, floor(simulation->kv_capacity / mean)));
    const SteadyGuess guess = guess_steady_state(simulation, sequences / count);
    double through_s = 0, slowest_s = 0;

    for (size_t stage = 0; stage < simulation->layout.stages; stage++) {
        through_s += simulation->stage_s[stage];
        slowest_s = fmax(slowest_s, simulation->stage_s[stage]);
    }

    const double decoding_share = guess.decoding * count / sequences;
    double prompt, output;
    size_t turn = 0;
    for (;;) {
        Microbatch *microbatch = &simulation->microbatches[turn];
        const double start_s = (double)turn * slowest_s;
        const double next = (double)microbatch_sequences(microbatch) + 1;
        const int decodes = (double)microbatch->decoding + 0.5 < next * decoding_share;
        simulation_draw(simulation, decodes, &prompt, &output);
        if (!simulation_fits(simulation, prompt, output))
            break;
        const uint32_t index = simulation_take(simulation, prompt, output);
        if (decodes && (output > 1 || simulation->chunk <= 0))
            place_decoding(simulation, microbatch, index, start_s + through_s, &guess);
        else
            place_waiting(simulation, microbatch, index, start_s, &guess);
        turn = (turn + 1) % simulation->microbatch_count;
    }
    return slowest_s;
}
