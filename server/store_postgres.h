/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the PostgreSQL engine: what its files share. Each function runs in the
 * thread that owns the connection it is given.
 */
#ifndef OUTPOST_SERVER_STORE_POSTGRES_H
#define OUTPOST_SERVER_STORE_POSTGRES_H

#include "postgres_conn.h"
#include "push_set.h"

enum {
    /* Regions that one transaction locks: those of the batches of one region's
     * streams and of the families that they move. */
    POSTGRES_LOCKS_MAX = 128,
    /* Requests of one transaction: how long the first waits for the last. */
    POSTGRES_GROUP_MAX = 64,
};

/* DDL texts hold several statements, which only the simple protocol takes; these run
 * outside of pipelines. */
enum postgres_code postgres_run_text(struct postgres_conn *conn, const char *sql);
/* Brings the schema up to date, under a lock; refuses a newer one. Likewise. */
struct rpc_status postgres_migrate(struct postgres_conn *conn);
/* Its part that SQL cannot do: the type sums of all regions, from their records. */
enum postgres_code postgres_count_types(struct postgres_conn *conn);
/* FAILED_PRECONDITION unless the schema is just what this program knows. */
struct rpc_status postgres_check_schema(struct postgres_conn *conn);

/* The regions that a transaction locks, ascending. */
struct postgres_locks {
    size_t count;
    struct record_uuid regions[POSTGRES_LOCKS_MAX];
};

/* store_postgres_run.c: one try. Status and results are in the requests but for the
 * outcome, which is given back. */
struct postgres_group {
    struct store_push *pushes[POSTGRES_GROUP_MAX];
    size_t count;
    struct postgres_locks locks; /* as wide as the last try needed */
};

enum postgres_code postgres_run_group(struct postgres_conn *conn, const struct scope_roles *roles,
                                      struct record_hasher *hasher, struct postgres_group *group);
/* What reads look into: nothing that is committed later is seen. */
#define POSTGRES_BEGIN_SNAPSHOT "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
enum postgres_code postgres_run_request(struct postgres_conn *conn, const struct scope_roles *roles,
                                        struct record_hasher *hasher,
                                        struct store_request *request);

/* store_postgres_locks.c. */
/* False: no room. */
bool postgres_locks_add(struct postgres_locks *locks, const struct record_uuid *region);
/* The queries that lock, with those of an exchange of the caller's, and its results. */
struct postgres_lock_queries {
    size_t regions[POSTGRES_LOCKS_MAX];
    size_t global_head; /* when the global region is not locked: only its head is told */
};
void postgres_locks_send(struct postgres_conn *conn, const struct postgres_locks *locks,
                         struct postgres_lock_queries *queries);
enum postgres_code postgres_locks_take(struct postgres_conn *conn, struct push_set *set,
                                       const struct postgres_locks *locks,
                                       const struct postgres_lock_queries *queries);
/* Makes the counters of regions that nothing was written to yet, and commits them.
 * ABSENT: there were some. What was read with no lock on them may be old by now, since
 * another server may have made and used them meanwhile: all begins anew (R10). */
enum postgres_code postgres_locks_make(struct postgres_conn *conn,
                                       const struct postgres_locks *locks,
                                       const struct postgres_lock_queries *queries);

/* Waits until whatever is under way in the regions has ended: on a distributed PostgreSQL
 * a transaction of several shards may be answered, and seen in one, while in another its
 * part is prepared and holds the counter. In place of the read snapshot that the caller
 * had it begins a new one. */
enum postgres_code postgres_await_regions(struct postgres_conn *conn,
                                          const struct postgres_locks *regions);

/* store_postgres_load.c: the set of a push, under locks (R10). ABSENT: it must be
 * begun anew, with a new set, by the locks that are wider now. */
/* Begins the transaction, and loads what all batches need. refusals: of their authors,
 * one for each batch; NULL: that is not asked. */
enum postgres_code postgres_push_begin(struct postgres_conn *conn, struct push_set *set,
                                       struct push_batch *const *batches, size_t count,
                                       struct postgres_locks *locks,
                                       struct store_refusal *refusals);
