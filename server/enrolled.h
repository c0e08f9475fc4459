/* SPDX-License-Identifier: Apache-2.0
 *
 * Enrolments and revocations in a file beside the store (R22).
 *
 * A store that is put back to yesterday's backup forgets who enrolled and who
 * was revoked since. So each is also a line of DIR/enrolments.jsonl, synced
 * before it is answered, and a starting server tells its store what it lacks.
 * The file only grows; lines that are not understood are kept and skipped.
 */
#ifndef OUTPOST_SERVER_ENROLLED_H
#define OUTPOST_SERVER_ENROLLED_H

#include "config.h"

/* Appends one line and syncs it. RESOURCE_EXHAUSTED: the disk. */
struct rpc_status enrolled_note_device(const struct config *config,
                                       const struct store_device_add *add);
struct rpc_status enrolled_note_state(const struct config *config,
                                      const struct record_uuid *device_id,
                                      enum store_device_state state);

/* Gives the store what the file has and it lacks; waits for it (store_run). */
struct rpc_status enrolled_replay(const struct config *config, struct store *store);

#endif
