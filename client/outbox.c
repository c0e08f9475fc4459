/* SPDX-License-Identifier: Apache-2.0
 *
 * From pending records to exact bytes; see outbox.h.
 */
#include "outbox.h"

#include "apply.h"
#include "schema.h"

enum {
    /* Order of sending: global records (those that others refer to first), roots,
     * members; then deletions the other way round, so that no record is ever on
     * the server without its parent because of us (R14). */
    RANK_ROOT = 1000,
    RANK_MEMBER = 2000,
    RANK_DELETES = 10000,
    /* Records sealed in one transaction: as many as a Push may well hold, so that the server
     * has something to do after a few ms of it. */
    PART_DEFAULT = 2000,
    /* And in the first: what the first 64 KB carry, all that may leave before the server has
     * answered the connection's preface. */
    PART_FIRST = 1000,
};

/* What sealing one record works with; made once for a part. */
struct sealing {
    struct store *store;
    struct outbox_sealing *progress;
    bool first; /* nothing is sealed or rejected that it may meet */
    /* Whether what hangs on what was looked at last waits: the global records, or one root. */
    bool looked, waits;
    struct record_uuid looked_at;
    struct image row, base, held;
    struct record_body row_body, base_body; /* of row and base, parsed */
    struct rpc_buffer body;                 /* of the mutation */
    struct rpc_buffer mutation;             /* its bytes */
};

/* ---- Order ------------------------------------------------------------------------- */

/* How many references a global type is away from one that refers to nothing. */
static int depth(const struct record_schema *schema, const struct record_type *type, size_t limit)
{
    int deepest = 0;

    for (size_t i = 0; limit > 0 && i < type->field_count; i++) {
        const struct record_type *target = record_type_by_number(schema, type->fields[i].reference);
        if (target != NULL && target != type) {
            int below = 1 + depth(schema, target, limit - 1);
            deepest = below > deepest ? below : deepest;
        }
    }
    return deepest;
}

static int rank_of(const struct record_schema *schema, const struct record_type *type, bool deletes)
{
    int rank = RANK_MEMBER;

    if (type->family == RECORD_FAMILY_ROOT)
        rank = RANK_ROOT;
    else if (type->family == RECORD_FAMILY_GLOBAL)
        rank = depth(schema, type, schema->type_count);
    return deletes ? RANK_DELETES - rank : rank;
}

int outbox_rank(const struct record_schema *schema, uint32_t type_number)
{
    const struct record_type *type = record_type_by_number(schema, type_number);

    return type != NULL ? rank_of(schema, type, false) : RANK_MEMBER;
}

/* ---- Marks --------------------------------------------------------------------------- */

static bool put_problem(struct sealing *sealing, const struct record_key *key,
                        struct record_verdict verdict, enum store_statement which,
                        int64_t generation)
{
    sqlite3_stmt *statement = store_statement(sealing->store, which);

    if (statement == NULL)
        return false;
    store_bind_key(statement, key);
    sqlite3_bind_int(statement, 4, verdict.problem);
    sqlite3_bind_int64(statement, 5, verdict.field);
    if (which == STORE_REJECTED_PUT)
        sqlite3_bind_int64(statement, 6, generation);
    return store_run(sealing->store, statement);
}

static bool check(struct sealing *sealing, const struct record_type *type,
                  const struct record_key *key)
{
    struct record_verdict verdict = {RECORD_PROBLEM_NONE, 0};

    if (image_living(&sealing->row))
        verdict = record_validate(type, &sealing->row_body, sealing->progress->options.now_ms);
    if (verdict.problem == RECORD_PROBLEM_NONE)
        return store_delete_mark(sealing->store, STORE_WARNING_DELETE, key);
    return put_problem(sealing, key, verdict, STORE_WARNING_PUT, 0);
}

/* ---- Fields ---------------------------------------------------------------------------- */

static bool parse_images(struct sealing *sealing)
{
    return (record_body_parse(rpc_buffer_view(&sealing->row.body), &sealing->row_body) &&
            record_body_parse(rpc_buffer_view(&sealing->base.body), &sealing->base_body)) ||
           store_fail(sealing->store, OUTPOST_BUG, "a canonical body does not parse");
}

/* The row gets row_body, in the table and in sealing. One that would be too
 * large then stays as it is. */
