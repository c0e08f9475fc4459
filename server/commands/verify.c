/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd verify: recomputes everything that hashes promise. For each region
 * the log is walked from its start (chain, mutation ids, density of seq) and
 * every record is read (stamp, digest, count).
 */
#include "command.h"

/* Walks of one region that others keep writing to. */
enum { WALKS_MAX = 10 };

struct walk {
    struct command *command;
    const struct store_head *head;
    json_t *problems;
    uint64_t entries;
    uint64_t records;
    uint64_t living;
    uint64_t digest;
};

static void problem(struct walk *walk, const char *what, uint64_t seq)
{
    json_array_append_new(walk->problems, json_pack("{s:o,s:I,s:s}", "region_id",
                                                    command_id_json(&walk->head->region_id), "seq",
                                                    (json_int_t)seq, "problem", what));
}

static void check_entry(struct walk *walk, const struct store_log_entry *logged,
                        uint8_t hash[AUDIT_HASH_LEN])
{
    struct record_hasher *hasher = walk->command->hasher;
    uint8_t expected[AUDIT_HASH_LEN];
    struct record_mutation_id id = record_mutation_id(hasher, logged->mutation);

    walk->entries++;
    if (logged->entry.seq != walk->entries)
        problem(walk, "an entry is missing before this one", logged->entry.seq);
    if (logged->entry.kind != AUDIT_COPY &&
        memcmp(id.bytes, logged->entry.mutation_id.bytes, sizeof id.bytes) != 0)
        problem(walk, "the mutation's bytes are not those of its id", logged->entry.seq);
    audit_hash(hasher, hash, &logged->entry, expected);
    if (memcmp(expected, logged->hash, sizeof expected) != 0)
        problem(walk, "the hash chain is broken here", logged->entry.seq);
    memcpy(hash, logged->hash, AUDIT_HASH_LEN);
    walk->entries = logged->entry.seq;
}

static struct rpc_status walk_log(struct walk *walk)
{
    uint8_t hash[AUDIT_HASH_LEN] = {0};
    struct rpc_status status;
    size_t count;

    do {
        struct store_log_list list = {.region_id = walk->head->region_id,
                                      .after_seq = walk->entries};
        status = command_run(walk->command, &list.request, STORE_LOG_LIST);
        count = rpc_ok(&status) ? list.entry_count : 0;
        for (size_t i = 0; i < count && list.entries[i].entry.seq <= walk->head->last.seq; i++)
            check_entry(walk, &list.entries[i], hash);
        arena_deinit(&list.arena);
    } while (rpc_ok(&status) && count == STORE_LIST_ROWS_MAX &&
             walk->entries < walk->head->last.seq);
    if (rpc_ok(&status) &&
        (walk->entries != walk->head->last.seq ||
         (walk->entries > 0 && memcmp(hash, walk->head->last.hash, AUDIT_HASH_LEN) != 0)))
        problem(walk, "the log does not end where the region's counter says", walk->head->last.seq);
    return status;
}

static void check_record(struct walk *walk, const struct store_row *row, struct rpc_bytes encoded)
{
    struct record_image image;

    walk->records++;
    if (!record_image_parse(encoded, &image)) {
        problem(walk, "a record does not parse", row->seq);
        return;
    }
    uint64_t stamp = record_stamp(walk->command->hasher, image.version, image.deleted, image.body);
    if (stamp != row->stamp)
        problem(walk, "a record is not the one that its stamp names", row->seq);
    if (image.deleted)
        return;
    walk->living++;
    walk->digest += record_digest_share(image.key.type, &image.key.id, stamp);
}

static struct rpc_status walk_records(struct walk *walk)
{
    uint64_t after_seq = 0;
    bool at_end = false;
    struct rpc_status status = rpc_status_ok();

    while (rpc_ok(&status) && !at_end) {
        struct store_page page = {.region_id = walk->head->region_id, .after_seq = after_seq};
        status = command_run(walk->command, &page.request, STORE_PAGE);
        for (size_t i = 0; rpc_ok(&status) && i < page.row_count; i++) {
            struct wire_reader reader = wire_reader_over(
                rpc_bytes_view(page.encoded.data + page.rows[i].offset, page.rows[i].len));
            struct wire_field field;
            if (wire_read(&reader, &field) == WIRE_FIELD)
                check_record(walk, &page.rows[i], field.bytes);
        }
        at_end = !rpc_ok(&status) || page.at_end;
        after_seq = page.place.seq;
        store_page_deinit(&page);
    }
    if (rpc_ok(&status) && walk->living != walk->head->records)
        problem(walk, "the living records are not as many as counted", walk->head->last.seq);
    if (rpc_ok(&status) && walk->digest != walk->head->digest)
        problem(walk, "the digest is not that of the records", walk->head->last.seq);
    return status;
}

/* Walks one region. A server may write meanwhile: when the head has moved the
 * walk says nothing, and is made again. */
static struct rpc_status verify_region(struct command *command, struct store_head *head,
                                       json_t *problems, json_t *regions)
{
    struct rpc_status status = rpc_status_ok();
    bool moved = true;

    for (int tries = 0; rpc_ok(&status) && moved && tries < WALKS_MAX; tries++) {
        struct store_heads now = {.region_count = 1, .regions = &head->region_id};
        struct walk walk = {.command = command, .head = head, .problems = json_array()};
        status = walk_log(&walk);
        if (rpc_ok(&status))
            status = walk_records(&walk);
        if (rpc_ok(&status))
            status = command_run(command, &now.request, STORE_HEADS);
        moved = rpc_ok(&status) && now.heads[0].last.seq != head->last.seq;
        if (rpc_ok(&status) && !moved) {
            json_array_extend(problems, walk.problems);
            json_array_append_new(regions, json_pack("{s:o,s:I,s:I,s:o}", "region_id",
                                                     command_id_json(&head->region_id), "entries",
                                                     (json_int_t)walk.entries, "records",
                                                     (json_int_t)walk.living, "digest",
                                                     command_digest_json(walk.digest)));
        }
        json_decref(walk.problems);
        if (moved)
            *head = now.heads[0];
        store_heads_deinit(&now);
    }
    if (rpc_ok(&status) && moved)
        return rpc_status_make(RPC_UNAVAILABLE,
                               "a region is written to faster than it can be walked: stop"
                               " outpostd serve, or try later");
    return status;
}

struct rpc_status command_verify(struct command *command)
{
    struct store_heads heads = {0};
    struct rpc_status status = command_run(command, &heads.request, STORE_HEADS);
    json_t *problems = json_array();
    json_t *regions = json_array();

    json_object_set_new(command->result, "regions", regions);
    json_object_set_new(command->result, "problems", problems);
    for (size_t i = 0; rpc_ok(&status) && i < heads.head_count; i++)
        status = verify_region(command, &heads.heads[i], problems, regions);
    store_heads_deinit(&heads);
    if (rpc_ok(&status) && json_array_size(problems) > 0)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "verify found %zu problems: restore the store from a backup and"
                               " keep this one for examination",
                               json_array_size(problems));
    return status;
}
