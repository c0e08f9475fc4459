/* SPDX-License-Identifier: Apache-2.0
 *
 * From a world that fails to the smallest one that fails in the same way: steps are
 * left out, first many at a time, then phones and kinds of faults. Every step has
 * luck of its own, so what is left over is the same with or without the others.
 */
#include "sim.h"

#include <ctype.h>
#include <stdlib.h>

/* The words of a failure: which phone, record and value it names may differ. */
static void words_of(const char *failure, char words_out[SIM_TEXT_LEN])
{
    size_t len = 0;

    for (; *failure != '\0' && *failure != ':' && len + 1 < SIM_TEXT_LEN; failure++)
        if (!isdigit((unsigned char)*failure))
            words_out[len++] = *failure;
    for (; *failure != '\0' && *failure != ',' && len + 1 < SIM_TEXT_LEN; failure++)
        if (!isdigit((unsigned char)*failure))
            words_out[len++] = *failure;
    words_out[len] = '\0';
}

static bool fails_so(struct sim *sim, const struct sim_options *options,
                     const struct sim_step *steps, size_t count, const char *words)
{
    char found[SIM_TEXT_LEN];

    if (sim_run(sim, options, steps, count))
        return false;
    words_of(sim->failures[0], found);
    return strcmp(found, words) == 0;
}

/* Tries the list without [at, at + len); takes it when it still fails. */
static bool leave_out(struct sim *sim, const struct sim_options *options, struct sim_step *steps,
                      size_t *count, size_t at, size_t len, const char *words)
{
    struct sim_step *shorter = malloc((*count + 1) * sizeof *shorter);
    bool taken;

    if (shorter == NULL)
        abort();
    memcpy(shorter, steps, at * sizeof *steps);
    memcpy(shorter + at, steps + at + len, (*count - at - len) * sizeof *steps);
    taken = fails_so(sim, options, shorter, *count - len, words);
    if (taken) {
        *count -= len;
        memcpy(steps, shorter, *count * sizeof *steps);
    }
    free(shorter);
    return taken;
}

static bool shrink_steps(struct sim *sim, const struct sim_options *options, struct sim_step *steps,
                         size_t *count, const char *words)
{
    bool shrunk = false;

    for (size_t len = *count / 2 > 0 ? *count / 2 : 1; len > 0; len /= 2)
        for (size_t at = 0; at + len <= *count;)
            if (leave_out(sim, options, steps, count, at, len, words))
                shrunk = true;
            else
                at += len;
    return shrunk;
}

static bool shrink_options(struct sim *sim, struct sim_options *options,
                           const struct sim_step *steps, size_t count, const char *words)
{
    bool shrunk = false;

    for (unsigned bit = 0; bit < SIM_FAULT_COUNT; bit++) {
        struct sim_options fewer = *options;
        fewer.faults &= ~(1u << bit);
        if (fewer.faults == options->faults || !fails_so(sim, &fewer, steps, count, words))
            continue;
        *options = fewer;
        shrunk = true;
    }
    for (size_t phones = 1; phones < SIM_PHONES_MAX; phones++) {
        struct sim_options fewer = *options;
        fewer.phones = phones;
        if (options->phones > 0 && phones >= options->phones)
            break;
        if (!fails_so(sim, &fewer, steps, count, words))
            continue;
        *options = fewer;
        return true;
    }
    return shrunk;
}

bool minimise(struct sim *sim, struct sim_options *options, struct sim_step *steps,
              size_t *step_count)
{
    bool verbose = options->verbose;
    char words[SIM_TEXT_LEN];

    options->verbose = false;
    if (sim_run(sim, options, steps, *step_count))
        return false;
    words_of(sim->failures[0], words);
    while (shrink_steps(sim, options, steps, step_count, words) ||
           shrink_options(sim, options, steps, *step_count, words))
        ;
    options->verbose = verbose;
    return true;
}
