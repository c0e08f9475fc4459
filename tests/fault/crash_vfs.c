/* SPDX-License-Identifier: Apache-2.0
 *
 * See crash_vfs.h. One mutex guards the disks, the locks and the shared memory.
 */
#include "crash_vfs.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* As on Unix: what the code under test meets in the field. */
    SECTOR_BYTES = 4096,
    CHARACTERISTICS = SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    SHM_PAGES_MAX = 64,
};

struct handle;

/* What connections share of one file. */
struct shared {
    unsigned handles;
    unsigned readers; /* at SHARED or above */
    const struct handle *reserved, *pending, *exclusive;
    unsigned shm_handles;
    void *shm_pages[SHM_PAGES_MAX];
    unsigned shm_readers[SQLITE_SHM_NLOCK];
    const struct handle *shm_writer[SQLITE_SHM_NLOCK];
};

struct handle {
    sqlite3_file base;
    struct crash_disk *disk; /* NULL: a nameless temporary file */
    struct crash_file *file;
    struct shared *shared;
    char *delete_name; /* of a file that goes when it is closed */
    int level;         /* SQLITE_LOCK_... */
    bool syncs_names;  /* the next sync is this handle's first, of a journal */
    bool has_shm;
    unsigned shm_reads, shm_writes; /* bits of slots */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *before;
    pthread_mutex_t mutex;
    struct crash_disk *disks;
    size_t disk_count;
    struct crash_disk nameless; /* temporary files */
    uint64_t random;
} vfs = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void enter(void)
{
    pthread_mutex_lock(&vfs.mutex);
}

static void leave(void)
{
    pthread_mutex_unlock(&vfs.mutex);
}

static int code_of(enum crash_verdict verdict, int failed)
{
    switch (verdict) {
    case CRASH_DONE:
        return SQLITE_OK;
    case CRASH_NO_ROOM:
        return SQLITE_FULL;
    case CRASH_CUT:
    case CRASH_FAILED:
        break;
    }
    return failed;
}

/* ---- Contents --------------------------------------------------------------------- */

static int file_read(sqlite3_file *base, void *data, int len, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *)base;
    const struct crash_bytes *seen = &handle->file->seen;
    size_t from = (size_t)offset, have = 0;
    int code = SQLITE_IOERR_READ;

    enter();
    if (!handle->disk->down) {
        if (from < seen->len)
            have = seen->len - from < (size_t)len ? seen->len - from : (size_t)len;
        if (have > 0)
            memcpy(data, seen->data + from, have);
        memset((char *)data + have, 0, (size_t)len - have);
        code = have == (size_t)len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    }
    leave();
    return code;
}

static int file_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
    struct handle *handle = (struct handle *)base;

    enter();
    enum crash_verdict verdict =
        crash_disk_write(handle->disk, handle->file, (uint64_t)offset, data, (size_t)len);
    leave();
    return code_of(verdict, SQLITE_IOERR_WRITE);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct handle *handle = (struct handle *)base;

    enter();
    enum crash_verdict verdict = crash_disk_truncate(handle->disk, handle->file, (uint64_t)size);
    leave();
    return code_of(verdict, SQLITE_IOERR_TRUNCATE);
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct handle *handle = (struct handle *)base;

    (void)flags;
    enter();
    enum crash_verdict verdict = crash_disk_sync(handle->disk, handle->file, handle->syncs_names);
    handle->syncs_names = handle->syncs_names && verdict != CRASH_DONE;
    leave();
    return code_of(verdict, SQLITE_IOERR_FSYNC);
}

static int file_size(sqlite3_file *base, sqlite3_int64 *size_out)
{
    struct handle *handle = (struct handle *)base;

    enter();
    *size_out = (sqlite3_int64)handle->file->seen.len;
    leave();
    return SQLITE_OK;
}

/* ---- Locks ------------------------------------------------------------------------ */

static int raise_level(struct handle *handle, int level)
{
    struct shared *shared = handle->shared;

    if (handle->level == SQLITE_LOCK_NONE) {
        if (shared->pending != NULL || shared->exclusive != NULL)
            return SQLITE_BUSY;
        shared->readers++;
        handle->level = SQLITE_LOCK_SHARED;
    }
    if (level >= SQLITE_LOCK_RESERVED && handle->level < SQLITE_LOCK_RESERVED) {
        if ((shared->reserved != NULL || shared->pending != NULL) && level == SQLITE_LOCK_RESERVED)
            return SQLITE_BUSY;
        if (level == SQLITE_LOCK_RESERVED) {
            shared->reserved = handle;
            handle->level = SQLITE_LOCK_RESERVED;
        }
    }
    if (level == SQLITE_LOCK_EXCLUSIVE && handle->level < SQLITE_LOCK_EXCLUSIVE) {
        if ((shared->pending != NULL && shared->pending != handle) ||
            (shared->reserved != NULL && shared->reserved != handle))
            return SQLITE_BUSY;
        shared->pending = handle;
        handle->level = SQLITE_LOCK_PENDING;
        if (shared->readers > 1)
            return SQLITE_BUSY;
        shared->exclusive = handle;
        handle->level = SQLITE_LOCK_EXCLUSIVE;
    }
    return SQLITE_OK;
}