static bool put_row(struct sealing *sealing, const struct record_key *key)
{
    struct rpc_buffer *encoded = &sealing->body;

    rpc_buffer_clear(encoded);
    record_body_encode(&sealing->row_body, encoded);
    if (!encoded->failed || encoded->no_memory) {
        rpc_buffer_clear(&sealing->row.body);
        rpc_buffer_append_bytes(&sealing->row.body, rpc_buffer_view(encoded));
        if (encoded->failed || sealing->row.body.failed)
            return store_fail(sealing->store, OUTPOST_IO, "no memory");
        if (!image_write_row(sealing->store, key, &sealing->row))
            return false;
    }
    return parse_images(sealing);
}

/* Empty fields that the device fills, in the row itself: of a record that the
 * server does not have, or has as a tombstone; then with what it had before. */
static bool fill(struct sealing *sealing, const struct record_type *type,
                 const struct record_key *key)
{
    const struct record_uuid *facility = &sealing->progress->options.facility_id;
    bool filled = false;

    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        struct wire_field value = {.number = field->number,
                                   .type = WIRE_LEN,
                                   .bytes = rpc_bytes_view(facility->bytes, RECORD_UUID_LEN)};
        if (field->fill != RECORD_FILL_DEVICE_FACILITY ||
            record_body_find(&sealing->row_body, field->number) != NULL)
            continue;
        const struct wire_field *old = record_body_find(&sealing->base_body, field->number);
        filled = record_body_set(&sealing->row_body, old != NULL ? old : &value) || filled;
    }
    return !filled || put_row(sealing, key);
}

/* The app's INSERT OR REPLACE leaves outpost_unknown empty; an app never edits
 * what it does not know, so that comes back from the base (I9). */
static bool restore_unknown(struct sealing *sealing, const struct record_type *type,
                            const struct record_key *key)
{
    const struct record_body *base = &sealing->base_body;
    bool restored = false;

    if (!sealing->base.present || !image_living(&sealing->row))
        return true;
    for (size_t i = 0; i < base->count; i++)
        if (!image_has_column(sealing->store, type, &base->fields[i]) &&
            record_body_find(&sealing->row_body, base->fields[i].number) == NULL)
            restored = record_body_set(&sealing->row_body, &base->fields[i]) || restored;
    return !restored || put_row(sealing, key);
}

static void add_field(struct record_mutation *mutation, uint32_t number)
{
    size_t at = mutation->field_count;

    if (record_mutation_sets(mutation, number) || at == RECORD_FIELDS_MAX)
        return;
    while (at > 0 && mutation->fields[at - 1] > number) {
        mutation->fields[at] = mutation->fields[at - 1];
        at--;
    }
    mutation->fields[at] = number;
    mutation->field_count++;
}

/* The field, and with it all of its merge group: a field that is listed has its group beside it. */
static void add_group(struct record_mutation *mutation, const struct record_type *type,
                      uint32_t number)
{
    const struct record_field *changed;

    if (record_mutation_sets(mutation, number))
        return;
    changed = record_field_by_number(type, number);
    add_field(mutation, number);
    for (size_t i = 0; changed != NULL && i < type->field_count; i++)
        if (type->fields[i].group == changed->group)
            add_field(mutation, type->fields[i].number);
}

/* Lists what differs; with all set, also what is recorded and does not differ:
 * then the server's copy is a tombstone, which the edit brings back to life. */
static void add_differences(struct record_mutation *mutation, const struct record_type *type,
                            const struct sealing *sealing, bool all)
{
    const struct record_body *row = &sealing->row_body, *base = &sealing->base_body;

    for (size_t i = 0; i < row->count; i++)
        if (all ||
            !record_value_equal(&row->fields[i], record_body_find(base, row->fields[i].number)))
            add_group(mutation, type, row->fields[i].number);
    for (size_t i = 0; i < base->count; i++)
        if (record_body_find(row, base->fields[i].number) == NULL)
            add_group(mutation, type, base->fields[i].number);
}

static bool put_values(const struct record_mutation *mutation, struct sealing *sealing)
{
    const struct record_body *row = &sealing->row_body;

    for (size_t i = 0; i < row->count; i++)
        if (record_mutation_sets(mutation, row->fields[i].number))
            wire_put_field(&sealing->body, &row->fields[i]);
    return !sealing->body.failed || store_fail(sealing->store, OUTPOST_IO, "no memory");
}

/* ---- One record --------------------------------------------------------------------------- */

