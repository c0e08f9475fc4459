/* SPDX-License-Identifier: Apache-2.0 */
#include "sync_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH_LEN = 4096 };

enum lock_path { LOCK_PATH, LOCK_IN_MEMORY, LOCK_PATH_TOO_LONG };

static enum lock_path lock_path(struct store *store, char path_out[PATH_LEN])
{
    const char *file = sqlite3_db_filename(store->db, "main");

    if (file == NULL || file[0] == '\0')
        return LOCK_IN_MEMORY;
    return snprintf(path_out, PATH_LEN, "%s-sync", file) < PATH_LEN ? LOCK_PATH
                                                                    : LOCK_PATH_TOO_LONG;
}

bool sync_lock_take(struct sync_lock *lock)
{
    return lock->descriptor < 0 || flock(lock->descriptor, LOCK_EX | LOCK_NB) == 0;
}

bool sync_lock_open(struct sync_lock *lock, struct store *store)
{
    char path[PATH_LEN];

    lock->descriptor = -1;
    switch (lock_path(store, path)) {
    case LOCK_IN_MEMORY:
        return true;
    case LOCK_PATH_TOO_LONG:
        return store_fail(store, OUTPOST_BAD_INPUT, "the database's path is too long");
    case LOCK_PATH:
        break;
    }
    lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock->descriptor < 0)
        return store_fail(store, OUTPOST_IO, "cannot open %.200s: %s", path, strerror(errno));
    if (sync_lock_take(lock))
        return true;
    if (errno != EWOULDBLOCK)
        return store_fail(store, OUTPOST_IO, "cannot lock %.200s: %s", path, strerror(errno));
    return store_fail(store, OUTPOST_TRY_LATER,
                      "another sync of this database is running; try again later");
}

void sync_lock_release(struct sync_lock *lock)
{
    if (lock->descriptor >= 0)
        flock(lock->descriptor, LOCK_UN);
}

void sync_lock_close(struct sync_lock *lock)
{
    if (lock->descriptor >= 0)
        close(lock->descriptor);
    lock->descriptor = -1;
}

void sync_lock_remove_file(struct store *store)
{
    char path[PATH_LEN];

    if (lock_path(store, path) == LOCK_PATH)
        unlink(path);
}
