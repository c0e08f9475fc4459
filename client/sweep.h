/* SPDX-License-Identifier: Apache-2.0
 *
 * Sweeps: what this device holds and was not met goes, after a snapshot of its class
 * (R21), or with its type (withheld.h). Noted as unconfirmed first, so that a kill resumes;
 * what own work hangs on is put aside, and what may be the server's loss is offered (R22).
 *
 * All inside a transaction. dropped: how many clean records went is added to it.
 */
#ifndef OUTPOST_CLIENT_SWEEP_H
#define OUTPOST_CLIENT_SWEEP_H

#include "store.h"

/* Notes all that is held of a class. What was answered in this stream, session_ms in the
 * journal, counts as met: the server may leave it out of the pages. */
STORE_MUST_USE bool sweep_begin(struct store *store, enum store_class class, int64_t session_ms);
/* Sweeps what was not met since. */
STORE_MUST_USE bool sweep_complete(struct store *store, enum store_class class, uint64_t *dropped);

/* Records of a type go as a family's do that has left; what is pending stays. */
STORE_MUST_USE bool sweep_type(struct store *store, uint32_t type, uint64_t *dropped);

#endif
