/* Seconds of a stage: what recomputation, sharding, expert parallelism and load imbalance change,
 * and what not. */
#include "tests/unit/stage_fixture.h"

static void test_shape_of_the_step(void **state)
{
    (void)state;
    StepInput *input = input_of(&base);
    assert_int_equal(input->stages, 15);
    assert_int_equal(input->replicas, 208);
    assert_int_equal(input->microbatches, 35);
    assert_near(input->gpus, 24960, 0);
    assert_near(input->peak_flops_per_s, 24960 * 312e12, 1e-12);
    assert_near(input->tokens, plan_step_tokens(&base.training), 0);
    assert_near(input->hardware_flops, input->model_flops, 1e-12);
    double layers = 0;
    for (size_t i = 0; i < input->stages; i++) {
        const StageTime *stage = &input->stage[i];
        layers += stage->layers;
        const StagePhase *phases[] = {&stage->forward, &stage->backward};
        for (size_t j = 0; j < 2; j++)
            assert_near(phases[j]->total_s,
                        phases[j]->compute_s + phases[j]->recompute_s + phases[j]->tensor_s +
                            phases[j]->expert_s + phases[j]->expert_imbalance_s +
                            phases[j]->sharding_s,
                        1e-12);
        /* a backward has twice the products and twice the bytes of its forward */
        assert_true(stage->backward.compute_s > 1.7 * stage->forward.compute_s);
        assert_true(stage->backward.compute_s < 2.7 * stage->forward.compute_s);
        assert_true(stage->grad_reduce_s > 0 && stage->param_gather_s > 0 &&
                    stage->optimizer_s > 0);
    }
    assert_near(layers, base.model.layers, 0);
    /* no GPU computes faster than its peak */
    double compute_s = 0;
    for (size_t i = 0; i < input->stages; i++)
        compute_s += (input->stage[i].forward.compute_s + input->stage[i].backward.compute_s) / 15;
    assert_true(compute_s * (double)input->microbatches >
                input->model_flops / input->peak_flops_per_s);
    /* the head works on the last stage, so it is slower than a middle stage with as many layers */
    assert_true(input->stage[14].layers < input->stage[7].layers ||
                input->stage[14].forward.compute_s > input->stage[7].forward.compute_s);
    free(input);
}

static void test_recomputation(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *none = input_of(&scenario);
    scenario.training.parallel.recompute = RECOMPUTE_SELECTIVE;
    StepInput *selective = input_of(&scenario);
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *full = input_of(&scenario);
    const size_t middle = 7; /* no embedding, no head */
    const StageTime *n = &none->stage[middle], *s = &selective->stage[middle],
                    *f = &full->stage[middle];
    assert_near(n->backward.recompute_s, 0, 0);
    assert_near(f->backward.recompute_s, f->forward.compute_s, 1e-12);
    assert_near(f->backward.tensor_s, 2 * f->forward.tensor_s, 1e-12);
    assert_near(s->backward.tensor_s, s->forward.tensor_s, 1e-12);
    assert_true(s->backward.recompute_s > 0 && s->backward.recompute_s < f->backward.recompute_s);
    assert_near(f->backward.compute_s, n->backward.compute_s, 1e-12);
    /* the whole forward again but for the head: 4/3 of the model's FLOPs less that */
    double head = 2 * base.model.d_model * base.model.vocab_size * none->tokens;
    assert_near(full->hardware_flops, full->model_flops * 4 / 3 - head, 1e-12);
    assert_true(selective->hardware_flops > none->hardware_flops &&
                selective->hardware_flops < full->hardware_flops);
    free(none);
    free(selective);
    free(full);
}

/* Communication that takes nothing from computing beside it, and loses nothing to it. */
static void without_contention(Scenario *scenario)
{
    scenario->hardware.node.collective_sms = 0;
    scenario->hardware.node.memory_per_wire_byte = 0;
}

