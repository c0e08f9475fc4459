/* SPDX-License-Identifier: Apache-2.0
 *
 * The fleet: all virtual devices of a run, the regions they work in, and what they
 * share. One loop, one thread.
 */
#ifndef OUTPOST_LOAD_FLEET_H
#define OUTPOST_LOAD_FLEET_H

#include "connection.h"
#include "made.h"
#include "measure.h"
#include "outbox.h"
#include "replica.h"

enum {
    FLEET_REGIONS_MAX = 1000,
    FLEET_FACILITIES_MAX = 64, /* of one region */
    FLEET_DEVICES_MAX = 100000,
    DEVICE_TOKEN_BYTES_MAX = 64,
    /* Families that enter a device's scope between two CaughtUps and are told apart. */
    DEVICE_ENTERED_MAX = 8,
};

struct region {
    struct record_uuid id;
    struct record_uuid facilities[FLEET_FACILITIES_MAX];
    size_t facility_count;
    uint32_t first_device, device_count;
    uint32_t following; /* devices whose call is open and caught up */
    uint64_t records;   /* of the data set that is made */
};

struct app_version {
    char name[40]; /* as Hello tells it */
    uint32_t revision;
    bool newer; /* it has fields that the server does not know */
};

enum device_state {
    DEVICE_IDLE,      /* no call */
    DEVICE_SYNCING,   /* a call is open, and not caught up */
    DEVICE_FOLLOWING, /* it is caught up and open, for what others write */
    DEVICE_ENDING,    /* it is caught up and half-closed */
    DEVICE_SLEEPING,  /* a call failed, and the next is due at wake_us */
};

/* An arrival that is not done. */
struct visit {
    struct visit *next;
    int64_t meant_us;
    enum work work;
};

struct device {
    struct fleet *fleet;
    uint32_t number;
    uint32_t region;
    struct record_uuid facility;
    uint16_t link, version; /* places in the fleet's lists */
    bool follows;
    bool enrolled;
    rpc_tls *tls;

    /* What a phone keeps of the protocol. */
    struct rpc_buffer cursor, receipt;
    uint8_t token[DEVICE_TOKEN_BYTES_MAX];
    uint8_t token_len;
    bool accepts_zstd;
    uint32_t push_items;
    struct replica replica;
    struct record_uuid entered[DEVICE_ENTERED_MAX]; /* since the last CaughtUp */
    unsigned entered_count;                         /* all of them */
    struct outbox outbox;

    enum device_state state;
    struct connection *connection;
    rpc_call *call;
    struct visit *waiting; /* for the next sync to begin */
    struct visit *riding;  /* on this one */
    bool fresh_asked;      /* the next sync is a first one */
    bool first_sync;       /* this one is */
    bool snapshot_due;     /* the region's snapshot is not complete */
    bool pushes_done;
    bool agreed; /* the last CaughtUp's digests were this device's */
    int64_t started_us;
    unsigned failures; /* in a row */
    int64_t wake_us;
    struct device *sleeping_next;
    struct draw draw;
};

struct fleet {
    uv_loop_t *loop;
    struct dialer dialer;
    struct pool pool;
    struct made made;
    struct measure *measure;
    uint64_t seed;
    bool keep_connections;
    bool shaped; /* devices use their own networks; else all are near */

    struct region *regions;
    size_t region_count;
    struct device *devices;
    size_t device_count;
    struct link_quality links[MEASURE_GROUPS_MAX];
    size_t link_count;
    struct app_version versions[MEASURE_GROUPS_MAX];
    size_t version_count;

    struct device *sleeping;
    unsigned interrupts; /* SIGINT, SIGTERM: the phase that runs ends */
    uint32_t open_syncs; /* devices in DEVICE_SYNCING or DEVICE_ENDING */
    struct rpc_buffer scratch, message;

    /* A device's sync ended: caught up (a follower's first time in its call), or failed. */
    void (*on_synced)(void *context, struct device *device, bool caught_up);
    void *context;
};

static inline int64_t fleet_now_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

static inline struct region *device_region(const struct device *device)
{
    return &device->fleet->regions[device->region];
}

#endif
