/* SPDX-License-Identifier: Apache-2.0
 *
 * What leaves the server, looked at on its way: a record goes to a device only if its
 * family is in the device's region, or left it after the device had asked (I7); and how
 * often the server says that it has lost something (R8, R22).
 */
#ifndef OUTPOST_TESTS_SIM_WATCH_H
#define OUTPOST_TESTS_SIM_WATCH_H

#include "outpost/record.h"

#include <sqlite3.h>

/* Of the server's file, beside the store's own connections. */
struct watch {
    sqlite3 *db; /* NULL: the server is down */
    sqlite3_stmt *head, *leak;
    unsigned leaks;
    unsigned resets, resends; /* Welcomes that say so */
};

bool watch_open(struct watch *watch, const char *path);
void watch_close(struct watch *watch);

/* The newest seq of the region. */
uint64_t watch_head(struct watch *watch, const struct record_uuid *region_id);
/* A message of the server's to a device of that region, which asked at that head. */
void watch_response(struct watch *watch, const struct record_uuid *region_id, uint64_t asked_at,
                    struct rpc_bytes message);

#endif