static void test_kernel_overhead_slows_kernels_only(void **state)
{
    (void)state;
    Scenario scenario = base;
    without_contention(&scenario);
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *plain = input_of(&scenario);
    scenario.training.kernel_overhead = 0.2;
    scenario.training.parallel.tensor_overlap = 0.25;
    StepInput *slower = input_of(&scenario);
    for (size_t i = 0; i < plain->stages; i++) {
        assert_near(slower->stage[i].forward.compute_s, 1.2 * plain->stage[i].forward.compute_s,
                    1e-12);
        assert_near(slower->stage[i].backward.recompute_s,
                    1.2 * plain->stage[i].backward.recompute_s, 1e-12);
        assert_near(slower->stage[i].forward.tensor_s, 0.75 * plain->stage[i].forward.tensor_s,
                    1e-12);
        assert_near(slower->stage[i].grad_reduce_s, plain->stage[i].grad_reduce_s, 1e-12);
    }
    free(plain);
    free(slower);
}

/* What runs beside computing shows by what it takes from it: a little, more with more
 * multiprocessors, and in full what is longer than all computing. */
static void test_overlap_competes(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *bare = input_of(&scenario);
    scenario.training.parallel.tensor_overlap = 1;
    StepInput *beside = input_of(&scenario);
    scenario.hardware.node.collective_sms *= 2;
    StepInput *greedy = input_of(&scenario);
    without_contention(&scenario);
    StepInput *free_of_charge = input_of(&scenario);
    scenario.hardware.node.all_gather.bytes_per_s /= 100;
    scenario.hardware.node.reduce_scatter.bytes_per_s /= 100;
    StepInput *long_ones = input_of(&scenario);
    scenario.training.parallel.tensor_overlap = 0;
    StepInput *long_bare = input_of(&scenario);
    for (size_t i = 1; i + 1 < bare->stages; i++) {
        const StageTime *stage = &beside->stage[i];
        assert_near(stage->forward.compute_s, bare->stage[i].forward.compute_s, 0);
        const double shown = stage->forward.tensor_s / bare->stage[i].forward.tensor_s;
        assert_true(shown > 0.1 && shown < 0.5);
        assert_true(greedy->stage[i].forward.tensor_s > 1.5 * stage->forward.tensor_s);
        assert_near(free_of_charge->stage[i].forward.tensor_s, 0, 0);
        assert_near(free_of_charge->stage[i].backward.tensor_s, 0, 0);
        const StagePhase *phase = &long_ones->stage[i].forward;
        assert_near(phase->tensor_s + phase->compute_s, long_bare->stage[i].forward.tensor_s, 1e-9);
    }
    free(bare);
    free(beside);
    free(greedy);
    free(free_of_charge);
    free(long_ones);
    free(long_bare);
}

/* ZeRO-0 reduces with twice the wire bytes and gathers nothing; its optimizer works on every
 * parameter. */
/* Half the matrix throughput: compute grows to at most twice, communication stays. */
static void test_sustained_clock(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *cool = input_of(&scenario);
    scenario.hardware.gpu.sustained = 1;
    StepInput *same = input_of(&scenario);
    scenario.hardware.gpu.sustained = 0.5;
    StepInput *warm = input_of(&scenario);
    const StagePhase *a = &cool->stage[1].forward, *b = &warm->stage[1].forward;
    assert_near(same->stage[1].forward.total_s, a->total_s, 0);
    assert_true(b->compute_s > 1.4 * a->compute_s && b->compute_s < 2 * a->compute_s);
    assert_near(b->tensor_s, a->tensor_s, 0);
    free(cool);
    free(same);
    free(warm);
}

