/* SPDX-License-Identifier: Apache-2.0
 *
 * Enrolments and what was decided about devices since, in a file beside the store
 * (R22).
 *
 * A store that is put back to yesterday's backup forgets who enrolled, who was
 * revoked, sent elsewhere or wiped since. So each such change is also a line of
 * DIR/enrolments.jsonl, the device's whole standing after it, synced before the change is
 * answered; and a starting server tells its store what that lacks. The file only
 * grows; lines that are not understood are kept and skipped.
 */
#ifndef OUTPOST_SERVER_ENROLLED_H
#define OUTPOST_SERVER_ENROLLED_H

#include "config.h"

/* store_options.note: appends one line and syncs it. context is the struct config.
 * RESOURCE_EXHAUSTED: the disk. */
struct rpc_status enrolled_note(void *context, const struct store_note *note);

/* Gives the store what the file has and it lacks; waits for it (store_run). */
struct rpc_status enrolled_replay(const struct config *config, struct store *store);

#endif
