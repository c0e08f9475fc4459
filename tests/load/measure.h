/* SPDX-License-Identifier: Apache-2.0
 *
 * What is counted while the load runs. Latencies are microseconds from when a nurse
 * meant to begin until everything was sent and fetched; freshness is from when somebody
 * meant to write until another device can read it.
 */
#ifndef OUTPOST_LOAD_MEASURE_H
#define OUTPOST_LOAD_MEASURE_H

#include "histogram.h"
#include "process.h"
#include "schedule.h"

#include "outpost/rpc.h"

enum {
    /* Seconds that are told one by one: three days, a soak's. */
    MEASURE_SECONDS_MAX = 3 * 86400,
    MEASURE_GROUPS_MAX = 16, /* links, and versions */
    MEASURE_CODES = 17,
    MEASURE_ANSWERS = 6,
};

/* The devices of one link or of one version. */
struct measure_group {
    char name[40];
    uint64_t devices, syncs, errors;
    struct histogram latency;
};

struct measure_second {
    uint32_t arrivals, syncs, errors;
    uint32_t open;                        /* syncs under way at its end */
    uint64_t p50_us, p99_us, greatest_us; /* of the arrivals that were done in it */
    uint64_t freshness_p99_us;            /* for followers */
    uint64_t bytes_sent, bytes_received;
    uint64_t records;
    double server_cpu, own_cpu;       /* cores */
    uint64_t server_bytes, own_bytes; /* resident */
};

struct measure {
    bool running;         /* outside of the run nothing is counted */
    uint64_t arrivals;    /* that came */
    uint64_t unfinished;  /* arrivals that were not done when the run ended */
    uint64_t syncs;       /* calls that caught up */
    uint64_t first_syncs; /* of these */
    uint64_t errors[MEASURE_CODES];
    uint64_t answers[MEASURE_ANSWERS]; /* by AnswerStatus */
    uint64_t nothing_to_edit;          /* arrivals whose device held no record for it */
    uint64_t pulled;
    uint64_t digests_compared, digests_differ, resets;
    char first_difference[160];
    struct histogram latency, works[WORK_COUNT];
    struct histogram late;             /* by how much this process began arrivals too late */
    struct histogram service;          /* from the call's start */
    struct histogram followed, polled; /* freshness: by followers, at the next sync */
    struct histogram reach;            /* until the last follower of the region had it */
    struct measure_group links[MEASURE_GROUPS_MAX], versions[MEASURE_GROUPS_MAX];
    size_t link_count, version_count;

    struct measure_second *seconds;
    size_t second_count, second_room;
    struct measure_second now; /* the one that runs */
    struct histogram now_latency, now_freshness;
    struct rpc_conn_bytes bytes_before; /* at its beginning */
    struct process_sample server_before, own_before;
};

struct measure *measure_new(void);
void measure_free(struct measure *measure);

/* One arrival is done. */
void measure_arrival(struct measure *measure, enum work work, size_t link, size_t version,
                     uint64_t latency_us);
void measure_freshness(struct measure *measure, bool followed, uint64_t us);
void measure_error(struct measure *measure, enum rpc_code code, size_t link, size_t version);

/* A second is over: what came in it goes to the series, and is told. */
struct measure_second measure_tick(struct measure *measure, const struct rpc_conn_bytes *bytes,
                                   const struct process_sample *server,
                                   const struct process_sample *own, uint32_t open);

uint64_t measure_error_count(const struct measure *measure);

#endif