static void test_zero_stages(void **state)
{
    (void)state;
    Scenario scenario = base;
    StepInput *one = input_of(&scenario);
    scenario.training.parallel.zero_stage = 0;
    StepInput *zero = input_of(&scenario);
    scenario.training.parallel.zero_stage = 3;
    StepInput *three = input_of(&scenario);
    scenario.training.parallel.overlap_param_gather =
        scenario.training.parallel.overlap_grad_reduce = 0;
    StepInput *shown = input_of(&scenario);
    const StageTime *a = &one->stage[3], *b = &zero->stage[3], *c = &three->stage[3],
                    *d = &shown->stage[3];
    assert_near(b->param_gather_s, 0, 0);
    assert_true(b->grad_reduce_s > 1.3 * a->grad_reduce_s);
    /* memory bound: time goes with the bytes but for the launch */
    assert_true(b->optimizer_s > 50 * a->optimizer_s && b->optimizer_s < 208.01 * a->optimizer_s);
    assert_near(c->grad_reduce_s + c->param_gather_s, 0, 0);
    /* one gather and one reduction a layer: each of them of a layer's parameters over 208 ranks */
    const HardwareSpec *hardware = &scenario.hardware;
    const double layer = layer_parameters(&scenario, 1).common;
    const double gather_s = collective_seconds(hardware, COLLECTIVE_ALL_GATHER, 2 * layer, 208, 1);
    const double reduce_s =
        collective_seconds(hardware, COLLECTIVE_REDUCE_SCATTER,
                           precision_bytes(scenario.training.gradient_precision) * layer, 208, 1);
    assert_near(d->forward.sharding_s, 8 * gather_s, 1e-12);
    assert_near(d->backward.sharding_s, 8 * (gather_s + reduce_s), 1e-12);
    /* fewer and larger messages than the buckets at the end of a step: not slower */
    assert_true(d->forward.sharding_s <= a->param_gather_s);
    assert_near(d->forward.total_s, one->stage[3].forward.total_s + d->forward.sharding_s, 1e-12);
    free(one);
    free(zero);
    free(three);
    free(shown);
}

/* FSDP's own copies show in full: of flat parameters 4 bytes for each gradient put side by side, 6
 * to convert it to 32 bits and 8 to divide it; parameter by parameter 4 to copy a weight out, in
 * both passes, and 6 for a gradient. */
static void test_copies_of_fsdp(void **state)
{
    (void)state;
    Scenario scenario = base;
    scenario.training.gradient_precision = PRECISION_FP32;
    scenario.training.parallel.zero_stage = 3;
    scenario.training.parallel.overlap_param_gather =
        scenario.training.parallel.overlap_grad_reduce = 0;
    const GpuSpec *gpu = &scenario.hardware.gpu;
    const double layer = layer_parameters(&scenario, 1).common;
    StepInput *input[3];
    for (int copies = 0; copies < 3; copies++) {
        scenario.training.parallel.zero_copies = (ZeroCopies)copies;
        input[copies] = input_of(&scenario);
    }
    const StageTime *none = &input[COPIES_NONE]->stage[3], *flat = &input[COPIES_FLAT]->stage[3],
                    *each = &input[COPIES_EACH]->stage[3];
    const double layers = none->layers;
    assert_near(flat->forward.sharding_s, none->forward.sharding_s, 1e-12);
    assert_near(flat->backward.sharding_s - none->backward.sharding_s,
                layers * gpu_memory_bound_seconds(gpu, 18 * layer), 1e-9);
    assert_near(each->forward.sharding_s - none->forward.sharding_s,
                layers * gpu_memory_bound_seconds(gpu, 4 * layer), 1e-9);
    assert_near(each->backward.sharding_s - none->backward.sharding_s,
                layers * (gpu_memory_bound_seconds(gpu, 4 * layer) +
                          gpu_memory_bound_seconds(gpu, 6 * layer)),
                1e-9);
    for (int copies = 0; copies < 3; copies++)
        free(input[copies]);
}

/* One replica has nobody to reduce with. */
static void test_single_replica(void **state)
{
    (void)state;
    Scenario scenario = base;
    scenario.training.parallel.data = 1;
    StepInput *input = input_of(&scenario);
    for (size_t i = 0; i < input->stages; i++) {
        assert_near(input->stage[i].grad_reduce_s, 0, 0);
        assert_near(input->stage[i].param_gather_s, 0, 0);
    }
    free(input);
}

