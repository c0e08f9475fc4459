/* SPDX-License-Identifier: Apache-2.0
 *
 * See crash_disk.h.
 */
#include "crash_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A write (data) or a truncate (no data, len is the new size). */
struct crash_change {
    struct crash_change *next;
    uint64_t offset;
    size_t len;
    uint8_t *data;
};

static void *must(void *memory)
{
    if (memory == NULL)
        abort(); /* the test's own memory; nothing to be learnt from going on */
    return memory;
}

/* ---- Luck ----------------------------------------------------------------------- */

/* splitmix64 */
uint64_t crash_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t crash_random_below(uint64_t *state, uint64_t limit)
{
    return crash_random(state) % limit;
}

/* ---- Contents ------------------------------------------------------------------- */

/* What grows is zeros. */
static void bytes_resize(struct crash_bytes *bytes, size_t len)
{
    if (len > bytes->size) {
        bytes->size = len * 2;
        bytes->data = must(realloc(bytes->data, bytes->size));
    }
    if (len > bytes->len)
        memset(bytes->data + bytes->len, 0, len - bytes->len);
    bytes->len = len;
}

static void bytes_put(struct crash_bytes *bytes, size_t offset, const void *data, size_t len)
{
    if (offset + len > bytes->len)
        bytes_resize(bytes, offset + len);
    memcpy(bytes->data + offset, data, len);
}

static void bytes_copy(struct crash_bytes *to, const struct crash_bytes *from)
{
    to->len = 0;
    bytes_resize(to, from->len);
    if (from->len > 0)
        memcpy(to->data, from->data, from->len);
}

static void bytes_apply(struct crash_bytes *bytes, const struct crash_change *change)
{
    if (change->data != NULL)
        bytes_put(bytes, change->offset, change->data, change->len);
    else
        bytes_resize(bytes, change->len);
}

/* ---- Files ---------------------------------------------------------------------- */

static void drop_changes(struct crash_file *file)
{
    while (file->changes != NULL) {
        struct crash_change *next = file->changes->next;
        free(file->changes->data);
        free(file->changes);
        file->changes = next;
    }
    file->changes_end = &file->changes;
}

static void add_change(struct crash_file *file, uint64_t offset, const void *data, size_t len)
{
    struct crash_change *change = must(calloc(1, sizeof *change));

    change->offset = offset;
    change->len = len;
    if (data != NULL)
        change->data = memcpy(must(malloc(len)), data, len);
    bytes_apply(&file->seen, change);
    *file->changes_end = change;
    file->changes_end = &change->next;
}

static struct crash_file *file_new(struct crash_disk *disk)
{
    struct crash_file *file = must(calloc(1, sizeof *file));

    file->changes_end = &file->changes;
    file->next = disk->files;
    disk->files = file;
    return file;
}

static void file_free(struct crash_file *file)
{
    assert(file->attached == NULL);
    drop_changes(file);
    free(file->seen.data);
    free(file->platter.data);
    free(file);
}

static void file_sync(struct crash_file *file)
{
    for (const struct crash_change *c = file->changes; c != NULL; c = c->next)
        bytes_apply(&file->platter, c);
    drop_changes(file);
}

/* ---- Names ---------------------------------------------------------------------- */

static struct crash_name *find_name(struct crash_disk *disk, const char *name)
{
    for (size_t i = 0; i < disk->name_count; i++)
        if (strcmp(disk->names[i].name, name) == 0)
            return &disk->names[i];
    return NULL;
}

static void set_name(struct crash_disk *disk, const char *name, struct crash_file *file)
{
    struct crash_name *entry = find_name(disk, name);

    if (entry == NULL) {
        assert(disk->name_count < CRASH_NAMES_MAX);
        entry = &disk->names[disk->name_count++];
        *entry = (struct crash_name){.version_count = 1};
        snprintf(entry->name, sizeof entry->name, "%s", name);
    }
    assert(entry->version_count < CRASH_VERSIONS_MAX);
    entry->versions[entry->version_count++] = file;
}

static void sync_names(struct crash_disk *disk)
{
    for (size_t i = 0; i < disk->name_count; i++) {
        struct crash_name *entry = &disk->names[i];
        entry->versions[0] = entry->versions[entry->version_count - 1];
        entry->version_count = 1;
    }
}

struct crash_file *crash_disk_find(struct crash_disk *disk, const char *name)
{
    struct crash_name *entry = find_name(disk, name);

    return entry != NULL ? entry->versions[entry->version_count - 1] : NULL;
}

struct crash_file *crash_disk_create(struct crash_disk *disk, const char *name)
{
    struct crash_file *file = file_new(disk);

    set_name(disk, name, file);
    return file;
}

/* Keeps the file of each name as it is now, and no other. */
static void forget_files(struct crash_disk *disk)
{
    struct crash_file *file = disk->files, *next;

    sync_names(disk);
    disk->files = NULL;
    for (; file != NULL; file = next) {
        bool named = false;
        next = file->next;
        for (size_t i = 0; i < disk->name_count; i++)
            named = named || disk->names[i].versions[0] == file;
        if (named) {
            file->next = disk->files;
            disk->files = file;
        } else {
            file_free(file);
        }
    }
}

