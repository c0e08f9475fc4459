/* SPDX-License-Identifier: Apache-2.0
 *
 * merge.c and past.c against the rules R12 to R14, on a record type of the
 * test's own: every field rule, groups, deletes, lost bases and fields that
 * nobody knows; then a million generated cases with a naive oracle for the
 * promise that matters most: no value disappears unlisted (I6).
 */
#include "clash.h"
#include "suite.h"

#include <stdio.h>

enum { NOTE = 1, FIRST = 2, MOST = 3, ONCE = 4, HIGH = 5, LOW = 6, STRANGE = 90 };

static const struct record_field fields[] = {
    {.number = NOTE, .name = "note", .kind = RECORD_KIND_UINT32, .group = NOTE},
    {.number = FIRST,
     .name = "first",
     .kind = RECORD_KIND_UINT32,
     .group = FIRST,
     .merge = RECORD_MERGE_FIRST_WRITE},
    {.number = MOST,
     .name = "most",
     .kind = RECORD_KIND_INT32,
     .group = MOST,
     .merge = RECORD_MERGE_MAXIMUM},
    {.number = ONCE,
     .name = "once",
     .kind = RECORD_KIND_UINT32,
     .group = ONCE,
     .merge = RECORD_MERGE_ONE_WAY},
    {.number = HIGH, .name = "high", .kind = RECORD_KIND_UINT32, .group = HIGH},
    {.number = LOW, .name = "low", .kind = RECORD_KIND_UINT32, .group = HIGH},
};

static const struct record_type type = {
    .number = 10,
    .name = "Test",
    .table = "test",
    .family = RECORD_FAMILY_ROOT,
    .fields = fields,
    .field_count = sizeof fields / sizeof fields[0],
};

static const struct record_uuid anna = {{1}}, bela = {{2}};

/* ---- A record and its edits ------------------------------------------------ */

/* The record after each merge becomes the present one; its stamp is a number
 * made of the version, as if hashed. */
static struct merge_record present;
static struct merge_result result;

static uint64_t stamp_of(uint64_t version)
{
    return version * 1000003;
}

static struct wire_field number(uint32_t field, int64_t value)
{
    return (struct wire_field){.number = field, .type = WIRE_VARINT, .value = (uint64_t)value};
}

static void begin(void)
{
    memset(&present, 0, sizeof present);
    CU_ASSERT_TRUE(past_parse(rpc_bytes_view(NULL, 0), &present.past));
}

struct edit {
    uint64_t base;
    bool deletes;
    size_t count;
    struct wire_field values[8]; /* a value 0 clears the field */
};

static enum merge_status try_edit(const struct edit *edit, const struct record_uuid *device)
{
    struct record_mutation mutation = {.key = {.type = 10},
                                       .base_version = edit->base,
                                       .base_stamp = edit->base > 0 ? stamp_of(edit->base) : 0,
                                       .deletes = edit->deletes};
    struct record_body arriving = {.count = 0};

    for (size_t i = 0; i < edit->count; i++) {
        mutation.fields[mutation.field_count++] = edit->values[i].number;
        CU_ASSERT_TRUE(record_body_set(&arriving, &edit->values[i]));
    }
    return merge(&type, &present, &mutation, &arriving, device, &result);
}

static void apply(const struct edit *edit, const struct record_uuid *device)
{
    CU_ASSERT_EQUAL(try_edit(edit, device), MERGE_DONE);
    if (result.changed) {
        present = result.record;
        present.stamp = stamp_of(present.version);
    }
}

static int64_t value(uint32_t field)
{
    const struct wire_field *found = record_body_find(&present.body, field);

    return found != NULL ? (int64_t)found->value : 0;
}

static bool clashed(uint32_t group, bool arriving_lost)
{
    for (size_t i = 0; i < result.clash_count; i++)
        if (result.clashes[i].kind == MERGE_CLASH_FIELD && result.clashes[i].group == group &&
            result.clashes[i].arriving_lost == arriving_lost)
            return true;
    return false;
}

#define EDIT(base_version, ...)                                                          \
    &(struct edit)                                                                       \
    {                                                                                    \
        .base = base_version,                                                            \
        .count = sizeof((struct wire_field[]){__VA_ARGS__}) / sizeof(struct wire_field), \
        .values = {                                                                      \
            __VA_ARGS__                                                                  \
        }                                                                                \
    }

