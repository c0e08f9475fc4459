/* SPDX-License-Identifier: Apache-2.0
 *
 * A fleet: a thousand devices and a server, with their real cores in one process, on
 * real files. Blood pressure plays the record type that is rolled out; one device in
 * eight has an app that has never heard of it.
 *
 * The fleet looks at every message that leaves the server: a record of the held type
 * that goes to a device which is not to have it is noted.
 */
#ifndef OUTPOST_TESTS_FLEET_H
#define OUTPOST_TESTS_FLEET_H

#include "device_half.h"
#include "server_half.h"

enum {
    FLEET_REVISION = 2, /* that is rolled out */
    FLEET_TYPE = 13,    /* and the type that it holds */
    FLEET_ERROR_LEN = 300,
    FLEET_PER_REGION = 50,
};

struct fleet_device {
    struct record_uuid id, region, facility;
    bool old_app;      /* knows no blood pressure */
    bool inside;       /* of the cohort, as this test reckons it */
    bool held;         /* it may have the type's records: it is inside, or was and has not called */
    unsigned readings; /* that its app has entered */
    struct rollout_syncs syncs; /* as they went, since the last change */
};

struct fleet {
    char folder[64];
    size_t count;
    struct fleet_device *devices;
    struct server_half *server;
    struct fleet_device *calling; /* whose sync is under way */
    uint64_t leaked;              /* records of the type to devices outside */
    uint64_t luck;
    int64_t now_ms;
    char error[FLEET_ERROR_LEN]; /* empty, or the first thing that is wrong */
};

/* Always false, so that it can be returned. */
bool fleet_wrong(struct fleet *fleet, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool fleet_init(struct fleet *fleet, size_t count, uint64_t seed);
void fleet_deinit(struct fleet *fleet);

/* What an app does: SQL on a device's own file. */
bool fleet_app(struct fleet *fleet, const struct fleet_device *device, const char *sql);
int64_t fleet_ask(struct fleet *fleet, const struct fleet_device *device, const char *sql);
int64_t fleet_ask_server(struct fleet *fleet, const char *sql);

/* A sync to its end; or, with messages, until so many have come: then the link is gone. */
bool fleet_sync(struct fleet *fleet, struct fleet_device *device, unsigned messages);

/* The administrator. */
enum rollout_outcome fleet_change(struct fleet *fleet, const struct rollout_change *change,
                                  struct rollout *rollout_out);
bool fleet_rollouts(struct fleet *fleet, struct rollouts *rollouts_out);

uint64_t fleet_random(struct fleet *fleet, uint64_t below);

#endif
