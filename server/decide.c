/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to each mutation of a batch (R10-R17), over a push_set.
 *
 *   known id ............ answered by its stored status (R11)
 *   new, before the journal that a restored server is owed .. retry (R8)
 *   not yours, but accepted once .. retry, for the author's days (R8)
 *   malformed, too large, not yours, not an administrator's .. quarantined
 *   parent or base not there ........ retry; nothing is kept (R13, R14)
 *   merged, and the result invalid .. quarantined, the record untouched (R12)
 *   merged, nothing changed ......... no effect, no seq (I8)
 *   else ............................ a new version, a log entry, a seq (I3)
 *
 * Nothing here reads or writes anything but the set and the batch.
 */
#include "clash.h"
#include "effects.h"

#include <stdlib.h>

enum {
    RESULT_ANSWERS = 1,
    RESULT_RECEIPT = 2,
    ANSWER_STATUS = 1,
    ANSWER_REASON = 2,
    ANSWER_FIELD = 3,
    ANSWER_RECORD = 4,
};

/* Scratch of one decision; too big for a stack. */
struct push_work {
    struct merge_record present;
    struct merge_result merged;
    struct record_body arriving;
    struct rpc_buffer body;
    struct rpc_buffer past;
    struct rpc_buffer answer;
    struct rpc_buffer clashes;
    struct rpc_buffer clash;
    struct rpc_buffer stored;
};

/* One item on its way through. */
struct decision {
    struct push_set *set;
    struct push_batch *batch;
    const struct push_item *item;
    const struct record_mutation *mutation; /* NULL: malformed */
    const struct record_type *type;         /* NULL: unknown here */
    struct push_record *record;
    struct push_family *family; /* NULL: a global record */
    struct push_known *known;
    struct scope_regions regions; /* where the record is, or would be made */
};

static const struct push_outcome accepted = {PUSH_MERGED, PUSH_REASON_NONE, 0};
static const struct push_outcome no_effect = {PUSH_NO_EFFECT, PUSH_REASON_NONE, 0};

static struct push_outcome quarantined(enum push_reason reason, uint32_t field)
{
    return (struct push_outcome){PUSH_QUARANTINED, reason, field};
}

static struct push_outcome retry(enum push_reason reason)
{
    return (struct push_outcome){PUSH_RETRY, reason, 0};
}

static bool work_ready(struct push_set *set)
{
    if (set->work != NULL)
        return true;
    set->work = calloc(1, sizeof *set->work);
    return set->work != NULL;
}

static void work_reset(struct push_work *work)
{
    struct rpc_buffer *buffers[] = {&work->body,    &work->past,  &work->answer,
                                    &work->clashes, &work->clash, &work->stored};

    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++) {
        buffers[i]->len_max = 4 * RECORD_ENVELOPE_BYTES_MAX;
        rpc_buffer_clear(buffers[i]);
    }
}

void push_work_free(struct push_work *work)
{
    if (work == NULL)
        return;
    rpc_buffer_deinit(&work->body);
    rpc_buffer_deinit(&work->past);
    rpc_buffer_deinit(&work->answer);
    rpc_buffer_deinit(&work->clashes);
    rpc_buffer_deinit(&work->clash);
    rpc_buffer_deinit(&work->stored);
    free(work);
}

/* ---- Before the merge --------------------------------------------------- */

/* Finds the set's entries of the item; all were added by push_needs. */
static void decision_begin(struct decision *decision)
{
    struct push_set *set = decision->set;
    bool added = false;

    decision->known = push_set_known(set, decision->batch, decision->item, &added);
    decision->mutation = decision->item->parsed ? decision->item->mutation : NULL;
    if (decision->mutation == NULL)
        return;
    const struct record_key *key = &decision->mutation->key;
    decision->type = record_type_by_number(set->roles->schema, key->type);
    decision->record = push_set_record(set, key, &added);
    if (!record_uuid_is_zero(&key->family))
        decision->family = push_set_family(set, &key->family, &added);
    if (decision->family != NULL)
        decision->regions = decision->family->regions;
    else
        scope_regions_add(&decision->regions, &scope_global_region);
}