/* Context ways cut the work; the ring is hidden by long rounds and shows when the wires are slow.
 * Gradients are reduced over data x context ranks. */
static void test_context_ways(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 8);
    StepInput *whole = input_of(&scenario);
    scenario = dense(1, 4, 2);
    without_contention(&scenario);
    StepInput *cut = input_of(&scenario);
    assert_near(cut->gpus, 8, 0);
    assert_int_equal(cut->replicas, 2);
    assert_near(cut->stage[0].grad_reduce_s, whole->stage[0].grad_reduce_s, 1e-12);
    assert_near(cut->stage[0].optimizer_s, whole->stage[0].optimizer_s, 1e-12);
    const double share = cut->stage[0].forward.compute_s / whole->stage[0].forward.compute_s;
    assert_true(share > 0.25 && share < 0.3); /* smaller products are a little less efficient */
    /* inside a node a round of 2,048 tokens hides a pass of 8 MB; the last gradients go home bare
     */
    const Scenario *inner = &scenario;
    const double pass_bytes = 2 * 8 * 128 * 2048 * 2;
    assert_near(cut->stage[0].forward.tensor_s, 0, 0);
    assert_near(cut->stage[0].backward.tensor_s, 32 * p2p_seconds(&inner->hardware, pass_bytes, 1),
                1e-12);
    /* ten times slower wires: passes beside rounds show by what they are longer */
    scenario.hardware.node.all_gather.bytes_per_s /= 1e3;
    StepInput *slow = input_of(&scenario);
    const double pass_s = p2p_seconds(&scenario.hardware, pass_bytes, 1);
    assert_true(slow->stage[0].forward.tensor_s < 32 * 3 * pass_s);
    assert_true(slow->stage[0].forward.tensor_s > 32 * 2 * pass_s);
    /* over two nodes the ring crosses the network */
    scenario = dense(8, 2, 1);
    scenario.hardware.fabric.p2p_latency_s = 1;
    StepInput *across = input_of(&scenario);
    assert_true(across->stage[0].forward.tensor_s > 31);
    free(whole);
    free(cut);
    free(slow);
    free(across);
}

/* One group in a node never touches the network; sharding groups inside nodes leave the network a
 * share of the gradients. */
static void test_groups_inside_nodes(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 8);
    StepInput *fast = input_of(&scenario);
    for (int stage = 0; stage <= 3; stage++) {
        scenario.training.parallel.zero_stage = stage;
        StepInput *near = input_of(&scenario);
        Scenario slow = scenario;
        slow.hardware.node.nic_bytes_per_s = 1;
        slow.hardware.fabric.ring_hop_s = slow.hardware.fabric.base_s = 1;
        StepInput *far = input_of(&slow);
        assert_memory_equal(near, far, sizeof *near);
        free(near);
        free(far);
    }

    scenario = dense(1, 1, 64);
    scenario.training.parallel.zero_stage = 3;
    StepInput *full = input_of(&scenario);
    scenario.training.parallel.shard_group = 64;
    StepInput *same = input_of(&scenario);
    assert_memory_equal(full, same, sizeof *full);
    scenario.training.parallel.shard_group = 8;
    StepInput *hybrid = input_of(&scenario);
    assert_true(hybrid->stage[0].forward.sharding_s < full->stage[0].forward.sharding_s);
    assert_true(hybrid->stage[0].optimizer_s > 4 * full->stage[0].optimizer_s);

    /* forward gathers of the group are those of a node alone */
    Scenario alone = dense(1, 1, 8);
    alone.training.parallel.zero_stage = 3;
    StepInput *node = input_of(&alone);
    assert_near(hybrid->stage[0].forward.sharding_s, node->stage[0].forward.sharding_s, 1e-12);
    assert_true(hybrid->stage[0].backward.sharding_s > node->stage[0].backward.sharding_s);
    free(fast);
    free(full);
    free(same);
    free(hybrid);
    free(node);
}