/* Loads what a batch needs by now. */
enum postgres_code postgres_push_more(struct postgres_conn *conn, struct push_set *set,
                                      struct push_batch *batch, struct postgres_locks *locks);

/* store_postgres_push.c. All pushes of a group in one transaction; those of refused
 * authors are marked and left out. ABSENT as above. Not OK: roll back. */
enum postgres_code postgres_push(struct postgres_conn *conn, struct push_set *set,
                                 struct store_push *const *pushes, size_t count,
                                 struct postgres_locks *locks);
/* Its parts: begins, loads and decides; puts together the statements that write, of
 * which the exchange is the caller's. */
enum postgres_code postgres_push_decide(struct postgres_conn *conn, struct push_set *set,
                                        struct push_batch *const *batches, size_t count,
                                        struct postgres_locks *locks,
                                        struct store_refusal *refusals);
void postgres_push_write(struct postgres_conn *conn, struct push_set *set);
/* The COMMIT of a transaction that has written a set. */
enum postgres_code postgres_push_commit(struct postgres_conn *conn);

/* store_postgres_read.c: each inside a read snapshot that the caller has begun. */
enum postgres_code postgres_read_hello(struct postgres_conn *conn, const struct scope_roles *roles,
                                       struct store_hello *hello);
size_t postgres_send_head(struct postgres_conn *conn, const struct record_uuid *region_id);
void postgres_take_head(const PGresult *result, const struct record_uuid *region_id,
                        struct store_head *head_out);
/* The hash of the entry with that seq; zeros when there is none. */
size_t postgres_send_place(struct postgres_conn *conn, const struct record_uuid *region_id,
                           uint64_t seq);
void postgres_take_place(const PGresult *result, uint8_t hash_out[STORE_HASH_LEN]);
enum postgres_code postgres_read_heads(struct postgres_conn *conn, struct store_heads *heads);
/* Of these regions, their sums without those types. */
enum postgres_code postgres_read_heads_without(struct postgres_conn *conn, const uint32_t *types,
                                               size_t type_count, struct store_heads *heads);
enum postgres_code postgres_read_record(struct postgres_conn *conn, struct store_record_get *get);
enum postgres_code postgres_read_log(struct postgres_conn *conn, struct store_log_list *list);

/* store_postgres_page.c: likewise. */
enum postgres_code postgres_read_page(struct postgres_conn *conn, const struct scope_roles *roles,
                                      struct store_page *page);

/* Writes of the files from here on are inside a transaction that the caller has begun.
 * ask: the exchange with the query that is put together, and its result. */
enum postgres_code postgres_ask(struct postgres_conn *conn, const PGresult **result_out);
enum postgres_code postgres_change(struct postgres_conn *conn);

/* store_postgres_rollout.c. */
/* Of the devices that are in by name, this one alone; NULL: all. */
enum postgres_code postgres_read_rollouts(struct postgres_conn *conn,
                                          const struct record_uuid *device_id,
                                          struct rollouts *rollouts_out);
enum postgres_code postgres_read_rollouts_version(struct postgres_conn *conn,
                                                  uint64_t *version_out);
enum postgres_code postgres_rollout_change(struct postgres_conn *conn,
                                           const struct scope_roles *roles,
                                           struct store_rollout_change *change);
enum postgres_code postgres_rollout_review(struct postgres_conn *conn,
                                           struct store_rollout_review *review);
enum postgres_code postgres_sync_note(struct postgres_conn *conn,
                                      const struct store_sync_note *note);

/* store_postgres_device.c: devices and their standing, tokens. */
/* A device as it stands, without its settings. */
enum postgres_code postgres_read_device(struct postgres_conn *conn,
                                        const struct record_uuid *device_id,
                                        struct store_device *device_out, bool *found_out);
/* Its scope where it enrolled; region is left zero. */
struct scope_device postgres_scope_of(const struct store_device *device);
/* Makes the row if there is none; the standing becomes the given one. */
enum postgres_code postgres_write_device(struct postgres_conn *conn,
                                         const struct store_device *device);
