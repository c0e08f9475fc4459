/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk in memory that can lose power.
 *
 * Each file has two contents: what a process sees, and what is on the platter;
 * between them stands every write and truncate since the file's last sync. Names
 * are treated likewise: a name that was made or deleted is so for good only after
 * a sync of the directory. When the power goes, each 512-byte sector keeps a
 * prefix of its unsynced writes, drawn from a seed: all, none or some, the next
 * one torn at any byte; unsynced truncates and names stand or not; sectors that
 * were never written but lie inside of the file may hold junk.
 *
 * It also counts operations that change the disk (write, truncate, sync, delete)
 * and fails at a chosen one. Not thread-safe: the VFS above it locks.
 */
#ifndef OUTPOST_TESTS_CRASH_DISK_H
#define OUTPOST_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CRASH_SECTOR_BYTES = 512,
    CRASH_NAMES_MAX = 16,    /* of one disk: a database, its WAL, its journal */
    CRASH_VERSIONS_MAX = 64, /* of one name between two syncs of the directory */
};

enum crash_fault {
    CRASH_NOTHING,
    CRASH_POWER,      /* the operation is begun, then the power is gone */
    CRASH_FULL_ONCE,  /* one write finds no room */
    CRASH_FULL,       /* neither do all that follow */
    CRASH_ERROR_ONCE, /* one operation of any kind fails */
    CRASH_ERROR,      /* so do all that follow */
};

/* What becomes of an operation. */
enum crash_verdict {
    CRASH_DONE,
    CRASH_CUT, /* the power is gone */
    CRASH_NO_ROOM,
    CRASH_FAILED,
};

struct crash_bytes {
    uint8_t *data;
    size_t len, size;
};

struct crash_file {
    struct crash_bytes seen;
    struct crash_bytes platter;
    struct crash_change *changes, **changes_end; /* since the last sync */
    void *attached;                              /* the VFS's: locks and shared memory */
    struct crash_file *next;                     /* of the disk */
};

/* A name, and which file it has stood for since the directory's last sync:
 * versions[0] on the platter, the last one for a process; NULL is no file. */
struct crash_name {
    char name[64];
    size_t version_count;
    struct crash_file *versions[CRASH_VERSIONS_MAX];
};

struct crash_disk {
    char label[32]; /* of its files' names, up to the first '.' */
    struct crash_name names[CRASH_NAMES_MAX];
    size_t name_count;
    struct crash_file *files;
    unsigned open_count;

    enum crash_fault fault;
    uint64_t fault_at; /* the operation's number, from 1 */
    uint64_t operations;
    bool down; /* the power is gone: nothing reaches this disk any more */
    bool fault_came;
    bool ignores_sync; /* the mutation: syncs are taken and not done */
};

void crash_disk_init(struct crash_disk *disk, const char *label);
void crash_disk_deinit(struct crash_disk *disk);

/* Counts from 1 again; the fault comes at that operation. */
void crash_disk_plan(struct crash_disk *disk, enum crash_fault fault, uint64_t at);

/* The power comes back: what the platter has by the seed's luck is what everybody
 * sees from now on. Nothing is open. */
void crash_disk_power_on(struct crash_disk *disk, uint64_t seed);

/* Everything as a process sees it, synced: a world's beginning. */
struct crash_image;
struct crash_image *crash_disk_save(const struct crash_disk *disk);
/* An image of another disk is put under this one's label. */
void crash_disk_restore(struct crash_disk *disk, const struct crash_image *image);
void crash_image_free(struct crash_image *image);

/* ---- Files -------------------------------------------------------------------- */

/* NULL: there is none of that name. */
struct crash_file *crash_disk_find(struct crash_disk *disk, const char *name);
struct crash_file *crash_disk_create(struct crash_disk *disk, const char *name);

enum crash_verdict crash_disk_write(struct crash_disk *disk, struct crash_file *file,
                                    uint64_t offset, const void *data, size_t len);
enum crash_verdict crash_disk_truncate(struct crash_disk *disk, struct crash_file *file,
                                       uint64_t size);
/* With the directory too when names is set. */
enum crash_verdict crash_disk_sync(struct crash_disk *disk, struct crash_file *file, bool names);
enum crash_verdict crash_disk_delete(struct crash_disk *disk, const char *name, bool names);

/* Numbers from a seed: the next one, and one below a limit. */
uint64_t crash_random(uint64_t *state);
uint64_t crash_random_below(uint64_t *state, uint64_t limit);

#endif
