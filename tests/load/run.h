/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the harness, phase by phase: set up (setup.c), load (load.c), check (check.c).
 */
#ifndef OUTPOST_LOAD_RUN_H
#define OUTPOST_LOAD_RUN_H

#include "ledger.h"
#include "options.h"
#include "server.h"

enum {
    /* Syncs at once while nothing is measured. */
    RUN_QUIET_SYNCS = 64,
    /* Without any sync coming to its end for so long, a phase is given up. */
    RUN_PATIENCE_MS = 120000,
};

/* Figures of the way to the load. */
struct setup_figures {
    double enrol_seconds, data_seconds, first_sync_seconds;
    uint64_t data_records, first_sync_records;
    uint64_t own_bytes_before, own_bytes_after;       /* the devices made, enrolled and filled */
    uint64_t pool_bytes;                              /* of that, what all devices share */
    uint64_t server_bytes_before, server_bytes_after; /* the followers connected */
    uint64_t own_bytes_followed;
    uint32_t followers;
};

/* What the end was compared with. */
struct check_result {
    bool done;        /* every device could be asked */
    uint64_t records; /* that the ledger knows */
    uint64_t verdicts[LEDGER_VERDICTS];
    uint64_t devices_agree, devices_differ, devices_unheard;
    uint64_t unanswered;          /* edits without an answer in the end */
    bool verified, verify_failed; /* by outpostd, of a server of our own */
    bool ended_early;             /* the server did, by itself */
};

struct run {
    struct options *options;
    struct fleet fleet;
    struct server server; /* with --spawn */
    struct rpc_buffer ca_pem;
    struct setup_figures setup;
    struct check_result check;
    double load_seconds;
    double idle_server_cores;       /* with the followers connected and nobody writing */
    double busy_before, busy_after; /* the machine's load average */
    struct process_sample server_start, server_end, own_start, own_end;
    bool interrupted; /* the load was, and everything after it was done */

    /* The phase that runs. */
    uint8_t *awaited; /* by device: its sync is not done */
    size_t awaited_count;
    size_t next;
    unsigned interrupts_before; /* the phase began with so many */
    int64_t progress_us;        /* when a sync last came to its end */
    struct schedule schedule;
};

struct rpc_status setup_fleet(struct run *run);
void load_run(struct run *run);
void check_run(struct run *run);
bool check_holds(const struct run *run);

/* Has every device for which wanted says yes sync, RUN_QUIET_SYNCS at once, until all are
 * caught up. False: some could not. */
bool run_round(struct run *run, bool (*wanted)(const struct device *device));
/* Waits until no call is open, so that a round's syncs begin in it. False: some stay open. */
bool run_rest(struct run *run);
/* fleet.on_synced; context is the run. */
void run_on_synced(void *run, struct device *device, bool caught_up);

/* One line to the terminal, unless quiet. */
void run_say(const struct run *run, const char *format, ...) RPC_PRINTF(2, 3);

#endif