/* ---- Fields ---------------------------------------------------------------- */

static void test_R12_different_fields_of_two_devices_both_stay(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(EDIT(1, number(ONCE, 5)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &bela);
    CU_ASSERT_EQUAL(present.version, 3);
    CU_ASSERT_EQUAL(value(NOTE), 2);
    CU_ASSERT_EQUAL(value(ONCE), 5);
    CU_ASSERT_EQUAL(result.clash_count, 0);
    CU_ASSERT_TRUE(result.as_sent);
    CU_ASSERT_TRUE(result.others_since);
}

static void test_R12_the_later_arrival_wins_and_the_clash_is_listed(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &anna);
    apply(EDIT(1, number(NOTE, 3)), &bela);
    CU_ASSERT_EQUAL(value(NOTE), 3);
    CU_ASSERT_TRUE(clashed(NOTE, false));
}

static void test_R12_ones_own_later_edit_is_no_clash(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &anna);
    apply(EDIT(1, number(NOTE, 3)), &anna);
    CU_ASSERT_EQUAL(value(NOTE), 3);
    CU_ASSERT_EQUAL(result.clash_count, 0);
}

static void test_R12_the_same_value_from_two_devices_is_no_clash(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &bela);
    CU_ASSERT_FALSE(result.changed);
    CU_ASSERT_EQUAL(result.clash_count, 0);
}

static void test_first_write_never_changes(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(EDIT(1, number(FIRST, 7)), &bela);
    CU_ASSERT_EQUAL(value(FIRST), 7);
    apply(EDIT(2, number(FIRST, 8), number(NOTE, 2)), &bela);
    CU_ASSERT_EQUAL(value(FIRST), 7);
    CU_ASSERT_EQUAL(value(NOTE), 2);
    CU_ASSERT_TRUE(clashed(FIRST, true));
    CU_ASSERT_FALSE(result.as_sent);
    apply(EDIT(3, number(FIRST, 0)), &anna);
    CU_ASSERT_EQUAL(value(FIRST), 7);
    CU_ASSERT_FALSE(result.changed);
}

static void test_maximum_keeps_the_greater_signed_number(void)
{
    begin();
    apply(EDIT(0, number(MOST, -5)), &anna);
    apply(EDIT(1, number(MOST, -9)), &bela);
    CU_ASSERT_EQUAL(value(MOST), -5);
    CU_ASSERT_TRUE(clashed(MOST, true));
    apply(EDIT(1, number(MOST, 3)), &bela);
    CU_ASSERT_EQUAL(value(MOST), 3);
    CU_ASSERT_TRUE(result.as_sent);
}

static void test_one_way_is_never_cleared(void)
{
    begin();
    apply(EDIT(0, number(ONCE, 1), number(NOTE, 1)), &anna);
    apply(EDIT(1, number(ONCE, 2)), &bela);
    CU_ASSERT_EQUAL(value(ONCE), 2);
    apply(EDIT(2, number(ONCE, 0)), &bela);
    CU_ASSERT_EQUAL(value(ONCE), 2);
    CU_ASSERT_TRUE(clashed(ONCE, true));
}

static void test_R12_a_group_is_in_conflict_as_one(void)
{
    begin();
    apply(EDIT(0, number(HIGH, 140), number(LOW, 90)), &anna);
    apply(EDIT(1, number(HIGH, 150), number(LOW, 90)), &anna);
    apply(EDIT(1, number(HIGH, 140), number(LOW, 95)), &bela);
    CU_ASSERT_EQUAL(value(HIGH), 140);
    CU_ASSERT_EQUAL(value(LOW), 95);
    CU_ASSERT_EQUAL(result.clash_count, 1);
    CU_ASSERT_TRUE(clashed(HIGH, false));
}

static void test_I9_an_unknown_field_merges_and_survives(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1), number(STRANGE, 4)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &bela);
    CU_ASSERT_EQUAL(value(STRANGE), 4);
    apply(EDIT(1, number(STRANGE, 5)), &bela);
    CU_ASSERT_EQUAL(value(STRANGE), 5);
    CU_ASSERT_EQUAL(result.clash_count, 0);
    apply(EDIT(2, number(STRANGE, 6)), &anna);
    CU_ASSERT_TRUE(clashed(STRANGE, false));
}

