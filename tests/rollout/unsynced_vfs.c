/* SPDX-License-Identifier: Apache-2.0
 *
 * The system's VFS opens each file; its methods are then exchanged for the same ones with
 * another xSync. A VFS has a few sets of them, one for each kind of file.
 */
#include "unsynced_vfs.h"

#include <sqlite3.h>
#include <stddef.h>

enum { KINDS_MAX = 8 };

static struct {
    sqlite3_vfs vfs, *system;
    sqlite3_mutex *mutex;
    int kind_count;
    struct {
        const sqlite3_io_methods *system;
        sqlite3_io_methods unsynced;
    } kinds[KINDS_MAX];
} state;

static int no_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return SQLITE_OK;
}

/* NULL: more kinds than there are. */
static const sqlite3_io_methods *unsynced(const sqlite3_io_methods *methods)
{
    int kind = 0;

    while (kind < state.kind_count && state.kinds[kind].system != methods)
        kind++;
    if (kind == KINDS_MAX)
        return NULL;
    if (kind == state.kind_count) {
        state.kinds[kind].system = methods;
        state.kinds[kind].unsynced = *methods;
        state.kinds[kind].unsynced.xSync = no_sync;
        state.kind_count++;
    }
    return &state.kinds[kind].unsynced;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    (void)vfs;
    int code = state.system->xOpen(state.system, name, file, flags, flags_out);

    if (code != SQLITE_OK || file->pMethods == NULL)
        return code;
    sqlite3_mutex_enter(state.mutex);
    const sqlite3_io_methods *methods = unsynced(file->pMethods);
    sqlite3_mutex_leave(state.mutex);
    if (methods != NULL)
        file->pMethods = methods;
    return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
    (void)vfs;
    (void)sync_directory;
    return state.system->xDelete(state.system, name, 0);
}

bool unsynced_vfs_install(void)
{
    state.system = sqlite3_vfs_find(NULL);
    state.mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_FAST);
    if (state.system == NULL || state.mutex == NULL)
        return false;
    state.vfs = *state.system;
    state.vfs.zName = "unsynced";
    state.vfs.xOpen = open_file;
    state.vfs.xDelete = delete_file;
    return sqlite3_vfs_register(&state.vfs, 1) == SQLITE_OK;
}