static void lower_level(struct handle *handle, int level)
{
    struct shared *shared = handle->shared;

    if (handle->level <= level)
        return;
    if (shared->reserved == handle)
        shared->reserved = NULL;
    if (shared->pending == handle)
        shared->pending = NULL;
    if (shared->exclusive == handle)
        shared->exclusive = NULL;
    if (level == SQLITE_LOCK_NONE)
        shared->readers--;
    handle->level = level;
}

static int file_lock(sqlite3_file *base, int level)
{
    struct handle *handle = (struct handle *)base;

    enter();
    int code = handle->level >= level ? SQLITE_OK : raise_level(handle, level);
    leave();
    return code;
}

static int file_unlock(sqlite3_file *base, int level)
{
    enter();
    lower_level((struct handle *)base, level);
    leave();
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *reserved_out)
{
    enter();
    const struct shared *shared = ((struct handle *)base)->shared;
    *reserved_out = shared->reserved != NULL || shared->pending != NULL;
    leave();
    return SQLITE_OK;
}

/* ---- Shared memory ------------------------------------------------------------------ */

static int shm_map(sqlite3_file *base, int page, int page_bytes, int extend,
                   void volatile **memory_out)
{
    struct handle *handle = (struct handle *)base;
    struct shared *shared = handle->shared;
    int code = SQLITE_OK;

    enter();
    if (!handle->has_shm) {
        handle->has_shm = true;
        shared->shm_handles++;
    }
    if (page >= SHM_PAGES_MAX)
        code = SQLITE_FULL;
    else if (shared->shm_pages[page] == NULL && extend)
        shared->shm_pages[page] = calloc(1, (size_t)page_bytes);
    *memory_out = code == SQLITE_OK ? shared->shm_pages[page] : NULL;
    leave();
    return code;
}

static int shm_unlock(struct handle *handle, int first, int count)
{
    struct shared *shared = handle->shared;

    for (int i = first; i < first + count; i++) {
        unsigned bit = 1u << i;
        if (handle->shm_reads & bit)
            shared->shm_readers[i]--;
        if (handle->shm_writes & bit)
            shared->shm_writer[i] = NULL;
        handle->shm_reads &= ~bit;
        handle->shm_writes &= ~bit;
    }
    return SQLITE_OK;
}

static int shm_lock_shared(struct handle *handle, int slot)
{
    unsigned bit = 1u << slot;

    if (handle->shm_reads & bit)
        return SQLITE_OK;
    if (handle->shared->shm_writer[slot] != NULL)
        return SQLITE_BUSY;
    handle->shared->shm_readers[slot]++;
    handle->shm_reads |= bit;
    return SQLITE_OK;
}

static int shm_lock_exclusive(struct handle *handle, int first, int count)
{
    struct shared *shared = handle->shared;

    for (int i = first; i < first + count; i++)
        if (shared->shm_readers[i] > ((handle->shm_reads >> i) & 1u) ||
            (shared->shm_writer[i] != NULL && shared->shm_writer[i] != handle))
            return SQLITE_BUSY;
    for (int i = first; i < first + count; i++) {
        shared->shm_writer[i] = handle;
        handle->shm_writes |= 1u << i;
    }
    return SQLITE_OK;
}

static int shm_lock(sqlite3_file *base, int first, int count, int flags)
{
    struct handle *handle = (struct handle *)base;

    enter();
    int code = flags & SQLITE_SHM_UNLOCK   ? shm_unlock(handle, first, count)
               : flags & SQLITE_SHM_SHARED ? shm_lock_shared(handle, first)
                                           : shm_lock_exclusive(handle, first, count);
    leave();
    return code;
}

static void shm_barrier(sqlite3_file *base)
{
    (void)base;
    enter();
    leave();
}

static void drop_shm(struct handle *handle)
{
    struct shared *shared = handle->shared;

    if (!handle->has_shm)
        return;
    shm_unlock(handle, 0, SQLITE_SHM_NLOCK);
    handle->has_shm = false;
    if (--shared->shm_handles > 0)
        return;
    for (size_t i = 0; i < SHM_PAGES_MAX; i++) {
        free(shared->shm_pages[i]);
        shared->shm_pages[i] = NULL;
    }
}

static int shm_unmap(sqlite3_file *base, int delete_it)
{
    (void)delete_it; /* it is memory, and goes with its last user */
    enter();
    drop_shm((struct handle *)base);
    leave();
    return SQLITE_OK;
}

/* ---- Handles ------------------------------------------------------------------------- */

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR_BYTES;
}

static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return CHARACTERISTICS;
}