/* Overlapped ZeRO-3: never less than nothing, never more than without overlap, and with fast wires
 * only the ends show. */
static void test_overlapped_sharding(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 8);
    scenario.training.parallel.zero_stage = 3;
    scenario.training.parallel.micro_batch = 1;
    scenario.training.parallel.overlap_param_gather = 0;
    scenario.training.parallel.overlap_grad_reduce = 0;
    StepInput *bare = input_of(&scenario);
    scenario.training.parallel.overlap_param_gather = 1;
    scenario.training.parallel.overlap_grad_reduce = 1;
    StepInput *hidden = input_of(&scenario);
    const StageTime *b = &bare->stage[0], *h = &hidden->stage[0];
    assert_true(h->forward.sharding_s > 0 && h->forward.sharding_s < b->forward.sharding_s / 2);
    assert_true(h->backward.sharding_s > 0 && h->backward.sharding_s < b->backward.sharding_s / 2);
    assert_near(h->forward.compute_s, b->forward.compute_s, 0);
    free(bare);
    free(hidden);
}

/* Launches add their time to each kernel, fused stacks take bytes and small kernels away. */
static void test_launch_and_fusion(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 1);
    StepInput *plain = input_of(&scenario);
    scenario.training.launch_s = 1e-3;
    StepInput *eager = input_of(&scenario);
    /* 32 layers of 10 kernels, embedding, and final norm, logits and cross entropy */
    assert_near(eager->stage[0].forward.compute_s - plain->stage[0].forward.compute_s, 0.324, 1e-9);
    /* backward: 4 products of a layer and the logits twice */
    assert_near(eager->stage[0].backward.compute_s - plain->stage[0].backward.compute_s,
                0.324 + 0.129, 1e-9);
    scenario.training.fused = 1;
    StepInput *fused = input_of(&scenario);
    assert_near(fused->stage[0].forward.compute_s < eager->stage[0].forward.compute_s, 1, 0);
    scenario.training.launch_s = 0;
    StepInput *only_products = input_of(&scenario);
    assert_near(fused->stage[0].forward.compute_s - only_products->stage[0].forward.compute_s,
                0.161, 1e-9);
    free(plain);
    free(eager);
    free(fused);
    free(only_products);
}

/* Layers of two kinds: the dense ones come first and take their own time. */
static void test_layers_of_two_kinds(void **state)
{
    (void)state;
    Scenario scenario = base;
    scenario.training.expert_load.model = EXPERT_LOAD_BALANCED;
    scenario.model.dense_layers = 8;
    scenario.model.expert_d_ff = scenario.model.d_ff / 4;
    StepInput *input = input_of(&scenario);
    scenario.model.experts = 1;
    StepInput *all_dense = input_of(&scenario);
    assert_near(input->stage[0].forward.compute_s, all_dense->stage[0].forward.compute_s, 1e-12);
    assert_true(input->stage[1].forward.compute_s < all_dense->stage[1].forward.compute_s);
    assert_true(input->stage[1].parameters > all_dense->stage[1].parameters);
    free(input);
    free(all_dense);
}

/* Forward, for one token: queries, keys and values of all layers. */
static double qkv_flops(const ModelSpec *model)
{
    return 2 * model->d_model * (model->heads + 2 * model->kv_heads) * model->head_dim *
           model->layers;
}

/* Scopes of selective recomputation: each does less again than the whole layer, and the FLOPs that
 * they name are those of attention, of half of the layers' products, none, of the experts (none in
 * a dense model) and of all but queries, keys and values. */
