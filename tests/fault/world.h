/* SPDX-License-Identifier: Apache-2.0
 *
 * One device and one server on crash disks, and a sync of 200 records between
 * them: forty patients with four readings each, entered by the app in eight
 * transactions, pushed in batches of 50; the server has 100 records of another
 * device, which come back in pages of 50.
 *
 * A world remembers what its faults must not undo: the app's transactions whose
 * COMMIT returned, and the mutations whose answers left the server. In the end it
 * asks both databases about them.
 */
#ifndef OUTPOST_TESTS_WORLD_H
#define OUTPOST_TESTS_WORLD_H

#include "crash_vfs.h"
#include "device_half.h"
#include "server_half.h"

enum world_side { WORLD_DEVICE, WORLD_SERVER, WORLD_OTHER, WORLD_SIDES };

enum {
    WORLD_TRANSACTIONS = 8,
    WORLD_OTHER_TRANSACTIONS = 4,
    WORLD_TRANSACTION_PATIENTS = 5,
    WORLD_READINGS_EACH = 4,
    WORLD_ACKNOWLEDGED_MAX = 4096,
    WORLD_FLIGHTS_MAX = 64,
    WORLD_ERROR_LEN = 512,
};

/* A push under way: the ids of its mutations. */
struct world_flight {
    size_t count;
    struct record_mutation_id ids[SERVER_HALF_BATCH];
};

struct world {
    struct crash_disk *disks;              /* WORLD_SIDES of them */
    struct crash_image *base[WORLD_SIDES]; /* before the app's first transaction */
    struct record_hasher *hasher;
    struct device_half *device;
    struct server_half *server;
    uint64_t luck; /* of this run's coins */

    size_t committed; /* the app's transactions */
    size_t acknowledged_count;
    struct record_mutation_id acknowledged[WORLD_ACKNOWLEDGED_MAX];
    size_t flight_first, flight_end; /* of the present stream */
    struct world_flight flights[WORLD_FLIGHTS_MAX];
    size_t cut_at_push;          /* the device loses power as its nth push leaves; 0: it does not */
    char error[WORLD_ERROR_LEN]; /* empty, or what is wrong */
};

/* Makes the base. With long_wals both sides begin with a WAL that was never
 * checkpointed, so that the sync's own commits run a checkpoint and start the WAL
 * over; else with none. */
bool world_init(struct world *world, struct crash_disk *disks, bool long_wals);
void world_deinit(struct world *world);

/* Back to the base; the coins are this seed's. */
void world_restore(struct world *world, uint64_t seed);

/* The app enters its records, the device syncs, both close: as far as the disks'
 * plans let it come. */
void world_run(struct world *world);

/* After a run with cut_at_push: the device gets power again, and must have that
 * push's mutations in its outbox (I1). */
bool world_check_sealed(struct world *world, uint64_t seed);

/* Whoever is down gets power again, by the seed's luck; what is closed is opened;
 * the sync is taken to its end; everything is checked. For some seeds, the power
 * goes once more while it recovers. False: see error. */
bool world_finish(struct world *world, uint64_t seed);

#endif
