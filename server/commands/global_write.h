/* SPDX-License-Identifier: Apache-2.0
 *
 * The administrator's writes of global records: mutations like any device's,
 * through the same push, with the server itself (device id all zeros) as
 * their author. So history, merge and validation are the same for all.
 */
#ifndef OUTPOST_SERVER_GLOBAL_WRITE_H
#define OUTPOST_SERVER_GLOBAL_WRITE_H

#include "command.h"

struct global_write {
    struct command *command;
    struct push_batch *batch;
    size_t changed, unchanged;
};

struct rpc_status global_write_begin(struct command *command, struct global_write *write_out);

/* Makes the record have these fields (others stay as they are). Nothing to
 * change, nothing is written. */
struct rpc_status global_write_put(struct global_write *write, const struct record_type *type,
                                   const struct record_uuid *id, const struct record_body *body);

/* Commits all. INVALID_ARGUMENT names the first record that was refused; the
 * others are in. Always frees what begin made. */
struct rpc_status global_write_end(struct global_write *write);

#endif
