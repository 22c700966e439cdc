/* `serve --find gpus` and `--find price`. */
#ifndef SIM_CLI_SERVE_FIND_H
#define SIM_CLI_SERVE_FIND_H

#include "sim/cli/session.h"
#include "sim/serving/serve_load.h"

/* STATUS_NO after the nearest miss was shown when nothing holds the objective. */
Status serve_find(Session *session, const Scenario *scenario, const LoadOptions *load,
                  const Provenance *provenance);

#endif
