/* SPDX-License-Identifier: Apache-2.0
 *
 * ReportWiped: a device has obeyed its wipe order. It has no certificate any more; what
 * it says is believed because it signed it with its key before it destroyed that.
 */
#ifndef OUTPOST_SERVER_REPORT_WIPED_H
#define OUTPOST_SERVER_REPORT_WIPED_H

#include "certify.h"

/* Handlers; service is the enrol_service. */
void report_wiped(void *service, rpc_call *call, const Outpost__V1__ReportWipedRequest *request);
void report_wiped_closed(void *service, rpc_call *call);

#endif
