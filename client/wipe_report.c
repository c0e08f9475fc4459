/* SPDX-License-Identifier: Apache-2.0
 *
 * See wipe_report.h.
 */
#include "wipe_report.h"

#include "sync_lock.h"

#include "outpost/rpc_channel.h"
#include "outpost/v1/enrolment.rpc.h"

enum { REPORT_TIMEOUT_MS = 30000 };

struct reporting {
    const struct wipe *wipe;
    struct wipe_report report;
    bool closed;
    struct rpc_status ended;
};

static void on_done(void *context, const struct rpc_status *status,
                    const Outpost__V1__ReportWipedResponse *response)
{
    struct reporting *reporting = context;

    (void)response;
    reporting->closed = true;
    reporting->ended = *status;
}

static bool is_closed(void *context)
{
    const struct reporting *reporting = context;

    return reporting->closed;
}

static struct rpc_status call(struct reporting *reporting, rpc_channel *channel)
{
    Outpost__V1__ReportWipedRequest request = OUTPOST__V1__REPORT_WIPED_REQUEST__INIT;
    struct rpc_metadata_list metadata = {NULL, 0};
    struct rpc_status status;

    request.device_id.data = (uint8_t *)reporting->wipe->device_id.bytes;
    request.device_id.len = RECORD_UUID_LEN;
    request.ordered_at_ms = reporting->wipe->ordered_at_ms;
    request.signature.data = reporting->report.signature.data;
    request.signature.len = reporting->report.signature.len;
    if (outpost_v1_enrolment_service_client_report_wiped(rpc_channel_conn(channel), metadata,
                                                         REPORT_TIMEOUT_MS, &request, on_done,
                                                         reporting) == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the connection is gone");
    status = rpc_channel_run(channel, is_closed, reporting);
    return reporting->closed ? reporting->ended : status;
}

static struct rpc_status send(struct reporting *reporting,
                              const struct outpost_sync_options *options)
{
    struct rpc_tls_options tls_options = {.ca_pem = rpc_buffer_view(&reporting->report.ca_pem),
                                          .clock_unreliable = true};
    struct rpc_channel_options channel_options;
    rpc_channel *channel = NULL;
    rpc_tls *tls = NULL;
    struct rpc_status status = rpc_tls_client_new(&tls_options, &tls);

    if (!rpc_ok(&status))
        return status;
    rpc_channel_options_init_default(&channel_options);
    channel_options.address = reporting->wipe->server;
    channel_options.tls = tls;
    channel_options.user_agent = "outpost/0.1";
    channel_options.cancelled = options->cancelled;
    channel_options.context = options->context;
    status = rpc_channel_open(&channel_options, &channel);
    if (rpc_ok(&status))
        status = call(reporting, channel);
    rpc_channel_close(channel);
    rpc_tls_free(tls);
    return status;
}

/* What cannot be told now is told at the next sync. */
static void report_done(struct outpost *device, const struct wipe *wipe,
                        const struct outpost_sync_options *options)
{
    struct store *store = &device->store;
    struct reporting reporting = {.wipe = wipe};
    struct rpc_status status;

    if (wipe_load_report(store, &reporting.report)) {
        status = send(&reporting, options);
        if (rpc_ok(&status))
            (void)!wipe_note_reported(store);
    }
    wipe_report_deinit(&reporting.report);
    device_status(device);
}

struct outpost_status wipe_run(struct outpost *device, const struct outpost_sync_options *options)
{
    struct store *store = &device->store;
    struct wipe wipe;

    if (wipe_load(store, &wipe) && !wipe.done && !wipe_finish(store))
        device_status(device); /* what stands in the way is gone when it is tried again */
    if (wipe_load(store, &wipe) && wipe.done && !wipe.reported)
        report_done(device, &wipe, options);
    if (wipe.done)
        sync_lock_remove_file(store);
    (void)!wipe_allows(store);
    return device_status(device);
}