/* ---- Operations ------------------------------------------------------------------ */

static bool is_due(struct crash_disk *disk, bool lasting)
{
    if (disk->operations < disk->fault_at || (disk->fault_came && !lasting))
        return false;
    disk->fault_came = true;
    return true;
}

static enum crash_verdict operation(struct crash_disk *disk, bool takes_room)
{
    if (disk->down)
        return CRASH_CUT;
    disk->operations++;
    switch (disk->fault) {
    case CRASH_NOTHING:
        break;
    case CRASH_POWER:
        disk->down = disk->fault_came = disk->operations == disk->fault_at;
        return disk->down ? CRASH_CUT : CRASH_DONE;
    case CRASH_FULL_ONCE:
    case CRASH_FULL:
        if (takes_room && is_due(disk, disk->fault == CRASH_FULL))
            return CRASH_NO_ROOM;
        break;
    case CRASH_ERROR_ONCE:
    case CRASH_ERROR:
        if (is_due(disk, disk->fault == CRASH_ERROR))
            return CRASH_FAILED;
        break;
    }
    return CRASH_DONE;
}

/* A write at which the power goes was on its way; one without room, or that
 * fails, may have been done in part. */
enum crash_verdict crash_disk_write(struct crash_disk *disk, struct crash_file *file,
                                    uint64_t offset, const void *data, size_t len)
{
    bool was_down = disk->down;
    enum crash_verdict verdict = operation(disk, true);

    if (verdict == CRASH_DONE || (verdict == CRASH_CUT && !was_down))
        add_change(file, offset, data, len);
    else if (verdict != CRASH_CUT && len > 1)
        add_change(file, offset, data, len / 2);
    return verdict;
}

enum crash_verdict crash_disk_truncate(struct crash_disk *disk, struct crash_file *file,
                                       uint64_t size)
{
    bool was_down = disk->down;
    enum crash_verdict verdict = operation(disk, false);

    if (verdict == CRASH_DONE || (verdict == CRASH_CUT && !was_down))
        add_change(file, 0, NULL, size);
    return verdict;
}

enum crash_verdict crash_disk_sync(struct crash_disk *disk, struct crash_file *file, bool names)
{
    enum crash_verdict verdict = operation(disk, false);

    if (verdict != CRASH_DONE || disk->ignores_sync)
        return verdict;
    file_sync(file);
    if (names)
        sync_names(disk);
    return verdict;
}

enum crash_verdict crash_disk_delete(struct crash_disk *disk, const char *name, bool names)
{
    bool was_down = disk->down;
    enum crash_verdict verdict = operation(disk, false);

    if (verdict == CRASH_DONE || (verdict == CRASH_CUT && !was_down))
        set_name(disk, name, NULL);
    if (verdict == CRASH_DONE && names && !disk->ignores_sync)
        sync_names(disk);
    return verdict;
}

/* ---- Power ----------------------------------------------------------------------- */

enum luck { LUCK_KEPT, LUCK_DROPPED, LUCK_MIXED };

/* What one sector keeps: so many of its writes, and so many bytes of the next. */
struct sector {
    uint32_t writes, kept, met, torn_bytes;
};

static void draw_sectors(struct sector *sectors, size_t count, enum luck luck, uint64_t *seed)
{
    for (size_t i = 0; i < count; i++) {
        struct sector *sector = &sectors[i];
        uint64_t draw = luck == LUCK_KEPT      ? 0
                        : luck == LUCK_DROPPED ? 4
                                               : crash_random_below(seed, 10);
        if (draw < 4)
            sector->kept = sector->writes;
        else if (draw >= 8)
            sector->kept = (uint32_t)crash_random_below(seed, sector->writes + 1);
        if (luck == LUCK_MIXED && crash_random_below(seed, 4) == 0)
            sector->torn_bytes = (uint32_t)crash_random_below(seed, CRASH_SECTOR_BYTES);
    }
}

/* Calls back for each sector of a write: its index, and which bytes of the write. */
static void each_sector(const struct crash_change *change, struct sector *sectors,
                        struct crash_bytes *platter)
{
    uint64_t end = change->offset + change->len;
    uint64_t from = change->offset;

    while (from < end) {
        uint64_t to = (from / CRASH_SECTOR_BYTES + 1) * CRASH_SECTOR_BYTES;
        struct sector *sector = &sectors[from / CRASH_SECTOR_BYTES];
        to = to < end ? to : end;
        if (platter == NULL) {
            sector->writes++;
        } else {
            uint64_t len = to - from;
            if (sector->met == sector->kept)
                len = len < sector->torn_bytes ? len : sector->torn_bytes;
            if (sector->met <= sector->kept && len > 0)
                bytes_put(platter, from, change->data + (from - change->offset), len);
            sector->met++;
        }
        from = to;
    }
}

