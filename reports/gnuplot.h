/* Figures by gnuplot: a script and its data stay beside each picture, so that a reader can change
 * and redraw it with `gnuplot NAME.gp` in that folder. */
#ifndef REPORTS_GNUPLOT_H
#define REPORTS_GNUPLOT_H

#include "configs/reader/error.h"

#include <stdio.h>

/* Colours by role (Okabe and Ito 2008, readable with any colour vision). */
#define COLOR_MAIN  "#0072B2"
#define COLOR_LIGHT "#56B4E9"
#define COLOR_LOSS  "#D55E00"
#define COLOR_WARN  "#E69F00"
#define COLOR_GAIN  "#009E73"
#define COLOR_GREY  "#999999"
#define COLOR_INK   "#222222"

/* A text in single quotes, in which gnuplot expands nothing; quotes are doubled, the rest made
 * ASCII. */
void gnuplot_quote(FILE *script, const char *text);

/* The head of a script: fonts, frame, title (the finding) and subtitle (the data behind it). */
void gnuplot_begin(FILE *script, const char *name, const char *title, const char *subtitle);

/* The tail, after a `plot` command for the SVG: the same picture as PNG. */
void gnuplot_end(FILE *script);

/* In place of both: a figure of panels one above the other. `put` writes `set multiplot`, the
 * panels and `unset multiplot`, and is called twice: a multiplot cannot be redrawn by replot. */
typedef void (*GnuplotPanels)(FILE *script, const void *context);
void gnuplot_panels(FILE *script, const char *name, const char *title, const char *subtitle,
                    GnuplotPanels put, const void *context);

/* A step of 1, 2 or 5 times a power of ten that leaves at most four marks up to `most`. */
double gnuplot_tick(double most);

/* Runs NAME.gp in `directory` and renames the finished NAME.svg and NAME.png into place. *missing
 * is set when there is no gnuplot. */
Status gnuplot_run(const char *directory, const char *name, int *missing, Error *error);

/* The same for a figure that comes alone: STATUS_ENVIRONMENT with one clear line where there is no
 * gnuplot. */
Status gnuplot_figure(const char *directory, const char *name, Error *error);

#endif
