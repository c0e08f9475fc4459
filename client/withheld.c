/* SPDX-License-Identifier: Apache-2.0 */
#include "withheld.h"

#include "relearn.h"
#include "sweep.h"

#include <stdio.h>

/* ---- What is kept ------------------------------------------------------------- */

bool withheld_load(struct store *store)
{
    struct store_withheld *withheld = &store->withheld;
    sqlite3_stmt *rows = store_statement(store, STORE_WITHHELD_ALL);

    withheld->count = 0;
    while (withheld->count < STORE_WITHHELD_MAX && store_step(store, rows) == STORE_ROW)
        withheld->list[withheld->count++] =
            (struct store_withheld_field){.type = (uint32_t)sqlite3_column_int64(rows, 0),
                                          .field = (uint32_t)sqlite3_column_int64(rows, 1)};
    sqlite3_reset(rows);
    return store_ok(store);
}

static bool has(const struct store_withheld *withheld, uint32_t type, uint32_t field)
{
    for (size_t i = 0; i < withheld->count; i++)
        if (withheld->list[i].type == type && withheld->list[i].field == field)
            return true;
    return false;
}

bool withheld_has_field(const struct store *store, uint32_t type, uint32_t field)
{
    return has(&store->withheld, type, field);
}

static void add(struct store_withheld *withheld, uint32_t type, uint32_t field)
{
    if (withheld->count < STORE_WITHHELD_MAX && !has(withheld, type, field))
        withheld->list[withheld->count++] = (struct store_withheld_field){type, field};
}

static struct store_withheld wanted_of(const Outpost__V1__Welcome *welcome)
{
    struct store_withheld wanted = {0};

    for (size_t i = 0; i < welcome->n_withheld_types; i++)
        add(&wanted, welcome->withheld_types[i], 0);
    for (size_t i = 0; i < welcome->n_withheld_fields; i++)
        if (welcome->withheld_fields[i]->field != 0)
            add(&wanted, welcome->withheld_fields[i]->type, welcome->withheld_fields[i]->field);
    return wanted;
}

static bool is_same(const struct store_withheld *a, const struct store_withheld *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (!has(b, a->list[i].type, a->list[i].field))
            return false;
    return a->count == b->count;
}

/* ---- Keeping ------------------------------------------------------------------- */

/* For the app: "table", or "table.column"; empty where this version knows no name. */
static void name_of(const struct store *store, const struct store_withheld_field *one, char *name,
                    size_t len)
{
    const struct record_type *type = record_type_by_number(store->schema, one->type);
    const struct record_field *field =
        type != NULL ? record_field_by_number(type, one->field) : NULL;

    name[0] = '\0';
    if (type != NULL && one->field == 0)
        snprintf(name, len, "%s", type->table);
    else if (field != NULL)
        snprintf(name, len, "%s.%s", type->table, field->name);
}

static bool write_all(struct store *store, const struct store_withheld *wanted)
{
    char name[160];

    if (!store_run(store, store_statement(store, STORE_WITHHELD_CLEAR)))
        return false;
    for (size_t i = 0; i < wanted->count; i++) {
        sqlite3_stmt *put = store_statement(store, STORE_WITHHELD_PUT);
        name_of(store, &wanted->list[i], name, sizeof name);
        if (put != NULL) {
            sqlite3_bind_int64(put, 1, wanted->list[i].type);
            sqlite3_bind_int64(put, 2, wanted->list[i].field);
            sqlite3_bind_text(put, 3, name, -1, SQLITE_STATIC);
        }
        if (!store_run(store, put))
            return false;
    }
    store->withheld = *wanted;
    return true;
}

static bool has_other_fields(const struct store_withheld *a, const struct store_withheld *b,
                             uint32_t type)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->list[i].type == type && a->list[i].field != 0 && !has(b, type, a->list[i].field))
            return true;
    return false;
}

/* Values move between columns and outpost_unknown; no content changes. */
static bool move_values(struct store *store, const struct store_withheld *was,
                        const struct store_withheld *wanted)
{
    for (size_t i = 0; i < store->schema->type_count; i++) {
        uint32_t type = store->schema->types[i].number;
        if ((has_other_fields(was, wanted, type) || has_other_fields(wanted, was, type)) &&
            !relearn_places(store, &store->tables[i]))
            return false;
    }
    return true;
}

static bool write_revisions(struct store *store, const Outpost__V1__Welcome *welcome)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_REVISIONS_SET);

    if (statement != NULL) {
        sqlite3_bind_int64(statement, 1, welcome->minimum_revision);
        sqlite3_bind_int64(statement, 2, welcome->recommended_revision);
    }
    return store_run(store, statement);
}

static bool revisions_known(struct store *store, const Outpost__V1__Welcome *welcome)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_REVISIONS_GET);
    bool known = store_step(store, statement) == STORE_ROW &&
                 sqlite3_column_int64(statement, 0) == welcome->minimum_revision &&
                 sqlite3_column_int64(statement, 1) == welcome->recommended_revision;

    sqlite3_reset(statement);
    return known;
}

bool withheld_take(struct store *store, const Outpost__V1__Welcome *welcome)
{
    struct store_withheld wanted = wanted_of(welcome), was = store->withheld;

    if (is_same(&was, &wanted) && revisions_known(store, welcome))
        return store_ok(store);
    return store_begin(store, STORE_NORMAL) && write_revisions(store, welcome) &&
           write_all(store, &wanted) && move_values(store, &was, &wanted) && store_commit(store);
}

bool withheld_drop(struct store *store, uint64_t *withdrawn)
{
    const struct store_withheld *withheld = &store->withheld;

    /* R22: nothing goes while an offer is due. */
    for (size_t i = 0; i < withheld->count && !store->offer_due; i++)
        if (withheld->list[i].field == 0 && !sweep_type(store, withheld->list[i].type, withdrawn))
            return false;
    return store_ok(store);
}
