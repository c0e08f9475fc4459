/* SPDX-License-Identifier: Apache-2.0
 *
 * The store: all of the server's state behind one asynchronous interface.
 *
 * submit(request), later request->done(request), in any order across regions;
 * pushes of one device complete in the order they were submitted. Requests are
 * the owner's memory and stay untouched by it until done. An engine has its own
 * threads (or its own sockets); it tells by notify() that completions wait, and
 * the owner calls store_drain() in its own thread, where done() runs. So no
 * caller is ever blocked by a database, and a simulator can complete in any
 * order it likes.
 *
 * A store may be spread over machines by region, and then show what one commit wrote in
 * two regions in one of them first. Each region's part is whole and comes in its order;
 * but nobody may be answered from less than he has been told already: a device would take
 * it for lost (R22) or different (R24). So who asks says how far he knows a region, and an
 * engine that sees less waits for what is under way, which holds the region's counter,
 * before it answers: Hello by its places and receipt, pages by known_seq.
 *
 * What is decided (merge, scope, answers) is decided by push.c, which an engine
 * calls inside its transaction, after the region counters are locked and the
 * records read (R10). An engine only reads, writes and commits.
 *
 * Errors: request->status. UNAVAILABLE and RESOURCE_EXHAUSTED (a full
 * disk) mean that nothing was done and that the
 * same request may be submitted again; everything else is final.
 */
#ifndef OUTPOST_SERVER_STORE_H
#define OUTPOST_SERVER_STORE_H

#include "arena.h"
#include "outpost/record.h"
#include "outpost/rpc_status.h"
#include "push.h"
#include "rollout.h"
#include "scope.h"
#include "settings.h"
#include "standing.h"
#include "token.h"

/* ---- Limits (I12) ------------------------------------------------------ */

enum {
    /* Requests waiting in an engine: memory, when the disk is slow. */
    STORE_REQUESTS_MAX = 20000,
    /* Mutations of one transaction: how long a reader of a hot region waits. */
    STORE_TRANSACTION_MUTATIONS_MAX = 20000,
    /* Rows of one page, whatever the settings say. */
    STORE_PAGE_ROWS_MAX = 5000,
    /* Bytes of one page's records: leaves room for the envelope in 4 MiB. */
    STORE_PAGE_BYTES_MAX = 3 * 1024 * 1024,
    /* Wrong secrets before an enrolment code is dead. */
    STORE_CODE_TRIES = 5,
    /* Rows of one administrative listing page. */
    STORE_LIST_ROWS_MAX = 1000,
    /* Regions of one cursor: those in scope, and those whose records the device may
     * still hold (R22). */
    STORE_REGIONS_PER_DEVICE_MAX = 16,
    /* Places of one Hello: up to where, the newest seen, a snapshot's high water. */
    STORE_PLACES_MAX = 3 * STORE_REGIONS_PER_DEVICE_MAX,
    /* Databases that are certified as copies of one enrolment, copies of copies
     * counted: protects the device table from a database that is cloned for ever. */
    STORE_COPIES_MAX = 256,
};

enum { STORE_HASH_LEN = AUDIT_HASH_LEN };

/* An account of the operating system; a device's name for its app. */
enum { STORE_ACCOUNT_LEN = 64, STORE_APP_VERSION_LEN = 64 };

/* ---- Requests ----------------------------------------------------------- */

enum store_kind {
    STORE_HELLO,
    STORE_PUSH,
    STORE_PAGE,
    STORE_CAUGHT_UP,
    STORE_HEADS,
    STORE_REFUSED,
    STORE_ENROL,
    STORE_RECERTIFY,
    STORE_CODE_ADD,
    STORE_DEVICE_LIST,
    STORE_DEVICE_GET,
    STORE_DEVICE_CHANGE,
    STORE_SETTING_SET,
    STORE_ROLLOUT_CHANGE,
    STORE_ROLLOUT_REVIEW,
    STORE_ROLLOUT_LIST,
    STORE_SYNC_NOTE,
    STORE_DEVICE_ADD,
    STORE_RECORD_GET,
    STORE_LOG_LIST,
    STORE_QUARANTINE_LIST,
    STORE_QUARANTINE_RETRY,
    STORE_QUARANTINE_DISCARD,
    STORE_CONFLICT_LIST,
    STORE_CONFLICT_RESOLVE,
};

