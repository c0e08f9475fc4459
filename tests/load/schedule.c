/* SPDX-License-Identifier: Apache-2.0 */
#include "schedule.h"

static const char *const names[WORK_COUNT] = {
#define X(name, text) [WORK_##name] = text,
    WORKS(X)
#undef X
};

enum { PURPOSE_WHEN = 1, PURPOSE_WHAT = 2 };

const char *work_name(enum work work)
{
    return names[work];
}

bool work_parse(const char *name, size_t len, enum work *work_out)
{
    for (int work = 0; work < WORK_COUNT; work++)
        if (strlen(names[work]) == len && memcmp(names[work], name, len) == 0) {
            *work_out = (enum work)work;
            return true;
        }
    return false;
}

void schedule_init(struct schedule *schedule, const struct schedule_options *options)
{
    *schedule = (struct schedule){
        .options = *options,
        .when = draw_stream(options->seed, PURPOSE_WHEN, 0),
        .what = draw_stream(options->seed, PURPOSE_WHAT, 0),
        .all = profile_arrivals(options->profile),
    };
}

static enum work draw_work(struct schedule *schedule)
{
    const double *shares = schedule->options.shares;
    double sum = 0;

    for (int work = 0; work < WORK_COUNT; work++)
        sum += shares[work];
    double wanted = draw_unit(&schedule->what) * sum;
    for (int work = 0; work < WORK_COUNT; work++) {
        if (wanted < shares[work])
            return (enum work)work;
        wanted -= shares[work];
    }
    return WORK_NOTHING;
}

void schedule_draw(struct schedule *schedule, struct arrival *arrival_out)
{
    arrival_out->device = (uint32_t)draw_below(&schedule->what, schedule->options.devices);
    arrival_out->work = draw_work(schedule);
    arrival_out->seed = draw_next(&schedule->what);
}

bool schedule_next(struct schedule *schedule, struct arrival *arrival_out)
{
    schedule->arrived += schedule->options.poisson ? draw_exponential(&schedule->when) : 1;
    if (schedule->arrived > schedule->all)
        return false;
    schedule_draw(schedule, arrival_out);
    double second = profile_time_of(schedule->options.profile, schedule->arrived);
    arrival_out->at_us = (int64_t)(second * 1e6);
    return true;
}
