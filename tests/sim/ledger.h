/* SPDX-License-Identifier: Apache-2.0
 *
 * What users wrote and had seen, and what left the server as an answer: the
 * checker's memory, kept outside of both cores.
 */
#ifndef OUTPOST_TESTS_SIM_LEDGER_H
#define OUTPOST_TESTS_SIM_LEDGER_H

#include "outpost/record.h"

enum {
    LEDGER_EDITS_MAX = 8192,    /* of a world; a value is an edit's place here */
    LEDGER_ANSWERS_MAX = 65536, /* of a world */
    LEDGER_FLIGHTS_MAX = 64,    /* pushes of a stream that are not answered */
    LEDGER_PUSH_ITEMS_MAX = 64,
};

/* One written value. */
struct ledger_edit {
    struct record_key key;
    uint32_t group;
    uint32_t seen; /* the value that stood there; 0: none */
    int phone;
    bool over;   /* its own author wrote over it, or may never have written it */
    bool forked; /* it was in a file that was replaced or lost */
};

/* A mutation that was answered for good. */
struct ledger_answer {
    uint8_t id[16];
    uint8_t region[16]; /* the author's enrolment region */
    unsigned status;
    bool forgotten; /* the server was put back to a time before it */
};

/* The pushes of a stream that came in and are not answered. */
struct ledger_stream {
    size_t first, count;
    struct ledger_flight {
        size_t count;
        uint8_t ids[LEDGER_PUSH_ITEMS_MAX][16];
        struct record_key keys[LEDGER_PUSH_ITEMS_MAX];
    } flights[LEDGER_FLIGHTS_MAX];
    uint8_t region[16];
};

struct ledger {
    struct ledger_edit *edits; /* from 1 */
    uint32_t edit_count;
    struct ledger_answer *answers;
    size_t answer_count;
    size_t backup_at; /* how many there were when the server's backup was made */
    /* Is told every answer as it leaves the server, or NULL. */
    void (*answered)(void *context, const struct record_key *key, unsigned status, unsigned reason);
    void *context;
    const char *overflow; /* a limit of the ledger's own was reached: which */
};

bool ledger_init(struct ledger *ledger);
void ledger_deinit(struct ledger *ledger);
void ledger_clear(struct ledger *ledger);

/* A value that was never written before. */
uint32_t ledger_value(struct ledger *ledger);
void ledger_wrote(struct ledger *ledger, uint32_t n, int phone, const struct record_key *key,
                  uint32_t group, uint32_t seen);
/* It need not be found anywhere. */
void ledger_over(struct ledger *ledger, uint32_t n);
/* The edit of a value, or NULL. */
const struct ledger_edit *ledger_edit_of(const struct ledger *ledger, uint32_t n);
/* Whether somebody who wrote `n` had seen `other` there, then or at an earlier edit
 * of that line. */
bool ledger_had_seen(const struct ledger *ledger, uint32_t n, uint32_t other);

/* Messages as the server takes and sends them. */
void ledger_request(struct ledger *ledger, struct ledger_stream *stream, struct rpc_bytes message);
void ledger_response(struct ledger *ledger, struct ledger_stream *stream, struct rpc_bytes message);

void ledger_backup(struct ledger *ledger);
void ledger_restore(struct ledger *ledger);

#endif
