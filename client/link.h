/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to the device's server, as the device that it is.
 */
#ifndef OUTPOST_CLIENT_LINK_H
#define OUTPOST_CLIENT_LINK_H

#include "store.h"

#include "outpost/rpc_channel.h"

struct link {
    rpc_tls *tls;
    rpc_channel *channel;
};

/* Connects with the kept identity, to the kept server. False: see the store's status,
 * and if that is well, status_out: there is no link. link_close either way. */
STORE_MUST_USE bool link_open(struct link *link, struct store *store,
                              bool (*cancelled)(void *context), void *context,
                              struct rpc_status *status_out);

/* Keeps the TLS session, so that the next handshake is short. */
void link_keep_session(struct link *link, struct store *store);

/* All zeros are accepted, and left behind. */
void link_close(struct link *link);

#endif
