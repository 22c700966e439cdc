/* Words for laws of random times. Drawing from them is sim/engine/law.h. */
#ifndef CONFIGS_READER_LAW_H
#define CONFIGS_READER_LAW_H

typedef enum LawKind {
    LAW_EXPONENTIAL,
    LAW_WEIBULL,   /* shape k; below 1 the hazard decreases */
    LAW_GAMMA,     /* shape k */
    LAW_LOGNORMAL, /* shape: sigma of the logarithm */
    LAW_FIXED      /* always the mean */
} LawKind;

#endif
