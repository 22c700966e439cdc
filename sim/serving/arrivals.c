#include "sim/serving/arrivals.h"

#include <math.h>
#include <string.h>

static const double day_s = 86400;

ArrivalStream arrivals_drawn(const Scenario *scenario, double rate_per_s, uint64_t count,
                             unsigned long long seed)
{
    const ServingSpec *serving = &scenario->serving;
    ArrivalStream stream;

    memset(&stream, 0, sizeof stream);
    stream.process = serving->arrivals;
    stream.cv = serving->arrival_cv;
    stream.rate_per_s = rate_per_s;
    stream.swing = serving->diurnal_swing;
    stream.mean_prompt = serving->prompt_tokens;
    stream.mean_output = serving->output_tokens;
    stream.sigma = serving->length_sigma;
    stream.context_limit = serving->context_limit;
    stream.gaps = random_stream(seed, "arrivals", 0);
    stream.lengths = random_stream(seed, "request lengths", 0);
    stream.prefixes = random_stream(seed, "shared beginnings", 0);
    stream.prefix_share = serving->prefix_share;
    stream.prefix_tokens = serving->prefix_tokens;
    stream.prefix_count = serving->prefixes;
    stream.prefix_exponent = serving->prefix_exponent;
    stream.left = count;
    return stream;
}

ArrivalStream arrivals_on_curve(const Scenario *scenario, double rate_per_s, const RateCurve *curve,
                                unsigned long long seed, unsigned long long source)
{
    ArrivalStream stream = arrivals_drawn(scenario, rate_per_s, UINT64_MAX, seed);
    stream.curve = curve;
    stream.gaps = random_stream(seed, "arrivals", source);
    stream.lengths = random_stream(seed, "request lengths", source);
    return stream;
}

ArrivalStream arrivals_replayed(TraceReader *trace, double stretch)
{
    ArrivalStream stream;
    memset(&stream, 0, sizeof stream);
    stream.trace = trace;
    stream.stretch = stretch;
    return stream;
}

/* Gamma of shape a and mean a: Marsaglia & Tsang 2000; below 1 by a power of a uniform. */
static double draw_gamma(RandomStream *stream, double shape)
{
    const double a = shape < 1 ? shape + 1 : shape;
    const double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    const double boost = shape < 1 ? pow(random_uniform_open(stream), 1 / shape) : 1;
    for (;;) {
        const double x = random_normal(stream);
        const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
        const double u = random_uniform_open(stream);
        if (v > 0 && log(u) < 0.5 * x * x + d * (1 - v + log(v)))
            return boost * d * v;
    }
}

/* A gap with mean 1. */
static double draw_gap(ArrivalStream *stream)
{
    if (stream->process == ARRIVALS_POISSON)
        return random_exponential(&stream->gaps);
    if (stream->process == ARRIVALS_EVEN)
        return 1;
    const double shape = 1 / (stream->cv * stream->cv);
    return draw_gamma(&stream->gaps, shape) / shape;
}

/* The time at which the rate has delivered `units`: rate * (t - swing * day / 2 pi * (cos(2 pi t /
 * day) - 1)) = units, by Newton with bisection as its net (the left side grows everywhere). */
static double time_of(const ArrivalStream *stream, double units)
{
    const double plain = units / stream->rate_per_s;
    if (stream->swing <= 0)
        return plain;
    const double w = 2 * M_PI / day_s;
    double low = stream->now_s, high = fmax(low, plain) + day_s;
    double t = fmin(high, fmax(low, plain));
    for (int i = 0; i < 100 && high - low > 1e-9 * (1 + high); i++) {
        const double reached = stream->rate_per_s * (t - stream->swing / w * (cos(w * t) - 1));
        if (reached < units)
            low = t;
        else
            high = t;
        const double slope = stream->rate_per_s * (1 + stream->swing * sin(w * t));
        const double next = t - (reached - units) / slope;
        t = next > low && next < high ? next : (low + high) / 2;
    }
    return t;
}

