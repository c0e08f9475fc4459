/* SPDX-License-Identifier: Apache-2.0
 *
 * liboutpost: a device's health records in SQLite, synced when a link appears.
 *
 * The app reads and writes the record tables (patient, blood_pressure, ...) with
 * ordinary SQL on its own SQLite connection; triggers note what it edits. This
 * library sends the edits and brings what the device lacks. README.md beside it
 * says what an app must know: one copy of SQLite per process, synchronous=FULL.
 *
 * Threads: an outpost handle belongs to one thread at a time; different handles
 * may be used at once. The library starts no thread, installs no signal handler
 * and changes no process-wide setting. outpost_sync blocks its caller; all other
 * functions touch only the database.
 *
 * Errors: a struct outpost_status, whose message is one line for people and
 * never holds a record's values. Results go through a last *_out and are left
 * alone on failure, unless said otherwise.
 */
#ifndef OUTPOST_OUTPOST_H
#define OUTPOST_OUTPOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OUTPOST_API __attribute__((visibility("default")))
#define OUTPOST_USE_RESULT __attribute__((warn_unused_result))
#else
#define OUTPOST_API
#define OUTPOST_USE_RESULT
#endif

/* ---- Status --------------------------------------------------------------- */

/* X(name, exit code of the outpost command, what it means) */
#define OUTPOST_CODES(X)                                                          \
    X(OK, 0, "done")                                                              \
    X(USAGE, 64, "the caller asked for what makes no sense")                      \
    X(BAD_INPUT, 65, "a file, or the database, is not what it should be")         \
    X(BUG, 70, "the fault is Outpost's or the server's: report it")               \
    X(IO, 74, "the disk is full, or cannot be read or written")                   \
    X(TRY_LATER, 75, "no link, the server or the database is busy, or cancelled") \
    X(DENIED, 77, "not enrolled, revoked, or not allowed: ask the administrator")

enum outpost_code {
#define X(name, exit_code, meaning) OUTPOST_##name,
    OUTPOST_CODES(X)
#undef X
};

enum { OUTPOST_MESSAGE_LEN = 320 };

struct outpost_status {
    enum outpost_code code;
    char message[OUTPOST_MESSAGE_LEN]; /* one line, NUL-terminated; empty when OK */
};

OUTPOST_API const char *outpost_code_name(enum outpost_code code);
OUTPOST_API int outpost_code_exit(enum outpost_code code);

/* ---- Opening --------------------------------------------------------------- */

typedef struct outpost outpost;

/* Generated tables of the record types; see outpost/record.h. */
struct record_schema;

enum { OUTPOST_ID_LEN = 16 };

struct outpost_options {
    /* The database file, UTF-8. File and tables are made when create is set. */
    const char *path;
    bool create;
    /* NULL: the record types that this library was built with. It must outlive
     * the handle. */
    const struct record_schema *schema;
    /* The app's name and version, for the operator's lists; NULL: none. */
    const char *app_version;
};

OUTPOST_API void outpost_options_init_default(struct outpost_options *options);

/* Opens the database, and upgrades Outpost's tables and the record tables; with create
 * it makes them too. BAD_INPUT: not a database, damaged, made by a newer version, or,
 * without create, none of Outpost's: that one is left as it is. */
OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_open(
    const struct outpost_options *options, outpost **outpost_out);

/* NULL is accepted. */
OUTPOST_API void outpost_close(outpost *device);

/* ---- Wiping ---------------------------------------------------------------- */

/* The administrator can order a device that was lost to destroy its data. A sync that
 * brings the order destroys the key, then the record tables and all that is
 * Outpost's, overwritten in the file and gone from its -wal; a wipe that is
 * interrupted goes on when the database is opened next. From then on every function
 * but outpost_get_status and outpost_sync (which tells the server that it is done) is
 * DENIED, and the record tables are gone for the app's own connection, too. The app's
 * own tables stay: what it has copied there is for it to delete. It needs the file for
 * itself: while another connection stands in a transaction, the wipe waits. */

/* DENIED: this database is wiped, or being wiped; the message says by whom and when. */
OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_check_wiped(outpost *device);

/* ---- Enrolment ------------------------------------------------------------- */

struct outpost_enrol_options {
    const char *server; /* "HOST:PORT", kept for every later sync */
    const char *ca_pem; /* the server's CA certificate, PEM text */
    const char *code;   /* the one-time code as the administrator gave it */
    /* Asked at least every 250 ms; true: stop. May be NULL. */
    bool (*cancelled)(void *context);
    void *context;
};

/* Makes the device's key, trades the code for a certificate and keeps both.
 * USAGE: this database is enrolled already. DENIED: the code is not accepted. */
OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_enrol(
    outpost *device, const struct outpost_enrol_options *options);

/* The device works at another facility from the next sync on, also one of another
 * region. What was entered before keeps the facility that it was entered at. No
 * network is needed: the next sync decides (DENIED: not allowed there), and to switch
 * back undoes a refusal. A sync that follows begins anew by itself. */
OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_set_facility(
    outpost *device, const uint8_t facility_id[OUTPOST_ID_LEN]);

/* ---- Sync ------------------------------------------------------------------ */

struct outpost_progress {
    uint64_t pushed, to_push; /* mutations answered; all that this sync sends */
    uint64_t pulled, to_pull; /* records received; about how many come (0: not known) */
    uint64_t bytes_sent, bytes_received;
};

enum {
    /* Repairs that one sync tells of; a follower may do more in its life. */
    OUTPOST_REPAIRED_MAX = 8,
};