/* ---- Bases ------------------------------------------------------------------ */

static void test_R12_a_base_of_a_lost_history_counts_as_changed_by_another(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1), number(ONCE, 1)), &anna);
    present.stamp = 42; /* not the stamp that the author's base names */
    apply(EDIT(1, number(NOTE, 2)), &anna);
    CU_ASSERT_EQUAL(value(NOTE), 2);
    CU_ASSERT_TRUE(clashed(NOTE, false));
    CU_ASSERT_TRUE(result.others_since);
}

static void test_R2_thirty_two_versions_back_are_recognised(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    for (uint64_t i = 1; i < 40; i++)
        apply(EDIT(i, number(NOTE, (int64_t)i + 1)), &anna);
    CU_ASSERT_EQUAL(present.version, 40);
    CU_ASSERT_EQUAL(try_edit(EDIT(8, number(ONCE, 1)), &anna), MERGE_DONE);
    CU_ASSERT_FALSE(result.others_since);
    CU_ASSERT_EQUAL(try_edit(EDIT(7, number(ONCE, 1)), &anna), MERGE_DONE);
    CU_ASSERT_TRUE(result.others_since);
}

static void test_a_recovered_version_is_not_counted_again(void)
{
    struct record_mutation mutation = {
        .key = {.type = 10}, .recovered_version = 9, .field_count = 1, .fields = {NOTE}};
    struct record_body arriving = {.count = 0};
    struct wire_field note = number(NOTE, 3);

    begin();
    record_body_set(&arriving, &note);
    CU_ASSERT_EQUAL(merge(&type, &present, &mutation, &arriving, &anna, &result), MERGE_DONE);
    CU_ASSERT_EQUAL(result.record.version, 9);
    CU_ASSERT_FALSE(result.as_sent);
    CU_ASSERT_EQUAL(result.record.past.created_version, 9);
}

/* A phone offers a copy of what its own edit was written on: not an edit of its own. */
static void test_R22_an_offer_clashes_with_ones_own_later_edit(void)
{
    struct record_mutation mutation = {
        .key = {.type = 10}, .recovered_version = 9, .field_count = 1, .fields = {NOTE}};
    struct record_body arriving = {.count = 0};
    struct wire_field note = number(NOTE, 3);

    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    record_body_set(&arriving, &note);
    CU_ASSERT_EQUAL(merge(&type, &present, &mutation, &arriving, &anna, &result), MERGE_DONE);
    CU_ASSERT_TRUE(clashed(NOTE, false));
    CU_ASSERT_TRUE(result.others_since);
}

/* The record came back as it was later: every value that differs has lost, a group once;
 * what is equal, or was emptied, has not. */
static void test_R8_what_comes_too_late_is_named_and_changes_nothing(void)
{
    struct record_mutation mutation = {
        .key = {.type = 10}, .field_count = 5, .fields = {NOTE, ONCE, HIGH, LOW, STRANGE}};
    struct record_body arriving = {.count = 0};
    const struct wire_field values[] = {number(NOTE, 2), number(HIGH, 140), number(LOW, 90),
                                        number(STRANGE, 4)};

    begin();
    apply(EDIT(0, number(NOTE, 1), number(ONCE, 1), number(HIGH, 150), number(STRANGE, 4)), &anna);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        CU_ASSERT_TRUE(record_body_set(&arriving, &values[i]));
    merge_lost(&type, &present, &mutation, &arriving, &result);
    CU_ASSERT_FALSE(result.changed);
    CU_ASSERT_EQUAL(result.record.version, 1);
    CU_ASSERT_EQUAL(result.clash_count, 2);
    CU_ASSERT_TRUE(clashed(NOTE, true));
    CU_ASSERT_TRUE(clashed(HIGH, true));
}

/* ---- Deletes ----------------------------------------------------------------- */