/* Lognormal with the given mean: exp(mu + sigma z), mu = ln(mean) - sigma^2 / 2. By its length
 * (a sequence is met with a probability in proportion to it) the same with mu + sigma^2. */
static double draw_length(ArrivalStream *stream, double mean, int by_length)
{
    if (stream->sigma <= 0)
        return fmax(1, round(mean));
    const double shift = (by_length ? 0.5 : -0.5) * stream->sigma * stream->sigma;
    return fmax(1, round(mean * exp(stream->sigma * random_normal(&stream->lengths) + shift)));
}

/* Integral of x^-exponent from 1, and its inverse. */
static double zipf_integral(double exponent, double x)
{
    return exponent == 1 ? log(x) : (pow(x, 1 - exponent) - 1) / (1 - exponent);
}

static double zipf_inverse(double exponent, double y)
{
    return exponent == 1 ? exp(y) : pow(1 + y * (1 - exponent), 1 / (1 - exponent));
}

/* A rank from 1 to count, as likely as rank^-exponent: rejection from the integral (Hormann &
 * Derflinger 1996). */
static double draw_zipf(RandomStream *stream, double count, double exponent)
{
    const double first = zipf_integral(exponent, 1.5) - 1;
    const double last = zipf_integral(exponent, count + 0.5);
    for (;;) {
        const double u = last + random_uniform(stream) * (first - last);
        const double rank = fmin(count, fmax(1, round(zipf_inverse(exponent, u))));
        if (u >= zipf_integral(exponent, rank + 0.5) - pow(rank, -exponent))
            return rank;
    }
}

/* A prompt with a shared beginning is longer than that. */
static void draw_prefix(ArrivalStream *stream, Arrival *arrival, double *prompt)
{
    arrival->prefix = 0;
    if (stream->prefix_share <= 0 || stream->prefix_tokens < 1 ||
        random_uniform(&stream->prefixes) >= stream->prefix_share)
        return;
    *prompt = fmax(*prompt, stream->prefix_tokens + 1);
    if (*prompt < stream->context_limit)
        arrival->prefix =
            (uint32_t)draw_zipf(&stream->prefixes, stream->prefix_count, stream->prefix_exponent);
}

/* A sequence ends at the context limit: a long answer is cut, then a long prompt. */
static void cut(const ArrivalStream *stream, double *prompt, double *output)
{
    *prompt = fmin(*prompt, stream->context_limit - 1);
    *output = fmin(*output, stream->context_limit - *prompt);
}

void arrivals_lengths(ArrivalStream *stream, int under_way, double *prompt, double *output)
{
    *prompt = draw_length(stream, stream->mean_prompt, 0);
    *output = draw_length(stream, stream->mean_output, under_way);
    cut(stream, prompt, output);
}

Status arrivals_next(ArrivalStream *stream, Arrival *arrival, int *more, Error *error)
{
    if (stream->trace != NULL) {
        const Status status = trace_next(stream->trace, arrival, more, error);
        if (*more)
            arrival->at_s *= stream->stretch;
        return status;
    }
    *more = stream->left > 0;
    if (!*more)
        return STATUS_OK;
    stream->left--;
    stream->units += draw_gap(stream);
    stream->now_s = stream->curve != NULL ? rate_curve_time(stream->curve, stream->rate_per_s,
                                                            &stream->cursor, stream->units)
                                          : time_of(stream, stream->units);
    arrival->at_s = stream->now_s;
    double prompt = draw_length(stream, stream->mean_prompt, 0);
    const double output = draw_length(stream, stream->mean_output, 0);
    draw_prefix(stream, arrival, &prompt);
    arrival->prompt = prompt;
    arrival->output = output;
    cut(stream, &arrival->prompt, &arrival->output);
    return STATUS_OK;
}
