/* `serve` with --load, --trace, --slo or --find. */
#ifndef SIM_CLI_SERVE_UNDER_LOAD_H
#define SIM_CLI_SERVE_UNDER_LOAD_H

#include "sim/cli/session.h"

Status serve_under_load(Session *session);

#endif