/* The author's facility, where a new record leaves one empty. */
static struct wire_field own_facility(const struct decision *decision, uint32_t number)
{
    return (struct wire_field){
        .number = number,
        .type = WIRE_LEN,
        .bytes = rpc_bytes_view(decision->batch->device.facility.bytes, RECORD_UUID_LEN),
    };
}

/* The regions that a root which is not there yet would put its family in. */
static struct push_outcome place_new_family(struct decision *decision)
{
    struct push_work *work = decision->set->work;
    uint32_t home = decision->set->roles->root_facilities[0]->number;
    struct wire_field own = own_facility(decision, home);
    uint32_t field = 0;

    if (!record_body_parse(decision->mutation->body, &work->arriving))
        return quarantined(PUSH_REASON_MALFORMED, 0);
    if (record_body_find(&work->arriving, home) == NULL && !record_body_set(&work->arriving, &own))
        return quarantined(PUSH_REASON_TOO_LARGE, 0);
    if (!effects_regions_of_root(decision->set, &work->arriving, &decision->regions, &field))
        return quarantined(PUSH_REASON_UNKNOWN_FACILITY, field);
    return accepted;
}

static bool root_exists(struct decision *decision)
{
    struct record_key key = push_root_key(decision->set, &decision->mutation->key.family);
    bool added = false;
    const struct push_record *root = push_set_record(decision->set, &key, &added);

    return root != NULL && root->version > 0;
}

/* R15: what may be pushed is wider than what is sent: also of a family that has
 * left the region in the meantime, so that pending work survives a move. */
static bool may_write(const struct decision *decision)
{
    const struct scope_device *device = &decision->batch->device;
    struct record_uuid regions[SCOPE_WORKED_MAX];
    size_t count = scope_worked_in(device, regions);

    if (scope_may_write(device, &decision->regions))
        return true;
    for (size_t i = 0; i < count && decision->family != NULL; i++) {
        bool added = false;
        const struct push_marker *marker =
            push_set_marker(decision->set, &regions[i], &decision->family->id, &added);
        if (marker != NULL && marker->kind == PUSH_MARKER_LEFT)
            return true;
    }
    return false;
}

/* Everything that can be said before looking at fields. */
static struct push_outcome admit(struct decision *decision)
{
    const struct record_mutation *mutation = decision->mutation;
    const struct scope_device *device = &decision->batch->device;
    bool is_root;

    if (mutation == NULL)
        return quarantined(decision->item->bytes.len > RECORD_ENVELOPE_BYTES_MAX
                               ? PUSH_REASON_TOO_LARGE
                               : PUSH_REASON_MALFORMED,
                           0);
    if (!scope_key_fits(decision->set->roles->schema, &mutation->key))
        return quarantined(PUSH_REASON_MALFORMED, 0);
    if (decision->family == NULL && !device->admin)
        return quarantined(PUSH_REASON_NOT_ADMIN, 0);
    is_root = decision->family != NULL && mutation->key.type == decision->set->roles->root->number;
    /* First what is missing first: the device offers no more than is asked for (R13). */
    if (decision->family != NULL && !is_root && !root_exists(decision))
        return retry(PUSH_REASON_PARENT_MISSING);
    if (decision->record->version == 0 && mutation->base_version > 0)
        return retry(PUSH_REASON_UNKNOWN_BASE);
    if (is_root && decision->family->regions.count == 0) {
        struct push_outcome placed = place_new_family(decision);
        if (placed.status != PUSH_MERGED)
            return placed;
    }
    if (may_write(decision))
        return accepted;
    /* R8: it was its author's once; the move that made it so may come back. */
    return decision->item->acknowledged_version > 0 ? retry(PUSH_REASON_NOT_YOURS)
                                                    : quarantined(PUSH_REASON_NOT_YOURS, 0);
}

/* ---- The merge ---------------------------------------------------------- */

static bool present_load(const struct push_record *record, struct merge_record *present)
{
    present->version = record->version;
    present->deleted = record->deleted;
    present->stamp = record->stamp;
    if (record->version == 0) {
        present->body.count = 0;
        return past_parse(rpc_bytes_view(NULL, 0), &present->past);
    }
    return record_body_parse(record->body, &present->body) &&
           past_parse(record->past, &present->past);
}