struct store_request {
    enum store_kind kind;
    void (*done)(struct store_request *request); /* in the thread of store_drain */
    void *owner;
    struct rpc_status status;
    struct store_request *next; /* the engine's, while it has the request */
};

/* A place in a region's log: what a cursor is made of (R3). seq 0: the start. */
struct store_place {
    uint64_t seq;
    uint8_t hash[STORE_HASH_LEN];
};

struct store_head {
    struct record_uuid region_id;
    struct store_place last;
    uint64_t records; /* living */
    uint64_t digest;
};

/* Who asks, and where it stands: whether it may go on is looked up anew in every
 * transaction. */
struct store_caller {
    struct record_uuid device_id; /* zeros: the server itself */
    struct record_uuid region;    /* zeros: not settled yet */
};

struct store_refusal {
    enum standing_refusal why; /* ADMITTED: it may go on */
    int64_t wipe_ordered_at_ms;
};

/* R18: what a stream must know before its first push is looked at. Its places and its
 * receipt are what the device was told. */
struct store_hello {
    struct store_request request;
    /* in */
    struct record_uuid device_id;
    struct record_uuid facility_id;  /* zero: where the device enrolled */
    uint8_t receipt[STORE_HASH_LEN]; /* presented; all zeros: none */
    size_t place_count;
    struct store_hello_place {
        struct record_uuid region_id;
        struct store_place place;
        bool known; /* out: in the region's log */
    } places[STORE_PLACES_MAX];
    struct settings settings; /* in: the defaults; out: the device's */
    /* out */
    bool device_known;
    struct standing standing;
    bool facility_known;
    bool receipt_known; /* among the last PUSH_RECEIPTS_MAX, or none presented */
    struct scope_device device;
    struct token_pair tokens;
    struct rollout_view view;
    size_t head_count;
    struct store_head heads[2]; /* the global region, then the device's; without what is
                                 * withheld */
};

/* One Push of a stream: decided and written in one transaction (R10). */
struct store_push {
    struct store_request request;
    /* in: prepared by push_prepare; see push.h */
    struct push_batch *batch;
    struct record_uuid region_id; /* the stream's region, for its head */
    /* out: batch->answers and batch->receipt, and the heads after the commit */
    struct store_refusal refusal; /* of the author: then nothing was decided */
    struct store_place head_global;
    struct store_place head_region;
};

/* One page of records, as the `records` fields of a Pull. */
struct store_row {
    struct record_key key;
    uint64_t stamp;
    uint64_t seq;
    size_t offset, len; /* of the whole field in encoded */
};

struct store_page {
    struct store_request request;
    /* in */
    struct store_caller caller;
    struct record_uuid region_id;
    enum store_part {
        STORE_TAIL, /* by seq, all records and markers */
        STORE_OWN,  /* a snapshot's first part: living records by key, of the families that
                     * the facility lists */
        STORE_REST, /* its second part: living records by key, without the families of
                     * the first part (R21) */
        STORE_FILL, /* living records of these types by key: they were withheld before */
    } part;
    size_t type_count; /* FILL: of these types alone; else of none of them */
    uint32_t types[ROLLOUT_TYPES_MAX];
    struct record_uuid facility; /* OWN, REST; zeros: none, and the rest is all */
    uint64_t high_water;         /* REST: the region's seq when the snapshot began */
    struct record_key after;     /* but for TAIL: strictly after this key; zeros: from the start */
    uint64_t after_seq;          /* TAIL */
    uint64_t known_seq;          /* how far the caller knows the region */
    size_t rows_max;
    size_t bytes_max;
    /* out */
    struct store_refusal refusal; /* of the caller: then nothing was read */
    struct rpc_buffer encoded;
    struct store_row *rows; /* malloc'ed */
    size_t row_count;
    struct rpc_buffer markers; /* tail: the `markers` fields of a Pull (R16) */
    size_t marker_count;
    struct record_uuid *entered; /* malloc'ed: the families of those that say so */
    size_t entered_count;
    bool at_end;              /* nothing was left after these rows */
    struct store_place place; /* tail: up to where this page brings the device */
    struct store_place head;  /* the region's newest entry */
};

