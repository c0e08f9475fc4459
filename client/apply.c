/* SPDX-License-Identifier: Apache-2.0
 *
 * Images on the move; see apply.h. In short, for one record:
 *
 *                 the app edits
 *     clean ------------------------> pending: row | base | held (= base until
 *     row = held   (triggers: base)      |   a pull or an answer brings another)
 *       ^                                | seal (outbox.c)
 *       |  answered, row as sealed       v
 *       +----------------------------- sealed
 *       |                                | answered, row edited meanwhile:
 *       |                                |   base := sealed image, still pending
 *       |                                | quarantined:
 *       +--------------------------------+   rejected, base stays (R9)
 *          row = held again: apply_clean
 */
#include "apply.h"

#include "aside.h"
#include "resend.h"
#include "schema.h"

/* ---- Held copies ---------------------------------------------------------------- */

bool apply_confirm(struct store *store, const struct record_key *key)
{
    return store_delete_mark(store, STORE_UNCONFIRMED_DELETE, key);
}

static void recount(struct store *store, const struct record_key *key, const struct image *was,
                    const struct image *now)
{
    if (image_living(was))
        store_sum_remove(store, key, was->stamp);
    if (image_living(now))
        store_sum_add(store, key, now->stamp);
}

/* The explicit held copy of a pending record becomes that one. */
static bool replace_held(struct store *store, const struct record_key *key,
                         const struct image *held)
{
    struct image was;
    bool good;

    image_init(&was);
    good = image_read_held(store, key, &was);
    if (good) {
        recount(store, key, &was, held);
        good = image_write_held(store, key, held);
    }
    image_deinit(&was);
    return good;
}

static bool drop_held(struct store *store, const struct record_key *key)
{
    struct image none;

    image_init(&none);
    bool good = replace_held(store, key, &none);
    image_deinit(&none);
    return good;
}

static bool unmark(struct store *store, const struct record_key *key)
{
    static const enum store_statement marks[] = {STORE_PENDING_DELETE, STORE_REJECTED_DELETE,
                                                 STORE_WARNING_DELETE, STORE_HELD_DELETE};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (!store_delete_mark(store, marks[i], key))
            return false;
    return true;
}

bool apply_clean(struct store *store, const struct record_key *key, const struct image *held,
                 bool row_same)
{
    if (!unmark(store, key) || !image_delete_base(store, key) ||
        !aside_keep_tombstone(store, key, held))
        return false;
    if (row_same && image_living(held))
        return image_settle_row(store, key, held);
    return image_write_row(store, key, held);
}

/* ---- Taking (R6) ------------------------------------------------------------------ */

static bool take_unknown(struct store *store, const struct record_key *key,
                         const struct image *came)
{
    struct image was;
    bool good;

    image_init(&was);
    good = image_read_unknown(store, key, &was);
    if (good) {
        recount(store, key, &was, came);
        good = image_write_unknown(store, key, came);
    }
    image_deinit(&was);
    return good;
}

/* Whether the next record of a type is new is guessed from the last one: a
 * first sync inserts without looking, an update looks first. */
static bool take_clean(struct store *store, struct store_table *table, const struct record_key *key,
                       const struct image *came)
{
    bool conflict = true;
    uint64_t stamp;

    if (table->fresh && image_living(came)) {
        if (!image_insert_row(store, key, came, &conflict))
            return false;
        if (!conflict) {
            store_sum_add(store, key, came->stamp);
            return true;
        }
    }
    if (!image_held_stamp(store, key, &stamp))
        return false;
    table->fresh = stamp == 0;
    if (stamp == came->stamp && image_living(came))
        return true;
    if (stamp != 0)
        store_sum_remove(store, key, stamp);
    if (image_living(came))
        store_sum_add(store, key, came->stamp);
    return aside_keep_tombstone(store, key, came) && image_write_row(store, key, came);
}

static bool is_sealed(struct store *store, const struct record_key *key, bool *sealed_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_OUTBOX_GET);
    enum store_step step;

    store_bind_key(statement, key);
    step = store_step(store, statement);
    *sealed_out = step == STORE_ROW;
    sqlite3_reset(statement);
    return step != STORE_FAILED;
}

static bool take_pending(struct store *store, const struct record_key *key,
                         const struct image *came)
{
    struct image row;
    bool good, sealed = false;

    image_init(&row);
    good = replace_held(store, key, came) && is_sealed(store, key, &sealed);
    if (good && !sealed) {
        good = image_read_row(store, key, &row);
        if (good && image_same(&row, came))
            good = apply_clean(store, key, came, true);
    }
    image_deinit(&row);
    return good;
}