/* Fills what the author of a new record left empty (Fill in options.proto). */
static void fill(const struct decision *decision, struct merge_result *merged)
{
    const struct record_type *type = decision->type;

    if (type == NULL || decision->record->version > 0 || decision->mutation->deletes)
        return;
    for (size_t i = 0; i < type->field_count; i++) {
        if (type->fields[i].fill != RECORD_FILL_DEVICE_FACILITY ||
            record_body_find(&merged->record.body, type->fields[i].number) != NULL)
            continue;
        struct wire_field field = own_facility(decision, type->fields[i].number);
        if (record_body_set(&merged->record.body, &field))
            merged->as_sent = false;
    }
}

/* R12: the merged record is valid, or the mutation is quarantined. When the
 * fault is in what the author sent the reason says which; when it lies only in
 * the meeting with others' changes it is merge_invalid. */
static struct push_outcome check_merged(const struct decision *decision,
                                        const struct merge_result *merged)
{
    if (decision->type == NULL || merged->record.deleted)
        return accepted;
    struct record_verdict verdict =
        record_validate(decision->type, &merged->record.body, decision->batch->now_ms);
    if (verdict.problem == RECORD_PROBLEM_NONE)
        return accepted;
    bool authors_own = record_mutation_sets(decision->mutation, verdict.field) &&
                       verdict.problem != RECORD_PROBLEM_CONTRADICTION;
    return quarantined(merged->others_since && !authors_own ? PUSH_REASON_MERGE_INVALID
                                                            : (enum push_reason)verdict.problem,
                       verdict.field);
}

/* R16: a root's body says where its family is. regions become those after the
 * mutation; false: it names a facility that is not known. */
static struct push_outcome place_merged(const struct decision *decision,
                                        const struct merge_result *merged,
                                        struct scope_regions *after_out)
{
    const struct push_set *set = decision->set;
    uint32_t field = 0;

    *after_out = decision->regions;
    if (decision->type != set->roles->root || decision->family->regions.count == 0 ||
        !push_names_facility(set->roles, decision->mutation))
        return accepted;
    if (!effects_regions_of_root(decision->set, &merged->record.body, after_out, &field))
        return quarantined(PUSH_REASON_UNKNOWN_FACILITY, field);
    return accepted;
}

/* ---- Writing into the set ------------------------------------------------ */

/* The values that one side has of the clash's group, of the fields that the
 * mutation sets. */
static void encode_side(const struct decision *decision, uint32_t group,
                        const struct record_body *body, struct rpc_buffer *side)
{
    const struct record_mutation *mutation = decision->mutation;

    rpc_buffer_clear(side);
    for (size_t i = 0; i < mutation->field_count; i++) {
        const struct wire_field *value =
            merge_group_of(decision->type, mutation->fields[i]) == group
                ? record_body_find(body, mutation->fields[i])
                : NULL;
        if (value != NULL)
            wire_put_field(side, value);
    }
}

static void encode_clash(const struct decision *decision, const struct merge_clash *merged)
{
    struct push_work *work = decision->set->work;
    struct clash clash = {
        .kind = merged->kind, .group = merged->group, .arriving_lost = merged->arriving_lost};

    encode_side(decision, merged->group, &work->present.body, &work->stored);
    encode_side(decision, merged->group, &work->arriving, &work->answer);
    clash.stored = rpc_buffer_view(&work->stored);
    clash.arriving = rpc_buffer_view(&work->answer);
    clash_encode(&clash, &work->clash, &work->clashes);
    if (work->stored.failed || work->answer.failed)
        decision->set->failed = true;
}

