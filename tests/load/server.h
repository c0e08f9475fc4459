/* SPDX-License-Identifier: Apache-2.0
 *
 * The server that a run starts by itself: a data folder, set up by outpostd's own
 * commands, and one `outpostd serve`.
 */
#ifndef OUTPOST_LOAD_SERVER_H
#define OUTPOST_LOAD_SERVER_H

#include "enrolment.h"

#include <limits.h>

struct server {
    const char *program; /* outpostd */
    char data[PATH_MAX];
    bool temporary; /* data goes with the run */
    pid_t pid;      /* 0: not started */
    char address[128];
};

/* Sets up a data folder: data, or a temporary one when it is NULL. store: as for outpostd
 * init; NULL: SQLite. */
struct rpc_status server_init(struct server *server, const char *program, const char *data,
                              const char *store);
/* Starts it and waits until it listens. */
struct rpc_status server_start(struct server *server);
/* Stops it, and removes a temporary folder. */
void server_stop(struct server *server);
/* False: it has ended by itself. */
bool server_runs(struct server *server);

/* The region's or facility's id. */
struct rpc_status server_add_region(const struct server *server, const char *name,
                                    struct record_uuid *id_out);
struct rpc_status server_add_facility(const struct server *server, const char *name,
                                      const struct record_uuid *region, struct record_uuid *id_out);
struct rpc_status server_make_codes(const struct server *server, const struct record_uuid *facility,
                                    size_t count, struct enrolment_code *codes_out);
/* `outpostd verify`: every region's log, stamps and digests. */
struct rpc_status server_verify(const struct server *server);

/* The whole of a file. */
struct rpc_status server_read_file(const char *path, struct rpc_buffer *content);

#endif
