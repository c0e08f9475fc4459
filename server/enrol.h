/* SPDX-License-Identifier: Apache-2.0
 *
 * Enrol: a one-time code and a key become a device (enrolment.proto). The one
 * call that needs no client certificate.
 */
#ifndef OUTPOST_SERVER_ENROL_H
#define OUTPOST_SERVER_ENROL_H

#include "ca.h"
#include "stream.h"

#include "outpost/v1/enrolment.rpc.h"

struct enrolment;

struct enrol_service {
    const struct stream_service *streams; /* store, clock, randomness */
    struct ca *ca;
    struct enrolment *under_way; /* zero-initialised */
};

/* Fills in the handlers; the service lives as long as any connection. */
void enrol_handlers(struct enrol_service *service,
                    struct outpost_v1_enrolment_service_handlers *handlers_out);

#endif
