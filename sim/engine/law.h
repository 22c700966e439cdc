/* Random times by mean and shape. */
#ifndef SIM_ENGINE_LAW_H
#define SIM_ENGINE_LAW_H

#include "configs/reader/law.h"
#include "sim/engine/random.h"

/* A law as it is described. */
typedef struct Law {
    LawKind kind;
    double mean;
    double shape; /* Weibull and gamma: k; lognormal: sigma; else unused */
} Law;

/* A law made ready for drawing. */
typedef struct LawSampler {
    LawKind kind;
    double scale, shape;
} LawSampler;

/* `shape` must be above 0 where the law has one, `mean` at least 0 and finite. */
LawSampler law_sampler(Law law);
double law_draw(const LawSampler *sampler, RandomStream *stream);

/* P(X > t), for closed forms. */
double law_survival(Law law, double t);

#endif
