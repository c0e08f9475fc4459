/* SPDX-License-Identifier: Apache-2.0
 *
 * Pull and CaughtUp; see pull.h. A page's records are the hot path of a first
 * sync and are read at wire level, straight from the message; the field numbers
 * are those of proto/outpost/v1/sync.proto.
 */
#include "pull.h"

#include "apply.h"
#include "aside.h"
#include "feed.h"
#include "repair.h"
#include "schema.h"
#include "sweep.h"
#include "withheld.h"

#include "outpost/v1/sync.pb-c.h"

enum {
    PULL_RECORDS = 1,
    PULL_MARKERS = 2,
    PULL_CURSOR = 3,
    PULL_SNAPSHOT_COMPLETE = 4,
    PULL_SNAPSHOT_BEGIN = 5,
};

static bool malformed(struct store *store)
{
    return store_fail(store, OUTPOST_BUG, "the server sent a malformed page: report it");
}

static struct rpc_bytes bytes_of(const ProtobufCBinaryData *data)
{
    return rpc_bytes_view(data->data, data->len);
}

static enum store_class class_of_region(const struct record_uuid *region_id)
{
    return record_uuid_is_zero(region_id) ? CLASS_GLOBAL : CLASS_FAMILY;
}

/* ---- A page ----------------------------------------------------------------------- */

struct page {
    struct store *store;
    struct rpc_bytes message;
    struct image came;
    struct feed feed;
    int64_t session_ms;
    struct outpost_sync_result *result;
};

/* Calls back for each field of that number, in the page's order. */
static bool each(struct page *page, uint32_t number,
                 bool (*apply)(struct page *page, struct rpc_bytes bytes))
{
    struct wire_reader reader = wire_reader_over(page->message);
    struct wire_field field;
    enum wire_status status;

    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number != number)
            continue;
        if (field.type != WIRE_LEN)
            return malformed(page->store);
        if (!apply(page, field.bytes))
            return false;
    }
    return status == WIRE_END || malformed(page->store);
}

static bool begin_snapshot(struct page *page, struct rpc_bytes bytes)
{
    struct record_uuid region;

    if (!record_uuid_from_bytes(bytes, &region))
        return malformed(page->store);
    return repair_begins(page->store, &region, page->session_ms) &&
           sweep_begin(page->store, class_of_region(&region), page->session_ms);
}

static bool complete_snapshot(struct page *page, struct rpc_bytes bytes)
{
    struct record_uuid region;

    if (!record_uuid_from_bytes(bytes, &region))
        return malformed(page->store);
    return sweep_complete(page->store, class_of_region(&region), &page->result->withdrawn);
}

static bool apply_marker(struct page *page, struct rpc_bytes bytes)
{
    Outpost__V1__FamilyMarker *marker =
        outpost__v1__family_marker__unpack(NULL, bytes.len, bytes.data);
    struct record_uuid family;
    bool good;

    if (marker == NULL)
        return malformed(page->store);
    if (!record_uuid_from_bytes(bytes_of(&marker->family_id), &family) ||
        record_uuid_is_zero(&family))
        good = malformed(page->store);
    else if (marker->kind == OUTPOST__V1__FAMILY_MARKER__KIND__KIND_LEFT)
        good = apply_family_left(page->store, &family, &page->result->withdrawn);
    else if (marker->kind == OUTPOST__V1__FAMILY_MARKER__KIND__KIND_ENTERED)
        good = apply_family_entered(page->store, &family);
    else
        good = malformed(page->store);
    outpost__v1__family_marker__free_unpacked(marker, NULL);
    return good;
}

static bool apply_record(struct page *page, struct rpc_bytes bytes)
{
    struct store *store = page->store;
    struct store_table *table;
    struct record_image image;

    if (!record_image_parse(bytes, &image) || image.version == 0)
        return malformed(store);
    table = store_table(store, image.key.type);
    if (table != NULL && !schema_key_fits(table->type, &image.key))
        return malformed(store);
    page->result->pulled++;
    if (table != NULL && !image.deleted && feed_takes(store, table))
        return feed_add(&page->feed, table, &image);
    if (!image_take(&page->came, store->hasher, &image))
        return malformed(store);
    return feed_write(&page->feed) && apply_family_present(store, &image.key.family) &&
           apply_take(store, &image.key, &page->came);
}

