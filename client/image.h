/* SPDX-License-Identifier: Apache-2.0
 *
 * Images of records, and where they lie in the database (R4).
 *
 * row    what the app sees: the record's own table
 * base   the row when the first edit since began: outpost_base_<table>
 * held   the server's copy last received: outpost_held where it differs from the
 *        base; else the base; of a clean record the row
 *
 * An image in memory is a version and a canonical body (R2), so that two are
 * equal when their bytes are. A field whose value fits no column (a float that
 * is not a number, a kind of a newer schema) goes to outpost_unknown with those
 * whose number has no column, and comes back from there (I9).
 */
#ifndef OUTPOST_CLIENT_IMAGE_H
#define OUTPOST_CLIENT_IMAGE_H

#include "store.h"

struct image {
    bool present;  /* false: there is no such row or copy */
    bool deleted;  /* a tombstone: present, with its last body */
    bool oversize; /* above a limit of record.h; the body is not here (R25) */
    uint64_t version;
    uint64_t stamp;
    struct rpc_buffer body;
};

void image_init(struct image *image);
void image_deinit(struct image *image);
void image_clear(struct image *image);

/* What came over the wire; computes the stamp. False: malformed. */
STORE_MUST_USE bool image_take(struct image *image, struct record_hasher *hasher,
                               const struct record_image *record);
STORE_MUST_USE bool image_copy(struct image *image, const struct image *from);
void image_stamp(struct image *image, struct record_hasher *hasher);

/* Same content: both gone (absent or deleted), or both living with equal bodies. */
bool image_same(const struct image *a, const struct image *b);
bool image_living(const struct image *image);

/* Reading: an absent one is read as not present. */
STORE_MUST_USE bool image_read_row(struct store *store, const struct record_key *key,
                                   struct image *image);
STORE_MUST_USE bool image_read_base(struct store *store, const struct record_key *key,
                                    struct image *image);
/* The server's copy, wherever it lies. */
STORE_MUST_USE bool image_read_held(struct store *store, const struct record_key *key,
                                    struct image *image);
/* The same of a pending record whose base has been read. */
STORE_MUST_USE bool image_read_held_over(struct store *store, const struct record_key *key,
                                         const struct image *base, struct image *image);
/* Its stamp alone; 0: none is held. */
STORE_MUST_USE bool image_held_stamp(struct store *store, const struct record_key *key,
                                     uint64_t *stamp_out);
/* The same of a record that is sealed, and so pending. */
STORE_MUST_USE bool image_sealed_stamp(struct store *store, const struct record_key *key,
                                       uint64_t *stamp_out);
STORE_MUST_USE bool image_read_unknown(struct store *store, const struct record_key *key,
                                       struct image *image);

/* Is the record pending, and in which generation of its edits. */
STORE_MUST_USE bool image_pending(struct store *store, const struct record_key *key,
                                  bool *pending_out, int64_t *generation_out);

/* Writing. A deleted or absent image deletes the row or the copy. */
STORE_MUST_USE bool image_write_row(struct store *store, const struct record_key *key,
                                    const struct image *image);
/* Inserts a living one without looking first. conflict_out: there is one already,
 * or the app refuses it. */
STORE_MUST_USE bool image_insert_row(struct store *store, const struct record_key *key,
                                     const struct image *image, bool *conflict_out);
/* The row has that content already: version and stamp alone. */
STORE_MUST_USE bool image_settle_row(struct store *store, const struct record_key *key,
                                     const struct image *image);
STORE_MUST_USE bool image_write_base(struct store *store, const struct record_key *key,
                                     const struct image *image);
STORE_MUST_USE bool image_delete_base(struct store *store, const struct record_key *key);
/* An explicit held copy of a pending record; not present: none is held. */
STORE_MUST_USE bool image_write_held(struct store *store, const struct record_key *key,
                                     const struct image *image);
STORE_MUST_USE bool image_write_unknown(struct store *store, const struct record_key *key,
                                        const struct image *image);
STORE_MUST_USE bool image_delete_unknown(struct store *store, const struct record_key *key);

/* Whether a value of this type's lies in a column, and not in outpost_unknown. */
bool image_has_column(const struct store *store, const struct record_type *type,
                      const struct wire_field *value);

/* A number as SQL has it; NULL: 0. */
double image_real(const struct record_field *field, const struct wire_field *value);

/* Which value lies in which column, NULL: none; the rest is appended to unknown, encoded.
 * columns: of field_count. False: no memory. */
STORE_MUST_USE bool image_spread(const struct store *store, const struct record_type *type,
                                 const struct record_body *body, const struct wire_field *columns[],
                                 struct rpc_buffer *unknown);

/* Reads the columns of TABLE_GET, TABLE_ALL or BASE_GET, from the first on. False: no memory. */
STORE_MUST_USE bool image_read_columns(struct image *image, sqlite3_stmt *statement,
                                       const struct record_type *type);

#endif