static void test_selective_scopes(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 1);
    const ModelFlops flops =
        model_flops_per_token(&scenario.model, scenario.training.sequence_length);
    const double head = 2 * scenario.model.d_model * scenario.model.vocab_size;
    const double again[] = {[SELECTIVE_SCORES] = flops.attention_causal,
                            [SELECTIVE_OPERATORS] = (flops.matmul - head) / 2,
                            [SELECTIVE_MODULES] = 0,
                            [SELECTIVE_EXPERTS] = 0,
                            [SELECTIVE_BUT_QKV] =
                                flops.forward - head - qkv_flops(&scenario.model)};
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *full = input_of(&scenario);
    scenario.training.parallel.recompute = RECOMPUTE_SELECTIVE;
    for (int scope = SELECTIVE_SCORES; scope < SELECTIVE_SCOPES; scope++) {
        scenario.training.parallel.selective_scope = (SelectiveScope)scope;
        StepInput *input = input_of(&scenario);
        assert_near(input->hardware_flops, input->model_flops + again[scope] * input->tokens,
                    1e-12);
        const double share =
            input->stage[0].backward.recompute_s / full->stage[0].backward.recompute_s;
        assert_true(share > 0.001 && share < (scope == SELECTIVE_BUT_QKV ? 0.95 : 0.7));
        free(input);
    }
    free(full);
}

/* A recomputation that stops where the backward has what it needs leaves out the MLP's last
 * product, 2 d_ff d FLOPs a token and layer, and with tensor ways the sum behind it: one of the
 * four collectives of a layer. */
static void test_recomputation_stops(void **state)
{
    (void)state;
    Scenario scenario = dense(2, 1, 1);
    scenario.training.parallel.sequence_parallel = 1;
    scenario.training.parallel.recompute = RECOMPUTE_FULL;
    StepInput *whole = input_of(&scenario);
    scenario.training.parallel.recompute_stops = 1;
    StepInput *stopped = input_of(&scenario);
    const ModelSpec *model = &scenario.model;
    const double last = 2 * model->d_ff * model->d_model * model->layers;
    assert_near(whole->hardware_flops - stopped->hardware_flops, last * whole->tokens, 1e-9);
    const StageTime *a = &whole->stage[0], *b = &stopped->stage[0];
    assert_near(a->forward.total_s, b->forward.total_s, 1e-12);
    assert_near(a->backward.compute_s, b->backward.compute_s, 1e-12);
    const double left = (a->backward.recompute_s - b->backward.recompute_s) / a->forward.compute_s;
    assert_true(left > 0.1 && left < 0.5);
    assert_near((a->backward.tensor_s - b->backward.tensor_s) / a->forward.tensor_s, 0.25, 0.1);
    free(whole);
    free(stopped);
}

/* LoRA: no weight gradients (a third of the products' time, dgrad and wgrad being alike), nothing
 * to reduce, nothing to update. */
static void test_frozen_parameters(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 8);
    StepInput *trained = input_of(&scenario);
    scenario.training.frozen = 1;
    StepInput *frozen = input_of(&scenario);
    const StageTime *a = &trained->stage[0], *b = &frozen->stage[0];
    assert_near(b->forward.compute_s, a->forward.compute_s, 0);
    assert_near(b->backward.compute_s, a->backward.compute_s - a->backward.weight_s, 1e-12);
    assert_near(b->backward.weight_s, 0, 0);
    assert_near(b->grad_reduce_s + b->optimizer_s, 0, 0);
    assert_true(a->grad_reduce_s > 0 && a->optimizer_s > 0);
    const ModelFlops flops =
        model_flops_per_token(&scenario.model, scenario.training.sequence_length);
    assert_near(frozen->model_flops, (flops.training - flops.matmul) * frozen->tokens, 1e-12);
    MemoryPlan with, without;
    memory_plan(&scenario, &without);
    scenario.training.frozen = 0;
    memory_plan(&scenario, &with);
    assert_near(without.worst.gradients_bytes + without.worst.optimizer_bytes, 0, 0);
    assert_near(without.worst.weights_bytes, with.worst.weights_bytes, 0);
    free(trained);
    free(frozen);
}

