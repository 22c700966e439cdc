/* The definition of the layer: each function is one formula of moe_layer.h. Copies are walked in
 * the order t * k + j, so that who is dropped follows from the text. */
#include "hw/calibration/moe_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Workspace {
    double *logits;        /* [T, E] */
    double *probabilities; /* [T, E], softmax over all experts */
    double *d_logits;      /* [T, E] */
    uint32_t *expert_of;   /* [T, k] */
    double *weight_of;     /* [T, k] */
    unsigned char *kept;   /* [T, k] */
    size_t *copies_of;     /* [E] */
    double *pre;           /* [F or 2 F] of one copy, before the activation */
    double *hidden;        /* [F], behind it */
    double *out;           /* [D], of one copy, unweighted */
    double *d_hidden;      /* [F] */
    double *d_pre;         /* [F or 2 F] */
} Workspace;

static void workspace_free(Workspace *work)
{
    free(work->logits);
    free(work->probabilities);
    free(work->d_logits);
    free(work->expert_of);
    free(work->weight_of);
    free(work->kept);
    free(work->copies_of);
    free(work->pre);
    free(work->hidden);
    free(work->out);
    free(work->d_hidden);
    free(work->d_pre);
}

static Status workspace_make(Workspace *work, const MoeShape *shape, Error *error)
{
    const size_t copies = shape->tokens * shape->top_k;
    const size_t pairs = shape->tokens * shape->experts;
    *work = (Workspace){
        .logits = calloc(pairs, sizeof(double)),
        .probabilities = calloc(pairs, sizeof(double)),
        .d_logits = calloc(pairs, sizeof(double)),
        .expert_of = calloc(copies, sizeof(uint32_t)),
        .weight_of = calloc(copies, sizeof(double)),
        .kept = calloc(copies, 1),
        .copies_of = calloc(shape->experts, sizeof(size_t)),
        .pre = calloc(moe_w_in_rows(shape), sizeof(double)),
        .hidden = calloc(shape->ffn, sizeof(double)),
        .out = calloc(shape->hidden, sizeof(double)),
        .d_hidden = calloc(shape->ffn, sizeof(double)),
        .d_pre = calloc(moe_w_in_rows(shape), sizeof(double)),
    };
    if (work->logits && work->probabilities && work->d_logits && work->expert_of &&
        work->weight_of && work->kept && work->copies_of && work->pre && work->hidden &&
        work->out && work->d_hidden && work->d_pre)
        return STATUS_OK;
    return error_set(error, STATUS_ENVIRONMENT, "out of memory for a reference layer of %.3g bytes",
                     moe_reference_bytes(shape));
}

/* logits[t, e] = x[t, :] . router[e, :] + router_bias[e] */
static Status route_logits(const MoeShape *shape, const MoeInputs *in, Workspace *work,
                           Error *error)
{
    for (size_t t = 0; t < shape->tokens; ++t) {
        for (size_t e = 0; e < shape->experts; ++e) {
            double sum = in->router_bias != NULL ? (double)in->router_bias[e] : 0;
            for (size_t d = 0; d < shape->hidden; ++d)
                sum += (double)in->x[t * shape->hidden + d] *
                       (double)in->router[e * shape->hidden + d];
            if (!isfinite(sum))
                return error_set(error, STATUS_INVALID, "logit of token %zu, expert %zu is %s", t,
                                 e, isnan(sum) ? "not a number" : "infinite");
            work->logits[t * shape->experts + e] = sum;
        }
    }
    return STATUS_OK;
}

/* p[e] = exp(logit[e] - max) / sum */
static void softmax(const double *logits, size_t count, double *p)
{
    double largest = logits[0], sum = 0;
    for (size_t i = 1; i < count; ++i)
        largest = fmax(largest, logits[i]);
    for (size_t i = 0; i < count; ++i)
        sum += p[i] = exp(logits[i] - largest);
    for (size_t i = 0; i < count; ++i)
        p[i] /= sum;
}

/* The k largest logits of one token, best first, ties to the lower expert. */
static void choose(const double *logits, size_t experts, size_t top_k, uint32_t *chosen)
{
    for (size_t j = 0; j < top_k; ++j) {
        size_t best = experts;
        for (size_t e = 0; e < experts; ++e) {
            int taken = 0;
            for (size_t i = 0; i < j; ++i)
                taken |= chosen[i] == e;
            if (!taken && (best == experts || logits[e] > logits[best]))
                best = e;
        }
        chosen[j] = (uint32_t)best;
    }
}