static void test_R14_delete_meets_edit_either_order(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(EDIT(1, number(NOTE, 2)), &anna);
    apply(&(struct edit){.base = 1, .deletes = true}, &bela);
    CU_ASSERT_FALSE(present.deleted);
    CU_ASSERT_EQUAL(result.clashes[0].kind, MERGE_CLASH_DELETE);
    CU_ASSERT_FALSE(result.changed);

    apply(&(struct edit){.base = 2, .deletes = true}, &bela);
    CU_ASSERT_TRUE(present.deleted);
    CU_ASSERT_EQUAL(present.version, 3);
    apply(EDIT(2, number(ONCE, 1)), &anna);
    CU_ASSERT_FALSE(present.deleted);
    CU_ASSERT_EQUAL(value(NOTE), 2);
    CU_ASSERT_EQUAL(result.clashes[0].kind, MERGE_CLASH_UNDELETE);
    CU_ASSERT_FALSE(result.as_sent);
}

static void test_an_edit_of_nothing_leaves_the_deleted_deleted(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(&(struct edit){.base = 1, .deletes = true}, &anna);
    apply(&(struct edit){.base = 2}, &bela);
    CU_ASSERT_FALSE(result.changed);
    CU_ASSERT_TRUE(present.deleted);
}

static void test_a_second_delete_changes_nothing(void)
{
    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    apply(&(struct edit){.base = 1, .deletes = true}, &anna);
    apply(&(struct edit){.base = 1, .deletes = true}, &bela);
    CU_ASSERT_FALSE(result.changed);
    CU_ASSERT_EQUAL(present.version, 2);
}

/* ---- The past ----------------------------------------------------------------- */

static void check_change(const struct past_change *one, const struct past_change *two)
{
    CU_ASSERT_EQUAL(one->group, two->group);
    CU_ASSERT_EQUAL(one->version, two->version);
    CU_ASSERT_EQUAL(record_uuid_compare(&one->device, &two->device), 0);
}

static void test_the_past_survives_its_encoding(void)
{
    struct rpc_buffer buffer;
    struct past parsed;

    begin();
    apply(EDIT(0, number(NOTE, 1)), &anna);
    for (uint64_t i = 1; i < 35; i++)
        apply(EDIT(i, number(i % 2 ? NOTE : ONCE, (int64_t)i + 5)), i % 3 ? &anna : &bela);
    rpc_buffer_init(&buffer, 65536);
    past_encode(&present.past, &buffer);
    CU_ASSERT_TRUE(past_parse(rpc_buffer_view(&buffer), &parsed));
    CU_ASSERT_EQUAL(parsed.change_count, present.past.change_count);
    for (size_t i = 0; i < parsed.change_count; i++)
        check_change(&parsed.changes[i], &present.past.changes[i]);
    CU_ASSERT_EQUAL(parsed.stamp_count, PAST_STAMPS_MAX);
    CU_ASSERT_EQUAL(memcmp(parsed.stamps, present.past.stamps, sizeof parsed.stamps), 0);
    CU_ASSERT_FALSE(past_parse(rpc_bytes_view(buffer.data, buffer.len - 1), &parsed));
    rpc_buffer_deinit(&buffer);
}

static void test_a_recovered_past_survives_its_encoding(void)
{
    struct past past = {.created_version = 7, .recovered_version = 9, .created_by = bela};
    struct past parsed;
    struct rpc_buffer buffer;

    rpc_buffer_init(&buffer, 1000);
    past_encode(&past, &buffer);
    wire_put_uint(&buffer, 15, 1); /* of a newer server */
    CU_ASSERT_TRUE(past_parse(rpc_buffer_view(&buffer), &parsed));
    CU_ASSERT_EQUAL(parsed.created_version, 7);
    CU_ASSERT_EQUAL(parsed.recovered_version, 9);
    CU_ASSERT_EQUAL(record_uuid_compare(&parsed.created_by, &bela), 0);
    CU_ASSERT_EQUAL(parsed.change_count + parsed.stamp_count, 0);
    rpc_buffer_deinit(&buffer);
}