/* After a reset the server may have an older version than this device: then the
 * newer one is offered, as what the snapshot does not confirm at all (R22). */
static bool offer_newer(struct store *store, const struct record_key *key, const struct image *came)
{
    struct image held;
    bool good = true;

    if (!store->offer_due || (store_class_of(key) == CLASS_GLOBAL && !store->admin))
        return true;
    image_init(&held);
    if (store_table(store, key->type) != NULL)
        good = image_read_held(store, key, &held);
    else
        good = image_read_unknown(store, key, &held);
    if (good && held.present && held.version > came->version)
        good = resend_offer(store, key, &held);
    image_deinit(&held);
    return good;
}

bool apply_take(struct store *store, const struct record_key *key, const struct image *came)
{
    struct store_table *table = store_table(store, key->type);
    int64_t generation;
    bool pending;

    if (!apply_confirm(store, key) || !offer_newer(store, key, came))
        return false;
    if (table == NULL)
        return take_unknown(store, key, came);
    if (!image_pending(store, key, &pending, &generation))
        return false;
    return pending ? take_pending(store, key, came) : take_clean(store, table, key, came);
}

/* ---- Answers (R7) -------------------------------------------------------------------- */

/* The held copy with the mutation's fields, one version on. */
static bool fast_forward(struct store *store, struct rpc_bytes bytes, const struct image *held,
                         struct image *now)
{
    struct record_mutation mutation;
    struct record_body body, values;

    if (!record_mutation_parse(bytes, &mutation) ||
        !record_body_parse(rpc_buffer_view(&held->body), &body) ||
        !record_body_parse(mutation.body, &values))
        return store_fail(store, OUTPOST_BAD_INPUT, "an outbox entry is damaged");
    for (size_t i = 0; i < mutation.field_count; i++) {
        const struct wire_field *value = record_body_find(&values, mutation.fields[i]);
        if (value == NULL)
            record_body_remove(&body, mutation.fields[i]);
        else if (!record_body_set(&body, value))
            return store_fail(store, OUTPOST_BUG, "the server took a record with too many fields");
    }
    image_clear(now);
    record_body_encode(&body, &now->body);
    now->present = true;
    now->deleted = mutation.deletes;
    now->version = held->version + 1;
    image_stamp(now, store->hasher);
    return !now->body.failed || store_fail(store, OUTPOST_IO, "no memory");
}

/* The row was edited after it was sealed: what the server has of that edit's
 * base is the sealed image; what the user had seen stays what it was. A sealed
 * deletion's image is the base itself. */
static bool rebase(struct store *store, const struct sealed *sealed)
{
    struct record_mutation mutation;
    struct image base;
    bool good;

    if (!sealed->image.present)
        return true;
    image_init(&base);
    good = image_read_base(store, &sealed->key, &base);
    if (good) {
        bool there = base.present;
        uint64_t version = base.version, stamp = base.stamp;
        if (!there && record_mutation_parse(rpc_buffer_view(&sealed->mutation), &mutation)) {
            version = mutation.base_version;
            stamp = mutation.base_stamp;
        }
        good = image_copy(&base, &sealed->image) || store_fail(store, OUTPOST_IO, "no memory");
        base.version = version;
        base.stamp = stamp;
        good = good && image_write_base(store, &sealed->key, &base);
    }
    image_deinit(&base);
    return good;
}

/* generation: of the row that the server refused. */
static bool mark_rejected(struct store *store, const struct sealed *sealed, int64_t generation,
                          const struct answer *answer)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REJECTED_PUT);

    if (statement == NULL)
        return false;
    store_bind_key(statement, &sealed->key);
    sqlite3_bind_int64(statement, 4, answer->reason);
    sqlite3_bind_int64(statement, 5, answer->field);
    sqlite3_bind_int64(statement, 6, generation);
    return store_run(store, statement);
}

/* Moves row, base and held of an answered record; now is the server's copy. */
static bool settle(struct store *store, const struct sealed *sealed, const struct answer *answer,
                   const struct image *now)
{
    const struct record_key *key = &sealed->key;
    struct image row;
    int64_t generation;
    bool pending, good;

    image_init(&row);
    good = image_pending(store, key, &pending, &generation) && image_read_row(store, key, &row);
    if (good) {
        bool quarantined = answer->status == ANSWER_QUARANTINED;
        bool edited = generation != sealed->generation && !image_same(&row, &sealed->image);
        /* Out of scope, the server's copy is not told: a row that is gone is no answer's. */
        bool same = answer->status != ANSWER_OUT_OF_SCOPE && image_same(&row, now);
        if (same || (!edited && !quarantined))
            good = apply_clean(store, key, now, same);
        else
            good = image_write_held(store, key, now) &&
                   (quarantined ? mark_rejected(store, sealed,
                                                edited ? sealed->generation : generation, answer)
                                : rebase(store, sealed));
    }
    image_deinit(&row);
    return good;
}

