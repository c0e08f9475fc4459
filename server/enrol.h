/* SPDX-License-Identifier: Apache-2.0
 *
 * The service that needs no client certificate (enrolment.proto): Enrol, by which a
 * one-time code and a key become a device (enrol.c), and ReportWiped (report_wiped.c).
 */
#ifndef OUTPOST_SERVER_ENROL_H
#define OUTPOST_SERVER_ENROL_H

#include "ca.h"
#include "stream.h"

#include "outpost/v1/enrolment.rpc.h"

struct enrolment;
struct wiped_report;

struct enrol_service {
    const struct stream_service *streams; /* store, clock, randomness */
    struct ca *ca;
    struct wiped_report *reports; /* zero-initialised */
    struct enrolment *under_way;  /* zero-initialised */
};

/* Fills in the handlers; the service lives as long as any connection. */
void enrol_handlers(struct enrol_service *service,
                    struct outpost_v1_enrolment_service_handlers *handlers_out);

#endif