/* What past_encode never writes is a corrupt store, and said to be. */
static void test_a_corrupt_past_is_refused(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x0a\x01\x00", 3},                         /* a creator of one byte */
        {"\x1a\x02\x10\x01", 4},                     /* a change without a group */
        {"\x1a\x01\x08", 3},                         /* a change that breaks off */
        {"\x1a\x05\x08\x01\x1a\x01\x00", 7},         /* a change by a device of one byte */
        {"\x22\x07\x00\x00\x00\x00\x00\x00\x00", 9}, /* seven eighths of a stamp */
        {"\x08", 1},
    };
    static struct past past;
    static uint8_t stamps[8 * (PAST_STAMPS_MAX + 1)];
    struct rpc_buffer buffer;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CU_ASSERT_FALSE(past_parse(rpc_bytes_view(cases[i].bytes, cases[i].len), &past));
    CU_ASSERT_TRUE(past_parse(rpc_bytes_view("\x1a\x04\x08\x01\x28\x01", 6), &past));
    rpc_buffer_init(&buffer, 65536);
    wire_put_bytes(&buffer, 4, rpc_bytes_view(stamps, sizeof stamps));
    CU_ASSERT_FALSE(past_parse(rpc_buffer_view(&buffer), &past));
    rpc_buffer_clear(&buffer);
    for (size_t i = 0; i <= RECORD_FIELDS_MAX; i++) {
        CU_ASSERT_EQUAL(past_parse(rpc_buffer_view(&buffer), &past), i <= RECORD_FIELDS_MAX);
        rpc_buffer_append(&buffer, "\x1a\x02\x08\x01", 4);
    }
    CU_ASSERT_FALSE(past_parse(rpc_buffer_view(&buffer), &past));
    rpc_buffer_deinit(&buffer);
}

/* R2: versions that a restored server never had are nobody's base. */
static void test_R2_versions_that_jumped_are_not_known(void)
{
    struct past past = {.stamp_count = 1, .stamps = {stamp_of(1)}};

    past_note_version(&past, 2, stamp_of(2), 5);
    CU_ASSERT_EQUAL(past.stamp_count, 4);
    CU_ASSERT_TRUE(past_has(&past, 5, stamp_of(5), 5, stamp_of(5)));
    CU_ASSERT_FALSE(past_has(&past, 5, stamp_of(5), 5, 1));
    CU_ASSERT_FALSE(past_has(&past, 5, stamp_of(5), 4, 0));
    CU_ASSERT_FALSE(past_has(&past, 5, stamp_of(5), 3, 0));
    CU_ASSERT_TRUE(past_has(&past, 5, stamp_of(5), 2, stamp_of(2)));
    CU_ASSERT_TRUE(past_has(&past, 5, stamp_of(5), 1, stamp_of(1)));
    CU_ASSERT_FALSE(past_has(&past, 5, stamp_of(5), 1, stamp_of(2)));
    CU_ASSERT_FALSE(past_has(&past, 5, stamp_of(5), 0, 0));
    CU_ASSERT_FALSE(past_has(&past, 5, stamp_of(5), 6, stamp_of(6)));
    past_note_version(&past, 5, stamp_of(5), 50);
    CU_ASSERT_EQUAL(past.stamp_count, PAST_STAMPS_MAX);
    CU_ASSERT_FALSE(past_has(&past, 50, stamp_of(50), 5, stamp_of(5)));
    past = (struct past){.stamp_count = 0};
    past_note_version(&past, 3, stamp_of(3), 4);
    CU_ASSERT_EQUAL(past.stamp_count, 1);
}

static void test_too_many_changed_groups_are_refused(void)
{
    begin();
    present.version = 1;
    present.stamp = stamp_of(1);
    for (uint32_t i = 0; i < RECORD_FIELDS_MAX; i++)
        CU_ASSERT_TRUE(past_note_change(&present.past, &(struct past_change){100 + i, 1, anna}));
    CU_ASSERT_TRUE(past_note_change(&present.past, &(struct past_change){100, 2, bela}));
    CU_ASSERT_EQUAL(try_edit(EDIT(1, number(NOTE, 1)), &anna), MERGE_TOO_MANY_FIELDS);
}

/* I9: a type that this server does not know: each field by itself, the later one wins. */
static void test_I9_a_record_of_an_unknown_type_merges(void)
{
    struct record_mutation mutation = {.key = {.type = 99},
                                       .base_version = 1,
                                       .base_stamp = stamp_of(1),
                                       .field_count = 1,
                                       .fields = {HIGH}};
    struct record_body arriving = {.count = 0};
    struct wire_field high = number(HIGH, 3);

    begin();
    apply(EDIT(0, number(HIGH, 1), number(LOW, 1)), &anna);
    CU_ASSERT_TRUE(record_body_set(&arriving, &high));
    CU_ASSERT_EQUAL(merge(NULL, &present, &mutation, &arriving, &bela, &result), MERGE_DONE);
    CU_ASSERT_TRUE(result.changed && result.as_sent);
    present = result.record;
    CU_ASSERT_EQUAL(value(HIGH), 3);
    CU_ASSERT_EQUAL(value(LOW), 1);
}

