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
/* FAILED_PRECONDITION unless the schema is just what this program knows. */
struct rpc_status postgres_check_schema(struct postgres_conn *conn);

/* The regions that a transaction locks, ascending. */
struct postgres_locks {
    size_t count;
    struct record_uuid regions[POSTGRES_LOCKS_MAX];
};

/* store_postgres_load.c: the set of a push, under locks (R10). ABSENT: it must be
 * begun anew, with a new set, by the locks that are wider now. */
/* False: no room. */
bool postgres_locks_add(struct postgres_locks *locks, const struct record_uuid *region);
/* Begins the transaction, and loads what all batches need. revoked: whose author the
 * database refuses by now, one for each batch; NULL: that is not asked. */
enum postgres_code postgres_push_begin(struct postgres_conn *conn, struct push_set *set,
                                       struct push_batch *const *batches, size_t count,
                                       struct postgres_locks *locks, bool *revoked);
/* Loads what a batch needs by now. */
enum postgres_code postgres_push_more(struct postgres_conn *conn, struct push_set *set,
                                      struct push_batch *batch, struct postgres_locks *locks);

/* store_postgres_push.c. All pushes of a group in one transaction; revoked authors'
 * are marked and left out. ABSENT as above. Not OK: roll back. */
enum postgres_code postgres_push(struct postgres_conn *conn, struct push_set *set,
                                 struct store_push *const *pushes, size_t count,
                                 struct postgres_locks *locks);
/* Its parts: begins, loads and decides; puts together the statements that write, of
 * which the exchange is the caller's. */
enum postgres_code postgres_push_decide(struct postgres_conn *conn, struct push_set *set,
                                        struct push_batch *const *batches, size_t count,
                                        struct postgres_locks *locks, bool *revoked);
void postgres_push_write(struct postgres_conn *conn, struct push_set *set);

/* store_postgres_read.c: each inside a read snapshot that the caller has begun. */
enum postgres_code postgres_read_hello(struct postgres_conn *conn, const struct scope_roles *roles,
                                       struct store_hello *hello);
enum postgres_code postgres_read_page(struct postgres_conn *conn, struct store_page *page);
enum postgres_code postgres_read_heads(struct postgres_conn *conn, struct store_heads *heads);
enum postgres_code postgres_read_record(struct postgres_conn *conn, struct store_record_get *get);
enum postgres_code postgres_read_log(struct postgres_conn *conn, struct store_log_list *list);

/* store_postgres_device.c: devices, codes, tokens, settings; writes are inside a
 * transaction that the caller has begun. */
enum postgres_code postgres_read_revoked(struct postgres_conn *conn, struct store_revoked *revoked);
enum postgres_code postgres_device_list(struct postgres_conn *conn, struct store_device_list *list);
enum postgres_code postgres_read_settings(struct postgres_conn *conn,
                                          const struct record_uuid *enrolment_region,
                                          const struct record_uuid *device_id,
                                          struct settings *settings);
/* ABSENT: not known, or it names no region. closed_out may be NULL. */
enum postgres_code postgres_region_of_facility(struct postgres_conn *conn,
                                               const struct scope_roles *roles,
                                               const struct record_uuid *facility,
                                               struct record_uuid *region_out, bool *closed_out);
/* Who pushes, as enrolled. ABSENT: the device is not known. */
enum postgres_code postgres_read_author(struct postgres_conn *conn, const struct scope_roles *roles,
                                        const struct record_uuid *device_id,
                                        struct scope_device *author_out);
enum postgres_code postgres_caught_up(struct postgres_conn *conn,
                                      struct store_caught_up *caught_up);
enum postgres_code postgres_code_add(struct postgres_conn *conn, const struct scope_roles *roles,
                                     struct store_code_add *add);
enum postgres_code postgres_enrol(struct postgres_conn *conn, const struct scope_roles *roles,
                                  struct store_enrol *enrol);
enum postgres_code postgres_device_add(struct postgres_conn *conn,
                                       const struct store_device_add *add);
enum postgres_code postgres_device_set(struct postgres_conn *conn, struct store_device_set *set);
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