/* R8: with the version that it made, a mutation can be told from what a restored
 * server has back already. */
static bool note_version(struct store *store, const struct sealed *sealed,
                         const struct answer *answer, const struct image *now)
{
    sqlite3_stmt *statement = store_statement(store, STORE_JOURNAL_VERSION_SET);

    if (answer->status == ANSWER_QUARANTINED || now->version == 0)
        return true;
    if (statement != NULL) {
        sqlite3_bind_int64(statement, 1, sealed->n);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)now->version);
    }
    return store_run(store, statement);
}

bool apply_answer(struct store *store, const struct sealed *sealed, const struct answer *answer)
{
    struct image held, now;
    uint64_t dropped = 0;
    bool good;

    image_init(&held);
    image_init(&now);
    good = apply_confirm(store, &sealed->key) && image_read_held(store, &sealed->key, &held);
    /* I14: the copy that this work was made on, before it goes. */
    if (good && answer->status == ANSWER_OUT_OF_SCOPE)
        good = aside_keep(store, &sealed->key);
    /* R20: taken, and in scope: what the family's mark of an earlier leaving says is over. */
    if (good && answer->status < ANSWER_QUARANTINED)
        good = apply_family_present(store, &sealed->key.family);
    if (good && answer->status == ANSWER_APPLIED)
        good = fast_forward(store, rpc_buffer_view(&sealed->mutation), &held, &now);
    else if (good && answer->status != ANSWER_OUT_OF_SCOPE)
        good = image_copy(&now, answer->record) || store_fail(store, OUTPOST_IO, "no memory");
    if (good) {
        recount(store, &sealed->key, &held, &now);
        good = settle(store, sealed, answer, &now) && note_version(store, sealed, answer, &now);
    }
    if (good && answer->status == ANSWER_OUT_OF_SCOPE)
        good = apply_family_left(store, &sealed->key.family, &dropped);
    image_deinit(&now);
    image_deinit(&held);
    return good;
}

bool apply_applied(struct store *store, const struct record_key *key, struct rpc_bytes mutation)
{
    struct image held, now;
    bool good;

    image_init(&held);
    image_init(&now);
    good = (store_table(store, key->type) != NULL ? image_read_held(store, key, &held)
                                                  : image_read_unknown(store, key, &held)) &&
           fast_forward(store, mutation, &held, &now) && apply_take(store, key, &now);
    image_deinit(&now);
    image_deinit(&held);
    return good;
}

/* ---- Families (R20) ---------------------------------------------------------------------- */

/* A clean record goes; not an edit, so nothing is marked. */
static bool drop_clean(struct store *store, const struct record_key *key)
{
    struct image none;
    uint64_t stamp;
    bool good;

    if (store_table(store, key->type) == NULL) {
        image_init(&none);
        good = take_unknown(store, key, &none);
        image_deinit(&none);
        return good;
    }
    if (!image_held_stamp(store, key, &stamp))
        return false;
    if (stamp != 0)
        store_sum_remove(store, key, stamp);
    image_init(&none);
    good = image_write_row(store, key, &none);
    image_deinit(&none);
    return good;
}

/* Reads keys of one family from a statement that selects ids (or type and id). */
static size_t read_keys(struct store *store, sqlite3_stmt *statement,
                        const struct record_uuid *family, uint32_t type,
                        struct record_key keys[STORE_KEYS_MAX])
{
    size_t count = 0;

    while (count < STORE_KEYS_MAX && store_step(store, statement) == STORE_ROW) {
        bool typed = type == 0;
        keys[count].family = *family;
        keys[count].type = typed ? (uint32_t)sqlite3_column_int64(statement, 0) : type;
        keys[count].id = store_column_uuid(statement, typed);
        count++;
    }
    sqlite3_reset(statement);
    return count;
}

static bool drop_clean_all(struct store *store, const struct record_key *keys, size_t count,
                           uint64_t *dropped)
{
    for (size_t i = 0; i < count; i++)
        if (!drop_clean(store, &keys[i]))
            return false;
    *dropped += count;
    return store_ok(store);
}

