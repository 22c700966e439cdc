/* Help, man page and completion, all from the tables in options.h. Text goes to a FILE. */
#ifndef SIM_CLI_HELP_H
#define SIM_CLI_HELP_H

#include "sim/cli/options.h"

#include <stdio.h>

void help_overview(FILE *out);               /* `flopcast`, `flopcast help` */
void help_verb(FILE *out, const Verb *verb); /* `flopcast help VERB`, `flopcast VERB --help` */
void help_man_page(FILE *out);               /* `flopcast help --man`: roff */
void help_bash_completion(FILE *out);        /* `flopcast help --bash` */

#endif