static int file_close(sqlite3_file *base)
{
    struct handle *handle = (struct handle *)base;

    enter();
    lower_level(handle, SQLITE_LOCK_NONE);
    drop_shm(handle);
    if (--handle->shared->handles == 0) {
        free(handle->shared);
        handle->file->attached = NULL;
    }
    if (handle->delete_name != NULL)
        crash_disk_delete(handle->disk, handle->delete_name, false);
    handle->disk->open_count--;
    if (handle->disk == &vfs.nameless && handle->disk->open_count == 0)
        crash_disk_deinit(&vfs.nameless);
    leave();
    free(handle->delete_name);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

/* ---- The VFS -------------------------------------------------------------------------- */

/* NULL: on none of the disks. */
static struct crash_disk *disk_of(const char *name)
{
    for (size_t i = 0; i < vfs.disk_count; i++) {
        size_t len = strlen(vfs.disks[i].label);
        if (strncmp(name, vfs.disks[i].label, len) == 0 && name[len] == '.')
            return &vfs.disks[i];
    }
    return NULL;
}

/* SQLITE_OK when there is a file to open; made is set when it is new. */
static int find_file(struct handle *handle, const char *name, int flags)
{
    handle->disk = name != NULL ? disk_of(name) : &vfs.nameless;
    if (handle->disk == NULL || handle->disk->down)
        return SQLITE_CANTOPEN;
    handle->file = name != NULL ? crash_disk_find(handle->disk, name) : NULL;
    /* SQLite on Unix syncs the directory with the first sync of a journal or WAL on
     * each handle that was opened to make it if need be, whoever made it. */
    handle->syncs_names =
        (flags & SQLITE_OPEN_CREATE) != 0 &&
        (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    if (handle->file != NULL)
        return SQLITE_OK;
    if (name != NULL && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    handle->file = crash_disk_create(handle->disk, name != NULL ? name : "nameless");
    return SQLITE_OK;
}

static int vfs_open(sqlite3_vfs *self, const char *name, sqlite3_file *base, int flags,
                    int *flags_out)
{
    struct handle *handle = (struct handle *)base;

    (void)self;
    *handle = (struct handle){.level = SQLITE_LOCK_NONE};
    enter();
    int code = find_file(handle, name, flags);
    if (code == SQLITE_OK) {
        handle->base.pMethods = &methods;
        if (handle->file->attached == NULL)
            handle->file->attached = calloc(1, sizeof *handle->shared);
        handle->shared = handle->file->attached;
        handle->shared->handles++;
        handle->disk->open_count++;
        if (name != NULL && (flags & SQLITE_OPEN_DELETEONCLOSE))
            handle->delete_name = strdup(name);
    }
    leave();
    if (flags_out != NULL)
        *flags_out = flags;
    return code;
}

static int vfs_delete(sqlite3_vfs *self, const char *name, int names)
{
    int code = SQLITE_IOERR_DELETE_NOENT;

    (void)self;
    enter();
    struct crash_disk *disk = disk_of(name);
    if (disk != NULL && crash_disk_find(disk, name) != NULL)
        code = code_of(crash_disk_delete(disk, name, names != 0), SQLITE_IOERR_DELETE);
    leave();
    return code;
}

static int vfs_access(sqlite3_vfs *self, const char *name, int flags, int *there_out)
{
    (void)self;
    enter();
    struct crash_disk *disk = disk_of(name);
    const struct crash_file *file = disk != NULL ? crash_disk_find(disk, name) : NULL;
    *there_out = file != NULL && (flags != SQLITE_ACCESS_EXISTS || file->seen.len > 0);
    leave();
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *self, const char *name, int size, char *path_out)
{
    (void)self;
    if (strlen(name) >= (size_t)size)
        return SQLITE_CANTOPEN;
    strcpy(path_out, name);
    return SQLITE_OK;
}

/* The same numbers in every run. */
static int vfs_randomness(sqlite3_vfs *self, int len, char *bytes)
{
    (void)self;
    enter();
    for (int i = 0; i < len; i++)
        bytes[i] = (char)crash_random(&vfs.random);
    leave();
    return len;
}

void crash_vfs_install(struct crash_disk *disks, size_t count)
{
    vfs.before = sqlite3_vfs_find(NULL);
    vfs.vfs = *vfs.before; /* time, sleep and what else no file depends on */
    vfs.vfs.zName = "crash";
    vfs.vfs.pNext = NULL;
    vfs.vfs.szOsFile = sizeof(struct handle);
    vfs.vfs.xOpen = vfs_open;
    vfs.vfs.xDelete = vfs_delete;
    vfs.vfs.xAccess = vfs_access;
    vfs.vfs.xFullPathname = vfs_full_pathname;
    vfs.vfs.xRandomness = vfs_randomness;
    vfs.disks = disks;
    vfs.disk_count = count;
    crash_disk_init(&vfs.nameless, "nameless");
    int code = sqlite3_vfs_register(&vfs.vfs, 1);
    assert(code == SQLITE_OK);
    (void)code;
}

void crash_vfs_uninstall(void)
{
    sqlite3_vfs_unregister(&vfs.vfs);
    sqlite3_vfs_register(vfs.before, 1);
    crash_disk_deinit(&vfs.nameless);
}

void crash_vfs_seed(uint64_t seed)
{
    enter();
    vfs.random = seed;
    leave();
    sqlite3_randomness(0, NULL);
}

bool crash_vfs_is_down(const struct crash_disk *disk)
{
    enter();
    bool down = disk->down;
    leave();
    return down;
}