static bool drop_clean_rows(struct store *store, struct store_table *table,
                            const struct record_uuid *family, uint64_t *dropped)
{
    struct record_key keys[STORE_KEYS_MAX];
    size_t count;

    do {
        sqlite3_stmt *statement = schema_statement(store, table, TABLE_FAMILY);
        store_bind_uuid(statement, 1, family);
        count = read_keys(store, statement, family, table->type->number, keys);
        if (!drop_clean_all(store, keys, count, dropped))
            return false;
    } while (count == STORE_KEYS_MAX);
    return true;
}

static bool drop_unknown_records(struct store *store, const struct record_uuid *family,
                                 uint64_t *dropped)
{
    struct record_key keys[STORE_KEYS_MAX];
    size_t count;

    do {
        sqlite3_stmt *statement = store_statement(store, STORE_UNKNOWN_FAMILY);
        store_bind_uuid(statement, 1, family);
        count = read_keys(store, statement, family, 0, keys);
        if (!drop_clean_all(store, keys, count, dropped))
            return false;
    } while (count == STORE_KEYS_MAX);
    return true;
}

/* Held copies of a family's pending records of one type, in pages by id. */
static bool drop_pending_held(struct store *store, uint32_t type, const struct record_uuid *family,
                              bool *pending_out)
{
    struct record_key keys[STORE_KEYS_MAX];
    struct record_uuid after = {{0}};
    size_t count;

    do {
        sqlite3_stmt *statement = store_statement(store, STORE_PENDING_FAMILY);
        if (statement != NULL)
            sqlite3_bind_int64(statement, 1, type);
        store_bind_uuid(statement, 2, family);
        store_bind_uuid(statement, 3, &after);
        count = read_keys(store, statement, family, type, keys);
        for (size_t i = 0; i < count; i++)
            if (!drop_held(store, &keys[i]))
                return false;
        if (count > 0) {
            *pending_out = true;
            after = keys[count - 1].id;
        }
    } while (count == STORE_KEYS_MAX);
    return store_ok(store);
}

/* Clean records and held copies of a family go; pending_out: edits remain. */
static bool drop_family(struct store *store, const struct record_uuid *family, bool *pending_out,
                        uint64_t *dropped)
{
    *pending_out = false;
    for (size_t i = 0; i < store->schema->type_count; i++) {
        struct store_table *table = &store->tables[i];
        if (table->type->family == RECORD_FAMILY_GLOBAL)
            continue;
        if (!drop_clean_rows(store, table, family, dropped) ||
            !drop_pending_held(store, table->type->number, family, pending_out))
            return false;
    }
    return drop_unknown_records(store, family, dropped);
}

static bool run_with_family(struct store *store, enum store_statement which,
                            const struct record_uuid *family)
{
    sqlite3_stmt *statement = store_statement(store, which);

    store_bind_uuid(statement, 1, family);
    return store_run(store, statement);
}

bool apply_family_left(struct store *store, const struct record_uuid *family, uint64_t *dropped)
{
    bool pending = true;

    /* R22: while an offer is due the mark is all; apply_purge_left does the rest. */
    if (!store->offer_due &&
        (!aside_keep_family(store, family) || !drop_family(store, family, &pending, dropped)))
        return false;
    /* The mark waits for what is still pending; with nothing left of the family
     * it has nothing to do. */
    if (!pending)
        return run_with_family(store, STORE_LEFT_DELETE, family);
    store->left_any = true;
    return run_with_family(store, STORE_LEFT_PUT, family);
}

bool apply_family_entered(struct store *store, const struct record_uuid *family)
{
    uint64_t dropped = 0;
    bool pending;

    return apply_family_present(store, family) && drop_family(store, family, &pending, &dropped);
}

bool apply_family_present(struct store *store, const struct record_uuid *family)
{
    return !store->left_any || run_with_family(store, STORE_LEFT_DELETE, family);
}

bool apply_purge_left(struct store *store, uint64_t *dropped)
{
    struct record_uuid family = {{0}};

    /* R22: nothing is purged while an offer is due. */
    while (store->left_any && !store->offer_due) {
        sqlite3_stmt *statement = store_statement(store, STORE_LEFT_AFTER);
        store_bind_uuid(statement, 1, &family);
        if (store_step(store, statement) != STORE_ROW)
            break;
        family = store_column_uuid(statement, 0);
        sqlite3_reset(statement);
        if (!apply_family_left(store, &family, dropped))
            return false;
    }
    return store_ok(store);
}

/* ---- What the server does not have ------------------------------------------------------- */

bool apply_unheld(struct store *store, const struct record_key *key, uint64_t *dropped)
{
    int64_t generation;
    bool pending;

    if (!image_pending(store, key, &pending, &generation))
        return false;
    if (pending)
        return drop_held(store, key);
    (*dropped)++;
    return drop_clean(store, key);
}