static void test_maximum_by_a_value_that_is_cleared(void)
{
    begin();
    apply(EDIT(0, number(MOST, 5)), &anna);
    apply(EDIT(1, number(MOST, 0)), &bela);
    CU_ASSERT_EQUAL(value(MOST), 0);
    apply(EDIT(2, number(ONCE, 0)), &bela); /* nothing there to keep */
    CU_ASSERT_FALSE(result.changed);
}

static void test_too_many_fields_are_refused(void)
{
    begin();
    for (uint32_t i = 0; i < RECORD_FIELDS_MAX; i++) {
        struct wire_field field = number(100 + i, 1);
        CU_ASSERT_TRUE(record_body_set(&present.body, &field));
    }
    present.version = 1;
    present.stamp = stamp_of(1);
    present.past.created_version = 1;
    CU_ASSERT_EQUAL(try_edit(EDIT(1, number(NOTE, 1)), &anna), MERGE_TOO_MANY_FIELDS);
}

/* ---- Generated histories -------------------------------------------------------- */

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % limit;
}

/* After every merge: the arriving value is in the record, or listed as having
 * lost; a stored value that another device wrote after the base and that was
 * replaced is listed too; what the edit does not name is untouched. */
static void check_nothing_disappeared(const struct merge_record *before, const struct edit *edit,
                                      const struct record_uuid *device)
{
    static const uint32_t all[] = {NOTE, FIRST, MOST, ONCE, STRANGE};

    for (size_t f = 0; f < sizeof all / sizeof all[0]; f++) {
        const struct wire_field *old = record_body_find(&before->body, all[f]);
        const struct wire_field *now = record_body_find(&result.record.body, all[f]);
        const struct wire_field *sent = NULL;
        bool named = false;
        for (size_t i = 0; i < edit->count; i++) {
            if (edit->values[i].number != all[f])
                continue;
            named = true;
            sent = edit->values[i].value != 0 ? &edit->values[i] : NULL;
        }
        if (!named) {
            CU_ASSERT_TRUE_FATAL(record_value_equal(old, now));
            continue;
        }
        CU_ASSERT_TRUE_FATAL(record_value_equal(now, sent) || clashed(all[f], true));
        struct past_change change;
        bool others = past_last_change(&before->past, all[f], old != NULL, &change) &&
                      change.version > edit->base &&
                      record_uuid_compare(&change.device, device) != 0;
        if (others && !record_value_equal(old, now))
            CU_ASSERT_TRUE_FATAL(clashed(all[f], false));
    }
}

static void test_I6_a_million_merges_and_no_value_disappears(void)
{
    static const uint32_t choice[] = {NOTE, FIRST, MOST, ONCE, STRANGE};
    static const struct record_uuid devices[] = {{{1}}, {{2}}, {{3}}};

    random_state = 20261122;
    printf("(seed %llu) ", (unsigned long long)random_state);
    for (int history = 0; history < 50000; history++) {
        begin();
        for (int step = 0; step < 20; step++) {
            struct edit edit = {.base = present.version > 0 ? random_below(present.version + 1) : 0,
                                .deletes = random_below(12) == 0};
            uint32_t mask = (uint32_t)random_below(31) + 1;
            for (uint32_t f = 0; f < 5 && !edit.deletes; f++)
                if (mask & 1u << f)
                    edit.values[edit.count++] = number(choice[f], (int64_t)random_below(6));
            struct merge_record before = present;
            const struct record_uuid *device = &devices[random_below(3)];
            apply(&edit, device);
            check_nothing_disappeared(&before, &edit, device);
            CU_ASSERT_EQUAL_FATAL(present.version, before.version + (result.changed ? 1 : 0));
        }
    }
}

/* ---- How clashes are kept --------------------------------------------------------- */

