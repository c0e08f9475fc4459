/* SPDX-License-Identifier: Apache-2.0 */
#include "figures.h"

enum {
    /* With fewer, what they take comes out of memory that the server has already. */
    FOLLOWERS_TELLING = 1000,
};

static double ms_of(const struct histogram *histogram, double share)
{
    return (double)histogram_quantile(histogram, share) / 1e3;
}

void figures_of(const struct run *run, struct figure figures_out[FIGURES_COUNT])
{
    const struct measure *measure = run->fleet.measure;
    const struct setup_figures *setup = &run->setup;
    const struct process_sample *start = &run->server_start, *end = &run->server_end;
    double syncs = (double)measure->syncs, seconds = run->load_seconds;
    double sent = 0, received = 0;
    bool local = start->known && end->known;

    for (size_t i = 0; i < measure->second_count; i++) {
        sent += (double)measure->seconds[i].bytes_sent;
        received += (double)measure->seconds[i].bytes_received;
    }
    double tries = syncs + (double)measure_error_count(measure);
    double follower_bytes = (double)setup->server_bytes_after - (double)setup->server_bytes_before;
    const struct figure made[FIGURES_COUNT] = {
        {"syncs_per_s", "1/s", true, 0, seconds > 0, seconds > 0 ? syncs / seconds : 0},
        {"latency_p50_ms", "ms", false, 2, measure->latency.count > 0,
         ms_of(&measure->latency, .5)},
        {"latency_p99_ms", "ms", false, 5, measure->latency.count > 0,
         ms_of(&measure->latency, .99)},
        {"freshness_followers_p99_ms", "ms", false, 20, measure->followed.count > 0,
         ms_of(&measure->followed, .99)},
        {"reach_p99_ms", "ms", false, 20, measure->reach.count > 0, ms_of(&measure->reach, .99)},
        {"error_share", "", false, .001, tries > 0,
         tries > 0 ? (double)measure_error_count(measure) / tries : 0},
        {"unfinished", "", false, 0, true, (double)measure->unfinished},
        {"server_cpu_ms_per_sync", "ms", false, .05, local && syncs > 0,
         syncs > 0 ? (end->cpu_s - start->cpu_s) * 1e3 / syncs : 0},
        {"server_peak_mb", "MB", false, 4, local, (double)end->peak_bytes / 1e6},
        {"bytes_per_sync", "B", false, 50, syncs > 0, syncs > 0 ? (sent + received) / syncs : 0},
        {"server_kb_per_follower", "kB", false, 2, local && setup->followers >= FOLLOWERS_TELLING,
         setup->followers > 0 ? follower_bytes / 1e3 / setup->followers : 0},
    };

    memcpy(figures_out, made, sizeof made);
}

/* 0: the same or better, or noise; above: the share by which it is worse. */
static double worse_by(const struct figure *figure, double before)
{
    double loss = figure->higher_is_better ? before - figure->value : figure->value - before;

    if (loss <= figure->noise)
        return 0;
    return before > 0 ? loss / before : 1;
}

int figures_compare(const struct figure figures[FIGURES_COUNT], const json_t *baseline,
                    double threshold, FILE *out, char *error, size_t size)
{
    const json_t *before = json_object_get(baseline, "figures");
    int worse = 0, compared = 0;

    for (size_t i = 0; i < FIGURES_COUNT; i++) {
        const struct figure *figure = &figures[i];
        const json_t *value = json_object_get(before, figure->name);
        if (!figure->known || !json_is_number(value))
            continue;
        compared++;
        double share = worse_by(figure, json_number_value(value));
        if (share <= threshold)
            continue;
        worse++;
        fprintf(out, "worse: %s is %.3g %s, was %.3g: by %.0f %%, the threshold is %.0f %%\n",
                figure->name, figure->value, figure->unit, json_number_value(value), share * 100,
                threshold * 100);
    }
    if (compared > 0)
        return worse;
    snprintf(error, size, "the baseline has no figures of outpost-load: make it with --json");
    return -1;
}
