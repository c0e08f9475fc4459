/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated phone: its disk, the device's core on it, the app's own connection,
 * and at most one sync under way.
 */
#ifndef OUTPOST_TESTS_SIM_PHONE_H
#define OUTPOST_TESTS_SIM_PHONE_H

#include "crash_vfs.h"
#include "link.h"

#include <sqlite3.h>

struct phone {
    int index;
    char path[32];
    struct crash_disk *disk;
    const struct record_schema *schema; /* NULL: the product's */

    bool used;    /* there is such a phone in this world */
    bool refused; /* the server takes its file for a copy of another's */
    int64_t clock_offset_ms;
    uint32_t seal_part;                             /* outbox_options.part */
    struct record_uuid device_id, enrolment_region; /* as its file has them */
    unsigned regions;                               /* bits: where it may work */

    struct device_half *half; /* NULL: its process is down */
    sqlite3 *app;
    struct link *link;        /* NULL: no sync under way */
    bool caught_up, mismatch; /* the last sync that ended */
    struct device_half_result result;
    char error[DEVICE_HALF_ERROR_LEN];
};

void phone_init(struct phone *phone, int index, struct crash_disk *disk);

/* The process starts; false: error says why. */
bool phone_start(struct phone *phone, bool create);
/* The process ends, with or without a sync under way; its link must be gone. */
void phone_stop(struct phone *phone);

/* The device's half of a sync. */
bool phone_sync_begin(struct phone *phone, struct server_end *server, struct ledger *ledger,
                      int64_t now_ms, const struct link_stop *stop);
/* Ends the session; what becomes of the connection is the caller's. */
struct link *phone_sync_end(struct phone *phone);

/* SQL as the app. False or -1: it failed. */
bool phone_sql(struct phone *phone, const char *sql);
int64_t phone_number(struct phone *phone, const char *sql);
/* One id; false: there is none. */
bool phone_id(struct phone *phone, const char *sql, struct record_uuid *id_out);

/* x'...' */
enum { PHONE_BLOB_LEN = 36 };
const char *phone_blob(const struct record_uuid *id, char text_out[PHONE_BLOB_LEN]);

#endif