/* One owner of each parameter: its port carries all of it, so no number of ranks helps. */
static void test_one_owner(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 64);
    scenario.training.parallel.zero_stage = 3;
    scenario.training.parallel.overlap_param_gather =
        scenario.training.parallel.overlap_grad_reduce = 0;
    StepInput *slices = input_of(&scenario);
    scenario.training.parallel.zero_owner = OWNER_ONE;
    StepInput *owner = input_of(&scenario);
    const double nodes = 64 / scenario.hardware.node.gpus;
    const double layer_bytes = 2 * layer_parameters(&scenario, 0).common;
    const double table_bytes = 2 * table_parameters(&scenario);
    const double gather_s =
        scenario.model.layers * p2p_seconds(&scenario.hardware, layer_bytes, 0) +
        2 * p2p_seconds(&scenario.hardware, table_bytes, 0) +
        (scenario.model.layers + 2) * (nodes - 1) * scenario.hardware.fabric.ring_hop_s;
    assert_near(owner->stage[0].forward.sharding_s, gather_s, 1e-12);
    assert_true(owner->stage[0].forward.sharding_s > 3 * slices->stage[0].forward.sharding_s);
    free(slices);
    free(owner);
}

/* 22 layers in 8 x 3 chunks: the first chunk has the embedding only, the last the head only. */
static void test_chunks_without_layers(void **state)
{
    (void)state;
    Scenario scenario = dense(1, 1, 1);
    scenario.hardware.gpus = scenario.training.parallel.pipeline = 8;
    scenario.model.layers = 22;
    scenario.training.parallel.schedule = SCHEDULE_INTERLEAVED;
    scenario.training.parallel.virtual_stages = 3;
    StepInput *input = input_of(&scenario);
    double layers = 0;
    for (size_t i = 0; i < 24; i++) {
        layers += input->chunk[i].layers;
        assert_near(input->chunk[i].layers, i == 0 || i == 23 ? 0 : 1, 0);
    }
    assert_near(layers, 22, 0);
    assert_true(input->chunk[0].forward.total_s < input->chunk[1].forward.total_s);
    free(input);
}

static void test_refuses_counts_out_of_range(void **state)
{
    (void)state;
    const double bad[] = {0, -1, nan(""), 1e300};
    StepInput *input = calloc(1, sizeof *input);
    assert_non_null(input);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        Error error = {0};
        Scenario scenario = base;
        scenario.training.parallel.pipeline = bad[i];
        assert_int_equal(step_input(&scenario, 1, 0, input, &error), STATUS_INVALID);
        scenario = base;
        scenario.training.parallel.data = bad[i];
        assert_int_equal(step_input(&scenario, 1, 0, input, &error), STATUS_INVALID);
        assert_true(error.message[0] != '\0');
    }
    free(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_of_the_step),
        cmocka_unit_test(test_recomputation),
        cmocka_unit_test(test_kernel_overhead_slows_kernels_only),
        cmocka_unit_test(test_overlap_competes),
        cmocka_unit_test(test_sustained_clock),
        cmocka_unit_test(test_zero_stages),
        cmocka_unit_test(test_copies_of_fsdp),
        cmocka_unit_test(test_single_replica),
        cmocka_unit_test(test_context_ways),
        cmocka_unit_test(test_groups_inside_nodes),
        cmocka_unit_test(test_overlapped_sharding),
        cmocka_unit_test(test_launch_and_fusion),
        cmocka_unit_test(test_layers_of_two_kinds),
        cmocka_unit_test(test_selective_scopes),
        cmocka_unit_test(test_recomputation_stops),
        cmocka_unit_test(test_frozen_parameters),
        cmocka_unit_test(test_one_owner),
        cmocka_unit_test(test_chunks_without_layers),
        cmocka_unit_test(test_refuses_counts_out_of_range),
    };
    return cmocka_run_group_tests(tests, read_base, NULL);
}