void store_page_deinit(struct store_page *page);

/* What a device says of itself, and how its sync went. */
struct store_sync {
    uint32_t schema_revision;
    char app_version[STORE_APP_VERSION_LEN];
    bool rejected; /* a mutation was quarantined */
};

/* CaughtUp: heads and digests from one read snapshot, and a new token. */
struct store_caught_up {
    struct store_request request;
    /* in */
    struct store_caller caller;
    size_t region_count;
    struct record_uuid regions[2];
    struct store_place places[2]; /* up to where the device has all */
    bool renew_token;
    int64_t now_ms;                /* noted as the device's last sync, with the token */
    uint8_t next_token[TOKEN_LEN]; /* random, given by the caller */
    uint8_t presented_token[TOKEN_LEN];
    struct store_sync sync; /* noted with the token */
    size_t withheld_count;  /* types that the digests leave out */
    uint32_t withheld[ROLLOUT_TYPES_MAX];
    /* out */
    struct store_refusal refusal; /* of the caller: then nothing was written */
    bool behind[2];               /* there is more: no token was written */
    struct store_head heads[2];
};

/* A sync that did not come to CaughtUp: for the lists and the rollouts' errors. */
struct store_sync_note {
    struct store_request request;
    struct record_uuid device_id;
    struct store_sync sync;
    bool failed; /* else it was to push and no more */
    int64_t now_ms;
};

/* The heads of regions, for followers and for status. */
struct store_heads {
    struct store_request request;
    /* in: region_count 0 means all */
    size_t region_count;
    const struct record_uuid *regions;
    /* out: malloc'ed */
    struct store_head *heads;
    size_t head_count;
};

void store_heads_deinit(struct store_heads *heads);

/* Who is refused by now: asked for the streams that are open. */
struct store_refused {
    struct store_request request;
    size_t caller_count;
    const struct store_caller *callers;
    struct store_refusal *refusals; /* out: the owner's memory, one for each caller */
    uint64_t rollouts_version;      /* out: as it is now */
};

/* A one-time code: a public selector and the hash of its secret. */
enum { STORE_CODE_SELECTOR_LEN = 4, STORE_CODE_HASH_LEN = 32 };

struct store_code_add {
    struct store_request request;
    char selector[STORE_CODE_SELECTOR_LEN];
    uint8_t secret_hash[STORE_CODE_HASH_LEN];
    struct record_uuid facility_id;
    bool admin;
    size_t region_count; /* where else the device may work */
    struct record_uuid regions[SCOPE_RIGHTS_MAX];
    int64_t now_ms;
    int64_t expires_at_ms;
    /* out */
    bool facility_known;
    bool facility_closed; /* no code was made */
    bool regions_known;
};

enum {
    /* A P-256 key as SubjectPublicKeyInfo, DER, has 91. */
    STORE_PUBLIC_KEY_BYTES_MAX = 128,
};

/* A device as enrolled, and its standing. */
struct store_device {
    struct record_uuid device_id;
    struct record_uuid enrolment_region;
    struct record_uuid facility_id; /* where it enrolled */
    struct record_uuid copied_from; /* whose copy it is (R23); zeros: it enrolled by a code */
    bool admin;
    int64_t enrolled_at_ms;
    struct standing standing;
    size_t public_key_len; /* 0: not kept */
    uint8_t public_key[STORE_PUBLIC_KEY_BYTES_MAX];
    int64_t last_sync_at_ms;  /* 0: never */
    int64_t last_seen_at_ms;  /* caught up or not; 0: never */
    uint32_t schema_revision; /* as it said then; 0: never */
    char app_version[STORE_APP_VERSION_LEN];
    struct rollout_syncs syncs;
    struct settings settings;
};

