#include "models/plan_check.h"

#include "models/architecture.h"
#include "models/course.h"
#include "models/memory.h"
#include "models/plan_rules.h"

#include <math.h>
#include <stdio.h>

double plan_microbatches(const TrainingSpec *training)
{
    const double one =
        training->sequence_length * training->parallel.data * training->parallel.micro_batch;
    return fmax(1, round(training->batch_tokens / one));
}

double plan_step_tokens(const TrainingSpec *training)
{
    return plan_microbatches(training) * training->sequence_length * training->parallel.data *
           training->parallel.micro_batch;
}

double plan_context_ways(const ParallelSpec *parallel)
{
    return fmax(1, parallel->context);
}

double plan_expert_tensor_ways(const ParallelSpec *parallel)
{
    return parallel->expert_tensor >= 1 ? parallel->expert_tensor : parallel->tensor;
}

double plan_gradient_ranks(const ParallelSpec *parallel)
{
    return parallel->data * plan_context_ways(parallel);
}

double plan_shard_ranks(const ParallelSpec *parallel)
{
    const double all = plan_gradient_ranks(parallel);
    return parallel->shard_group >= 1 ? fmin(parallel->shard_group, all) : all;
}

double plan_gpus(const ParallelSpec *parallel)
{
    return parallel->tensor * parallel->pipeline * parallel->data * plan_context_ways(parallel);
}

double plan_older_share(const Scenario *scenario)
{
    const HardwareSpec *hardware = &scenario->hardware;
    const ParallelSpec *parallel = &scenario->training.parallel;
    return fmax(fmin(1, hardware->older_stages / parallel->pipeline),
                fmin(1, hardware->older_replicas / parallel->data));
}

int plan_experts_are_spread(const ParallelSpec *parallel)
{
    return parallel->expert > 1 || plan_expert_tensor_ways(parallel) != parallel->tensor;
}

double plan_expert_copies(const ParallelSpec *parallel)
{
    return fmax(1, parallel->tensor * plan_gradient_ranks(parallel) /
                       (plan_expert_tensor_ways(parallel) * fmax(1, parallel->expert)));
}

double plan_expert_group_replicas(const ParallelSpec *parallel)
{
    const double ranks = plan_expert_tensor_ways(parallel) * fmax(1, parallel->expert);
    const double replicas = floor(ranks / (parallel->tensor * plan_context_ways(parallel)));
    return fmax(1, fmin(replicas, parallel->data));
}

static Status check_model_counts(const Scenario *scenario, Error *error)
{
    const ModelSpec *model = &scenario->model;
    const int training = scenario->kind == SCENARIO_TRAINING;
    const Count counts[] = {
        {"model.layers", model->layers, 1, 1},
        {"model.d_model", model->d_model, 1, 1},
        {"model.d_ff", model->d_ff, 1, 1},
        {"model.heads", model->heads, 1, 1},
        {"model.kv_heads", model->kv_heads, 1, 1},
        {"model.head_dim", model->head_dim, 1, 1},
        {"model.vocab_size", model->vocab_size, 1, 1},
        {"model.experts", model->experts, 1, 1},
        {"model.experts_per_token", model->experts_per_token, model->experts > 1, 1},
        {"model.shared_experts", model->shared_experts, 1, 0},
        {"model.expert_d_ff", model->expert_d_ff, 1, 0},
        {"model.shared_d_ff", model->shared_d_ff, 1, 0},
        {"model.dense_layers", model->dense_layers, 1, 0},
        {"model.moe_every", model->moe_every, 1, 0},
        {"model.kv_lora_rank", model->kv_lora_rank, 1, 0},
        {"model.q_lora_rank", model->q_lora_rank, 1, 0},
        {"model.rope_head_dim", model->rope_head_dim, 1, 0},
        {"model.nope_head_dim", model->nope_head_dim, model->kv_lora_rank > 0, 1},
        {"model.v_head_dim", model->v_head_dim, model->kv_lora_rank > 0, 1},
        {"model.attention_window", model->attention_window, 1, 0},
        {"model.window_layers", model->window_layers, 1, 0},
        {"model.sparse_keys", model->sparse_keys, 1, 0},
        {"model.index_heads", model->index_heads, model->sparse_keys > 0, 1},
        {"model.index_head_dim", model->index_head_dim, model->sparse_keys > 0, 1},
        {"model.linear_layers", model->linear_layers, 1, 0},
        {"model.linear_key_heads", model->linear_key_heads, model->linear_layers > 0, 1},
        {"model.linear_value_heads", model->linear_value_heads, model->linear_layers > 0, 1},
        {"model.linear_head_dim", model->linear_head_dim, model->linear_layers > 0, 1},
        {"model.routed_groups", model->routed_groups, 1, 0},
        {"model.learned_positions", model->learned_positions, 1, 0},
        {"hardware.node.gpus", scenario->hardware.node.gpus, 1, 1},
        {"training.sequence_length", scenario->training.sequence_length, training, 1},
    };
    return plan_check_counts(counts, sizeof counts / sizeof counts[0], error);
}

