/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include <math.h>
#include <string.h>

static const char *const names[PROFILE_KINDS] = {
    [PROFILE_CONSTANT] = "constant", [PROFILE_RAMP] = "ramp", [PROFILE_STEP] = "step",
    [PROFILE_SPIKE] = "spike",       [PROFILE_SOAK] = "soak", [PROFILE_IDLE] = "idle",
};

const char *profile_name(enum profile_kind kind)
{
    return names[kind];
}

bool profile_parse(const char *name, enum profile_kind *kind_out)
{
    for (int kind = 0; kind < PROFILE_KINDS; kind++)
        if (strcmp(name, names[kind]) == 0) {
            *kind_out = (enum profile_kind)kind;
            return true;
        }
    return false;
}

static void add(struct profile *profile, double from, double to, double seconds)
{
    profile->pieces[profile->piece_count++] = (struct profile_piece){from, to, seconds};
}

void profile_make(struct profile *profile)
{
    double rate = profile->rate, seconds = profile->seconds;
    double peak = profile->peak > 0 ? profile->peak : rate;

    profile->piece_count = 0;
    switch (profile->kind) {
    case PROFILE_RAMP:
        add(profile, rate, peak, seconds);
        break;
    case PROFILE_STEP:
        for (unsigned i = 0; i < profile->steps; i++) {
            double share = profile->steps > 1 ? (double)i / (profile->steps - 1) : 0;
            double at = rate + (peak - rate) * share;
            add(profile, at, at, seconds / profile->steps);
        }
        break;
    case PROFILE_SPIKE:
        add(profile, rate, rate, seconds * .30);
        add(profile, rate, peak, seconds * .02);
        add(profile, peak, peak, seconds * .18);
        add(profile, peak, rate, seconds * .10);
        add(profile, rate, rate, seconds * .40);
        break;
    default:
        add(profile, rate, rate, seconds);
        break;
    }
}

double profile_rate(const struct profile *profile, double second)
{
    for (size_t i = 0; i < profile->piece_count; i++) {
        const struct profile_piece *piece = &profile->pieces[i];
        if (second < piece->seconds)
            return piece->from + (piece->to - piece->from) * second / piece->seconds;
        second -= piece->seconds;
    }
    return 0;
}

static double arrivals_of(const struct profile_piece *piece)
{
    return (piece->from + piece->to) / 2 * piece->seconds;
}

double profile_arrivals(const struct profile *profile)
{
    double sum = 0;

    for (size_t i = 0; i < profile->piece_count; i++)
        sum += arrivals_of(&profile->pieces[i]);
    return sum;
}

/* Solves from * t + slope * t^2 / 2 = n, in the form that is exact for a slope of 0. */
static double time_within(const struct profile_piece *piece, double n)
{
    double slope = (piece->to - piece->from) / piece->seconds;
    double root = sqrt(fmax(0, piece->from * piece->from + 2 * slope * n));

    return piece->from + root > 0 ? 2 * n / (piece->from + root) : 0;
}

double profile_time_of(const struct profile *profile, double n)
{
    double start = 0;

    for (size_t i = 0; i < profile->piece_count; i++) {
        const struct profile_piece *piece = &profile->pieces[i];
        if (n <= arrivals_of(piece) && arrivals_of(piece) > 0)
            return start + time_within(piece, n);
        n -= arrivals_of(piece);
        start += piece->seconds;
    }
    return start;
}
