/* SPDX-License-Identifier: Apache-2.0
 *
 * The end. Every device syncs until nothing of its own is left, and once more, so that all
 * stand at their regions' heads; there each one's digest must be the server's. Then one
 * device of each region drops all that it holds and fetches it anew: what a stranger is sent is
 * what the server has, whatever the others remember. Against that stand the ledger and the digests.
 */
#include "device.h"
#include "run.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* Rounds after which an edit that is still not answered never will be. */
    SETTLE_ROUNDS = 5,
};

/* ---- Rest ------------------------------------------------------------------------------ */

static bool is_everyone(const struct device *device)
{
    (void)device;
    return true;
}

static bool has_work(const struct device *device)
{
    return device->outbox.count > 0;
}

static bool is_witness(const struct device *device)
{
    return device_region(device)->first_device == device->number;
}

static uint64_t count_unanswered(const struct fleet *fleet)
{
    uint64_t count = 0;

    for (size_t i = 0; i < fleet->device_count; i++)
        count += fleet->devices[i].outbox.count;
    return count;
}

/* False: some device has no end. */
static bool settle(struct run *run)
{
    struct fleet *fleet = &run->fleet;

    fleet->shaped = false;
    for (size_t i = 0; i < fleet->device_count; i++)
        device_stop_following(&fleet->devices[i]);
    bool all = run_rest(run);
    for (int i = 0; i < SETTLE_ROUNDS && all && count_unanswered(fleet) > 0; i++)
        all = run_round(run, has_work);
    run->check.unanswered = count_unanswered(fleet);
    for (size_t i = 0; i < fleet->device_count; i++)
        for (const struct mutation *mutation = fleet->devices[i].outbox.first; mutation != NULL;
             mutation = mutation->next)
            ledger_note_unanswered(mutation);
    return all;
}

/* ---- Digests ----------------------------------------------------------------------------- */

static bool is_same_sum(const struct replica *a, const struct replica *b)
{
    return memcmp(a->sums, b->sums, sizeof a->sums) == 0;
}

/* Each device with the server, and with the region's first. */
static void compare_digests(struct run *run, bool all)
{
    struct fleet *fleet = &run->fleet;

    for (size_t i = 0; i < fleet->device_count; i++) {
        const struct device *device = &fleet->devices[i];
        const struct device *first = &fleet->devices[device_region(device)->first_device];
        if (!all && device->state != DEVICE_IDLE)
            run->check.devices_unheard++;
        else if (device->agreed && is_same_sum(&device->replica, &first->replica))
            run->check.devices_agree++;
        else
            run->check.devices_differ++;
    }
}

/* ---- The ledger ---------------------------------------------------------------------------- */

static struct pool_version *witnessed(const struct fleet *fleet, const struct pool_entity *entity)
{
    struct pool_version *held = NULL;

    if (entity->ledger.ours) {
        const struct region *region = &fleet->regions[entity->ledger.region];
        return replica_find(&fleet->devices[region->first_device].replica, entity);
    }
    for (size_t i = 0; i < fleet->region_count && held == NULL; i++)
        held = replica_find(&fleet->devices[fleet->regions[i].first_device].replica, entity);
    return held;
}

static void check_ledger(struct run *run)
{
    const struct fleet *fleet = &run->fleet;

    for (const struct pool_entity *entity = fleet->pool.entities; entity != NULL;
         entity = entity->hh.next) {
        if (entity->ledger.version == 0 && entity->ledger.accepted == 0)
            continue;
        run->check.records++;
        run->check.verdicts[ledger_check(&entity->ledger, witnessed(fleet, entity))]++;
    }
}

/* ---- Together ------------------------------------------------------------------------------- */

/* Somebody's chance to do harm, or to look, while the server is at rest. */
static void call_before_check(struct run *run)
{
    char pid[24];

    if (run->options->before_check == NULL)
        return;
    snprintf(pid, sizeof pid, "%ld", (long)run->server.pid);
    setenv("OUTPOST_DATA", run->server.data, 1);
    setenv("OUTPOST_PID", pid, 1);
    if (system(run->options->before_check) != 0)
        run_say(run, "--before-check failed");
}

void check_run(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    bool all = !run->check.ended_early;

    run->interrupts_before = fleet->interrupts;

    if (all) {
        run_say(run, "checking: every device syncs to its end");
        all = settle(run);
        call_before_check(run);
        all = all && run_round(run, is_everyone);
    }
    if (all) {
        for (size_t i = 0; i < fleet->region_count; i++)
            fleet->devices[fleet->regions[i].first_device].fresh_asked = true;
        all = run_round(run, is_witness);
    }
    run->check.done = all;
    compare_digests(run, all);
    if (all)
        check_ledger(run);
    if (all && run->options->spawn) {
        struct rpc_status status = server_verify(&run->server);
        run->check.verified = true;
        run->check.verify_failed = !rpc_ok(&status);
    }
}

bool check_holds(const struct run *run)
{
    const struct check_result *check = &run->check;
    uint64_t bad = 0;

    for (int verdict = LEDGER_GOOD + 1; verdict < LEDGER_VERDICTS; verdict++)
        bad += check->verdicts[verdict];
    return check->done && bad == 0 && check->devices_differ == 0 && check->unanswered == 0 &&
           run->fleet.measure->digests_differ == 0 && run->fleet.measure->resets == 0 &&
           !check->verify_failed;
}
