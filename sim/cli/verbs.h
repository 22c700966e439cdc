/* One function a command; main.c lists them. */
#ifndef SIM_CLI_VERBS_H
#define SIM_CLI_VERBS_H

#include "sim/cli/session.h"

Status verb_train(Session *session);
Status verb_serve(Session *session);
Status verb_audit(Session *session);
Status verb_validate(Session *session);
Status verb_calibrate(Session *session);
Status verb_check(Session *session);
Status verb_show(Session *session);
Status verb_list(Session *session);
Status verb_help(Session *session);

#endif
