/* SPDX-License-Identifier: Apache-2.0
 *
 * A device without a network: client/'s core behind a few functions. It is a shared
 * library that exports these and nothing else, because client/ and server/ both
 * have a store.c whose functions have the same names, and a test needs both in one
 * process. SQLite is the process's one copy, so both sides are on its default VFS.
 */
#ifndef OUTPOST_TESTS_DEVICE_HALF_H
#define OUTPOST_TESTS_DEVICE_HALF_H

#include "outpost/record.h"

struct device_half;

enum { DEVICE_HALF_ERROR_LEN = 400 };

enum device_half_step {
    DEVICE_HALF_SEND,
    DEVICE_HALF_HALF_CLOSE,
    DEVICE_HALF_WAIT,
    DEVICE_HALF_FAILED,
};

/* NULL: error_out says why. */
struct device_half *device_half_open(const char *path, bool create,
                                     char error_out[DEVICE_HALF_ERROR_LEN]);
/* The same with the record types of another version of the app. */
struct device_half *device_half_open_with(const char *path, bool create,
                                          const struct record_schema *schema,
                                          char error_out[DEVICE_HALF_ERROR_LEN]);
void device_half_close(struct device_half *half);

/* As if enrolled, and told once how much to push at a time: writes the state row. */
bool device_half_enrol(struct device_half *half, const struct record_uuid *device_id,
                       const struct record_uuid *facility_id, uint32_t push_batch);

/* The app's user chooses where to work. */
bool device_half_set_facility(struct device_half *half, const struct record_uuid *facility_id);

/* R23: the server has made this id for a copy of a database; the device takes it, and
 * its journal goes again. */
bool device_half_take_identity(struct device_half *half, const struct record_uuid *device_id,
                               bool admin);

/* One sync: begin, then next and receive, then end. After a false or FAILED only
 * end is left; device_half_error tells. seal_part: outbox_options.part. */
bool device_half_begin(struct device_half *half, int64_t now_ms, uint32_t seal_part);
enum device_half_step device_half_next(struct device_half *half, struct rpc_bytes *message_out);
bool device_half_receive(struct device_half *half, struct rpc_bytes message);
/* Whether it caught up and the digests agree. */
bool device_half_end(struct device_half *half);

/* Of the sync under way, or of the last one. */
struct device_half_result {
    bool caught_up, digest_mismatch;
    uint64_t pushed, retried, pulled, withdrawn;
};
struct device_half_result device_half_result(const struct device_half *half);

/* Recomputes stamps and digests from the rows. */
bool device_half_verify(struct device_half *half);
const char *device_half_error(const struct device_half *half);

#endif
