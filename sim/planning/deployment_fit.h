/* Constants of one engine from points of its deployments (serving_points.h): a compass search that
 * makes the mean of ln(1 + (e / 0.15)^2), e = ln(predicted / measured), over the three numbers of a
 * row smallest (Cauchy's loss: rows that the engine does not explain hardly pull at it), on four
 * folds of five; and what such fits reach on rows that they did not see, each fold left out
 * once. */
#ifndef SIM_PLANNING_DEPLOYMENT_FIT_H
#define SIM_PLANNING_DEPLOYMENT_FIT_H

#include "sim/planning/serving_rows.h"

enum { MOST_DEPLOYMENT_PARAMETERS = 12 };

typedef struct DeploymentParameter {
    const char *key; /* of `serving` */
    size_t offset;   /* in ServingSpec */
    double unit;     /* where a search from 0 begins */
    double minimum, maximum;
    int seconds;
} DeploymentParameter;
extern const DeploymentParameter DEPLOYMENT_PARAMETER[];
extern const size_t DEPLOYMENT_PARAMETERS;

typedef struct DeploymentFit {
    char engine[NAME_BYTES];
    size_t rows;          /* of the table that the fit used */
    double before, after; /* mean of min(1, |e|) of these */
    double values[MOST_DEPLOYMENT_PARAMETERS];
    /* Of rows predicted by the fit that left their fold out: TTFT where requests do not queue,
     * time per token, rate. */
    ErrorStatistics crossed[3];
} DeploymentFit;

/* STATUS_INVALID when the engine has no row that is not held back. `crossed`: fill that, too, which
 * takes a fit a fold. The same on any number of threads. */
Status deployment_fit(const ServingRows *rows, const char *engine, int crossed,
                      const ForecastOptions *options, DeploymentFit *fit, Error *error);

#endif
