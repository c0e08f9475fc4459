/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of outpostd: what they share.
 *
 * A command takes its options and words, opens the store itself (a server may
 * run beside it), does its work in short transactions and gives one JSON
 * object. The frame prints that as JSON (--json) or as text, so that both
 * always say the same, and turns a status into the exit code and one line on
 * standard error.
 */
#ifndef OUTPOST_SERVER_COMMAND_H
#define OUTPOST_SERVER_COMMAND_H

#include "config.h"

#include <jansson.h>

enum {
    COMMAND_WORDS_MAX = 64,
    COMMAND_HOSTS_MAX = 32,
    COMMAND_REGIONS_MAX = SCOPE_RIGHTS_MAX,
    COMMAND_HOLDS_MAX = ROLLOUT_SWITCHES_MAX,
};

struct command_line {
    const char *words[COMMAND_WORDS_MAX]; /* after the command's name */
    size_t word_count;
    const char *data;
    const char *store_uri;
    const char *owner;
    const char *distributed;
    const char *from;
    const char *to;
    const char *listen;
    const char *facility;
    const char *count;
    const char *regions;
    const char *id;
    const char *region; /* the last --region */
    const char *every_region[COMMAND_REGIONS_MAX];
    size_t region_count;
    const char *take;
    const char *percent;
    const char *device;
    const char *minimum;
    const char *halt_above;
    const char *holds[COMMAND_HOLDS_MAX];
    size_t hold_count;
    bool resume;
    bool all;
    bool purge;
    bool with_copies;
    bool cancel;
    const char *hosts[COMMAND_HOSTS_MAX];
    size_t host_count;
    bool admin;
    bool json;
};

struct command {
    const struct command_line *line;
    struct config config;
    struct scope_roles roles;
    struct record_hasher *hasher;
    struct store *store; /* NULL: the command opens none */
    json_t *result;      /* an object */
    const char *plain;   /* text form: print this member of the result, alone */
};

/* Now, ms since 1970, and randomness: a command's outside. */
int64_t command_time_ms(void);
void command_random(uint8_t *bytes, size_t len);

/* The commands; each is called with the store open, except init and serve. */
struct rpc_status command_init(struct command *command);
struct rpc_status command_serve(struct command *command);
struct rpc_status command_import(struct command *command);
struct rpc_status command_enrol(struct command *command);
struct rpc_status command_device(struct command *command);
struct rpc_status command_region(struct command *command);
struct rpc_status command_facility(struct command *command);
struct rpc_status command_history(struct command *command);
struct rpc_status command_conflict(struct command *command);
struct rpc_status command_quarantine(struct command *command);
struct rpc_status command_rollout(struct command *command);
struct rpc_status command_status(struct command *command);
struct rpc_status command_migrate(struct command *command);
struct rpc_status command_verify(struct command *command);
struct rpc_status command_copy(struct command *command);

/* ---- Pieces --------------------------------------------------------------- */

/* A usage error: exit code 64. */
struct rpc_status command_usage(const char *format, ...) RPC_PRINTF(1, 2);

/* The word at that place; NULL when there are fewer. */
const char *command_word(const struct command *command, size_t index);

struct rpc_status command_parse_id(const char *what, const char *text, struct record_uuid *id_out);

/* "device ID is not known: see outpostd device list". */
struct rpc_status command_not_known(const char *what, const struct record_uuid *id);

json_t *command_id_json(const struct record_uuid *id);
json_t *command_digest_json(uint64_t digest); /* 16 hexadecimal digits */

/* Runs a request on the command's store. */
struct rpc_status command_run(struct command *command, struct store_request *request,
                              enum store_kind kind);

#endif
