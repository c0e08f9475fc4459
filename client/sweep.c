/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"

#include "apply.h"
#include "aside.h"
#include "image.h"
#include "resend.h"
#include "schema.h"

static bool run_for_class(struct store *store, enum store_statement which, enum store_class class)
{
    sqlite3_stmt *statement = store_statement(store, which);

    if (statement != NULL)
        sqlite3_bind_int(statement, 1, class == CLASS_GLOBAL);
    return store_run(store, statement);
}

static bool confirm_answered(struct store *store, int64_t session_ms)
{
    sqlite3_stmt *answered = store_statement(store, STORE_ANSWERED);

    if (answered != NULL)
        sqlite3_bind_int64(answered, 1, session_ms);
    while (store_step(store, answered) == STORE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(answered, 0),
                                 .family = store_column_uuid(answered, 1),
                                 .id = store_column_uuid(answered, 2)};
        if (!apply_confirm(store, &key))
            return false;
    }
    return store_ok(store);
}

/* On a new device there is none. */
static bool look_for_unconfirmed(struct store *store)
{
    sqlite3_stmt *statement = store_statement(store, STORE_UNCONFIRMED_ANY);
    enum store_step step = store_step(store, statement);

    store->unconfirmed_any = step != STORE_DONE;
    sqlite3_reset(statement);
    return step != STORE_FAILED;
}

bool sweep_begin(struct store *store, enum store_class class, int64_t session_ms)
{
    if (!run_for_class(store, STORE_UNCONFIRMED_CLEAR, class) ||
        !run_for_class(store, STORE_UNCONFIRMED_HELD, class) ||
        !run_for_class(store, STORE_UNCONFIRMED_UNKNOWN, class))
        return false;
    for (size_t i = 0; i < store->schema->type_count; i++) {
        struct store_table *table = &store->tables[i];
        bool global = table->type->family == RECORD_FAMILY_GLOBAL;
        if (global != (class == CLASS_GLOBAL))
            continue;
        if (!store_run(store, schema_statement(store, table, TABLE_UNCONFIRMED)) ||
            !store_run(store, schema_statement(store, table, BASE_UNCONFIRMED)))
            return false;
        table->fresh = true;
    }
    return look_for_unconfirmed(store) && confirm_answered(store, session_ms);
}

/* A row that no server sent (its version is 0) and no trigger marked is somebody's work,
 * done behind the triggers' back: it is sent (I6). */
static bool mark_unmarked(struct store *store, const struct record_key *key)
{
    struct image row;
    int64_t generation;
    bool pending, good;

    image_init(&row);
    good = image_pending(store, key, &pending, &generation) && image_read_row(store, key, &row);
    if (good && !pending && row.present && row.version == 0) {
        sqlite3_stmt *mark = store_statement(store, STORE_PENDING_PUT);
        if (row.stamp != 0)
            store_sum_remove(store, key, row.stamp);
        store->pending_any = true;
        store_bind_key(mark, key);
        good = store_run(store, mark);
    }
    image_deinit(&row);
    return good;
}

/* The server's snapshot did not have it. After a reset that may be the server's
 * loss, so it is offered first; only administrators can give back global ones. */
static bool sweep(struct store *store, const struct record_key *key, uint64_t *dropped)
{
    bool may_offer = store_class_of(key) == CLASS_FAMILY || store->admin;

    if (!apply_confirm(store, key) || !mark_unmarked(store, key))
        return false;
    if (store->offer_due && may_offer)
        return resend_offer_what_is_left(store, key);
    return apply_unheld(store, key, dropped);
}

/* Sweeps all that the statement, one of UNCONFIRMED_NEXT and UNCONFIRMED_OF_TYPE, finds. */
static bool sweep_all(struct store *store, enum store_statement which, uint32_t parameter,
                      uint64_t *dropped)
{
    struct record_key keys[STORE_KEYS_MAX];
    size_t count;

    store->unconfirmed_any = true;
    if (!aside_keep_unconfirmed(store))
        return false;
    do {
        sqlite3_stmt *statement = store_statement(store, which);
        if (statement != NULL)
            sqlite3_bind_int64(statement, 1, parameter);
        count = 0;
        while (count < STORE_KEYS_MAX && store_step(store, statement) == STORE_ROW) {
            keys[count].type = (uint32_t)sqlite3_column_int64(statement, 0);
            keys[count].family = store_column_uuid(statement, 1);
            keys[count].id = store_column_uuid(statement, 2);
            count++;
        }
        sqlite3_reset(statement);
        for (size_t i = 0; i < count; i++)
            if (!sweep(store, &keys[i], dropped))
                return false;
    } while (count > 0);
    return store_ok(store);
}

bool sweep_complete(struct store *store, enum store_class class, uint64_t *dropped)
{
    return sweep_all(store, STORE_UNCONFIRMED_NEXT, class == CLASS_GLOBAL, dropped);
}

/* ---- Types ----------------------------------------------------------------------- */

static bool run_for_type(struct store *store, enum store_statement which, uint32_t type)
{
    sqlite3_stmt *statement = store_statement(store, which);

    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, type);
    return store_run(store, statement);
}

static bool mark_type(struct store *store, uint32_t type)
{
    struct store_table *table = store_table(store, type);

    if (!run_for_type(store, STORE_UNCONFIRMED_TYPE_HELD, type) ||
        !run_for_type(store, STORE_UNCONFIRMED_TYPE_UNKNOWN, type))
        return false;
    return table == NULL || (store_run(store, schema_statement(store, table, TABLE_UNCONFIRMED)) &&
                             store_run(store, schema_statement(store, table, BASE_UNCONFIRMED)));
}

bool sweep_type(struct store *store, uint32_t type, uint64_t *dropped)
{
    bool any;

    if (!mark_type(store, type))
        return false;
    sqlite3_stmt *marked = store_statement(store, STORE_UNCONFIRMED_OF_TYPE);
    if (marked != NULL)
        sqlite3_bind_int64(marked, 1, type);
    any = store_step(store, marked) == STORE_ROW;
    sqlite3_reset(marked);
    return !any ? store_ok(store) : sweep_all(store, STORE_UNCONFIRMED_OF_TYPE, type, dropped);
}