struct outpost_sync_result {
    bool caught_up;           /* everything that the server had is here */
    uint32_t caught_up_count; /* more than one in follow mode */
    bool digest_mismatch;     /* and yet the two sides differ: report it */
    /* The server took what there was to send, and gives this app nothing until it is
     * upgraded (DENIED): tell the nurse. */
    bool upgrade_required;
    /* This database was a copy of one that has synced since: it is this device now. */
    bool new_identity;
    uint8_t device_id[OUTPOST_ID_LEN]; /* with new_identity */
    /* Regions that differed from the server's and were fetched anew; now they agree. */
    uint32_t repaired;
    uint8_t repaired_region_ids[OUTPOST_REPAIRED_MAX][OUTPOST_ID_LEN];
    bool recounted;     /* stamps or sums over what is held were wrong, and it was not: report it */
    uint64_t pushed;    /* mutations answered for good */
    uint64_t retried;   /* mutations that go again at the next sync */
    uint64_t pulled;    /* records received */
    uint64_t withdrawn; /* records that left this device's scope */
    uint64_t conflicts; /* of this device's mutations: merged with another's edit */
    uint64_t quarantined;                /* of this device's mutations: refused, marked here */
    uint64_t bytes_sent, bytes_received; /* on the socket, after the handshake */
    uint64_t handshake_bytes;
    uint32_t round_trips; /* waits for the server, the handshake not counted */
    int64_t duration_ms;
    /* Not 0: the server failed the sync and asks not to be tried again before. */
    int64_t retry_after_ms;
};

struct outpost_sync_options {
    /* Stay, and take new changes as they commit, until cancelled. While the server
     * wants devices to pause it waits, and only asks every sync_interval_s. Without a
     * link it tries again and again: after a second, then 1.6 times as long each time
     * up to two minutes, each a fifth more or less; or when the server says, which may
     * also say not to. */
    bool follow;
    /* Called after each batch. May be NULL. */
    void (*progress)(void *context, const struct outpost_progress *progress);
    /* Called at every CaughtUp, so at least once in a sync that ends well. May be NULL. */
    void (*caught_up)(void *context, const struct outpost_sync_result *result);
    /* Follow mode has no link, why, and tries again after so many ms. May be NULL. */
    void (*waiting)(void *context, const struct outpost_status *why, int64_t wait_ms);
    /* Asked at least every 250 ms; true: stop. May be NULL. */
    bool (*cancelled)(void *context);
    void *context;
};

OUTPOST_API void outpost_sync_options_init_default(struct outpost_sync_options *options);

/* Sends what is pending, then takes what the device lacks. Every batch stands
 * alone: whatever interrupts, the next sync goes on where this one was.
 * result_out is always filled in. TRY_LATER: no link, another sync of the same
 * database is running (FILE-sync beside it is locked), or cancelled; DENIED:
 * revoked, not allowed, or too old (upgrade_required); BUG with digest_mismatch: caught up, but the
 * two sides differ, and fetching the region anew did not help. */
OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_sync(
    outpost *device, const struct outpost_sync_options *options,
    struct outpost_sync_result *result_out);

/* ---- What is here ----------------------------------------------------------- */

struct outpost_region {
    uint8_t region_id[OUTPOST_ID_LEN]; /* all zeros: the global records */
    uint64_t seq;                      /* the server's, at the last CaughtUp */
    uint64_t records;                  /* held here */
    uint64_t digest;                   /* over what is held here */
};

struct outpost_record_count {
    const char *table; /* as long as the schema */
    uint64_t rows;
};

enum {
    /* Regions in a device's scope: protects the tables from a hostile server. */
    OUTPOST_REGIONS_MAX = 64,
    OUTPOST_TYPES_MAX = 256, /* record types of one schema */
};

struct outpost_device_status {
    bool enrolled;
    bool wiping, wiped;         /* then only device_id and the next one are filled in */
    int64_t wipe_ordered_at_ms; /* by the server's clock */
    uint8_t device_id[OUTPOST_ID_LEN];
    uint8_t facility_id[OUTPOST_ID_LEN];
    size_t region_count;
    struct outpost_region regions[OUTPOST_REGIONS_MAX];
    uint64_t pending;  /* edited since the server last knew them, not rejected */
    uint64_t rejected; /* refused by the server, or too large to send */
    size_t type_count;
    struct outpost_record_count types[OUTPOST_TYPES_MAX];
    uint32_t schema_revision; /* this library's */
    /* As the server last said; 0: nothing. Below the minimum it takes and does not give;
     * the recommended one is there for this device. What is to be left out of the app's
     * screens meanwhile lies in the table outpost_withheld (name: a table, or
     * table.column); rows of such a table come and go with it, edits are sent. */
    uint32_t minimum_revision, recommended_revision;
};

OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_get_status(
    outpost *device, struct outpost_device_status *status_out);

struct outpost_verify_result {
    uint64_t records; /* looked at */
    uint64_t damaged; /* whose content is not what its stamp says */
    uint64_t regions; /* whose digest differs from the server's last CaughtUp */
    bool compared;    /* false: nothing to compare with before the next CaughtUp */
    char first[128];  /* table and id of the first damaged one, or empty */
};

/* Recomputes every stamp and digest from the rows; no network. BAD_INPUT: they
 * are not what they should be (result_out is filled in then, too), and the next
 * sync mends them. */
OUTPOST_API OUTPOST_USE_RESULT struct outpost_status outpost_verify(
    outpost *device, struct outpost_verify_result *result_out);

#ifdef __cplusplus
}
#endif

#endif
