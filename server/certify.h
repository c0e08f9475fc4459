/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that end in a certificate: Enrol and Recertify. What they have in common: the
 * request is checked before anything else, so that a broken client spends nothing; the
 * store is asked; the certificate is signed after the device is in the store, so that
 * no certificate exists for a device that does not.
 */
#ifndef OUTPOST_SERVER_CERTIFY_H
#define OUTPOST_SERVER_CERTIFY_H

#include "ca.h"
#include "stream.h"

#include "outpost/v1/enrolment.rpc.h"

struct certification;
struct wiped_report;

struct enrol_service {
    const struct stream_service *streams; /* store, clock, randomness */
    struct ca *ca;
    struct certification *under_way; /* zero-initialised */
    struct wiped_report *reports;    /* zero-initialised */
};

/* One call, the first member of what the call remembers, which certify_end frees. */
struct certification {
    struct enrol_service *service;
    rpc_call *call;                        /* NULL: the caller is gone */
    struct rpc_buffer certificate_request; /* PKCS #10, DER */
    struct certification *next, **place;   /* among those under way */
};

/* A device that does not exist yet: the request's key, a fresh id, the time. */
struct rpc_status certify_new_device(const struct enrol_service *service,
                                     const ProtobufCBinaryData *certificate_request,
                                     struct store_device *device_out);

/* Notes the call; the request is copied. */
void certify_begin(struct certification *certification, struct enrol_service *service,
                   rpc_call *call, const ProtobufCBinaryData *certificate_request);

/* Answers with a certificate for that device, or with the refusal, and frees. */
void certify_end(struct certification *certification, struct rpc_status status,
                 const struct store_device *device);

/* For the handlers' _closed: nobody waits for that call's answer any more. */
void certify_closed(void *service, rpc_call *call);

#endif
