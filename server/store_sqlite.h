/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the SQLite engine: what its files share. Each function runs in the
 * thread that owns the connection it is given.
 */
#ifndef OUTPOST_SERVER_STORE_SQLITE_H
#define OUTPOST_SERVER_STORE_SQLITE_H

#include "push_set.h"
#include "sqlite_conn.h"

/* Makes or brings up to date the schema; DATA_LOSS-free: refuses a newer one. */
struct rpc_status sqlite_migrate(struct sqlite_conn *conn);

/* store_sqlite_run.c: executes requests in the caller's thread; status and results are
 * in them, done() is not called. */
struct sqlite_runner {
    struct sqlite_conn writer;
    struct record_hasher *hasher;
    struct store_options options;
};

struct rpc_status sqlite_runner_open(struct sqlite_runner *runner, const char *file, bool create,
                                     const struct store_options *options);
/* Accepts one that failed to open. */
void sqlite_runner_deinit(struct sqlite_runner *runner);

/* All in one transaction, in their order (R10). */
void sqlite_run_writes(struct sqlite_runner *runner, struct store_request *const *requests,
                       size_t count);
/* In a read snapshot of its own. */
void sqlite_run_read(struct sqlite_conn *conn, const struct scope_roles *roles,
                     struct store_request *request);

/* store_sqlite_push.c: inside a write transaction. */
int sqlite_push_load(struct sqlite_conn *conn, struct push_set *set,
                     const struct push_batch *batch);
int sqlite_push_write(struct sqlite_conn *conn, struct push_set *set);

/* store_sqlite_read.c: inside a read transaction. */
int sqlite_read_hello(struct sqlite_conn *conn, const struct scope_roles *roles,
                      struct store_hello *hello);
int sqlite_read_head(struct sqlite_conn *conn, const struct record_uuid *region_id,
                     struct store_head *head_out);
int sqlite_read_head_and_types(struct sqlite_conn *conn, const struct record_uuid *region_id,
                               struct store_head *head_out, struct type_sums *types_out);
/* Its sums without those types. */
int sqlite_read_head_without(struct sqlite_conn *conn, const struct record_uuid *region_id,
                             const uint32_t *types, size_t type_count, struct store_head *head_out);
/* The hash of the entry with the place's seq; zeros when there is none. */
int sqlite_read_place_hash(struct sqlite_conn *conn, const struct record_uuid *region_id,
                           struct store_place *place);
int sqlite_read_heads(struct sqlite_conn *conn, struct store_heads *heads);
int sqlite_read_record(struct sqlite_conn *conn, struct store_record_get *get);
int sqlite_read_log(struct sqlite_conn *conn, struct store_log_list *list);

/* store_sqlite_page.c: inside a read transaction. */
int sqlite_read_page(struct sqlite_conn *conn, const struct scope_roles *roles,
                     struct store_page *page);

/* store_sqlite_review.c: what waits for a person. */
int sqlite_quarantine_list(struct sqlite_conn *conn, struct store_quarantine_list *list);
int sqlite_quarantine_retry(struct sqlite_conn *conn, const struct scope_roles *roles,
                            struct record_hasher *hasher, struct store_quarantine_retry *retry);
int sqlite_quarantine_discard(struct sqlite_conn *conn, struct store_quarantine_discard *discard);
int sqlite_conflict_list(struct sqlite_conn *conn, struct store_conflict_list *list);
int sqlite_conflict_resolve(struct sqlite_conn *conn, struct store_conflict_resolve *resolve);

/* store_sqlite_enrol.c: codes. */
int sqlite_code_add(struct sqlite_conn *conn, const struct scope_roles *roles,
                    struct store_code_add *add);
int sqlite_enrol(struct sqlite_conn *conn, const struct scope_roles *roles,
                 struct store_enrol *enrol);

/* store_sqlite_copy.c: copies of a device's database (R23). */
int sqlite_read_tokens(struct sqlite_conn *conn, const struct record_uuid *device_id,
                       struct token_pair *tokens_out);
/* The copy gets the settings of the device that it was copied from. */
int sqlite_copy_settings(struct sqlite_conn *conn, const struct store_device *copy);
int sqlite_recertify(struct sqlite_conn *conn, struct store_recertify *recertify);

/* store_sqlite_setting.c. */
/* Puts what is set for the device over the defaults in settings. */
int sqlite_read_settings(struct sqlite_conn *conn, const struct record_uuid *enrolment_region,
                         const struct record_uuid *device_id, struct settings *settings);
int sqlite_setting_set(struct sqlite_conn *conn, const struct scope_roles *roles,
                       struct store_setting_set *set);

/* store_sqlite_rollout.c. */
/* Of the devices that are in by name, this one alone; NULL: all. */
int sqlite_read_rollouts(struct sqlite_conn *conn, const struct record_uuid *device_id,
                         struct rollouts *rollouts_out);
int sqlite_read_rollouts_version(struct sqlite_conn *conn, uint64_t *version_out);
int sqlite_rollout_change(struct sqlite_conn *conn, const struct scope_roles *roles,
                          struct store_rollout_change *change);
int sqlite_rollout_review(struct sqlite_conn *conn, struct store_rollout_review *review);
int sqlite_sync_note(struct sqlite_conn *conn, const struct store_sync_note *note);
/* For a migration: the type sums of all regions, from their records. */
int sqlite_count_types(struct sqlite_conn *conn);

/* store_sqlite_device.c: devices and their standing, tokens. */
/* A device as it stands, without its settings. */
int sqlite_read_device(struct sqlite_conn *conn, const struct record_uuid *device_id,
                       struct store_device *device_out, bool *found_out);
/* Its scope where it enrolled; region is left zero. */
struct scope_device sqlite_scope_of(const struct store_device *device);
/* Makes the row if there is none; the standing becomes the given one. */
int sqlite_write_device(struct sqlite_conn *conn, const struct store_device *device);
/* Whether the caller is refused; one that is not known is not asked for here. */
int sqlite_read_refusal(struct sqlite_conn *conn, const struct store_caller *caller,
                        struct store_refusal *refusal_out);
int sqlite_read_refused(struct sqlite_conn *conn, struct store_refused *refused);
int sqlite_caught_up(struct sqlite_conn *conn, struct store_caught_up *caught_up);
/* Who pushes, as enrolled. SQLITE_NOTFOUND: the device is not known. */
int sqlite_read_author(struct sqlite_conn *conn, const struct scope_roles *roles,
                       const struct record_uuid *device_id, struct scope_device *author_out);
int sqlite_device_list(struct sqlite_conn *conn, struct store_device_list *list);
int sqlite_device_get(struct sqlite_conn *conn, struct store_device_get *get);
int sqlite_device_add(struct sqlite_conn *conn, const struct store_device_add *add);
int sqlite_device_change(struct sqlite_conn *conn, const struct scope_roles *roles,
                         struct store_device_change *change);
/* Whether there is a region record of that id. */
int sqlite_region_known(struct sqlite_conn *conn, const struct scope_roles *roles,
                        const struct record_uuid *region, bool *known_out);
/* The region of a facility, by its record. SQLITE_NOTFOUND: not known. closed_out
 * may be NULL. */
int sqlite_region_of_facility(struct sqlite_conn *conn, const struct scope_roles *roles,
                              const struct record_uuid *facility, struct record_uuid *region_out,
                              bool *closed_out);

#endif