static Status check_parallel_counts(const ParallelSpec *parallel, Error *error)
{
    const Count counts[] = {
        {"training.parallel.tensor", parallel->tensor, 1, 1},
        {"training.parallel.pipeline", parallel->pipeline, 1, 1},
        {"training.parallel.data", parallel->data, 1, 1},
        {"training.parallel.expert", parallel->expert, 1, 1},
        {"training.parallel.context", parallel->context, 1, 0},
        {"training.parallel.expert_tensor", parallel->expert_tensor, 1, 0},
        {"training.parallel.shard_group", parallel->shard_group, 1, 0},
        {"training.parallel.zero_stage", parallel->zero_stage, 1, 0},
        {"training.parallel.micro_batch", parallel->micro_batch, 1, 1},
    };
    return plan_check_counts(counts, sizeof counts / sizeof counts[0], error);
}

static Status check_expert_ways(const Scenario *scenario, Error *error)
{
    const ModelSpec *model = &scenario->model;
    const ParallelSpec *parallel = &scenario->training.parallel;
    if (!plan_experts_are_spread(parallel) || (model->experts <= 1 && parallel->expert <= 1))
        return STATUS_OK;
    const double sliced = plan_expert_tensor_ways(parallel);
    const double ranks = parallel->tensor * plan_gradient_ranks(parallel);
    const Divisibility rules[] = {
        {"training.parallel.expert", "model.experts", parallel->expert, model->experts},
        {"training.parallel.expert_tensor", "the expert width", sliced, model_expert_width(model)},
        {"training.parallel.expert x expert_tensor", "tensor x context x data",
         parallel->expert * sliced, ranks},
    };
    const Status status = plan_check_divisible(rules, sizeof rules / sizeof rules[0], error);
    if (status != STATUS_OK)
        return status;
    /* Without it every tensor rank would dispatch the same tokens. */
    if (parallel->tensor > 1 && !parallel->sequence_parallel) {
        error_set(error, STATUS_INVALID,
                  "training.parallel.expert = %g with training.parallel.tensor = %g needs "
                  "training.parallel.sequence_parallel",
                  parallel->expert, parallel->tensor);
        error_hint(error, "set training.parallel.sequence_parallel: true");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* Context ways leave each rank two chunks of a sequence; sharding groups are all alike. */
static Status check_context_and_shards(const TrainingSpec *training, Error *error)
{
    const ParallelSpec *parallel = &training->parallel;
    const double context = plan_context_ways(parallel);
    if (context > 1 && !plan_divides(2 * context, training->sequence_length))
        return error_set(error, STATUS_INVALID,
                         "training.parallel.context = %g cuts training.sequence_length = %g into "
                         "%g chunks of unequal length",
                         context, training->sequence_length, 2 * context);
    if (parallel->shard_group < 1)
        return STATUS_OK;
    const Divisibility rule = {"training.parallel.shard_group", "data x context",
                               parallel->shard_group, plan_gradient_ranks(parallel)};
    return plan_check_divisible(&rule, 1, error);
}

static Status check_gpus_and_batch(const Scenario *scenario, Error *error)
{
    const TrainingSpec *training = &scenario->training;
    const ParallelSpec *parallel = &training->parallel;
    const double context = plan_context_ways(parallel);
    const double product = plan_gpus(parallel);
    if (scenario->hardware.gpus != product) {
        char ways_of_context[48] = "";
        if (context > 1)
            snprintf(ways_of_context, sizeof ways_of_context, "context %g x ", context);
        error_set(error, STATUS_INVALID,
                  "hardware.gpus = %.10g is not tensor %g x %spipeline %g x data %g = %.10g",
                  scenario->hardware.gpus, parallel->tensor, ways_of_context, parallel->pipeline,
                  parallel->data, product);
        const double group = parallel->tensor * parallel->pipeline * context;
        const double ways = floor(scenario->hardware.gpus / group);
        if (ways >= 1)
            error_hint(error, "training.parallel.data: %.10g uses %.10g GPUs", ways, ways * group);
        return STATUS_INVALID;
    }

    /* Every replica works on at least one microbatch; rounding may add up to half of one. */
    const double one = training->sequence_length * parallel->data * parallel->micro_batch;
    if (training->batch_tokens < one / 2) {
        error_set(error, STATUS_INVALID,
                  "training.batch_tokens = %.10g is less than one microbatch for each of %g "
                  "replicas (%.10g tokens)",
                  training->batch_tokens, parallel->data, one);
        error_hint(error, "fewer data-parallel ways, a smaller micro_batch or a larger batch");
        return STATUS_INVALID;
    }
    if (parallel->sequence_parallel &&
        !plan_divides(parallel->tensor * context, training->sequence_length))
        return error_set(error, STATUS_INVALID,
                         "training.parallel.tensor = %g does not divide "
                         "training.sequence_length = %g, which sequence parallelism cuts",
                         parallel->tensor, training->sequence_length);
    return STATUS_OK;
}

/* Which counts a pipeline schedule can work with. */
static Status check_schedule(const TrainingSpec *training, Error *error)
{
    const ParallelSpec *parallel = &training->parallel;
    const double stages = parallel->pipeline, chunks = parallel->virtual_stages;
    const double microbatches = plan_microbatches(training);
    if (chunks > 1 && parallel->schedule != SCHEDULE_INTERLEAVED) {
        error_set(
            error, STATUS_INVALID,
            "training.parallel.virtual_stages = %g: only the interleaved schedule has several "
            "chunks a stage",
            chunks);
        error_hint(error, "set training.parallel.schedule: interleaved");
        return STATUS_INVALID;
    }
    if (chunks > 1 && !plan_divides(stages, microbatches)) {
        error_set(error, STATUS_INVALID,
                  "training.parallel.schedule: interleaved works in groups of pipeline = %g "
                  "microbatches, which does not divide the %g microbatches of a replica",
                  stages, microbatches);
        error_hint(error, "training.batch_tokens: %.10g makes %g microbatches",
                   fmax(1, round(microbatches / stages)) * stages * training->sequence_length *
                       parallel->data * parallel->micro_batch,
                   fmax(1, round(microbatches / stages)) * stages);
        return STATUS_INVALID;
    }
    if (parallel->schedule == SCHEDULE_DUALPIPE &&
        (!plan_divides(2, stages) || !plan_divides(2, microbatches) || microbatches < 2 * stages)) {
        error_set(error, STATUS_INVALID,
                  "training.parallel.schedule: dualpipe needs an even pipeline and an even number "
                  "of microbatches, at least two a stage; pipeline = %g with %g microbatches",
                  stages, microbatches);
        error_hint(error, "choose another pipeline, batch_tokens or micro_batch");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* Two generations of GPUs in one job. */
static Status check_older(const Scenario *scenario, Error *error)
{
    const HardwareSpec *hardware = &scenario->hardware;
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double stages = hardware->older_stages, replicas = hardware->older_replicas;
    if (!(stages > 0) && !(replicas > 0))
        return STATUS_OK;
    if (!(hardware->older_gpu.memory_bytes > 0)) {
        error_set(error, STATUS_INVALID,
                  "hardware.older_stages and older_replicas need hardware.older_gpu");
        error_hint(error, "a name in configs/hw, such as older_gpu: a100-sxm-40g");
        return STATUS_INVALID;
    }
    if (stages > 0 && replicas > 0)
        return error_set(error, STATUS_INVALID,
                         "hardware.older_stages = %g and hardware.older_replicas = %g: older GPUs "
                         "hold some stages of every replica or some whole replicas",
                         stages, replicas);
    if (stages > parallel->pipeline || replicas > parallel->data)
        return error_set(error, STATUS_INVALID,
                         "hardware.older_stages = %g of %g stages, older_replicas = %g of %g",
                         stages, parallel->pipeline, replicas, parallel->data);
    if (scenario->training.precision == PRECISION_FP8 &&
        !(hardware->older_gpu.peak_fp8_flops_per_s > 0))
        return error_set(error, STATUS_INVALID,
                         "training.precision: fp8, which hardware.older_gpu lacks");
    if (stages > 0 && parallel->schedule == SCHEDULE_DUALPIPE)
        return error_set(error, STATUS_INVALID,
                         "hardware.older_stages with training.parallel.schedule: dualpipe, where "
                         "every GPU holds a stage and the one opposite");
    const double others = parallel->pipeline - stages;
    const double left = scenario->model.layers - stages * hardware->older_layers;
    if (stages > 0 && hardware->older_layers > 0 && (others < 1 || left < others))
        return error_set(error, STATUS_INVALID,
                         "hardware.older_stages = %g with older_layers = %g leave %g layers to %g "
                         "other stages",
                         stages, hardware->older_layers, left, others);
    return STATUS_OK;
}

/* An encoder is cut by the same tensor ways; its output must be read by somebody. */
static Status check_vision(const Scenario *scenario, Error *error)
{
    const VisionSpec *vision = &scenario->model.vision;
    const ParallelSpec *parallel = &scenario->training.parallel;
    if (!(vision->layers > 0) && !(vision->cross_every > 0))
        return STATUS_OK;
    if (!(vision->cross_every > 0) || !(vision->patches > 0) || !(vision->d_model > 0) ||
        !(vision->heads > 0) || !(vision->images > 0))
        return error_set(error, STATUS_INVALID,
                         "model.vision needs cross_every, patches, d_model, heads and images");
    const Divisibility rules[] = {
        {"training.parallel.tensor", "model.vision.heads", parallel->tensor, vision->heads},
        {"model.vision.heads", "model.vision.d_model", vision->heads, vision->d_model},
    };
    if (parallel->context > 1)
        return error_set(error, STATUS_INVALID,
                         "training.parallel.context = %g: cutting sequences with images is not "
                         "simulated",
                         parallel->context);
    return plan_check_divisible(rules, sizeof rules / sizeof rules[0], error);
}

/* The embedding and the head may each stand in for a layer, in the first and in the last chunk. */
static Status check_layers_of_chunks(const Scenario *scenario, Error *error)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    const double stages = parallel->pipeline, chunks = fmax(1, parallel->virtual_stages);
    const double slots = scenario->model.layers + (chunks > 1 ? 2 : 0);
    if (stages * chunks <= slots && stages * chunks <= MAX_STAGES)
        return STATUS_OK;
    return error_set(error, STATUS_INVALID,
                     "training.parallel.pipeline x virtual_stages = %g chunks are more than "
                     "model.layers = %g with embedding and head, or than %d",
                     stages * chunks, scenario->model.layers, MAX_STAGES);
}

static Status check_training(const Scenario *scenario, Error *error)
{
    const ParallelSpec *parallel = &scenario->training.parallel;
    if (scenario->model.sparse_keys > 0)
        return error_set(error, STATUS_INVALID,
                         "model.sparse_keys = %g: training of such a model is not simulated",
                         scenario->model.sparse_keys);
    if (scenario->model.linear_layers > 0 || scenario->model.gated_attention)
        return error_set(error, STATUS_INVALID,
                         "model.linear_layers = %g, model.gated_attention: training of such a "
                         "model is not simulated",
                         scenario->model.linear_layers);
    Status status = plan_check_split(scenario, "training.parallel.tensor", parallel->tensor,
                                     "training.parallel.pipeline", parallel->pipeline, error);
    if (status == STATUS_OK)
        status = check_expert_ways(scenario, error);
    if (status == STATUS_OK)
        status = check_gpus_and_batch(scenario, error);
    if (status == STATUS_OK)
        status = check_context_and_shards(&scenario->training, error);
    if (status == STATUS_OK)
        status = check_schedule(&scenario->training, error);
    if (status == STATUS_OK)
        status = check_layers_of_chunks(scenario, error);
    if (status == STATUS_OK)
        status = check_older(scenario, error);
    if (status == STATUS_OK)
        status = check_vision(scenario, error);
    return status;
}

/* Every part of a run is a plan of its own. */
static Status check_course(const Scenario *scenario, Error *error)
{
    CoursePart parts[MAX_COURSE_PARTS];
    Scenario one;
    Status status = course_check(scenario, error);
    if (status != STATUS_OK)
        return status;
    const size_t count = course_parts(scenario, parts);
    for (size_t i = 0; i < count; i++) {
        course_apply(scenario, &parts[i], &one);
        Error found = {0};
        status = plan_check(&one, &found);
        if (status == STATUS_OK)
            continue;
        error_set(error, status, "phase '%s': %s", scenario->course[parts[i].phase].name,
                  found.message);
        error_hint(error, "%s", found.hint);
        return status;
    }
    return STATUS_OK;
}

static Status check_popularity(const Scenario *scenario, Error *error)
{
    const int training = scenario->kind == SCENARIO_TRAINING;
    const ExpertLoadSpec *load =
        training ? &scenario->training.expert_load : &scenario->serving.expert_load;
    if (load->model != EXPERT_LOAD_POWER_LAW || load->span > 1)
        return STATUS_OK;
    error_set(error, STATUS_INVALID, "%s.expert_load.span = %g leaves a power law nothing to vary",
              training ? "training" : "serving", load->span);
    error_hint(error, "the largest popularity over the least, above 1; kernel tables draw with 0.8 "
                      "of the tokens");
    return STATUS_INVALID;
}

Status plan_check(const Scenario *scenario, Error *error)
{
    if (scenario->course_count > 0 && scenario->kind == SCENARIO_TRAINING)
        return check_course(scenario, error);
    const int training = scenario->kind == SCENARIO_TRAINING;
    Status status = check_model_counts(scenario, error);
    if (status == STATUS_OK)
        status = training ? check_parallel_counts(&scenario->training.parallel, error)
                          : plan_check_serving_counts(&scenario->serving, error);
    if (status == STATUS_OK)
        status = plan_check_model(&scenario->model, error);
    if (status == STATUS_OK)
        status = check_popularity(scenario, error);
    if (status != STATUS_OK)
        return status;
    return training ? check_training(scenario, error) : plan_check_serving(scenario, error);
}

Status plan_check_base(const Scenario *scenario, Error *error)
{
    Status status = check_model_counts(scenario, error);
    if (status == STATUS_OK)
        status = plan_check_model(&scenario->model, error);
    return status == STATUS_OK ? check_popularity(scenario, error) : status;
}

Status plan_check_parallel(const Scenario *scenario, Error *error)
{
    const Status status = check_parallel_counts(&scenario->training.parallel, error);
    return status == STATUS_OK ? check_training(scenario, error) : status;
}
