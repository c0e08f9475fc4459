/* SPDX-License-Identifier: Apache-2.0
 *
 * Clashes as they are kept in a conflict entry (R12): what met, who lost, and
 * both values, so that the loser can be shown and set back (I6).
 */
#ifndef OUTPOST_SERVER_CLASH_H
#define OUTPOST_SERVER_CLASH_H

#include "merge.h"

/* Bodies of the group's fields that the mutation sets; a field that a side had
 * not recorded is left out there. */
struct clash {
    enum merge_clash_kind kind;
    uint32_t group;
    bool arriving_lost;
    struct rpc_bytes stored;
    struct rpc_bytes arriving;
};

/* Appends one to an entry. scratch is cleared and used. */
void clash_encode(const struct clash *clash, struct rpc_buffer *scratch, struct rpc_buffer *entry);

/* The next of an entry; false: there are no more, or the rest is malformed. */
bool clash_next(struct wire_reader *entry, struct clash *clash_out);

#endif