static bool put_sealed(struct sealing *sealing, const struct record_type *type,
                       const struct record_mutation *mutation, int64_t generation)
{
    struct store *store = sealing->store;
    sqlite3_stmt *statement;
    struct record_mutation_id id;
    struct rpc_bytes sealed = rpc_buffer_view(&sealing->row.body);
    int64_t rank = rank_of(store->schema, type, mutation->deletes);

    rpc_buffer_clear(&sealing->mutation);
    record_mutation_encode(mutation, &sealing->mutation);
    if (sealing->mutation.failed)
        return store_fail(store, OUTPOST_IO, "no memory");
    id = record_mutation_id(store->hasher, rpc_buffer_view(&sealing->mutation));

    statement = store_statement(store, STORE_OUTBOX_PUT);
    if (statement == NULL)
        return false;
    store_bind_key(statement, &mutation->key);
    sqlite3_bind_int64(statement, 4, rank);
    store_bind_bytes(statement, 5, rpc_buffer_view(&sealing->mutation));
    store_bind_bytes(statement, 6, rpc_bytes_view(id.bytes, sizeof id.bytes));
    sqlite3_bind_int(statement, 7, mutation->deletes);
    if (rpc_bytes_equal(sealed, mutation->body))
        sealed.len = 0;
    store_bind_bytes(statement, 8, sealed);
    sqlite3_bind_int64(statement, 9, generation);
    sqlite3_bind_int64(statement, 10, rank << STORE_SEALED_SHIFT | ++sealing->progress->last);
    return store_run(store, statement) && check(sealing, type, &mutation->key) &&
           store_delete_mark(store, STORE_REJECTED_DELETE, &mutation->key);
}

static bool seal_images(struct sealing *sealing, const struct record_type *type,
                        const struct record_key *key, int64_t generation)
{
    struct record_mutation mutation = {.key = *key,
                                       .base_version = sealing->base.version,
                                       .base_stamp = sealing->base.stamp,
                                       .deletes = !image_living(&sealing->row)};
    bool unknown_there =
        sealing->held.deleted || (!sealing->base.present && !sealing->held.present);

    if (!mutation.deletes && unknown_there && !fill(sealing, type, key))
        return false;
    rpc_buffer_clear(&sealing->body);
    if (!mutation.deletes) {
        add_differences(&mutation, type, sealing, sealing->held.deleted);
        if (!put_values(&mutation, sealing))
            return false;
        /* Edited and edited back; the server's copy has moved on since (R5). */
        if (mutation.field_count == 0 && sealing->base.present)
            return apply_clean(sealing->store, key, &sealing->held, false);
    }
    mutation.body = rpc_buffer_view(&sealing->body);
    return put_sealed(sealing, type, &mutation, generation);
}

static bool seal_record(struct sealing *sealing, const struct record_type *type,
                        const struct record_key *key, int64_t generation)
{
    struct store *store = sealing->store;
    static const struct record_verdict too_large = {RECORD_PROBLEM_TOO_LARGE, 0};

    if (!image_read_base(store, key, &sealing->base) ||
        !image_read_held_over(store, key, &sealing->base, &sealing->held))
        return false;
    if (sealing->row.oversize || sealing->base.oversize)
        return put_problem(sealing, key, too_large, STORE_REJECTED_PUT, generation);
    if (!parse_images(sealing) || !restore_unknown(sealing, type, key))
        return false;
    /* A deleted record whose server's copy is only not held here (R20) is not deleted there. */
    bool deleted_unheld = image_living(&sealing->base) && !sealing->held.present;
    if (!deleted_unheld && image_same(&sealing->row, &sealing->held))
        return apply_clean(store, key, &sealing->held, true);
    return seal_images(sealing, type, key, generation);
}

/* ---- Parts ------------------------------------------------------------------------------------
 */

static const struct outbox_stage {
    enum record_family family;
    int rank; /* the last of what is sent before the next stage's */
    bool whole;
} stages[] = {
    {RECORD_FAMILY_GLOBAL, RANK_ROOT - 1, true},
    {RECORD_FAMILY_ROOT, RANK_ROOT, false},
    {RECORD_FAMILY_MEMBER, RANK_MEMBER, false},
};

enum { STAGE_COUNT = sizeof stages / sizeof stages[0] };

/* Global records that the app has made since those were sealed go with the next session, and
 * roots, which may refer to them, too. */