/* R12: listed until someone resolves it; also when the refused value was all. */
static bool add_conflict(struct decision *decision)
{
    struct push_set *set = decision->set;
    const struct merge_result *merged = &set->work->merged;

    if (merged->clash_count == 0)
        return true;
    struct push_conflict *conflict = arena_alloc(&set->arena, sizeof *conflict);
    if (conflict == NULL)
        return false;
    rpc_buffer_clear(&set->work->clashes);
    for (size_t i = 0; i < merged->clash_count; i++)
        encode_clash(decision, &merged->clashes[i]);
    *conflict = (struct push_conflict){
        .region = decision->regions.ids[0],
        .key = decision->mutation->key,
        .mutation_id = decision->item->id,
        .device = decision->batch->device.device_id,
        .version = merged->record.version,
        .received_at_ms = decision->batch->now_ms,
        .clashes = arena_dup(&set->arena, rpc_buffer_view(&set->work->clashes)),
        .mutation = arena_dup(&set->arena, decision->item->bytes),
    };
    *set->conflicts_end = conflict;
    set->conflicts_end = &conflict->next;
    return !set->work->clashes.failed && conflict->clashes.data != NULL &&
           conflict->mutation.data != NULL;
}

static bool add_quarantine(struct decision *decision)
{
    struct push_set *set = decision->set;
    struct push_quarantine *entry = arena_alloc(&set->arena, sizeof *entry);

    if (entry == NULL)
        return false;
    *entry = (struct push_quarantine){
        .known = decision->known,
        .device = decision->batch->device.device_id,
        .received_at_ms = decision->batch->now_ms,
        .mutation = arena_dup(&set->arena, decision->item->bytes),
    };
    *set->quarantines_end = entry;
    set->quarantines_end = &entry->next;
    return decision->item->bytes.len == 0 || entry->mutation.data != NULL;
}

static bool commit_merged(struct decision *decision, const struct scope_regions *after)
{
    struct push_set *set = decision->set;
    struct push_work *work = set->work;
    struct push_record *record = decision->record;
    const struct merge_record *merged = &work->merged.record;
    struct effects_before before = {record->version, record->deleted, record->stamp};
    struct effects_cause cause = {decision->item, &decision->batch->device,
                                  decision->batch->now_ms};

    if (decision->type == set->roles->root)
        effects_place(set, decision->family, record->version > 0 ? &work->present.body : NULL,
                      &merged->body);
    rpc_buffer_clear(&work->past);
    past_encode(&merged->past, &work->past);
    record->version = merged->version;
    record->deleted = merged->deleted;
    record->body = arena_dup(&set->arena, rpc_buffer_view(&work->body));
    record->past = arena_dup(&set->arena, rpc_buffer_view(&work->past));
    record->stamp = record_stamp(set->hasher, record->version, record->deleted, record->body);
    return !work->past.failed && record->body.len == work->body.len &&
           record->past.len == work->past.len &&
           effects_write(set, decision->family, record, &before, after, &cause);
}

/* ---- One item ----------------------------------------------------------- */

/* R7's short answer: the device can compute the new record by itself. */
static bool is_fast_forward(const struct decision *decision, uint64_t stamp_before,
                            uint64_t version_before)
{
    return decision->set->work->merged.as_sent && decision->item->held_stamp == stamp_before &&
           decision->record->version == version_before + 1;
}

/* Whether what a phone offers is a version that this record is known to have had. */
static bool is_of_the_past(const struct decision *decision)
{
    const struct record_mutation *offer = decision->mutation;
    const struct merge_record *present = &decision->set->work->present;
    uint64_t stamp =
        record_stamp(decision->set->hasher, offer->recovered_version, offer->deletes, offer->body);

    return past_has(&present->past, present->version, present->stamp, offer->recovered_version,
                    stamp);
}

/* R8, R22, I6: it has no effect, and what was written over since is not forgotten. */
static struct push_outcome keep_what_lost(struct decision *decision)
{
    struct push_work *work = decision->set->work;

    merge_lost(decision->type, &work->present, decision->mutation, &work->arriving, &work->merged);
    if (!add_conflict(decision))
        decision->set->failed = true;
    return no_effect;
}

static struct push_outcome merge_item(struct decision *decision)
{
    struct push_set *set = decision->set;
    struct push_work *work = set->work;
    const struct record_mutation *mutation = decision->mutation;
    uint64_t stamp_before = decision->record->stamp;
    uint64_t version_before = decision->record->version;