/* Uses a code up and makes the device, in one transaction. */
struct store_enrol {
    struct store_request request;
    /* in */
    char selector[STORE_CODE_SELECTOR_LEN];
    uint8_t secret_hash[STORE_CODE_HASH_LEN];
    struct store_device device; /* in: id, key, enrolled_at_ms; the rest is the code's */
    /* out */
    enum store_code_verdict {
        STORE_CODE_GOOD,
        STORE_CODE_WRONG,
        STORE_CODE_USED,
        STORE_CODE_EXPIRED,
        STORE_CODE_DEAD, /* too many wrong secrets */
        STORE_CODE_FACILITY_CLOSED,
    } verdict;
};

/* R23: makes a device for a copy of another's database, in one transaction; copy.c
 * decides. */
struct store_recertify {
    struct store_request request;
    uint8_t presented_token[TOKEN_LEN]; /* in */
    /* in: id, key, copied_from, enrolled_at_ms; out: as made, now or for the same key
     * before */
    struct store_device device;
    /* out */
    enum store_recertify_verdict {
        STORE_RECERTIFY_GOOD,
        STORE_RECERTIFY_UNKNOWN, /* the device that asks */
        STORE_RECERTIFY_REFUSED, /* revoked, or to be wiped */
        STORE_RECERTIFY_NOT_A_COPY,
        STORE_RECERTIFY_KEY_TAKEN,
        STORE_RECERTIFY_TOO_MANY,
    } verdict;
};

struct store_device_list {
    struct store_request request;
    struct settings defaults;     /* in */
    struct store_device *devices; /* malloc'ed, by id */
    size_t device_count;
};

struct store_device_get {
    struct store_request request;
    struct record_uuid device_id; /* in */
    bool found;                   /* out */
    struct store_device device;   /* out; without its settings */
};

/* Makes a device row if there is none, or gives it the standing if that is the
 * later one; see enrolled.h. */
struct store_device_add {
    struct store_request request;
    struct store_device device;
    char selector[STORE_CODE_SELECTOR_LEN]; /* of the code that it used up */
};

/* Changes a device's standing. */
struct store_device_change {
    struct store_request request;
    /* in */
    struct record_uuid device_id;
    struct standing_decision decision;
    /* out */
    bool found;
    bool region_known; /* ALLOW; else nothing was done */
    enum standing_outcome outcome;
    struct store_device device; /* as it stands now; without its settings */
};

/* Sets, or takes back, settings of all devices, of a region's (those enrolled
 * there) or of one. */
struct store_setting_set {
    struct store_request request;
    /* in */
    enum store_setting_level {
        STORE_SETTING_ALL = 0,
        STORE_SETTING_REGION = 1,
        STORE_SETTING_DEVICE = 2,
    } level;
    struct record_uuid id; /* the region's or the device's; of all: zeros */
    size_t change_count;
    struct store_setting_change {
        const struct setting *setting;
        bool removed; /* what is set more widely holds again */
        uint32_t value;
    } changes[SETTINGS_COUNT];
    bool found; /* out: the region or the device; else nothing was done */
};

/* Changes a rollout; who is in the cohort and what is withheld holds from each device's
 * next Hello on. Errors are counted anew from here. */
struct store_rollout_change {
    struct store_request request;
    /* in */
    struct rollout_change change;
    int64_t now_ms;
    char account[STORE_ACCOUNT_LEN];
    /* out */
    enum rollout_outcome outcome;
    bool region_known, device_known; /* else nothing was done */
    struct rollout rollout;          /* as it stands now */
};

/* Halts what its cohort's errors halt. */
struct store_rollout_review {
    struct store_request request;
    int64_t now_ms;
    size_t halted_count; /* out */
};

