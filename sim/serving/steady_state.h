/* Serving in steady state: a pipeline of tensor-parallel nodes that always has requests to serve.
 *
 * Microbatches of sequences circulate through the stages; each pass of a microbatch gives each of
 * its sequences one token (decode) and works off a chunk of waiting prompts (prefill). A stage's
 * time comes from weight reads (only the experts that the tokens of the microbatch touch), KV
 * reads, FLOPs, tensor-parallel all-reduces and the engine's own overhead. KV memory caps the
 * sequences in flight. A sequence that ends is replaced at once by a new one with drawn lengths, so
 * that throughput is the capacity; paying load is capacity * utilisation.
 */
#ifndef SIM_SERVING_STEADY_STATE_H
#define SIM_SERVING_STEADY_STATE_H

#include "configs/reader/error.h"
#include "configs/reader/scenario.h"
#include "sim/engine/engine.h"
#include "sim/engine/forecast_options.h"
#include "sim/engine/metrics.h"

#include <stdint.h>

/* Memory of the most loaded stage and what it leaves for keys and values. */
typedef struct ServeMemory {
    double weights_bytes;       /* on one GPU of the most loaded stage */
    double draft_weights_bytes; /* of the draft model on a GPU of that stage; 0: none there */
    double reserved_bytes;
    double kv_bytes_per_token;     /* whole model, one copy */
    double kv_bytes_per_token_mha; /* the same if every query head had keys and values of its own */
    double kv_bytes_per_token_gpu; /* on one GPU of the most loaded stage, replication counted */
    double capacity_bytes;         /* usable */
    double kv_capacity_tokens;     /* whole pipeline; 0 when the weights alone do not fit */
    double max_sequences;          /* at full context_limit */
    double max_sequences_mean;     /* at the mean length of the request mix */
    double params_per_node;        /* parameters of the most loaded stage */
    int fits;
    char reason[256]; /* when it does not fit, or not one sequence does: bytes and what would make
                         it fit */
    char limit[256];  /* when it fits, but memory holds fewer sequences than max_batch: how many and
                         why */
} ServeMemory;

void serve_memory(const Scenario *scenario, ServeMemory *memory);

/* One stage, one microbatch. The parts add up to total_s:
 * weights_s     reading the weights that the tokens use at the speed that large reads reach
 * kv_s          decode attention (reading keys and values)
 * compute_s     what FLOPs add beyond the weight reads, prompt attention, norms and activations
 * collective_s  tensor-parallel collectives and the send to the next stage
 * overhead_s    the engine: per layer and per step, and moving keys and values to the host and back
 * drafts_s      its part of the drafting (draft_cost.h) */
typedef struct ServeStageTime {
    double weights_s, kv_s, compute_s, collective_s, overhead_s, drafts_s, total_s;
} ServeStageTime;

/* `layers` of the model on one stage; decode tokens at a mean `context`; prompt tokens, each of
 * which attends to `prefill_context` tokens in the mean (half the prompt when it is read from its
 * start). Tokens between two points of the grid in stage_cost.h are interpolated (exact up to 16
 * and at the points). */
ServeStageTime serve_stage_time(const Scenario *scenario, double layers, double decode_sequences,
                                double context, double prefill_tokens, double prefill_context);

/* Where every token went: processed = of finished requests + grown in requests under way. Counted
 * from two independent sides, for the test that no token is lost or made. */
typedef struct ServeLedger {
    double input_processed, output_processed; /* counted pass by pass */
    double input_finished,
        output_finished; /* lengths of finished requests, less what they had at the start */
    double input_under_way, output_under_way; /* of requests in flight at the end, likewise */
} ServeLedger;

typedef struct ServeOutcome {
    double output_tokens_per_s, input_tokens_per_s, requests_per_s; /* one cluster, full load */
    double batch;                                                   /* sequences in flight, mean */
    double decode_batch;                                            /* of these past their prompt */
    double microbatches;                                            /* that circulate */
    double pass_tokens; /* tokens of one microbatch in one pass, mean: decode and prompt */
    double decode_only_output_tokens_per_s; /* the same batch with prompts read elsewhere */
    double mfu, mbu;
    double ttft_s[3], tpot_s[3], e2e_s[3]; /* p50, p90, p99; TTFT counts from admission */
    double usd_per_s;                      /* of the cluster */
    double usd_per_1k_tokens; /* prompt and output tokens together, at the utilisation given */
    double usd_per_1k_output_tokens;
    double usd_per_1k_decode_only;              /* output tokens, prompts read elsewhere */
    double usd_per_1m_input, usd_per_1m_output; /* split by the time that each kind takes */
    double floor_usd_per_1k_at_peak; /* if every GPU ran at peak FLOP/s all the time: no price can
                                        be lower */
    ServeStageTime stage;            /* the slowest stage, mean of the passes measured */
    ServeLedger ledger;
    double finished; /* requests behind the percentiles */
    uint64_t events;
} ServeOutcome;

/* One replication: simulates until enough requests have finished (after a warm-up). `engine` is
 * reset and used; lengths come from the stream (seed, "request lengths", replication).
 * prefill_chunk_tokens == 0 means that prompts are read elsewhere and sequences arrive with their
 * KV. STATUS_NO with the reason when not one sequence fits in memory; STATUS_INVALID for a
 * utilisation or a count that is not positive. */
Status serve_simulate(Engine *engine, const Scenario *scenario, unsigned long long seed,
                      unsigned long long replication, ServeOutcome *outcome, Error *error);

/* The uncertain inputs of one replication, each from a stream named by its path. */
void serve_sample(const Scenario *scenario, unsigned long long seed, unsigned long long replication,
                  Scenario *sampled);

typedef struct ServeForecast {
    ServeMemory memory;
    ServeOutcome nominal; /* midpoint scenario */
    ServeStageTime stage; /* midpoint scenario, at its batch */
    MetricSet metrics;    /* names by the JSON contract: feasible, throughput.*, latency.ttft_s.p50,
                             utilisation.*, kv.*, cost.* */
    size_t reps;
} ServeForecast;

/* Infeasible is a result (metric feasible = 0 and memory.reason), not an error; metrics then hold
 * model.*, memory.* and kv.* only. A draw of the uncertain inputs that does not fit although the
 * midpoint does is drawn again; feasible_share says how many first draws fitted. The same seed
 * gives the same bytes for any number of threads. */
Status serve_forecast(const Scenario *scenario, const ForecastOptions *options,
                      ServeForecast *forecast, Error *error);
void serve_forecast_free(ServeForecast *forecast);

#endif