/* Who is refused; one that is not known is not asked for here. The queries go with an
 * exchange of the caller's, and what they found is taken after that. */
struct postgres_refusals {
    size_t devices, rights;
};
struct postgres_refusals postgres_send_refusals(struct postgres_conn *conn,
                                                const struct store_caller *callers, size_t count);
void postgres_take_refusals(struct postgres_conn *conn, struct postgres_refusals queries,
                            const struct store_caller *callers, size_t count,
                            struct store_refusal *refusals);
enum postgres_code postgres_read_refused(struct postgres_conn *conn, struct store_refused *refused);
enum postgres_code postgres_caught_up(struct postgres_conn *conn,
                                      struct store_caught_up *caught_up);
/* Who pushes, as enrolled. ABSENT: the device is not known. */
enum postgres_code postgres_read_author(struct postgres_conn *conn, const struct scope_roles *roles,
                                        const struct record_uuid *device_id,
                                        struct scope_device *author_out);
enum postgres_code postgres_device_list(struct postgres_conn *conn, struct store_device_list *list);
enum postgres_code postgres_device_get(struct postgres_conn *conn, struct store_device_get *get);
enum postgres_code postgres_device_add(struct postgres_conn *conn,
                                       const struct store_device_add *add);
enum postgres_code postgres_device_change(struct postgres_conn *conn,
                                          const struct scope_roles *roles,
                                          struct store_device_change *change);
/* Whether there is a region record of that id. */
enum postgres_code postgres_region_known(struct postgres_conn *conn,
                                         const struct scope_roles *roles,
                                         const struct record_uuid *region, bool *known_out);
/* ABSENT: not known, or it names no region. closed_out may be NULL. */
enum postgres_code postgres_region_of_facility(struct postgres_conn *conn,
                                               const struct scope_roles *roles,
                                               const struct record_uuid *facility,
                                               struct record_uuid *region_out, bool *closed_out);

/* store_postgres_enrol.c: codes. */
enum postgres_code postgres_code_add(struct postgres_conn *conn, const struct scope_roles *roles,
                                     struct store_code_add *add);
enum postgres_code postgres_enrol(struct postgres_conn *conn, const struct scope_roles *roles,
                                  struct store_enrol *enrol);

/* store_postgres_copy.c: copies of a device's database (R23). */
enum postgres_code postgres_read_tokens(struct postgres_conn *conn,
                                        const struct record_uuid *device_id,
                                        struct token_pair *tokens_out);
/* The copy gets the settings of the device that it was copied from. */
enum postgres_code postgres_copy_settings(struct postgres_conn *conn,
                                          const struct store_device *copy);
enum postgres_code postgres_recertify(struct postgres_conn *conn,
                                      struct store_recertify *recertify);

/* store_postgres_setting.c. */
/* Puts what is set for the device over the defaults in settings. */
enum postgres_code postgres_read_settings(struct postgres_conn *conn,
                                          const struct record_uuid *enrolment_region,
                                          const struct record_uuid *device_id,
                                          struct settings *settings);
enum postgres_code postgres_setting_set(struct postgres_conn *conn, const struct scope_roles *roles,
                                        struct store_setting_set *set);

/* store_postgres_review.c: what waits for a person. The retry runs its own
 * transaction, the others are inside one. */
enum postgres_code postgres_quarantine_list(struct postgres_conn *conn,
                                            struct store_quarantine_list *list);
enum postgres_code postgres_quarantine_retry(struct postgres_conn *conn,
                                             const struct scope_roles *roles,
                                             struct record_hasher *hasher,
                                             struct store_quarantine_retry *retry);
enum postgres_code postgres_quarantine_discard(struct postgres_conn *conn,
                                               struct store_quarantine_discard *discard);
enum postgres_code postgres_conflict_list(struct postgres_conn *conn,
                                          struct store_conflict_list *list);
enum postgres_code postgres_conflict_resolve(struct postgres_conn *conn,
                                             struct store_conflict_resolve *resolve);

#endif