static size_t route(const MoeShape *shape, Workspace *work)
{
    const size_t k = shape->top_k, capacity = moe_capacity(shape);
    size_t dropped = 0;
    for (size_t t = 0; t < shape->tokens; ++t) {
        const double *logits = work->logits + t * shape->experts;
        double of_chosen[MOE_MAX_TOP_K];
        softmax(logits, shape->experts, work->probabilities + t * shape->experts);
        choose(logits, shape->experts, k, work->expert_of + t * k);
        for (size_t j = 0; j < k; ++j)
            of_chosen[j] = logits[work->expert_of[t * k + j]];
        softmax(of_chosen, k, work->weight_of + t * k);
        for (size_t j = 0; j < k; ++j) {
            size_t *copies = &work->copies_of[work->expert_of[t * k + j]];
            work->kept[t * k + j] = *copies < capacity;
            dropped += *copies >= capacity;
            ++*copies;
        }
    }
    return dropped;
}

/* aux_weight * E * sum_e f_e P_e */
static double auxiliary_loss(const MoeShape *shape, const Workspace *work)
{
    const double tokens = (double)shape->tokens, copies = tokens * (double)shape->top_k;
    double sum = 0;
    for (size_t e = 0; e < shape->experts; ++e) {
        double probability = 0;
        for (size_t t = 0; t < shape->tokens; ++t)
            probability += work->probabilities[t * shape->experts + e];
        sum += (double)work->copies_of[e] / copies * probability / tokens;
    }
    return shape->aux_weight * (double)shape->experts * sum;
}

static double gelu(double z)
{
    return z * 0.5 * erfc(-z * M_SQRT1_2);
}

static double gelu_slope(double z)
{
    return 0.5 * erfc(-z * M_SQRT1_2) + z * exp(-z * z / 2) * M_2_SQRTPI * M_SQRT1_2 / 2;
}

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

/* pre = w_in[e] x, hidden = activation(pre), out = w_out[e] hidden, for one copy. */
static void expert_forward(const MoeShape *shape, const MoeInputs *in, size_t t, size_t e,
                           Workspace *work)
{
    const size_t rows = moe_w_in_rows(shape), ffn = shape->ffn, hidden = shape->hidden;
    const float *w_in = in->w_in + e * rows * hidden, *w_out = in->w_out + e * hidden * ffn;
    for (size_t r = 0; r < rows; ++r) {
        work->pre[r] = 0;
        for (size_t d = 0; d < hidden; ++d)
            work->pre[r] += (double)in->x[t * hidden + d] * (double)w_in[r * hidden + d];
    }
    for (size_t f = 0; f < ffn; ++f)
        work->hidden[f] = shape->gated ? work->pre[f] * sigmoid(work->pre[f]) * work->pre[ffn + f]
                                       : gelu(work->pre[f]);
    for (size_t d = 0; d < hidden; ++d) {
        work->out[d] = 0;
        for (size_t f = 0; f < ffn; ++f)
            work->out[d] += (double)w_out[d * ffn + f] * work->hidden[f];
    }
}

static void forward(const MoeShape *shape, const MoeInputs *in, Workspace *work, double *y)
{
    const size_t k = shape->top_k, hidden = shape->hidden;
    memset(y, 0, shape->tokens * hidden * sizeof *y);
    for (size_t copy = 0; copy < shape->tokens * k; ++copy) {
        if (!work->kept[copy])
            continue;
        expert_forward(shape, in, copy / k, work->expert_of[copy], work);
        for (size_t d = 0; d < hidden; ++d)
            y[copy / k * hidden + d] += work->weight_of[copy] * work->out[d];
    }
}

/* d_pre from d_hidden. silu'(z) = s (1 + z (1 - s)), s = sigmoid(z). */
static void activation_backward(const MoeShape *shape, Workspace *work)
{
    const size_t ffn = shape->ffn;
    for (size_t f = 0; f < ffn; ++f) {
        const double z = work->pre[f], s = sigmoid(z);
        if (shape->gated) {
            work->d_pre[f] = work->d_hidden[f] * work->pre[ffn + f] * s * (1 + z * (1 - s));
            work->d_pre[ffn + f] = work->d_hidden[f] * z * s;
        } else {
            work->d_pre[f] = work->d_hidden[f] * gelu_slope(z);
        }
    }
}

/* Adds one copy's share of all gradients; returns dy . out, the gradient of its weight. */
static double expert_backward(const MoeShape *shape, const MoeInputs *in, size_t copy,
                              Workspace *work, MoeOutputs *out)
{
    const size_t rows = moe_w_in_rows(shape), ffn = shape->ffn, hidden = shape->hidden;
    const size_t t = copy / shape->top_k, e = work->expert_of[copy];
    const double weight = work->weight_of[copy];
    const float *x = in->x + t * hidden, *dy = in->dy + t * hidden;
    const float *w_in = in->w_in + e * rows * hidden, *w_out = in->w_out + e * hidden * ffn;
    double *dx = out->dx + t * hidden;
    double *d_w_in = out->d_w_in + e * rows * hidden, *d_w_out = out->d_w_out + e * hidden * ffn;
    double d_weight = 0;
    expert_forward(shape, in, t, e, work);
    memset(work->d_hidden, 0, ffn * sizeof(double));
    for (size_t d = 0; d < hidden; ++d) {
        d_weight += (double)dy[d] * work->out[d];
        for (size_t f = 0; f < ffn; ++f) {
            d_w_out[d * ffn + f] += weight * (double)dy[d] * work->hidden[f];
            work->d_hidden[f] += weight * (double)dy[d] * (double)w_out[d * ffn + f];
        }
    }
    activation_backward(shape, work);
    for (size_t r = 0; r < rows; ++r)
        for (size_t d = 0; d < hidden; ++d) {
            d_w_in[r * hidden + d] += work->d_pre[r] * (double)x[d];
            dx[d] += work->d_pre[r] * (double)w_in[r * hidden + d];
        }
    return d_weight;
}

