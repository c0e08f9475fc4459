/* SPDX-License-Identifier: Apache-2.0
 *
 * ReportWiped: telling the server that this device has destroyed its data
 * (enrolment.proto). Needs no certificate; the report was signed before.
 */
#ifndef OUTPOST_CLIENT_WIPE_REPORT_H
#define OUTPOST_CLIENT_WIPE_REPORT_H

#include "device.h"
#include "wipe.h"

/* What a sync is when an order was taken: goes on with the wipe, tells the server when
 * that is done, and ends as DENIED, whatever of it was possible now. */
struct outpost_status wipe_run(struct outpost *device, const struct outpost_sync_options *options);

#endif