    if (!present_load(decision->record, &work->present)) {
        set->failed = true; /* a stored record that does not parse: a corrupt store */
        return retry(PUSH_REASON_BUSY);
    }
    if (!record_body_parse(mutation->body, &work->arriving))
        return quarantined(PUSH_REASON_MALFORMED, 0);
    if (mutation->recovered_version > 0 && version_before >= mutation->recovered_version)
        return is_of_the_past(decision) ? no_effect : keep_what_lost(decision);
    /* R8: a phone that held the record after it has given it back already. */
    if (decision->item->acknowledged_version > 0 &&
        decision->item->acknowledged_version <= work->present.past.recovered_version)
        return keep_what_lost(decision);
    if (merge(decision->type, &work->present, mutation, &work->arriving,
              &decision->batch->device.device_id, &work->merged) != MERGE_DONE)
        return quarantined(PUSH_REASON_TOO_LARGE, 0);
    fill(decision, &work->merged);

    struct scope_regions after;
    struct push_outcome outcome = check_merged(decision, &work->merged);
    if (outcome.status == PUSH_MERGED)
        outcome = place_merged(decision, &work->merged, &after);
    rpc_buffer_clear(&work->body);
    record_body_encode(&work->merged.record.body, &work->body);
    if (work->body.failed)
        set->failed = true;
    if (outcome.status == PUSH_MERGED && work->body.len > RECORD_BODY_BYTES_MAX)
        outcome = quarantined(PUSH_REASON_TOO_LARGE, 0);
    if (outcome.status != PUSH_MERGED)
        return outcome;

    if (!add_conflict(decision))
        set->failed = true;
    if (!work->merged.changed)
        return (struct push_outcome){PUSH_NO_EFFECT, PUSH_REASON_NONE, 0};
    if (!commit_merged(decision, &after))
        set->failed = true;
    decision->regions = after;
    if (is_fast_forward(decision, stamp_before, version_before))
        outcome.status = PUSH_APPLIED;
    return outcome;
}

/* The status that is kept with the id for ever (R1, R11). */
static void remember(struct decision *decision, struct push_outcome outcome)
{
    struct push_known *known = decision->known;

    if (outcome.status == PUSH_RETRY)
        return;
    known->present = true;
    known->dirty = true;
    known->status = outcome.status == PUSH_APPLIED ? PUSH_MERGED : outcome.status;
    known->reason = outcome.reason;
    known->field = outcome.field;
    if (outcome.status == PUSH_QUARANTINED && !add_quarantine(decision))
        decision->set->failed = true;
}

static struct push_outcome decide_item(struct decision *decision)
{
    const struct push_known *known = decision->known;

    if (known->present && !decision->batch->again) /* R11 */
        return (struct push_outcome){known->status == PUSH_QUARANTINED ? PUSH_QUARANTINED
                                                                       : PUSH_NO_EFFECT,
                                     known->reason, known->field};
    if (decision->item->waits)
        return retry(PUSH_REASON_BUSY);
    struct push_outcome outcome = admit(decision);
    if (outcome.status == PUSH_MERGED)
        outcome = merge_item(decision);
    remember(decision, outcome);
    return outcome;
}

/* ---- Answers ------------------------------------------------------------ */

static void put_answer(struct push_batch *batch, struct push_work *work,
                       struct push_outcome outcome, const struct push_record *record)
{
    rpc_buffer_clear(&work->answer);
    wire_put_uint(&work->answer, ANSWER_STATUS, outcome.status);
    wire_put_uint(&work->answer, ANSWER_REASON, outcome.reason);
    wire_put_uint(&work->answer, ANSWER_FIELD, outcome.field);
    if (record != NULL) {
        struct record_image image = {record->key, record->version, record->deleted, record->body};
        rpc_buffer_clear(&work->clash);
        record_image_encode(&image, &work->clash);
        wire_put_buffer(&work->answer, ANSWER_RECORD, &work->clash);
    }
    wire_put_buffer(&batch->result, RESULT_ANSWERS, &work->answer);
}

static void note_applied(const struct decision *decision)
{
    struct push_batch *batch = decision->batch;
    bool global = decision->family == NULL;
    struct push_row_key key = {global ? scope_global_region : batch->device.region,
                               decision->record->key};
    const struct push_row *row;

    HASH_FIND(hh, decision->set->rows, &key, sizeof key, row);
    if (row != NULL)
        batch->applied[batch->applied_count++] = (struct push_applied){global, row->seq};
}

