/* SPDX-License-Identifier: Apache-2.0
 *
 * The administrator's writes: mutations like any device's, through the same
 * push, with the server itself (device id all zeros) as their author. So history, merge and
 * validation are the same for all.
 */
#ifndef OUTPOST_SERVER_OWN_WRITE_H
#define OUTPOST_SERVER_OWN_WRITE_H

#include "command.h"

struct own_write {
    struct command *command;
    struct push_batch *batch;
    size_t changed, unchanged;
    size_t accepted; /* when it has ended: those that changed something */
};

struct rpc_status own_write_begin(struct command *command, struct own_write *write_out);

/* Adds an edit; its body becomes the changes. */
struct rpc_status own_write_add(struct own_write *write, struct record_mutation *mutation,
                                const struct record_body *changes);

/* Makes the global record have these fields (others stay as they are). Nothing to
 * change, nothing is written. */
struct rpc_status own_write_put(struct own_write *write, const struct record_type *type,
                                const struct record_uuid *id, const struct record_body *body);

/* Commits all. INVALID_ARGUMENT names the first record that was refused; the
 * others are in. Always frees what begin made. */
struct rpc_status own_write_end(struct own_write *write);

#endif
