/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <unistd.h>

static json_t *real(double value)
{
    return json_real(value);
}

static json_t *count(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* ---- Histograms ------------------------------------------------------------------------ */

/* [share, ms] at shares that are evenly spaced in powers of ten of what is above them. */
static json_t *curve(const struct histogram *histogram)
{
    static const double shares[] = {0,    .05,  .1,   .2,   .3,    .4,    .5,    .6,     .7,  .75,
                                    .8,   .85,  .9,   .925, .95,   .97,   .98,   .985,   .99, .993,
                                    .995, .997, .998, .999, .9995, .9998, .9999, .99999, 1};
    json_t *points = json_array();

    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        json_array_append_new(
            points,
            json_pack("[f,f]", shares[i], (double)histogram_quantile(histogram, shares[i]) / 1e3));
    return points;
}

static json_t *latency(const struct histogram *histogram)
{
    json_t *made = json_object();
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {{"p50_ms", .5}, {"p90_ms", .9}, {"p99_ms", .99}, {"p999_ms", .999}};

    json_object_set_new(made, "count", count(histogram->count));
    if (histogram->count == 0)
        return made;
    json_object_set_new(made, "least_ms", real((double)histogram->least / 1e3));
    json_object_set_new(made, "mean_ms", real(histogram_mean(histogram) / 1e3));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        json_object_set_new(made, quantiles[i].name,
                            real((double)histogram_quantile(histogram, quantiles[i].share) / 1e3));
    json_object_set_new(made, "greatest_ms", real((double)histogram->greatest / 1e3));
    json_object_set_new(made, "curve", curve(histogram));
    return made;
}

/* ---- Parts ------------------------------------------------------------------------------- */

static json_t *options_json(const struct run *run)
{
    const struct options *options = run->options;
    json_t *made = json_object(), *mix = json_object();

    json_object_set_new(made, "profile", json_string(profile_name(options->profile.kind)));
    json_object_set_new(made, "model", json_string(options->closed > 0 ? "closed" : "open"));
    json_object_set_new(made, "rate", real(options->profile.rate));
    json_object_set_new(made, "peak", real(options->profile.peak));
    json_object_set_new(made, "seconds", real(options->profile.seconds));
    json_object_set_new(made, "syncs_at_once", count(options->closed));
    json_object_set_new(made, "poisson", json_boolean(options->poisson));
    json_object_set_new(made, "seed", count(options->seed));
    json_object_set_new(made, "devices", count(run->fleet.device_count));
    json_object_set_new(made, "regions", count(run->fleet.region_count));
    json_object_set_new(made, "region_skew", real(options->region_skew));
    json_object_set_new(made, "records", count(run->setup.data_records));
    json_object_set_new(made, "followers", count(run->setup.followers));
    json_object_set_new(made, "keep_connections", json_boolean(options->keep_connections));
    for (int work = 0; work < WORK_COUNT; work++)
        json_object_set_new(mix, work_name((enum work)work), real(options->works[work]));
    json_object_set_new(made, "mix", mix);
    return made;
}

/* Whether the figures are the server's, or this machine's and this process's. */
static json_t *machine_json(const struct run *run)
{
    json_t *made = json_object();

    json_object_set_new(made, "cores", count((uint64_t)sysconf(_SC_NPROCESSORS_ONLN)));
    json_object_set_new(made, "load_average_before", real(run->busy_before));
    json_object_set_new(made, "load_average_after", real(run->busy_after));
    json_object_set_new(made, "begun_late", latency(&run->fleet.measure->late));
    return made;
}

static json_t *setup_json(const struct run *run)
{
    const struct setup_figures *setup = &run->setup;
    double devices = (double)run->fleet.device_count;
    double own = (double)setup->own_bytes_after - (double)setup->own_bytes_before;
    json_t *made = json_object();

    json_object_set_new(made, "enrol_seconds", real(setup->enrol_seconds));
    json_object_set_new(made, "data_seconds", real(setup->data_seconds));
    json_object_set_new(made, "first_sync_seconds", real(setup->first_sync_seconds));
    json_object_set_new(made, "first_sync_records", count(setup->first_sync_records));
    json_object_set_new(made, "own_kb_per_device", real(own / 1e3 / devices));
    json_object_set_new(made, "shared_records_kb_per_device",
                        real((double)setup->pool_bytes / 1e3 / devices));
    json_object_set_new(made, "idle_server_cores", real(run->idle_server_cores));
    if (setup->followers > 0)
        json_object_set_new(
            made, "own_kb_per_follower",
            real(((double)setup->own_bytes_followed - (double)setup->own_bytes_after) / 1e3 /
                 setup->followers));
    return made;
}

static json_t *figures_json(const struct run *run)
{
    struct figure figures[FIGURES_COUNT];
    json_t *made = json_object();

    figures_of(run, figures);
    for (size_t i = 0; i < FIGURES_COUNT; i++)
        if (figures[i].known)
            json_object_set_new(made, figures[i].name, real(figures[i].value));
    return made;
}

static json_t *counts_json(const struct measure *measure)
{
    static const char *const answers[MEASURE_ANSWERS] = {"applied",     "merged",       "no_effect",
                                                         "quarantined", "out_of_scope", "retry"};
    json_t *made = json_object(), *answered = json_object(), *errors = json_object();

    json_object_set_new(made, "arrivals", count(measure->arrivals));
    json_object_set_new(made, "unfinished", count(measure->unfinished));
    json_object_set_new(made, "syncs", count(measure->syncs));
    json_object_set_new(made, "first_syncs", count(measure->first_syncs));
    json_object_set_new(made, "records_pulled", count(measure->pulled));
    json_object_set_new(made, "nothing_to_edit", count(measure->nothing_to_edit));
    for (int i = 0; i < MEASURE_ANSWERS; i++)
        json_object_set_new(answered, answers[i], count(measure->answers[i]));
    json_object_set_new(made, "answers", answered);
    for (int code = 0; code < MEASURE_CODES; code++)
        if (measure->errors[code] > 0)
            json_object_set_new(errors, rpc_code_name((enum rpc_code)code),
                                count(measure->errors[code]));
    json_object_set_new(made, "errors", errors);
    return made;
}

static json_t *groups_json(const struct measure_group *groups, size_t group_count)
{
    json_t *made = json_array();

    for (size_t i = 0; i < group_count; i++) {
        json_t *group = json_object();
        json_object_set_new(group, "name", json_string(groups[i].name));
        json_object_set_new(group, "devices", count(groups[i].devices));
        json_object_set_new(group, "syncs", count(groups[i].syncs));
        json_object_set_new(group, "errors", count(groups[i].errors));
        json_object_set_new(group, "latency", latency(&groups[i].latency));
        json_array_append_new(made, group);
    }
    return made;
}

/* A list for each name, as plots want them. */
static json_t *seconds_json(const struct run *run)
{
    const struct measure *measure = run->fleet.measure;
    const struct profile *profile = &run->options->profile;
    json_t *made = json_object();
    json_t *wanted = json_array();

    for (size_t i = 0; i < measure->second_count && run->options->closed == 0; i++)
        json_array_append_new(wanted, real(profile_rate(profile, (double)i + .5)));
    json_object_set_new(made, "rate", wanted);
#define SERIES(name, value)                                             \
    do {                                                                \
        json_t *list = json_array();                                    \
        for (size_t i = 0; i < measure->second_count; i++) {            \
            const struct measure_second *second = &measure->seconds[i]; \
            json_array_append_new(list, value);                         \
        }                                                               \
        json_object_set_new(made, name, list);                          \
    } while (0)
    SERIES("arrivals", count(second->arrivals));
    SERIES("syncs", count(second->syncs));
    SERIES("errors", count(second->errors));
    SERIES("open", count(second->open));
    SERIES("p50_ms", real((double)second->p50_us / 1e3));
    SERIES("p99_ms", real((double)second->p99_us / 1e3));
    SERIES("greatest_ms", real((double)second->greatest_us / 1e3));
    SERIES("freshness_p99_ms", real((double)second->freshness_p99_us / 1e3));
    SERIES("sent_kb", real((double)second->bytes_sent / 1e3));
    SERIES("received_kb", real((double)second->bytes_received / 1e3));
    SERIES("records", count(second->records));
    SERIES("server_cores", real(second->server_cpu));
    SERIES("own_cores", real(second->own_cpu));
    SERIES("server_mb", real((double)second->server_bytes / 1e6));
    SERIES("own_mb", real((double)second->own_bytes / 1e6));
#undef SERIES
    return made;
}

/* ---- Invariants ---------------------------------------------------------------------------- */

static void add_invariant(json_t *list, const char *name, bool holds, json_t *detail)
{
    json_array_append_new(
        list, json_pack("{s:s,s:b,s:o}", "name", name, "holds", holds, "detail", detail));
}

static json_t *ledger_detail(const struct check_result *check, uint64_t *bad_out)
{
    char text[400];
    size_t len = (size_t)snprintf(text, sizeof text, "%llu records compared",
                                  (unsigned long long)check->records);

    *bad_out = 0;
    for (int verdict = LEDGER_GOOD + 1; verdict < LEDGER_VERDICTS; verdict++) {
        if (check->verdicts[verdict] == 0)
            continue;
        *bad_out += check->verdicts[verdict];
        len += (size_t)snprintf(text + len, sizeof text - len, "; %llu %s",
                                (unsigned long long)check->verdicts[verdict],
                                ledger_verdict_text((enum ledger_verdict)verdict));
    }
    return json_string(text);
}

static json_t *invariants_json(const struct run *run)
{
    const struct check_result *check = &run->check;
    const struct measure *measure = run->fleet.measure;
    json_t *list = json_array();
    uint64_t bad;

    add_invariant(list, "every device could sync to its end", check->done,
                  json_sprintf("%llu could not%s", (unsigned long long)check->devices_unheard,
                               check->ended_early ? "; the server ended by itself" : ""));
    json_t *detail = ledger_detail(check, &bad);
    add_invariant(list, "nothing acknowledged is missing, nothing took effect twice", bad == 0,
                  detail);
    add_invariant(list, "every edit got its answer", check->unanswered == 0,
                  json_sprintf("%llu wait for one", (unsigned long long)check->unanswered));
    add_invariant(list, "every region's devices agree by digest", check->devices_differ == 0,
                  json_sprintf("%llu agree, %llu differ", (unsigned long long)check->devices_agree,
                               (unsigned long long)check->devices_differ));
    add_invariant(list, "every CaughtUp agreed with the device's own digest",
                  measure->digests_differ == 0,
                  json_sprintf("%llu compared, %llu differ%s%s",
                               (unsigned long long)measure->digests_compared,
                               (unsigned long long)measure->digests_differ,
                               measure->digests_differ > 0 ? "; the first: " : "",
                               measure->first_difference));
    add_invariant(list, "the server forgot nothing", measure->resets == 0,
                  json_sprintf("%llu times it said so", (unsigned long long)measure->resets));
    if (check->verified)
        add_invariant(list, "outpostd verify finds nothing", !check->verify_failed,
                      json_string("every log entry's hash, every stamp, every digest"));
    return list;
}

/* ---- Together ------------------------------------------------------------------------------- */

json_t *report_json(const struct run *run)
{
    const struct measure *measure = run->fleet.measure;
    json_t *made = json_object(), *works = json_object(), *freshness = json_object();

    json_object_set_new(made, "program", json_string("outpost-load"));
    json_object_set_new(made, "title",
                        json_string(run->options->title != NULL ? run->options->title : ""));
    json_object_set_new(made, "invariants_hold", json_boolean(check_holds(run)));
    json_object_set_new(made, "interrupted", json_boolean(run->interrupted));
    json_object_set_new(made, "load_seconds", real(run->load_seconds));
    json_object_set_new(made, "options", options_json(run));
    json_object_set_new(made, "setup", setup_json(run));
    json_object_set_new(made, "machine", machine_json(run));
    json_object_set_new(made, "figures", figures_json(run));
    json_object_set_new(made, "counts", counts_json(measure));
    json_object_set_new(made, "latency", latency(&measure->latency));
    json_object_set_new(made, "service", latency(&measure->service));
    for (int work = 0; work < WORK_COUNT; work++)
        json_object_set_new(works, work_name((enum work)work), latency(&measure->works[work]));
    json_object_set_new(made, "works", works);
    json_object_set_new(freshness, "followers", latency(&measure->followed));
    json_object_set_new(freshness, "next_sync", latency(&measure->polled));
    json_object_set_new(freshness, "reach", latency(&measure->reach));
    json_object_set_new(made, "freshness", freshness);
    json_object_set_new(made, "links", groups_json(measure->links, measure->link_count));
    json_object_set_new(made, "versions", groups_json(measure->versions, measure->version_count));
    json_object_set_new(made, "server",
                        json_pack("{s:b,s:f,s:f,s:f}", "local", run->server_end.known, "cpu_s",
                                  run->server_end.cpu_s - run->server_start.cpu_s, "peak_mb",
                                  (double)run->server_end.peak_bytes / 1e6, "own_cpu_s",
                                  run->own_end.cpu_s - run->own_start.cpu_s));
    json_object_set_new(made, "seconds", seconds_json(run));
    json_object_set_new(made, "invariants", invariants_json(run));
    return made;
}

bool report_write_json(const json_t *report, const char *path)
{
    return json_dump_file(report, path, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) == 0;
}
