/* The table of commands. */
#include "sim/cli/help.h"
#include "sim/cli/verbs.h"

#include <gsl/gsl_errno.h>
#include <stdio.h>
#include <string.h>

// clang-format off
const Verb VERBS[] = {
    {"train", "SCENARIO", 1, 1, "simulate a training run",
     "Simulates one optimizer step event by event, then the whole run with failures, restarts and checkpoints, once for "
     "every draw of the scenario's uncertain inputs. Prints days, dollars, MFU and goodput with their intervals. SCENARIO is a shipped name or a YAML file.",
     "flopcast train gpt4-a100 --set reliability.interval=20min",
     OPTIONS_COMMON | OPTIONS_INPUT | OPTIONS_SIMULATE | OPTIONS_OUTPUT | OPTIONS_PRECISION, verb_train},
    {"serve", "SCENARIO", 1, 1, "simulate serving",
     "Simulates a serving cluster whose batch is kept full: decode and prefill through the pipeline, experts touched by the actual batch, "
     "KV memory as the cap on sequences in flight. Prints throughput, latency and cost per token. "
     "With --load, --trace, --slo, --find or --fleet, "
     "requests arrive and wait, engines batch, preempt and answer them; what is uncertain stands at its midpoint.",
     "flopcast serve gpt4-serve-a100 --set serving.max_batch=1024",
     OPTIONS_COMMON | OPTIONS_INPUT | OPTIONS_SIMULATE | OPTIONS_OUTPUT | OPTIONS_LOAD, verb_serve},
    {"audit", "CLAIMS", 1, 1, "hold published claims against the simulation",
     "Simulates the scenarios that a claim file names and judges each claim: reproduced, explained, contradicted or "
     "untestable, with a reason computed from the numbers.",
     "flopcast audit gpt4-leak --out out/gpt4-leak",
     OPTIONS_COMMON | OPTIONS_INPUT | OPTIONS_SIMULATE | OPTIONS_OUTPUT, verb_audit},
    {"validate", "FILE.csv", 1, 1, "predict published measurements and show the error of each",
     "Predicts every row of a table of published measurements from its configuration alone and compares: the worst "
     "rows, then the errors by GPU, source, software stack and kind of model, and which rows were skipped and why. What a row leaves "
     "out is taken from other cells, from the model that it names or from a documented default, and the row says which (--json). "
     "What the rows are is told by their columns: training steps, serving (latencies and throughput of engines), deployments (many clients at "
     "engines of 2025), matrix products, MoE layers, collectives, of whose rows a fifth is held back from fits; expert loads and reliability "
     "results are held against closed forms and simulations instead. Shipped tables go by name: training_validation, serving, deployments, gemm, "
     "moe_layers, collectives, expert_loads, reliability_oracle.",
     "flopcast validate training_validation.csv --fail-above 0.05",
     OPTIONS_COMMON | OPTIONS_INPUT | OPTIONS_VALIDATE, verb_validate},
    {"calibrate", "", 0, 0, "measure kernels here, fit them, write a profile",
     "Runs the reference MoE layer and its parts on a GPU or on this CPU in a program of their own, or reads points measured elsewhere, "
     "fits launch, bandwidth, throughput and overlap of every kernel with standard errors, and says which of them the points do not "
     "identify. With --out the profile is written that --set hardware.gpu.calibration=FILE puts beside the device it was measured on.",
     "flopcast calibrate --backend cpu --quick --out out/cpu", OPTIONS_COMMON | OPTIONS_CALIBRATE, verb_calibrate},
    {"check", "FILE...", 1, MAX_OPERANDS, "check configuration files",
     "Reads scenario, claim, model and hardware files and reports every problem with its place. Simulates nothing.",
     "flopcast check configs/scenarios/gpt4-a100.yaml", OPTIONS_COMMON | OPTIONS_INPUT, verb_check},
    {"show", "NAME|FILE", 1, 1, "a configuration with every value and its origin",
     "Prints every resolved value of a scenario, model or hardware file, where it was set and its source.",
     "flopcast show gpt4-a100", OPTIONS_COMMON | OPTIONS_INPUT | OPTIONS_CANONICAL, verb_show},
    {"list", "[models|hw|calibration|scenarios|claims|runs]", 0, 1, "what is shipped, and stored runs",
     "Lists the shipped models, hardware, engines, stacks and weight formats (calibration), scenarios and claim files; 'names' gives the bare names, 'runs' lists the runs in the file given with --db.",
     "flopcast list scenarios", OPTIONS_COMMON | OPTIONS_OUTPUT, verb_list},
    {"help", "[COMMAND|man|bash]", 0, 1, "help on a command; man page; completion",
     "Without operand an overview; 'man' prints the manual page, 'bash' the completion script.",
     "flopcast help train", OPTIONS_COMMON, verb_help},
};
// clang-format on
const size_t VERB_COUNT = sizeof VERBS / sizeof VERBS[0];

int main(int argc, char **argv)
{
    Session session = {0};
    Error error;
    gsl_set_error_handler_off(); /* GSL aborts by default; here its statuses are checked */
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        help_overview(stdout);
        return session_flush(&session);
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("flopcast %s\n", PROGRAM_VERSION);
        return session_flush(&session);
    }
    Status status = session_start(argc, argv, &session, &error);
    if (status != STATUS_OK) {
        if (argc < 2)
            help_overview(stderr);
        return session_fail(&session, &error);
    }
    if (session.line.help) {
        help_verb(stdout, session.line.verb);
        return session_flush(&session);
    }
    return session.line.verb->run(&session);
}
