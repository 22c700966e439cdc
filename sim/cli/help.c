#include "sim/cli/help.h"

#include "reports/provenance.h"

#include <string.h>

enum { SCREEN_COLUMNS = 80, OPTION_COLUMN = 24 };

/* Words of `text` from `column` on, broken before column 80, later lines indented to `indent`. */
static void wrap(FILE *out, const char *text, int column, int indent)
{
    int first_of_line = 1;
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (!first_of_line && column + 1 + length > SCREEN_COLUMNS - 1) {
            column = fprintf(out, "\n%*s", indent, "") - 1;
            first_of_line = 1;
        }
        column += fprintf(out, "%s%.*s", first_of_line ? "" : " ", length, text);
        first_of_line = 0;
        text += length;
        text += *text == ' ';
    }
    fputc('\n', out);
}

static const struct {
    int status;
    const char *meaning;
} EXIT_STATUSES[] = {
    {0, "done"},
    {1, "the answer is no: the plan does not fit, or misses what was asked for"},
    {2, "wrong usage"},
    {3, "invalid input file"},
    {4, "the environment failed: disk, memory, missing tool"},
    {130, "interrupted"},
};
enum { EXIT_STATUS_COUNT = sizeof EXIT_STATUSES / sizeof EXIT_STATUSES[0] };

void help_overview(FILE *out)
{
    fputs("flopcast forecasts what a GPU cluster costs and how fast it is, before you buy.\n\n",
          out);
    fputs("  flopcast audit gpt4-leak        do GPT-4's published numbers hold together?\n"
          "  flopcast train gpt4-a100        days, dollars, MFU of a training run\n"
          "  flopcast train gpt4-a100 --set reliability.interval=20min\n"
          "  flopcast serve gpt4-serve-h100  tokens per second, latency, $ per 1k tokens\n\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "%s %s", VERBS[i].name, VERBS[i].operands);
        int column = fprintf(out, "  %-*s", OPTION_COLUMN - 2, usage);
        if (strlen(usage) + 2 >= OPTION_COLUMN)
            column = fprintf(out, "\n%*s", OPTION_COLUMN, "") - 1;
        wrap(out, VERBS[i].summary, column, OPTION_COLUMN);
    }
    fputs("\n'flopcast help COMMAND' tells the options of one.\n", out);
}

void help_verb(FILE *out, const Verb *verb)
{
    fprintf(out, "usage: flopcast %s %s [options]\n\n", verb->name, verb->operands);
    wrap(out, verb->description, 0, 0);
    fprintf(out, "\nExample:\n  %s\n\nOptions:\n", verb->example);
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++) {
        const OptionSpec *spec = &OPTION_SPECS[i];
        char left[64];
        if ((spec->group & verb->options) == 0)
            continue;
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", spec->letter != 0 ? '-' : ' ',
                 spec->letter != 0 ? spec->letter : ' ', spec->letter != 0 ? ',' : ' ', spec->name,
                 spec->argument != NULL ? " " : "", spec->argument != NULL ? spec->argument : "");
        int column = fprintf(out, "  %-*s", OPTION_COLUMN - 2, left);
        if (strlen(left) + 2 >= OPTION_COLUMN)
            column = fprintf(out, "\n%*s", OPTION_COLUMN, "") - 1;
        wrap(out, spec->help, column, OPTION_COLUMN);
    }
    fputs("\nExit status:\n", out);
    for (int i = 0; i < EXIT_STATUS_COUNT; i++)
        fprintf(out, "  %3d  %s\n", EXIT_STATUSES[i].status, EXIT_STATUSES[i].meaning);
}

/* roff: a leading dot or quote starts a request, a backslash an escape, a dash may become a hyphen.
 */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

void help_man_page(FILE *out)
{
    fprintf(out, ".TH FLOPCAST 1 \"\" \"flopcast %s\" \"User Commands\"\n", PROGRAM_VERSION);
    fputs(".SH NAME\nflopcast \\- forecast cost and speed of training and serving language models "
          "on GPU clusters\n"
          ".SH SYNOPSIS\n.B flopcast\n.I COMMAND\n.RI [ OPERAND ...]\n.RI [ OPTION ...]\n.SH "
          "COMMANDS\n",
          out);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        fprintf(out, ".SS \"%s %s\"\n", VERBS[i].name, VERBS[i].operands);
        roff(out, VERBS[i].description);
        fputs("\n.PP\n.RS\n.B ", out);
        roff(out, VERBS[i].example);
        fputs("\n.RE\n.PP\nOptions:", out);
        for (size_t j = 0; j < OPTION_SPEC_COUNT; j++)
            if ((OPTION_SPECS[j].group & VERBS[i].options) != 0) {
                fputs(" \\-\\-", out);
                roff(out, OPTION_SPECS[j].name);
            }
        fputc('\n', out);
    }
    fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++) {
        const OptionSpec *spec = &OPTION_SPECS[i];
        fputs(".TP\n.B ", out);
        if (spec->letter != 0)
            fprintf(out, "\\-%c, ", spec->letter);
        fputs("\\-\\-", out);
        roff(out, spec->name);
        fprintf(out, "%s%s\n", spec->argument != NULL ? " " : "",
                spec->argument != NULL ? spec->argument : "");
        roff(out, spec->help);
        fputc('\n', out);
    }
    fputs(".SH EXIT STATUS\n", out);
    for (int i = 0; i < EXIT_STATUS_COUNT; i++)
        fprintf(out, ".TP\n.B %d\n%s\n", EXIT_STATUSES[i].status, EXIT_STATUSES[i].meaning);
    fputs(".SH ENVIRONMENT\n.TP\n.B FLOPCAST_CONFIGS\nwhere the shipped configuration files "
          "lie\n.TP\n.B NO_COLOR\n"
          "no colours\n",
          out);
}

void help_bash_completion(FILE *out)
{
    fputs("_flopcast() {\n    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \"",
          out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", VERBS[i].name);
    fputs("\" -- \"$cur\"))\n        return\n    fi\n    case ${COMP_WORDS[COMP_CWORD-1]} in\n",
          out);
    for (size_t i = 0; i < OPTION_SPEC_COUNT; i++)
        if (OPTION_SPECS[i].choices != NULL)
            fprintf(out, "    --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
                    OPTION_SPECS[i].name, OPTION_SPECS[i].choices);
    fputs("    esac\n    case $verb in\n", out);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        fprintf(out, "    %s) COMPREPLY=($(compgen -W \"", VERBS[i].name);
        for (size_t j = 0; j < OPTION_SPEC_COUNT; j++)
            if ((OPTION_SPECS[j].group & VERBS[i].options) != 0)
                fprintf(out, "--%s ", OPTION_SPECS[j].name);
        fputs("$(flopcast list names 2>/dev/null)\" -- \"$cur\")) ;;\n", out);
    }
    fputs("    esac\n}\ncomplete -o default -F _flopcast flopcast\n", out);
}