static bool keep_cursor(struct page *page, struct rpc_bytes bytes)
{
    return store_put_bytes(page->store, STORE_STATE_CURSOR_SET, bytes);
}

bool pull_apply(struct store *store, struct rpc_bytes pull, int64_t session_ms,
                struct outpost_sync_result *result)
{
    struct outpost_sync_result counted = *result;
    struct page page = {
        .store = store, .message = pull, .session_ms = session_ms, .result = &counted};
    bool good;

    image_init(&page.came);
    feed_init(&page.feed, store);
    good = store_begin(store, STORE_NORMAL) && each(&page, PULL_SNAPSHOT_BEGIN, begin_snapshot) &&
           each(&page, PULL_MARKERS, apply_marker) && each(&page, PULL_RECORDS, apply_record) &&
           feed_write(&page.feed) && each(&page, PULL_SNAPSHOT_COMPLETE, complete_snapshot) &&
           apply_purge_left(store, &counted.withdrawn) && each(&page, PULL_CURSOR, keep_cursor) &&
           store_commit(store);
    if (good)
        *result = counted;
    feed_deinit(&page.feed);
    image_deinit(&page.came);
    return good;
}

/* ---- The end ------------------------------------------------------------------------- */

bool pull_region_agrees(const struct store *store, const struct record_uuid *region_id,
                        uint64_t records, uint64_t digest)
{
    const struct store_sum *sum = &store->sums[class_of_region(region_id)];

    return sum->records == records && sum->digest == digest;
}

static bool keep_region(struct store *store, const Outpost__V1__RegionState *region,
                        struct record_uuid *region_id_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REGION_PUT);

    if (!record_uuid_from_bytes(bytes_of(&region->region_id), region_id_out))
        return malformed(store);
    if (statement == NULL)
        return false;
    store_bind_uuid(statement, 1, region_id_out);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)region->seq);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)region->records);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)region->digest);
    return store_run(store, statement);
}

/* What the server has, kept and in classes: more than one family region cannot be told
 * apart here, and is not compared. */
static bool keep_regions(struct store *store, const Outpost__V1__CaughtUp *caught_up,
                         struct repair_region regions_out[CLASS_COUNT],
                         size_t counts_out[CLASS_COUNT])
{
    if (caught_up->n_regions > OUTPOST_REGIONS_MAX)
        return malformed(store);
    if (!store_run(store, store_statement(store, STORE_REGION_CLEAR)))
        return false;
    for (size_t i = 0; i < caught_up->n_regions; i++) {
        const Outpost__V1__RegionState *region = caught_up->regions[i];
        struct record_uuid region_id;
        if (!keep_region(store, region, &region_id))
            return false;
        enum store_class class = class_of_region(&region_id);
        counts_out[class]++;
        regions_out[class] =
            (struct repair_region){.region_id = region_id,
                                   .there = {.records = region->records, .digest = region->digest}};
    }
    return repair_keep_regions(store);
}

/* Whether a digest differs in a way that is news. */
static bool look_for_news(struct store *store, struct repair_region regions[CLASS_COUNT],
                          const size_t counts[CLASS_COUNT], int64_t now_ms, bool *news_out)
{
    *news_out = false;
    for (int class = 0; class < CLASS_COUNT; class ++) {
        struct repair_region *region = &regions[class];
        bool waits = false;
        region->here = store->sums[class];
        if (counts[class] != 1 || pull_region_agrees(store, &region->region_id,
                                                     region->there.records, region->there.digest))
            continue;
        if (!repair_waits(store, region, now_ms, &waits))
            return false;
        *news_out = *news_out || !waits;
    }
    return true;
}

static void note_repaired(struct outpost_sync_result *result, const struct record_uuid *region_id)
{
    if (result->repaired < OUTPOST_REPAIRED_MAX)
        memcpy(result->repaired_region_ids[result->repaired++], region_id->bytes, OUTPOST_ID_LEN);
}

/* R24, with work pending too. While offers wait the two sides differ by just these (R22).
 * recount: the rows are known to be damaged. */