/* Through the softmax over the chosen: d_logit_j = w_j (g_j - sum_i w_i g_i), g the gradients of
 * the weights; through the auxiliary loss: d_logit_e = c p_e (f_e - sum_i p_i f_i),
 * c = aux_weight E / T. */
static void logits_backward(const MoeShape *shape, const double *d_weight_of, Workspace *work)
{
    const size_t k = shape->top_k, experts = shape->experts;
    const double copies = (double)(shape->tokens * k);
    const double scale = shape->aux_weight * (double)experts / (double)shape->tokens;
    for (size_t t = 0; t < shape->tokens; ++t) {
        double *d_logits = work->d_logits + t * experts;
        const double *p = work->probabilities + t * experts, *w = work->weight_of + t * k;
        const double *g = d_weight_of + t * k;
        double mean = 0, share = 0;
        for (size_t j = 0; j < k; ++j)
            mean += w[j] * g[j];
        for (size_t e = 0; e < experts; ++e)
            share += p[e] * (double)work->copies_of[e] / copies;
        for (size_t e = 0; e < experts; ++e)
            d_logits[e] = scale * p[e] * ((double)work->copies_of[e] / copies - share);
        for (size_t j = 0; j < k; ++j)
            d_logits[work->expert_of[t * k + j]] += w[j] * (g[j] - mean);
    }
}

static void router_backward(const MoeShape *shape, const MoeInputs *in, const Workspace *work,
                            MoeOutputs *out)
{
    const size_t hidden = shape->hidden, experts = shape->experts;
    for (size_t t = 0; t < shape->tokens; ++t)
        for (size_t e = 0; e < experts; ++e) {
            const double d_logit = work->d_logits[t * experts + e];
            for (size_t d = 0; d < hidden; ++d) {
                out->d_router[e * hidden + d] += d_logit * (double)in->x[t * hidden + d];
                out->dx[t * hidden + d] += d_logit * (double)in->router[e * hidden + d];
            }
        }
}

static Status backward(const MoeShape *shape, const MoeInputs *in, Workspace *work, MoeOutputs *out,
                       Error *error)
{
    const size_t copies = shape->tokens * shape->top_k;
    double *d_weight_of = calloc(copies, sizeof *d_weight_of);
    if (d_weight_of == NULL)
        return error_set(error, STATUS_ENVIRONMENT, "out of memory for gradients");
    memset(out->dx, 0, shape->tokens * shape->hidden * sizeof(double));
    memset(out->d_router, 0, shape->experts * shape->hidden * sizeof(double));
    memset(out->d_w_in, 0, moe_w_in_elements(shape) * sizeof(double));
    memset(out->d_w_out, 0, moe_w_out_elements(shape) * sizeof(double));
    for (size_t copy = 0; copy < copies; ++copy)
        if (work->kept[copy])
            d_weight_of[copy] = expert_backward(shape, in, copy, work, out);
    logits_backward(shape, d_weight_of, work);
    router_backward(shape, in, work, out);
    free(d_weight_of);
    return STATUS_OK;
}

Status moe_reference_run(const MoeShape *shape, const MoeInputs *inputs, MoeOutputs *outputs,
                         MoeStageTimes *times, Error *error)
{
    Workspace work = {0};
    Status status = moe_shape_check(shape, error);
    if (times != NULL)
        *times = (MoeStageTimes){0};
    if (status == STATUS_OK)
        status = workspace_make(&work, shape, error);
    if (status == STATUS_OK)
        status = route_logits(shape, inputs, &work, error);
    if (status != STATUS_OK)
        goto cleanup;
    outputs->dropped = route(shape, &work);
    outputs->aux_loss = auxiliary_loss(shape, &work);
    if (outputs->y != NULL)
        forward(shape, inputs, &work, outputs->y);
    if (outputs->expert_of != NULL)
        memcpy(outputs->expert_of, work.expert_of,
               shape->tokens * shape->top_k * sizeof *work.expert_of);
    if (outputs->weight_of != NULL)
        memcpy(outputs->weight_of, work.weight_of,
               shape->tokens * shape->top_k * sizeof *work.weight_of);
    if (outputs->copies_of != NULL)
        memcpy(outputs->copies_of, work.copies_of, shape->experts * sizeof *work.copies_of);
    if (inputs->dy != NULL)
        status = backward(shape, inputs, &work, outputs, error);
cleanup:
    workspace_free(&work);
    return status;
}