/* Scope and content are read anew for every answer (R11). False: the item is
 * answered RETRY, because its record does not fit into this result. */
static bool answer(struct decision *decision, struct push_outcome outcome)
{
    struct push_batch *batch = decision->batch;
    struct push_work *work = decision->set->work;
    const struct push_record *record =
        decision->record != NULL && decision->record->version > 0 ? decision->record : NULL;
    bool inside = record != NULL && scope_may_read(&batch->device, &decision->regions);

    if (outcome.status == PUSH_RETRY) {
        put_answer(batch, work, outcome, NULL);
        return false;
    }
    if (outcome.status != PUSH_QUARANTINED && record != NULL && !inside) {
        put_answer(batch, work, (struct push_outcome){PUSH_OUT_OF_SCOPE, PUSH_REASON_NONE, 0},
                   NULL);
        return true;
    }
    if (outcome.status == PUSH_APPLIED) {
        note_applied(decision);
        put_answer(batch, work, outcome, NULL);
        return true;
    }
    if (inside && batch->result.len + record->body.len > PUSH_RESULT_BYTES_MAX) {
        put_answer(batch, work, retry(PUSH_REASON_BUSY), NULL);
        return false;
    }
    put_answer(batch, work, outcome, inside ? record : NULL);
    return true;
}

static void keep_receipt(struct push_receipts *receipts, const uint8_t hash[AUDIT_HASH_LEN])
{
    size_t kept =
        receipts->made_count < PUSH_RECEIPTS_MAX ? receipts->made_count : PUSH_RECEIPTS_MAX - 1;

    memcpy(receipts->last, hash, AUDIT_HASH_LEN);
    memmove(receipts->made[1], receipts->made[0], kept * AUDIT_HASH_LEN);
    memcpy(receipts->made[0], hash, AUDIT_HASH_LEN);
    receipts->made_count = kept + 1;
}

/* R8: a hash over the earlier receipt and the ids just answered for good. */
static bool put_receipt(struct push_set *set, struct push_batch *batch, const struct rpc_bytes *ids,
                        size_t id_count)
{
    bool added = false;
    struct push_receipts *receipts = push_set_receipts(set, &batch->device, &added);
    uint8_t hash[RECORD_SHA256_LEN];

    if (receipts == NULL)
        return false;
    if (id_count > 1) {
        record_hash(set->hasher, ids, id_count, hash);
        keep_receipt(receipts, hash);
    }
    wire_put_bytes(&batch->result, RESULT_RECEIPT, rpc_bytes_view(receipts->last, AUDIT_HASH_LEN));
    return true;
}

bool push_decide(struct push_set *set, struct push_batch *batch)
{
    bool added = false;
    struct push_receipts *receipts = push_set_receipts(set, &batch->device, &added);
    struct rpc_bytes *ids = arena_alloc(&set->arena, (batch->item_count + 1) * sizeof *ids);
    uint8_t before[AUDIT_HASH_LEN];
    size_t id_count = 0;

    free(batch->applied);
    batch->applied = calloc(batch->item_count + 1, sizeof *batch->applied);
    batch->applied_count = 0;
    rpc_buffer_clear(&batch->result);
    if (!work_ready(set) || receipts == NULL || ids == NULL || batch->applied == NULL)
        return false;
    memcpy(before, receipts->last, sizeof before);
    ids[id_count++] = rpc_bytes_view(before, sizeof before);

    for (size_t i = 0; i < batch->item_count && !set->failed; i++) {
        struct decision decision = {.set = set, .batch = batch, .item = &batch->items[i]};
        work_reset(set->work);
        decision_begin(&decision);
        struct push_outcome outcome = decide_item(&decision);
        batch->items[i].outcome = outcome;
        if (!set->failed && answer(&decision, outcome))
            ids[id_count++] =
                rpc_bytes_view(batch->items[i].id.bytes, sizeof batch->items[i].id.bytes);
    }
    if (set->failed || batch->result.failed)
        return false;
    return batch->again || (put_receipt(set, batch, ids, id_count) && !batch->result.failed);
}
