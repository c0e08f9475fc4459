/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator's command line: see README.md beside it and `sim_test --help`.
 */
#include "sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct command {
    struct sim_options options;
    uint64_t seeds, first_seed;
    size_t steps;
    bool minimise, first_failure;
    const char *script;
};

static void print_usage(FILE *file)
{
    static const struct {
        char letter;
        const char *what;
    } faults[] = {
#define X(letter, name, what) {letter, what},
        SIM_FAULTS(X)
#undef X
    };

    fputs("usage: sim_test [--seeds N] [--first-seed S] [--faults LETTERS] [--steps N]\n"
          "                [--first-failure]\n"
          "       sim_test --seed N [-v | --minimise] [--faults LETTERS] [--steps N]\n"
          "       sim_test --script FILE [-v]\n"
          "Faults, all when not said:\n",
          file);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        fprintf(file, "  %c  %s\n", faults[i].letter, faults[i].what);
}

static bool parse_faults(const char *letters, unsigned *faults_out)
{
    static const char known[] = {
#define X(letter, name, what) letter,
        SIM_FAULTS(X)
#undef X
    };
    unsigned faults = 0;

    for (; *letters != '\0'; letters++) {
        const char *found = memchr(known, *letters, sizeof known);
        if (found == NULL)
            return false;
        faults |= 1u << (found - known);
    }
    *faults_out = faults;
    return true;
}

static void faults_text(unsigned faults, char text_out[32])
{
    static const char known[] = {
#define X(letter, name, what) letter,
        SIM_FAULTS(X)
#undef X
    };
    size_t at = 0;

    for (size_t i = 0; i < sizeof known; i++)
        if ((faults & 1u << i) != 0)
            text_out[at++] = known[i];
    text_out[at] = '\0';
}

/* Of this process: others on the machine do not count. */
static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int campaign(struct sim *sim, const struct command *command)
{
    static struct sim_step steps[SIM_STEPS_MAX];
    struct sim_options options = command->options;
    uint64_t bad = 0, alarms = 0;
    double began = seconds_now();
    char faults[32];

    faults_text(options.faults, faults);
    sim->server.split = (struct split_counts){0};
    for (uint64_t i = 0; i < command->seeds; i++) {
        options.seed = command->first_seed + i;
        sim_draw_steps(&options, command->steps, steps);
        if (!sim_run(sim, &options, steps, command->steps)) {
            bad++;
            printf("seed %" PRIu64 ": %s\n  replay: ci/sim --seed %" PRIu64
                   " --faults %s --steps %zu -v\n",
                   options.seed, sim->failures[0], options.seed, faults, command->steps);
        }
        alarms += sim->alarms;
        if (bad > 0 && command->first_failure) {
            printf("sim: first failure at world %" PRIu64 ": %s\n", i + 1, sim->failures[0]);
            return 1;
        }
    }
    printf("%" PRIu64 " seeds from %" PRIu64
           ", faults %s, %zu steps: %.1f seeds a second of one core\n",
           command->seeds, command->first_seed, faults, command->steps,
           (double)command->seeds / (seconds_now() - began));
    if ((options.faults & 1u << SIM_HALVES_BIT) != 0)
        printf("halves of commits that were seen later than the others: %u; somebody waited for %u,"
               " and %u pushes did not\n",
               sim->server.split.late, sim->server.split.waited, sim->server.split.busy);
    printf("sim: %" PRIu64 " bad of %" PRIu64 " seeds, %" PRIu64 " digest alarms: %s\n", bad,
           command->seeds, alarms, bad == 0 ? "ok" : "FAILED");
    return bad == 0 ? 0 : 1;
}

static int shrink(struct sim *sim, const struct command *command)
{
    static struct sim_step steps[SIM_STEPS_MAX];
    struct sim_options options = command->options;
    size_t count = command->steps;
    char faults[32];

    options.seed = command->first_seed;
    sim_draw_steps(&options, count, steps);
    if (!minimise(sim, &options, steps, &count)) {
        printf("sim: seed %" PRIu64 " does not fail\n", options.seed);
        return 0;
    }
    faults_text(options.faults, faults);
    options.verbose = true;
    sim_run(sim, &options, steps, count);
    printf("sim: seed %" PRIu64 " fails in %zu steps with faults \"%s\": %s\n", options.seed, count,
           faults, sim->failures[0]);
    return 1;
}

static int run_script(struct sim *sim, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    int code = 66;

    if (file == NULL)
        fprintf(stderr, "sim: %s cannot be read\n", path);
    else
        code = script_run(sim, file);
    if (file != NULL && file != stdin)
        fclose(file);
    return code;
}

static bool parse(int count, char **words, struct command *command)
{
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 'n'},
        {"first-seed", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'o'},
        {"faults", required_argument, NULL, 'f'},
        {"steps", required_argument, NULL, 't'},
        {"minimise", no_argument, NULL, 'm'},
        {"script", required_argument, NULL, 'c'},
        {"first-failure", no_argument, NULL, 'b'},
        {0},
    };
    int option;

    while ((option = getopt_long(count, words, "v", known, NULL)) != -1) {
        switch (option) {
        case 'n':
            command->seeds = strtoull(optarg, NULL, 10);
            break;
        case 'o':
            command->seeds = 1;
            command->first_seed = strtoull(optarg, NULL, 10);
            break;
        case 's':
            command->first_seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            command->steps = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            command->minimise = true;
            break;
        case 'b':
            command->first_failure = true;
            break;
        case 'c':
            command->script = optarg;
            break;
        case 'v':
            command->options.verbose = true;
            break;
        case 'f':
            if (!parse_faults(optarg, &command->options.faults))
                return false;
            break;
        default:
            return false;
        }
    }
    return optind == count && command->steps <= SIM_STEPS_MAX;
}

int main(int count, char **words)
{
    struct command command = {
        .options = {.faults = (1u << SIM_FAULT_COUNT) - 1},
        .seeds = 200,
        .first_seed = 1,
        .steps = 120,
    };
    static struct sim sim;

    if (!parse(count, words, &command)) {
        print_usage(stderr);
        return 64;
    }
    bool good = sim_init(&sim);
    sim.options.verbose = command.options.verbose;
    if (!good) {
        fputs("sim: the templates cannot be made\n", stderr);
        return 70;
    }
    int code = command.script != NULL ? run_script(&sim, command.script)
               : command.minimise     ? shrink(&sim, &command)
                                      : campaign(&sim, &command);
    sim_deinit(&sim);
    return code;
}
