/* SPDX-License-Identifier: Apache-2.0 */
#include "repair.h"

#include "held.h"

/* ---- Checking --------------------------------------------------------------------- */

struct checking {
    struct store *store;
    struct store_sum sums[CLASS_COUNT];
    bool damaged;
};

static bool look_at(void *context, const struct held_copy *copy)
{
    struct checking *checking = context;

    checking->damaged = checking->damaged || held_is_damaged(copy);
    held_count(copy, checking->sums);
    return true;
}

static bool sums_equal(const struct store_sum *a, const struct store_sum *b)
{
    bool equal = true;

    for (int class = 0; class < CLASS_COUNT; class ++)
        equal = equal && a[class].records == b[class].records && a[class].digest == b[class].digest;
    return equal;
}

static bool check_is_due(struct store *store, int64_t now_ms, bool *due_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_CHECK_GET);
    enum store_step step = store_step(store, statement);
    int64_t next_ms = step == STORE_ROW ? sqlite3_column_int64(statement, 0) : 0;

    sqlite3_reset(statement);
    /* Far ahead: the server's clock was, and is put right. */
    *due_out = next_ms != 0 && (now_ms >= next_ms || next_ms - now_ms > REPAIR_CHECK_MS);
    return step != STORE_FAILED;
}

bool repair_check(struct store *store, int64_t now_ms, bool *recount_out)
{
    struct checking checking = {.store = store};
    const struct held_walk walk = {look_at, &checking};
    bool due;

    *recount_out = false;
    if (!check_is_due(store, now_ms, &due) || !due)
        return store_ok(store);
    /* A read transaction: the app's edits, which go on, change nothing that is held. */
    if (store_begin_read(store) && held_each(store, &walk))
        *recount_out = checking.damaged || !sums_equal(checking.sums, store->sums);
    store_end_read(store);
    return store_ok(store);
}

bool repair_check_soon(struct store *store)
{
    return store_begin(store, STORE_NORMAL) &&
           store_run(store, store_statement(store, STORE_STATE_CHECK_SOON)) && store_commit(store);
}

/* ---- Recounting -------------------------------------------------------------------- */

/* The stamp says what is there. A base keeps its own, which names what the user had
 * seen; then the held copy is kept beside it. */
static bool mend(struct store *store, const struct held_copy *copy)
{
    bool is_record = copy->true_stamp != 0;

    copy->image->stamp = copy->true_stamp;
    if (store_table(store, copy->key.type) == NULL)
        return image_write_unknown(store, &copy->key, copy->image);
    if (!copy->pending)
        return image_settle_row(store, &copy->key, copy->image);
    copy->image->present = is_record;
    return image_write_held(store, &copy->key, copy->image);
}

static bool count_and_mend(void *context, const struct held_copy *copy)
{
    struct checking *checking = context;

    held_count(copy, checking->sums);
    return !held_is_damaged(copy) || mend(checking->store, copy);
}

bool repair_recount(struct store *store)
{
    struct checking checking = {.store = store};
    const struct held_walk walk = {count_and_mend, &checking};

    if (!held_each(store, &walk))
        return false;
    for (int class = 0; class < CLASS_COUNT; class ++)
        store->sums[class] = checking.sums[class];
    store->sums_changed = true;
    return true;
}

/* ---- Repairing ------------------------------------------------------------------------ */

struct repair {
    bool noted; /* there is an entry */
    enum repair_state state;
    int64_t tries, next_ms;
    uint64_t difference; /* of the digests: it names the damage, whatever else changes */
};

static bool load(struct store *store, const struct record_uuid *region_id, struct repair *repair)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REPAIR_GET);
    enum store_step step;

    *repair = (struct repair){0};
    store_bind_uuid(statement, 1, region_id);
    step = store_step(store, statement);
    if (step == STORE_ROW) {
        repair->noted = true;
        repair->state = (enum repair_state)sqlite3_column_int(statement, 0);
        repair->tries = sqlite3_column_int64(statement, 1);
        repair->next_ms = sqlite3_column_int64(statement, 2);
        repair->difference = (uint64_t)sqlite3_column_int64(statement, 3);
        sqlite3_reset(statement);
    }
    return step != STORE_FAILED;
}

