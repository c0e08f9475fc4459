/* SPDX-License-Identifier: Apache-2.0
 *
 * A new identity for a copied database (R23).
 *
 * Two databases with one identity would be one device to the server, and neither could
 * be told from the other. The one that syncs later asks for a new one: a new key,
 * certified by the old certificate. Rows, pending work, outbox, cursor and journal
 * stay; what is acknowledged already is recognised by its id when it is sent again (R1).
 */
#ifndef OUTPOST_CLIENT_RECERTIFY_H
#define OUTPOST_CLIENT_RECERTIFY_H

#include "store.h"

#include "outpost/rpc_status.h"

/* One call. The new key is durable before it is sent, so that whatever is lost is asked
 * for again with the same key, and answered with the same device; what comes back is
 * taken in one transaction. Not OK, or a failed store: the identity is as it was.
 * device_id_out: the new one. */
struct rpc_status recertify(struct store *store, bool (*cancelled)(void *context), void *context,
                            struct record_uuid *device_id_out);

#endif
