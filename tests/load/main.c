/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost-load: the order of a run, and its exit code.
 */
#include "device.h"
#include "report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    EXIT_INVARIANT = 1,
    EXIT_WORSE = 2,
    SCRATCH_BYTES_MAX = RPC_MESSAGE_BYTES_MAX + 1024,
    CA_BYTES_MAX = 64 * 1024,
    CLOSE_TURNS_MAX = 10000,
    SPARE_DESCRIPTORS = 64,
};

void run_say(const struct run *run, const char *format, ...)
{
    va_list arguments;

    if (run->options->quiet)
        return;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- A fleet's life -------------------------------------------------------------------- */

/* A descriptor for each device, and some; a server of our own inherits the limit. */
static struct rpc_status raise_descriptors(uint32_t devices)
{
    struct rlimit limit = {0};
    rlim_t needed = devices + SPARE_DESCRIPTORS;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < needed || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED,
                               "%u devices need %lu descriptors, and the limit is %lu: ulimit -n",
                               devices, (unsigned long)needed, (unsigned long)limit.rlim_max);
    return rpc_status_ok();
}

/* One is the end of the phase that runs: a load that was interrupted is still checked. */
static void on_interrupt(uv_signal_t *handle, int number)
{
    struct fleet *fleet = handle->data;

    (void)number;
    fleet->interrupts++;
}

static void listen_for_interrupts(struct fleet *fleet, uv_signal_t handles[2])
{
    static const int numbers[] = {SIGINT, SIGTERM};

    for (size_t i = 0; i < 2; i++) {
        uv_signal_init(fleet->loop, &handles[i]);
        handles[i].data = fleet;
        uv_signal_start(&handles[i], on_interrupt, numbers[i]);
    }
}

static bool open_fleet(struct run *run)
{
    const struct options *options = run->options;
    struct fleet *fleet = &run->fleet;

    fleet->seed = options->seed;
    fleet->keep_connections = options->keep_connections;
    fleet->region_count = options->regions;
    fleet->device_count = options->devices;
    fleet->measure = measure_new();
    fleet->regions = calloc(FLEET_REGIONS_MAX, sizeof *fleet->regions);
    fleet->devices = calloc(options->devices, sizeof *fleet->devices);
    fleet->on_synced = run_on_synced;
    fleet->context = run;
    rpc_buffer_init(&fleet->scratch, SCRATCH_BYTES_MAX);
    rpc_buffer_init(&fleet->message, SCRATCH_BYTES_MAX);
    rpc_buffer_init(&run->ca_pem, CA_BYTES_MAX);
    return fleet->measure != NULL && fleet->regions != NULL && fleet->devices != NULL &&
           pool_init(&fleet->pool) && made_init(&fleet->made, options->seed);
}

/* A call that is open dies with its connection: what it says then goes nowhere. */
static void hear_nothing(void *context, struct device *device, bool caught_up)
{
    (void)context;
    (void)device;
    (void)caught_up;
}

static void close_walked(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_fleet(struct run *run)
{
    struct fleet *fleet = &run->fleet;

    fleet->on_synced = hear_nothing;
    for (size_t i = 0; fleet->devices != NULL && i < fleet->device_count; i++)
        if (fleet->devices[i].fleet != NULL)
            device_abandon(&fleet->devices[i]);
    for (int i = 0; i < CLOSE_TURNS_MAX && fleet->dialer.open > 0; i++)
        uv_run(fleet->loop, UV_RUN_NOWAIT);
    uv_walk(fleet->loop, close_walked, NULL);
    uv_run(fleet->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; fleet->devices != NULL && i < fleet->device_count; i++)
        if (fleet->devices[i].fleet != NULL)
            device_deinit(&fleet->devices[i]);
    pool_deinit(&fleet->pool);
    made_deinit(&fleet->made);
    measure_free(fleet->measure);
    free(fleet->devices);
    free(fleet->regions);
    rpc_buffer_deinit(&fleet->scratch);
    rpc_buffer_deinit(&fleet->message);
    rpc_buffer_deinit(&run->ca_pem);
}

/* ---- What comes of it ---------------------------------------------------------------------- */

static int complain(const char *format, ...) RPC_PRINTF(1, 2);

static int complain(const char *format, ...)
{
    va_list arguments;

    fputs("outpost-load: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return EX_IOERR;
}

static int compare(const struct run *run, const json_t *baseline)
{
    struct figure figures[FIGURES_COUNT];
    char error[160];

    figures_of(run, figures);
    int worse =
        figures_compare(figures, baseline, run->options->threshold, stdout, error, sizeof error);
    if (worse < 0) {
        complain("%s: %s", run->options->baseline, error);
        return EX_USAGE;
    }
    return worse > 0 ? EXIT_WORSE : EX_OK;
}

static int tell(const struct run *run, const json_t *baseline)
{
    const struct options *options = run->options;
    json_t *report = report_json(run);
    int code = EX_OK;

    if (options->json != NULL && !report_write_json(report, options->json))
        code = complain("cannot write %s", options->json);
    if (options->html != NULL && !report_write_page(report, options->html))
        code = complain("cannot write %s", options->html);
    report_print(report, stdout);
    json_decref(report);
    if (!check_holds(run))
        return EXIT_INVARIANT;
    return code == EX_OK && baseline != NULL ? compare(run, baseline) : code;
}

static int run_all(struct run *run, const json_t *baseline)
{
    struct rpc_status status = raise_descriptors(run->options->devices);

    if (rpc_ok(&status))
        status = setup_fleet(run);
    if (!rpc_ok(&status)) {
        complain("%s", status.message);
        return EX_UNAVAILABLE;
    }
    load_run(run);
    check_run(run);
    return tell(run, baseline);
}

static void print_schedule(const struct options *options)
{
    struct schedule schedule;
    struct arrival arrival;
    struct schedule_options schedule_options = {.seed = options->seed,
                                                .profile = &options->profile,
                                                .poisson = options->poisson,
                                                .devices = options->devices};

    memcpy(schedule_options.shares, options->works, sizeof options->works);
    schedule_init(&schedule, &schedule_options);
    while (schedule_next(&schedule, &arrival))
        printf("%.6f s  device %u  %s  %016llx\n", (double)arrival.at_us / 1e6, arrival.device,
               work_name(arrival.work), (unsigned long long)arrival.seed);
}

/* Read before the run, which would otherwise be for nothing. False: it is no baseline. */
static bool read_baseline(const struct options *options, json_t **baseline_out)
{
    json_error_t error;

    if (options->baseline == NULL)
        return true;
    *baseline_out = json_load_file(options->baseline, 0, &error);
    if (json_is_object(json_object_get(*baseline_out, "figures")))
        return true;
    complain("--baseline %s: not a report of outpost-load --json", options->baseline);
    return false;
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct run run = {.options = &options};
    uv_signal_t interrupts[2];
    json_t *baseline = NULL;
    uv_loop_t loop;
    char error[200];

    if (!options_parse(&options, argc, argv, error, sizeof error)) {
        complain("%s", error);
        return EX_USAGE;
    }
    if (options.help || options.print_schedule) {
        if (options.help)
            options_print_help();
        else
            print_schedule(&options);
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    }
    if (!read_baseline(&options, &baseline)) {
        json_decref(baseline);
        return EX_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    run.fleet.loop = &loop;
    listen_for_interrupts(&run.fleet, interrupts);
    int code = open_fleet(&run) ? run_all(&run, baseline) : EX_OSERR;
    close_fleet(&run);
    server_stop(&run.server);
    uv_loop_close(&loop);
    json_decref(baseline);
    return code;
}