/* Sectors that the file has grown over and that nothing reached. */
static void put_junk(struct crash_bytes *platter, size_t old_len, const struct sector *sectors,
                     uint64_t *seed)
{
    for (size_t at = (old_len + CRASH_SECTOR_BYTES - 1) / CRASH_SECTOR_BYTES * CRASH_SECTOR_BYTES;
         at + CRASH_SECTOR_BYTES <= platter->len; at += CRASH_SECTOR_BYTES) {
        const struct sector *sector = &sectors[at / CRASH_SECTOR_BYTES];
        if (sector->kept > 0 || sector->torn_bytes > 0 || crash_random_below(seed, 2) == 0)
            continue;
        for (size_t i = 0; i < CRASH_SECTOR_BYTES; i++)
            platter->data[at + i] = (uint8_t)crash_random(seed);
    }
}

static void lose_power(struct crash_file *file, enum luck luck, uint64_t *seed)
{
    size_t old_len = file->platter.len, len = old_len;

    for (const struct crash_change *c = file->changes; c != NULL; c = c->next) {
        size_t end = c->data != NULL ? c->offset + c->len : c->len;
        len = end > len ? end : len;
    }
    struct sector *sectors = must(calloc(len / CRASH_SECTOR_BYTES + 1, sizeof *sectors));
    for (const struct crash_change *c = file->changes; c != NULL; c = c->next)
        if (c->data != NULL)
            each_sector(c, sectors, NULL);
    draw_sectors(sectors, len / CRASH_SECTOR_BYTES + 1, luck, seed);
    for (const struct crash_change *c = file->changes; c != NULL; c = c->next) {
        if (c->data != NULL)
            each_sector(c, sectors, &file->platter);
        else if (luck == LUCK_KEPT || (luck == LUCK_MIXED && crash_random_below(seed, 2) == 0))
            bytes_resize(&file->platter, c->len);
    }
    if (luck == LUCK_MIXED)
        put_junk(&file->platter, old_len, sectors, seed);
    free(sectors);
    drop_changes(file);
    bytes_copy(&file->seen, &file->platter);
}

void crash_disk_power_on(struct crash_disk *disk, uint64_t seed)
{
    uint64_t draw = crash_random_below(&seed, 4);
    enum luck luck = draw == 0 ? LUCK_KEPT : draw == 1 ? LUCK_DROPPED : LUCK_MIXED;

    assert(disk->open_count == 0);
    for (size_t i = 0; i < disk->name_count; i++) {
        struct crash_name *entry = &disk->names[i];
        size_t which = luck == LUCK_KEPT      ? entry->version_count - 1
                       : luck == LUCK_DROPPED ? 0
                                              : crash_random_below(&seed, entry->version_count);
        entry->versions[0] = entry->versions[which];
        entry->version_count = 1;
    }
    forget_files(disk);
    for (struct crash_file *file = disk->files; file != NULL; file = file->next)
        lose_power(file, luck, &seed);
    disk->down = false;
    crash_disk_plan(disk, CRASH_NOTHING, 0);
}

/* ---- Life ------------------------------------------------------------------------- */

struct crash_image {
    size_t count;
    struct {
        char name[64];
        struct crash_bytes bytes;
    } files[CRASH_NAMES_MAX];
};

void crash_disk_init(struct crash_disk *disk, const char *label)
{
    *disk = (struct crash_disk){.fault = CRASH_NOTHING};
    snprintf(disk->label, sizeof disk->label, "%s", label);
}

void crash_disk_deinit(struct crash_disk *disk)
{
    assert(disk->open_count == 0);
    disk->name_count = 0;
    forget_files(disk);
}

void crash_disk_plan(struct crash_disk *disk, enum crash_fault fault, uint64_t at)
{
    disk->fault = fault;
    disk->fault_at = at;
    disk->operations = 0;
    disk->fault_came = false;
}

struct crash_image *crash_disk_save(const struct crash_disk *disk)
{
    struct crash_image *image = must(calloc(1, sizeof *image));

    for (size_t i = 0; i < disk->name_count; i++) {
        const struct crash_name *entry = &disk->names[i];
        const struct crash_file *file = entry->versions[entry->version_count - 1];
        if (file == NULL)
            continue;
        memcpy(image->files[image->count].name, entry->name, sizeof entry->name);
        bytes_copy(&image->files[image->count++].bytes, &file->seen);
    }
    return image;
}

void crash_disk_restore(struct crash_disk *disk, const struct crash_image *image)
{
    crash_disk_deinit(disk);
    disk->down = false;
    for (size_t i = 0; i < image->count; i++) {
        char name[sizeof image->files[i].name];
        snprintf(name, sizeof name, "%s%s", disk->label, strchr(image->files[i].name, '.'));
        struct crash_file *file = crash_disk_create(disk, name);
        bytes_copy(&file->seen, &image->files[i].bytes);
        bytes_copy(&file->platter, &image->files[i].bytes);
    }
    sync_names(disk);
    crash_disk_plan(disk, CRASH_NOTHING, 0);
}

void crash_image_free(struct crash_image *image)
{
    for (size_t i = 0; image != NULL && i < image->count; i++)
        free(image->files[i].bytes.data);
    free(image);
}