static bool save(struct store *store, const struct record_uuid *region_id,
                 const struct repair *repair)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REPAIR_PUT);

    store_bind_uuid(statement, 1, region_id);
    if (statement != NULL) {
        sqlite3_bind_int(statement, 2, repair->state);
        sqlite3_bind_int64(statement, 3, repair->tries);
        sqlite3_bind_int64(statement, 4, repair->next_ms);
        sqlite3_bind_int64(statement, 5, (sqlite3_int64)repair->difference);
    }
    return store_run(store, statement);
}

static bool forget(struct store *store, const struct record_uuid *region_id)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REPAIR_DELETE);

    store_bind_uuid(statement, 1, region_id);
    return store_run(store, statement);
}

static uint64_t difference_of(const struct repair_region *region)
{
    return region->there.digest - region->here.digest;
}

bool repair_waits(struct store *store, const struct repair_region *region, int64_t now_ms,
                  bool *waits_out)
{
    struct repair repair;
    bool good = load(store, &region->region_id, &repair);

    *waits_out = repair.noted && repair.state == REPAIR_WAITS && now_ms < repair.next_ms &&
                 repair.difference == difference_of(region);
    return good;
}

bool repair_compare(struct store *store, const struct repair_region *region, int64_t now_ms,
                    enum repair_outcome *outcome_out)
{
    uint64_t difference = difference_of(region);
    bool agrees = difference == 0 && region->here.records == region->there.records;
    struct repair repair;

    if (!load(store, &region->region_id, &repair))
        return false;
    *outcome_out = !agrees                            ? REPAIR_DIFFERS
                   : repair.state == REPAIR_UNDER_WAY ? REPAIR_HELPED
                                                      : REPAIR_AGREES;
    if (agrees)
        return !repair.noted || forget(store, &region->region_id);
    if (repair.tries == 0 || now_ms >= repair.next_ms ||
        (difference != repair.difference && repair.tries < REPAIR_AT_ONCE_MAX))
        repair.state = REPAIR_DUE;
    else if (repair.state == REPAIR_UNDER_WAY)
        repair.state = REPAIR_WAITS;
    repair.difference = difference;
    return save(store, &region->region_id, &repair);
}

bool repair_begins(struct store *store, const struct record_uuid *region_id, int64_t now_ms)
{
    int64_t wait_ms = REPAIR_WAIT_FIRST_MS;
    struct repair repair;

    if (!load(store, region_id, &repair) || !repair.noted)
        return store_ok(store);
    for (int64_t i = 0; i < repair.tries && wait_ms < REPAIR_WAIT_MOST_MS; i++)
        wait_ms *= 2;
    repair.state = REPAIR_UNDER_WAY;
    repair.tries++;
    repair.next_ms = now_ms + (wait_ms < REPAIR_WAIT_MOST_MS ? wait_ms : REPAIR_WAIT_MOST_MS);
    return save(store, region_id, &repair);
}

bool repair_keep_regions(struct store *store)
{
    return store_run(store, store_statement(store, STORE_REPAIR_PRUNE));
}

/* ---- Asking ------------------------------------------------------------------------------ */

bool repair_due(struct store *store, struct record_uuid ids_out[], size_t *count_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REPAIR_DUE);

    *count_out = 0;
    while (*count_out < OUTPOST_REGIONS_MAX && store_step(store, statement) == STORE_ROW)
        ids_out[(*count_out)++] = store_column_uuid(statement, 0);
    sqlite3_reset(statement);
    return store_ok(store);
}

bool repair_any_due(struct store *store, bool *any_out)
{
    struct record_uuid ids[OUTPOST_REGIONS_MAX];
    size_t count;
    bool good = repair_due(store, ids, &count);

    *any_out = count > 0;
    return good;
}
