/* Numbers with units: text to SI base units and back.
 *
 * k M G T P are powers of 1000 and Ki Mi Gi Ti of 1024; b is a bit and B a byte; case matters.
 * Where a dimension has a unit it must be written, except for 0. A year is 8760 h and a month 730
 * h. */
#ifndef CONFIGS_READER_UNITS_H
#define CONFIGS_READER_UNITS_H

#include "configs/reader/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum Dimension {
    DIMENSION_NUMBER,       /* a plain number: 1.5 */
    DIMENSION_COUNT,        /* 25k 8192 13T */
    DIMENSION_TOKENS,       /* a count: 60M, 60M tokens */
    DIMENSION_FIGURE,       /* a published figure in a unit of its own: 25k, 1.8e12, 3% */
    DIMENSION_FRACTION,     /* 3% or 0.03; a bare 3 is refused */
    DIMENSION_RATIO,        /* 1.2 or 120% */
    DIMENSION_BYTES,        /* 80GB 40GiB */
    DIMENSION_BYTES_PER_S,  /* 2TB/s 400Gb/s */
    DIMENSION_FLOPS_PER_S,  /* 312T 312TFLOP/s */
    DIMENSION_SECONDS,      /* 1.5us 90d */
    DIMENSION_PER_SECOND,   /* 6.5e-3/d 2/year */
    DIMENSION_WATTS,        /* 400W 6.5kW */
    DIMENSION_USD_PER_HOUR, /* $1/h, $2.50 / GPU-hour; kept as USD per hour */
    DIMENSION_USD,          /* $270k */
    DIMENSION_USD_PER_BYTE, /* $250/TB */
    DIMENSION_USD_PER_J,    /* $0.08/kWh */
    DIMENSION_KG_PER_J,     /* 0.4kg/kWh */
    DIMENSION_S2_PER_BYTE,  /* 0.08us2/kB */
    DIMENSION_NUMBER_OF
} Dimension;

enum { UNITS_TEXT_BYTES = 64 };

/* True and the value in SI base units, or false with message and hint in `error`. The message
 * begins with the text as given; `usual_unit` (may be NULL) is what a suggestion for a bare number
 * adds. */
bool units_parse(Dimension dimension, const char *usual_unit, const char *text, double *value,
                 Error *error);

/* A short text in the dimension's own units that units_parse turns into the same double. */
void units_format(Dimension dimension, double value, char text[UNITS_TEXT_BYTES]);

#endif