static bool compare(struct store *store, const Outpost__V1__CaughtUp *caught_up, int64_t now_ms,
                    bool recount, struct outpost_sync_result *result)
{
    struct repair_region regions[CLASS_COUNT];
    size_t counts[CLASS_COUNT] = {0, 0};
    bool news;

    if (!keep_regions(store, caught_up, regions, counts))
        return false;
    result->digest_mismatch = false;
    if (store->offer_due)
        return true;
    if (!look_for_news(store, regions, counts, now_ms, &news))
        return false;
    recount = recount || news;
    if (recount && !repair_recount(store))
        return false;
    for (int class = 0; class < CLASS_COUNT; class ++) {
        enum repair_outcome outcome = REPAIR_AGREES;
        if (counts[class] != 1)
            continue;
        regions[class].here = store->sums[class];
        if (!repair_compare(store, &regions[class], now_ms, &outcome))
            return false;
        if (outcome == REPAIR_HELPED)
            note_repaired(result, &regions[class].region_id);
        result->digest_mismatch = result->digest_mismatch || outcome == REPAIR_DIFFERS;
    }
    result->recounted = result->recounted || (recount && !result->digest_mismatch);
    return true;
}

static bool trim_journal(struct store *store, int64_t now_ms)
{
    sqlite3_stmt *statement = store_statement(store, STORE_JOURNAL_TRIM);
    int64_t before_ms = now_ms - PULL_JOURNAL_DAYS * INT64_C(86400000);

    if (statement == NULL)
        return false;
    sqlite3_bind_int64(statement, 1, before_ms);
    return store_run(store, statement) && aside_trim(store, now_ms, before_ms);
}

static bool note_checked(struct store *store, int64_t now_ms)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_CHECKED_SET);

    if (statement != NULL) {
        sqlite3_bind_int64(statement, 1, now_ms);
        sqlite3_bind_int64(statement, 2, REPAIR_CHECK_MS);
    }
    return store_run(store, statement);
}

/* The offers are through: what had to wait for them goes now (R20, R22). */
static bool end_offers(struct store *store, uint64_t *withdrawn)
{
    sqlite3_stmt *statement;

    if (!store_run(store, store_statement(store, STORE_OFFER_DUE_CLEAR)))
        return false;
    statement = store_statement(store, STORE_STATE_OFFER_DUE_GET);
    if (store_step(store, statement) == STORE_ROW)
        store->offer_due = sqlite3_column_int(statement, 0);
    sqlite3_reset(statement);
    return apply_purge_left(store, withdrawn);
}

static bool take_caught_up(struct store *store, const Outpost__V1__CaughtUp *caught_up,
                           int64_t now_ms, bool recount, struct outpost_sync_result *result)
{
    return store_begin(store, STORE_FULL) && end_offers(store, &result->withdrawn) &&
           withheld_drop(store, &result->withdrawn) &&
           compare(store, caught_up, now_ms, recount, result) && store_save_sums(store) &&
           trim_journal(store, now_ms) && (store->offer_due || note_checked(store, now_ms)) &&
           (caught_up->cursor.len == 0 ||
            store_put_bytes(store, STORE_STATE_CURSOR_SET, bytes_of(&caught_up->cursor))) &&
           store_put_bytes(store, STORE_STATE_CAUGHT_UP_SET, bytes_of(&caught_up->next_token)) &&
           store_commit(store);
}

bool pull_caught_up(struct store *store, struct rpc_bytes message, int64_t now_ms,
                    struct outpost_sync_result *result)
{
    Outpost__V1__CaughtUp *caught_up =
        outpost__v1__caught_up__unpack(NULL, message.len, message.data);
    struct outpost_sync_result counted = *result;
    bool recount = false;
    bool good;

    if (caught_up == NULL)
        return malformed(store);
    good = repair_check(store, now_ms, &recount) &&
           take_caught_up(store, caught_up, now_ms, recount, &counted);
    if (good) {
        counted.caught_up = true;
        counted.caught_up_count++;
        *result = counted;
    }
    outpost__v1__caught_up__free_unpacked(caught_up, NULL);
    return good;
}