static void test_I6_a_kept_clash_is_read_as_it_was_and_a_cut_one_ends_the_entry(void)
{
    static const uint8_t value[] = {0x08, 0x07};
    const struct clash kept[] = {
        {.kind = MERGE_CLASH_FIELD,
         .group = NOTE,
         .arriving_lost = true,
         .arriving = rpc_bytes_view(value, sizeof value)},
        {.kind = MERGE_CLASH_UNDELETE, .stored = rpc_bytes_view(value, sizeof value)},
    };
    struct rpc_buffer scratch, entry;
    struct clash clash;

    rpc_buffer_init(&scratch, 1000);
    rpc_buffer_init(&entry, 1000);
    wire_put_uint(&entry, 1, 7); /* neither is a clash */
    wire_put_bytes(&entry, 9, rpc_bytes_view(value, sizeof value));
    for (size_t i = 0; i < 2; i++)
        clash_encode(&kept[i], &scratch, &entry);
    struct wire_reader reader = wire_reader_over(rpc_buffer_view(&entry));
    for (size_t i = 0; i < 2; i++) {
        CU_ASSERT_TRUE_FATAL(clash_next(&reader, &clash));
        CU_ASSERT_EQUAL(clash.kind, kept[i].kind);
        CU_ASSERT_EQUAL(clash.group, kept[i].group);
        CU_ASSERT_EQUAL(clash.arriving_lost, kept[i].arriving_lost);
        CU_ASSERT_TRUE(rpc_bytes_equal(clash.stored, kept[i].stored));
        CU_ASSERT_TRUE(rpc_bytes_equal(clash.arriving, kept[i].arriving));
    }
    CU_ASSERT_FALSE(clash_next(&reader, &clash));
    reader = wire_reader_over(rpc_bytes_view("\x0a\x02\x78\x01", 4)); /* of a newer server */
    CU_ASSERT_TRUE(clash_next(&reader, &clash));
    for (size_t len = 1; len < entry.len; len++) {
        size_t count = 0;
        reader = wire_reader_over(rpc_bytes_view(entry.data, len));
        while (clash_next(&reader, &clash))
            count++;
        CU_ASSERT_TRUE(count < 2);
    }
    rpc_buffer_deinit(&entry);
    rpc_buffer_deinit(&scratch);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_I6_a_kept_clash_is_read_as_it_was_and_a_cut_one_ends_the_entry),
        SUITE_TEST(test_R12_different_fields_of_two_devices_both_stay),
        SUITE_TEST(test_R12_the_later_arrival_wins_and_the_clash_is_listed),
        SUITE_TEST(test_R12_ones_own_later_edit_is_no_clash),
        SUITE_TEST(test_R12_the_same_value_from_two_devices_is_no_clash),
        SUITE_TEST(test_first_write_never_changes),
        SUITE_TEST(test_maximum_keeps_the_greater_signed_number),
        SUITE_TEST(test_one_way_is_never_cleared),
        SUITE_TEST(test_R12_a_group_is_in_conflict_as_one),
        SUITE_TEST(test_I9_an_unknown_field_merges_and_survives),
        SUITE_TEST(test_R12_a_base_of_a_lost_history_counts_as_changed_by_another),
        SUITE_TEST(test_R2_thirty_two_versions_back_are_recognised),
        SUITE_TEST(test_a_recovered_version_is_not_counted_again),
        SUITE_TEST(test_R22_an_offer_clashes_with_ones_own_later_edit),
        SUITE_TEST(test_R8_what_comes_too_late_is_named_and_changes_nothing),
        SUITE_TEST(test_R14_delete_meets_edit_either_order),
        SUITE_TEST(test_a_second_delete_changes_nothing),
        SUITE_TEST(test_an_edit_of_nothing_leaves_the_deleted_deleted),
        SUITE_TEST(test_maximum_by_a_value_that_is_cleared),
        SUITE_TEST(test_I9_a_record_of_an_unknown_type_merges),
        SUITE_TEST(test_the_past_survives_its_encoding),
        SUITE_TEST(test_a_recovered_past_survives_its_encoding),
        SUITE_TEST(test_a_corrupt_past_is_refused),
        SUITE_TEST(test_R2_versions_that_jumped_are_not_known),
        SUITE_TEST(test_too_many_changed_groups_are_refused),
        SUITE_TEST(test_too_many_fields_are_refused),
        SUITE_TEST(test_I6_a_million_merges_and_no_value_disappears),
    };

    return suite_run("merge", tests, sizeof tests / sizeof tests[0]);
}
