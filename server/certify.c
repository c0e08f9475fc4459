/* SPDX-License-Identifier: Apache-2.0 */
#include "certify.h"

#include <stdlib.h>

static struct rpc_bytes view(const ProtobufCBinaryData *data)
{
    return rpc_bytes_view(data->data, data->len);
}

static ProtobufCBinaryData binary(struct rpc_bytes bytes)
{
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)bytes.data};
}

struct rpc_status certify_new_device(const struct enrol_service *service,
                                     const ProtobufCBinaryData *certificate_request,
                                     struct store_device *device_out)
{
    const struct stream_service *streams = service->streams;
    uint8_t random[RECORD_UUID_LEN];

    *device_out = (struct store_device){0};
    streams->random(streams->context, random, sizeof random);
    device_out->device_id = record_uuid_v4(random);
    device_out->enrolled_at_ms = streams->time_ms(streams->context);
    return ca_check_request(view(certificate_request), device_out->public_key,
                            sizeof device_out->public_key, &device_out->public_key_len);
}

void certify_begin(struct certification *certification, struct enrol_service *service,
                   rpc_call *call, const ProtobufCBinaryData *certificate_request)
{
    certification->service = service;
    certification->call = call;
    rpc_buffer_init(&certification->certificate_request, CA_REQUEST_BYTES_MAX);
    rpc_buffer_append_bytes(&certification->certificate_request, view(certificate_request));
    certification->place = &service->under_way;
    certification->next = service->under_way;
    if (certification->next != NULL)
        certification->next->place = &certification->next;
    service->under_way = certification;
}

static void reply(const struct certification *certification, const struct store_device *device,
                  struct rpc_bytes certificate)
{
    Outpost__V1__EnrolResponse response = OUTPOST__V1__ENROL_RESPONSE__INIT;
    const struct stream_service *streams = certification->service->streams;
    ProtobufCBinaryData chain = binary(ca_certificate(certification->service->ca));

    response.device_id = binary(rpc_bytes_view(device->device_id.bytes, RECORD_UUID_LEN));
    response.certificate = binary(certificate);
    response.n_ca_chain = 1;
    response.ca_chain = &chain;
    response.facility_id = binary(rpc_bytes_view(device->facility_id.bytes, RECORD_UUID_LEN));
    response.enrolment_region_id =
        binary(rpc_bytes_view(device->enrolment_region.bytes, RECORD_UUID_LEN));
    response.admin = device->admin;
    response.server_time_ms = streams->time_ms(streams->context);
    /* Both calls have the same response. */
    outpost_v1_enrolment_service_enrol_reply(certification->call, &response);
}

void certify_end(struct certification *certification, struct rpc_status status,
                 const struct store_device *device)
{
    struct rpc_buffer certificate;

    rpc_buffer_init(&certificate, CA_REQUEST_BYTES_MAX);
    if (rpc_ok(&status))
        status = ca_sign_device(certification->service->ca,
                                rpc_buffer_view(&certification->certificate_request),
                                &device->device_id, &certificate);
    if (certification->call != NULL) {
        if (rpc_ok(&status))
            reply(certification, device, rpc_buffer_view(&certificate));
        else
            rpc_call_finish(certification->call, status);
    }
    rpc_buffer_deinit(&certificate);
    *certification->place = certification->next;
    if (certification->next != NULL)
        certification->next->place = certification->place;
    rpc_buffer_deinit(&certification->certificate_request);
    free(certification);
}

void certify_closed(void *context, rpc_call *call)
{
    struct enrol_service *service = context;

    for (struct certification *certification = service->under_way; certification != NULL;
         certification = certification->next)
        if (certification->call == call)
            certification->call = NULL;
}
