/* SPDX-License-Identifier: Apache-2.0
 *
 * The service that needs no client certificate (enrolment.proto): Enrol, by which a
 * one-time code and a key become a device (enrol.c), and ReportWiped (report_wiped.c).
 */
#ifndef OUTPOST_SERVER_ENROL_H
#define OUTPOST_SERVER_ENROL_H

#include "certify.h"

/* For the handlers of the service, with certify_closed. */
void enrol_on_request(void *service, rpc_call *call, const Outpost__V1__EnrolRequest *request);

#endif