static bool look_at_globals(struct sealing *sealing)
{
    struct store *store = sealing->store;

    if (sealing->looked)
        return true;
    sealing->looked = true;
    sealing->waits = false;
    for (size_t i = 0; !sealing->waits && i < store->schema->type_count; i++) {
        sqlite3_stmt *unsealed;
        if (store->schema->types[i].family != RECORD_FAMILY_GLOBAL)
            continue;
        unsealed = store_statement(store, STORE_PENDING_UNSEALED_ANY);
        if (unsealed != NULL)
            sqlite3_bind_int64(unsealed, 1, store->schema->types[i].number);
        sealing->waits = store_step(store, unsealed) == STORE_ROW;
        sqlite3_reset(unsealed);
    }
    return store_ok(store);
}

/* A root that the app has made since the roots were sealed goes with the next session, and
 * its members with it (R14). */
static bool look_at_root(struct sealing *sealing, const struct record_uuid *family_id)
{
    struct store *store = sealing->store;
    struct record_key root = {
        .type = record_root_type(store->schema)->number, .family = *family_id, .id = *family_id};
    sqlite3_stmt *sealed;
    int64_t generation;

    if (sealing->looked && record_uuid_compare(&sealing->looked_at, family_id) == 0)
        return true;
    sealing->looked = true;
    sealing->looked_at = *family_id;
    if (!image_pending(store, &root, &sealing->waits, &generation) || !sealing->waits)
        return store_ok(store);
    sealed = store_statement(store, STORE_OUTBOX_GET);
    store_bind_key(sealed, &root);
    sealing->waits = store_step(store, sealed) == STORE_DONE;
    sqlite3_reset(sealed);
    if (sealing->waits)
        sealing->waits = image_read_base(store, &root, &sealing->base) && !sealing->base.present;
    return store_ok(store);
}

/* Whether what that record hangs on came too late for this session: in a part after the first. */
static bool look_at_parents(struct sealing *sealing, const struct record_type *type,
                            const struct record_key *key, bool *waits_out)
{
    bool good = true;

    *waits_out = false;
    if (!sealing->progress->begun)
        return true;
    if (type->family == RECORD_FAMILY_ROOT)
        good = look_at_globals(sealing);
    else if (type->family == RECORD_FAMILY_MEMBER)
        good = look_at_root(sealing, &key->family);
    *waits_out = sealing->waits;
    return good;
}

static void bind_position(const struct outbox_sealing *progress, sqlite3_stmt *statement)
{
    if (statement == NULL)
        return;
    if (progress->within) {
        store_bind_uuid(statement, 2, &progress->family_id);
        store_bind_uuid(statement, 3, &progress->id);
    } else {
        sqlite3_bind_zeroblob(statement, 2, 0);
        sqlite3_bind_zeroblob(statement, 3, 0);
    }
}

/* From where progress is on, *left records at most, which is counted down; 0: there may be more
 * of the type. Nothing that sealing a record writes is met again by the reading of
 * what is to be sealed. */
static bool seal_type(struct sealing *sealing, struct store_table *table, uint32_t *left)
{
    struct store *store = sealing->store;
    struct outbox_sealing *progress = sealing->progress;
    sqlite3_stmt *rows = schema_statement(store, table, TABLE_UNSEALED);
    int column = (int)table->type->field_count + 3;
    bool good = rows != NULL, waits;

    if (good)
        sqlite3_bind_int(rows, 1, sealing->first);
    bind_position(progress, rows);
    while (good && *left > 0 && store_step(store, rows) == STORE_ROW) {
        struct record_key key = {.type = table->type->number,
                                 .family = store_column_uuid(rows, column),
                                 .id = store_column_uuid(rows, column + 1)};
        int64_t generation = sqlite3_column_int64(rows, column + 2);
        --*left;
        progress->within = true;
        progress->family_id = key.family;
        progress->id = key.id;
        good = look_at_parents(sealing, table->type, &key, &waits);
        if (good && waits)
            continue;
        image_clear(&sealing->row);
        if (sqlite3_column_type(rows, column + 3) != SQLITE_NULL &&
            !image_read_columns(&sealing->row, rows, table->type))
            good = store_fail(store, OUTPOST_IO, "no memory");
        good = good && seal_record(sealing, table->type, &key, generation);
    }
    sqlite3_reset(rows);
    return good && store_ok(store);
}