struct store_rollout_list {
    struct store_request request;
    struct rollouts rollouts; /* out */
};

/* One record as it is, from the given region. */
struct store_record_get {
    struct store_request request;
    struct record_uuid region_id;
    struct record_key key; /* zero family: that of a global record */
    bool any_family;       /* look in every family of every region for (type, id) */
    bool of_family;        /* look where the key's family is now, whatever the region */
    /* out */
    bool found;
    struct record_uuid found_region_id;
    uint64_t version;
    uint64_t stamp;
    bool deleted;
    struct rpc_buffer body;
};

/* The log, for history and for verify: entries of a region after a seq. */
struct store_log_entry {
    struct audit_entry entry;
    struct record_uuid region_id;
    uint8_t hash[STORE_HASH_LEN];
    struct rpc_bytes mutation; /* in the list's arena */
};

struct store_log_list {
    struct store_request request;
    /* in */
    struct record_uuid region_id;
    uint64_t after_seq;
    bool of_record; /* only entries of (type, id), in every region, from the start */
    uint32_t type;
    struct record_uuid id;
    /* out */
    struct arena arena;
    struct store_log_entry *entries; /* in the arena */
    size_t entry_count;              /* STORE_LIST_ROWS_MAX at most */
};

/* What waits for a person: quarantined mutations and conflicts, asked for by
 * their mutation ids. Two devices of different regions may have sent the same
 * edit, so an id alone names a conflict or a quarantined mutation almost always,
 * and with its region always. */
struct store_mutation_range {
    struct record_mutation_id first, last; /* inclusive */
    const struct record_uuid *region_id;   /* NULL: of every region */
    bool closed_too;                       /* also what was resolved or discarded */
};

/* Which entry a person acts on, and who that is. */
struct store_review {
    struct record_uuid region_id;
    struct record_mutation_id mutation_id;
    int64_t now_ms;
    char account[STORE_ACCOUNT_LEN]; /* of the operating system */
};

/* An entry that was closed, when and by whom; at_ms 0: it is open. */
struct store_closed {
    int64_t at_ms;
    struct rpc_bytes account; /* in the list's arena */
};

struct store_quarantined {
    struct record_uuid region_id; /* the author's enrolment region */
    struct record_mutation_id mutation_id;
    struct record_uuid device_id;
    int64_t received_at_ms;
    uint32_t reason;
    uint32_t field;
    struct store_closed discarded;
    struct rpc_bytes mutation; /* in the list's arena; empty when it was purged */
};

struct store_quarantine_list {
    struct store_request request;
    /* in */
    struct store_mutation_range range;
    uint64_t offset;
    /* out */
    struct arena arena;
    struct store_quarantined *entries; /* STORE_LIST_ROWS_MAX at most, oldest first */
    size_t entry_count;
    uint64_t total; /* of all that are open */
};

/* R17: decides the kept bytes again, as their author's, and takes the entry out
 * when they are accepted. Refused again, nothing changes. */
struct store_quarantine_retry {
    struct store_request request;
    struct store_review review; /* in */
    /* out */
    bool found;                  /* with its bytes */
    struct push_outcome outcome; /* QUARANTINED and RETRY: it stays */
};

/* The entry is not listed any more; a trace of it stays for ever. */
struct store_quarantine_discard {
    struct store_request request;
    struct store_review review; /* in */
    bool purge;                 /* in: its bytes go too */
    bool found;                 /* out: and it was open, or has been purged now */
};

struct store_conflict {
    struct record_uuid region_id;
    struct record_mutation_id mutation_id;
    struct record_key key;
    struct record_uuid device_id;
    uint64_t version; /* the record's, after the merge */
    int64_t received_at_ms;
    struct store_closed resolved;
    struct rpc_bytes clashes; /* see clash.h; this and mutation are in the list's arena */
    struct rpc_bytes mutation;
};

