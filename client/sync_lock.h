/* SPDX-License-Identifier: Apache-2.0
 *
 * One sync of a database at a time.
 *
 * Two would each be given a token, and the one kept last need not be the one that the
 * server renewed last: the device would be taken for a copy of itself (R23). The lock is
 * on a file of its own beside the database (FILE-sync), because closing the database's
 * file once more would drop SQLite's locks; it goes with the process, whatever ends that.
 */
#ifndef OUTPOST_CLIENT_SYNC_LOCK_H
#define OUTPOST_CLIENT_SYNC_LOCK_H

#include "store.h"

struct sync_lock {
    int descriptor; /* -1: none, as of a database in memory, which nobody else has */
};

/* False: see the store's status; TRY_LATER: another one has it. sync_lock_close either way. */
STORE_MUST_USE bool sync_lock_open(struct sync_lock *lock, struct store *store);
void sync_lock_close(struct sync_lock *lock);

/* Leaves it to others for a while, and takes it again; false: another one has it. */
void sync_lock_release(struct sync_lock *lock);
bool sync_lock_take(struct sync_lock *lock);

void sync_lock_remove_file(struct store *store);

#endif