static bool seal_stages(struct sealing *sealing)
{
    struct store *store = sealing->store;
    struct outbox_sealing *progress = sealing->progress;
    uint32_t left = progress->begun ? PART_DEFAULT : PART_FIRST;

    if (progress->options.part > 0)
        left = progress->options.part;

    for (; progress->stage < STAGE_COUNT; progress->stage++, progress->type = 0) {
        const struct outbox_stage *stage = &stages[progress->stage];
        sealing->looked = false;
        for (; progress->type < store->schema->type_count; progress->type++) {
            struct store_table *table = &store->tables[progress->type];
            uint32_t all = UINT32_MAX;
            if (table->type->family == stage->family &&
                !seal_type(sealing, table, stage->whole ? &all : &left))
                return false;
            if (left == 0)
                return true;
            progress->within = false;
        }
    }
    progress->done = true;
    return true;
}

static bool seal_next(struct sealing *sealing)
{
    struct store *store = sealing->store;
    struct outbox_sealing *progress = sealing->progress;
    sqlite3_stmt *last = store_statement(store, STORE_STATE_SEALED_GET);

    if (store_step(store, last) != STORE_ROW)
        return false;
    int64_t sealed = sqlite3_column_int64(last, 0);
    /* Between two parts another handle may seal, when it switches the facility. */
    progress->first = progress->begun ? progress->first && progress->last == sealed
                                      : !sqlite3_column_int(last, 1);
    progress->last = sealed;
    sealing->first = progress->first && !store->rejected_any;
    sqlite3_reset(last);
    if (!seal_stages(sealing))
        return false;
    progress->begun = true;
    last = store_statement(store, STORE_STATE_SEALED_SET);
    if (last != NULL)
        sqlite3_bind_int64(last, 1, progress->last);
    return store_run(store, last);
}

static bool anything_pending(struct store *store, bool *pending_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_PENDING_ANY);
    enum store_step step = store_step(store, statement);

    *pending_out = step == STORE_ROW;
    sqlite3_reset(statement);
    return step != STORE_FAILED;
}

bool outbox_seal_more(struct store *store, struct outbox_sealing *progress)
{
    struct sealing sealing = {.store = store, .progress = progress};
    bool good;

    if (progress->done)
        return true;
    image_init(&sealing.row);
    image_init(&sealing.base);
    image_init(&sealing.held);
    rpc_buffer_init(&sealing.body, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&sealing.mutation, RECORD_ENVELOPE_BYTES_MAX);
    good = seal_next(&sealing);
    rpc_buffer_deinit(&sealing.mutation);
    rpc_buffer_deinit(&sealing.body);
    image_deinit(&sealing.held);
    image_deinit(&sealing.base);
    image_deinit(&sealing.row);
    return good;
}

bool outbox_seal_part(struct store *store, struct outbox_sealing *progress)
{
    bool pending = true;

    if (!progress->begun && !anything_pending(store, &pending))
        return false;
    progress->done = progress->done || !pending;
    return progress->done || (store_begin(store, STORE_FULL) && outbox_seal_more(store, progress) &&
                              store_commit(store));
}

bool outbox_seal(struct store *store, const struct outbox_options *options)
{
    struct outbox_sealing sealing = {.options = *options};

    while (!sealing.done)
        if (!outbox_seal_part(store, &sealing))
            return false;
    return true;
}

int64_t outbox_end(const struct outbox_sealing *sealing)
{
    return sealing->done ? INT64_MAX
                         : ((int64_t)(stages[sealing->stage].rank + 1) << STORE_SEALED_SHIFT) - 1;
}

/* ---- Counts -------------------------------------------------------------------------------------
 */

static bool count(struct store *store, sqlite3_stmt *statement, uint64_t *count)
{
    if (store_step(store, statement) != STORE_ROW)
        return false;
    *count += (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return true;
}

bool outbox_unsealed(struct store *store, const struct outbox_sealing *sealing, uint64_t *count_out)
{
    struct outbox_sealing at = *sealing;

    *count_out = 0;
    for (; !at.done && at.stage < STAGE_COUNT; at.stage++, at.type = 0) {
        for (; at.type < store->schema->type_count; at.type++, at.within = false) {
            const struct record_type *type = store->tables[at.type].type;
            sqlite3_stmt *after = store_statement(store, STORE_PENDING_AFTER_COUNT);
            if (type->family != stages[at.stage].family)
                continue;
            if (after != NULL)
                sqlite3_bind_int64(after, 1, type->number);
            bind_position(&at, after);
            if (!count(store, after, count_out))
                return false;
        }
    }
    return true;
}

bool outbox_count(struct store *store, uint64_t *count_out)
{
    *count_out = 0;
    return count(store, store_statement(store, STORE_OUTBOX_COUNT), count_out);
}