struct store_conflict_list {
    struct store_request request;
    /* in */
    struct store_mutation_range range;
    uint64_t offset;
    /* out */
    struct arena arena;
    struct store_conflict *entries; /* STORE_LIST_ROWS_MAX at most, oldest first */
    size_t entry_count;
    uint64_t total; /* of all that are open */
};

struct store_conflict_resolve {
    struct store_request request;
    struct store_review review; /* in */
    bool found;                 /* out: and it was open */
};

/* ---- The store ---------------------------------------------------------- */

struct store;

struct store_engine {
    void (*submit)(struct store *store, struct store_request *request);
    void (*drain)(struct store *store);
    void (*wait)(struct store *store); /* until something is complete */
    void (*close)(struct store *store);
};

/* The engine's object begins with this. */
struct store {
    const struct store_engine *engine;
};

/* A device that has enrolled, or whose standing has changed. selector is that of
 * the code it used up, NULL: of none. */
struct store_note {
    const struct store_device *device;
    const char *selector;
};

struct store_options {
    struct scope_roles roles;
    /* Keeps it durably beside the store (R22): called from an engine's thread after
     * the commit and before the request completes, which gets its failure. May be
     * NULL. */
    struct rpc_status (*note)(void *context, const struct store_note *note);
    void *note_context;
    /* Called from an engine's thread when completions wait; may be NULL when
     * the owner uses store_run alone. */
    void (*notify)(void *context);
    void *context;
};

static inline void store_submit(struct store *store, struct store_request *request)
{
    store->engine->submit(store, request);
}

/* For engines: whether the request writes. */
bool store_is_write(enum store_kind kind);
/* For engines: the region's head as a transaction leaves it. */
struct store_place store_place_in(struct push_set *set, const struct record_uuid *region_id);
/* For engines: notes what the request has committed, if anything is to be noted. */
struct rpc_status store_note(const struct store_options *options,
                             const struct store_request *request);

/* Runs done() of what is complete. */
static inline void store_drain(struct store *store)
{
    store->engine->drain(store);
}

/* Waits for what is under way, then frees; NULL is allowed. */
void store_close(struct store *store);

/* Opens the embedded store. file is made, with the schema, only with create. */
struct rpc_status store_sqlite_open(const char *file, bool create,
                                    const struct store_options *options, struct store **store_out);

/* The same without threads, for tests and simulations: each store_drain does one
 * step, chosen by the owner. Options' notify is not called. */
enum { STORE_STEP_WRITES_MAX = 64 };

struct store_waiting {
    size_t writes, reads; /* submitted */
    size_t completed;     /* executed, done() not called yet */
};

struct store_step {
    enum {
        STORE_STEP_WRITES, /* the oldest n, 1 or more, in one transaction */
        STORE_STEP_READ,   /* the one at place n of those that wait, from 0 */
        STORE_STEP_TELL,   /* done() of the oldest n */
    } kind;
    size_t n;
};

struct store_steps {
    /* Something waits: what is next? */
    struct store_step (*next)(void *context, const struct store_waiting *waiting);
    void *context;
};

struct rpc_status store_sqlite_open_stepped(const char *file, bool create,
                                            const struct store_options *options,
                                            const struct store_steps *steps,
                                            struct store **store_out);

struct store_postgres_setup {
    const char *conninfo; /* anything that libpq takes; its role serves */
    const char *owner;    /* another conninfo; NULL: the role that serves is the owner */
    bool distributed;     /* the database is a Citus cluster: spread the tables over it */
};

/* Makes the schema in a PostgreSQL database, or brings it up to date, as the owner, and
 * gives the role that serves what that needs: to add to history, not to change it. */
struct rpc_status store_postgres_prepare(const struct store_postgres_setup *setup);

/* Opens the store in a PostgreSQL database, whose schema must be up to date. It waits
 * for the first connection; later ones are made by the engine's threads. */
struct rpc_status store_postgres_open(const char *conninfo, const struct store_options *options,
                                      struct store **store_out);

/* For commands: submits and waits. Only on a store that was opened without
 * notify. */
struct rpc_status store_run(struct store *store, struct store_request *request);

#endif
