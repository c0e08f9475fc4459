/* SPDX-License-Identifier: Apache-2.0
 *
 * The request is checked before the code is looked at, so that a broken client
 * does not use a code up; the certificate is signed after the device is in the
 * store, so that no certificate exists for a device that does not.
 */
#include "enrol.h"

#include "code.h"
#include "report_wiped.h"

#include <stdlib.h>

struct enrolment {
    struct store_enrol enrol;
    struct enrol_service *service;
    rpc_call *call; /* NULL: the caller is gone */
    struct rpc_buffer certificate_request;
    struct enrolment *next, **place; /* among those under way */
};

static void unlink_and_free(struct enrolment *enrolment)
{
    *enrolment->place = enrolment->next;
    if (enrolment->next != NULL)
        enrolment->next->place = enrolment->place;
    rpc_buffer_deinit(&enrolment->certificate_request);
    free(enrolment);
}

static struct rpc_status verdict_status(enum store_code_verdict verdict)
{
    switch (verdict) {
    case STORE_CODE_GOOD:
        return rpc_status_ok();
    case STORE_CODE_USED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code was used already: ask for a new one");
    case STORE_CODE_EXPIRED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code is older than 15 minutes: ask for a new one");
    case STORE_CODE_DEAD:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code was tried too often: ask for a new one");
    case STORE_CODE_FACILITY_CLOSED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code's facility is closed: ask for one of another");
    case STORE_CODE_WRONG:
        break;
    }
    return rpc_status_make(RPC_PERMISSION_DENIED,
                           "the code is wrong: check it, or ask for a new one");
}

static ProtobufCBinaryData binary(struct rpc_bytes bytes)
{
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)bytes.data};
}

static void reply(struct enrolment *enrolment, struct rpc_bytes certificate)
{
    Outpost__V1__EnrolResponse response = OUTPOST__V1__ENROL_RESPONSE__INIT;
    const struct stream_service *streams = enrolment->service->streams;
    const struct store_device *device = &enrolment->enrol.device;
    ProtobufCBinaryData chain = binary(ca_certificate(enrolment->service->ca));

    response.device_id = binary(rpc_bytes_view(device->device_id.bytes, RECORD_UUID_LEN));
    response.certificate = binary(certificate);
    response.n_ca_chain = 1;
    response.ca_chain = &chain;
    response.facility_id = binary(rpc_bytes_view(device->facility_id.bytes, RECORD_UUID_LEN));
    response.enrolment_region_id =
        binary(rpc_bytes_view(device->enrolment_region.bytes, RECORD_UUID_LEN));
    response.admin = device->admin;
    response.server_time_ms = streams->time_ms(streams->context);
    outpost_v1_enrolment_service_enrol_reply(enrolment->call, &response);
}

static void enrol_done(struct store_request *request)
{
    struct enrolment *enrolment = request->owner;
    struct rpc_status status = request->status;
    struct rpc_buffer certificate;

    rpc_buffer_init(&certificate, CA_REQUEST_BYTES_MAX);
    if (rpc_ok(&status))
        status = verdict_status(enrolment->enrol.verdict);
    if (rpc_ok(&status))
        status =
            ca_sign_device(enrolment->service->ca, rpc_buffer_view(&enrolment->certificate_request),
                           &enrolment->enrol.device.device_id, &certificate);
    if (enrolment->call != NULL) {
        if (rpc_ok(&status))
            reply(enrolment, rpc_buffer_view(&certificate));
        else
            rpc_call_finish(enrolment->call, status);
    }
    rpc_buffer_deinit(&certificate);
    unlink_and_free(enrolment);
}

static struct rpc_status begin(struct enrol_service *service, rpc_call *call,
                               const Outpost__V1__EnrolRequest *request)
{
    const struct stream_service *streams = service->streams;
    struct rpc_bytes csr =
        rpc_bytes_view(request->certificate_request.data, request->certificate_request.len);
    struct store_device device = {0};
    struct rpc_status status =
        ca_check_request(csr, device.public_key, sizeof device.public_key, &device.public_key_len);
    uint8_t random[RECORD_UUID_LEN];
    struct code code;

    if (!rpc_ok(&status))
        return status;
    if (!code_parse(request->code, streams->hasher, &code))
        return verdict_status(STORE_CODE_WRONG);
    struct enrolment *enrolment = calloc(1, sizeof *enrolment);
    if (enrolment == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    enrolment->service = service;
    enrolment->call = call;
    rpc_buffer_init(&enrolment->certificate_request, CA_REQUEST_BYTES_MAX);
    rpc_buffer_append_bytes(&enrolment->certificate_request, csr);
    enrolment->place = &service->under_way;
    enrolment->next = service->under_way;
    if (enrolment->next != NULL)
        enrolment->next->place = &enrolment->next;
    service->under_way = enrolment;

    struct store_enrol *enrol = &enrolment->enrol;
    memcpy(enrol->selector, code.selector, sizeof enrol->selector);
    memcpy(enrol->secret_hash, code.secret_hash, sizeof enrol->secret_hash);
    streams->random(streams->context, random, sizeof random);
    device.device_id = record_uuid_v4(random);
    device.enrolled_at_ms = streams->time_ms(streams->context);
    enrol->device = device;
    enrol->request.kind = STORE_ENROL;
    enrol->request.done = enrol_done;
    enrol->request.owner = enrolment;
    store_submit(streams->store, &enrol->request);
    return rpc_status_ok();
}

static void on_enrol(void *context, rpc_call *call, const Outpost__V1__EnrolRequest *request)
{
    struct rpc_status status = begin(context, call, request);

    if (!rpc_ok(&status))
        rpc_call_finish(call, status);
}

static void on_closed(void *context, rpc_call *call)
{
    struct enrol_service *service = context;

    for (struct enrolment *enrolment = service->under_way; enrolment != NULL;
         enrolment = enrolment->next)
        if (enrolment->call == call)
            enrolment->call = NULL;
}

void enrol_handlers(struct enrol_service *service,
                    struct outpost_v1_enrolment_service_handlers *handlers_out)
{
    *handlers_out = (struct outpost_v1_enrolment_service_handlers){
        .service = service,
        .enrol = on_enrol,
        .enrol_closed = on_closed,
        .report_wiped = report_wiped,
        .report_wiped_closed = report_wiped_closed,
    };
}
