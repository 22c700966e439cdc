#include "sim/cli/help.h"
#include "sim/cli/verbs.h"

#include "configs/reader/suggest.h"

#include <string.h>

Status verb_help(Session *session)
{
    if (session->line.operand_count == 0) {
        help_overview(stdout);
        return session_flush(session);
    }
    const char *topic = session->line.operands[0];
    const Verb *verb = verb_find(topic);
    if (verb != NULL) {
        help_verb(stdout, verb);
    } else if (strcmp(topic, "man") == 0) {
        help_man_page(stdout);
    } else if (strcmp(topic, "bash") == 0) {
        help_bash_completion(stdout);
    } else {
        Suggestion nearest = {.word = topic};
        for (size_t i = 0; i < VERB_COUNT; i++)
            suggest_offer(&nearest, VERBS[i].name);
        Error error;
        error_set(&error, STATUS_USAGE, "no help on '%.60s'", topic);
        if (nearest.best != NULL)
            error_hint(&error, "did you mean '%s'?", nearest.best);
        return session_fail(session, &error);
    }
    return session_flush(session);
}
