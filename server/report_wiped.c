/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's key is asked of the store, the signature is checked, and only then
 * anything is written.
 */
#include "report_wiped.h"

#include <stdlib.h>

struct wiped_report {
    struct store_device_get get;
    struct store_device_change change;
    struct enrol_service *service;
    rpc_call *call; /* NULL: the caller is gone */
    int64_t ordered_at_ms;
    struct wipe_signature signature;
    struct wiped_report *next, **place; /* among those under way */
};

/* Answers, if anybody waits, and frees. */
static void finish(struct wiped_report *report, struct rpc_status status)
{
    Outpost__V1__ReportWipedResponse response = OUTPOST__V1__REPORT_WIPED_RESPONSE__INIT;

    if (report->call != NULL && rpc_ok(&status))
        outpost_v1_enrolment_service_report_wiped_reply(report->call, &response);
    else if (report->call != NULL)
        rpc_call_finish(report->call, status);
    *report->place = report->next;
    if (report->next != NULL)
        report->next->place = report->place;
    free(report);
}

static void change_done(struct store_request *request)
{
    struct wiped_report *report = request->owner;

    finish(report, request->status);
}

static struct rpc_status check(const struct wiped_report *report)
{
    const struct store_device *device = &report->get.device;
    struct wipe_signed what = wipe_report_signed(&report->get.device_id, report->ordered_at_ms);

    if (!report->get.found)
        return rpc_status_make(RPC_NOT_FOUND, "this server does not know the device");
    if (!ca_verify_wipe(rpc_bytes_view(device->public_key, device->public_key_len), &what,
                        rpc_bytes_view(report->signature.bytes, report->signature.len)))
        return rpc_status_make(RPC_PERMISSION_DENIED, "the report is not signed by the device");
    return rpc_status_ok();
}

static void get_done(struct store_request *request)
{
    struct wiped_report *report = request->owner;
    const struct stream_service *streams = report->service->streams;
    struct rpc_status status = request->status;

    if (rpc_ok(&status))
        status = check(report);
    if (!rpc_ok(&status)) {
        finish(report, status);
        return;
    }
    report->change = (struct store_device_change){
        .request = {.kind = STORE_DEVICE_CHANGE, .done = change_done, .owner = report},
        .device_id = report->get.device_id,
        .decision = {.change = STANDING_NOTE_WIPED,
                     .wipe_ordered_at_ms = report->ordered_at_ms,
                     .now_ms = streams->time_ms(streams->context)},
    };
    store_submit(streams->store, &report->change.request);
}

static struct rpc_status begin(struct enrol_service *service, rpc_call *call,
                               const Outpost__V1__ReportWipedRequest *request)
{
    struct wiped_report *report;
    struct record_uuid device_id;

    if (!record_uuid_from_bytes(rpc_bytes_view(request->device_id.data, request->device_id.len),
                                &device_id) ||
        request->ordered_at_ms <= 0 || request->signature.len > WIPE_SIGNATURE_BYTES_MAX)
        return rpc_status_make(RPC_INVALID_ARGUMENT,
                               "ReportWiped is malformed: see outpost/v1/enrolment.proto");
    report = calloc(1, sizeof *report);
    if (report == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    report->service = service;
    report->call = call;
    report->ordered_at_ms = request->ordered_at_ms;
    report->signature.len = request->signature.len;
    if (request->signature.len > 0)
        memcpy(report->signature.bytes, request->signature.data, request->signature.len);
    report->place = &service->reports;
    report->next = service->reports;
    if (report->next != NULL)
        report->next->place = &report->next;
    service->reports = report;
    report->get = (struct store_device_get){
        .request = {.kind = STORE_DEVICE_GET, .done = get_done, .owner = report},
        .device_id = device_id,
    };
    store_submit(service->streams->store, &report->get.request);
    return rpc_status_ok();
}

void report_wiped(void *service, rpc_call *call, const Outpost__V1__ReportWipedRequest *request)
{
    struct rpc_status status = begin(service, call, request);

    if (!rpc_ok(&status))
        rpc_call_finish(call, status);
}

void report_wiped_closed(void *context, rpc_call *call)
{
    struct enrol_service *service = context;

    for (struct wiped_report *report = service->reports; report != NULL; report = report->next)
        if (report->call == call)
            report->call = NULL;
}
