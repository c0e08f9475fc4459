/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a rollout to 1 %, 10 %, 50 % and 100 % of a fleet, with a halt and a step back in
 * the middle: membership is sticky and grows, counts are right, nobody outside of the
 * cohort receives the new type, nothing is lost. Method: every device calls at every step,
 * in an order drawn from a seed, some over links that break; who is in is reckoned here
 * from the formula of the digest in sync.proto, and what there must be in the end from what
 * the apps have entered.
 *
 *     fleet_test [--devices N] [--seed S]
 */
#include "fleet.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PERCENT = 100 /* in shares */ };

#define READINGS "(SELECT count(*) FROM blood_pressure)"
#define ON_SERVER "(SELECT count(*) FROM record WHERE type = 13 AND deleted = 0)"

/* ---- Who is in, reckoned anew ----------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static unsigned place_of(const struct fleet_device *device)
{
    uint64_t halves[2] = {0, 0};

    for (size_t i = 0; i < RECORD_UUID_LEN; i++)
        halves[i / 8] = halves[i / 8] << 8 | device->id.bytes[i];
    return (unsigned)(mix(mix(mix(mix(FLEET_REVISION) ^ halves[0]) ^ halves[1])) % 10000);
}

/* Sets who is in; false: somebody left while the share grew, or the share is not met. */
static bool reckon(struct fleet *fleet, uint32_t share, bool grows)
{
    size_t inside = 0;

    for (size_t i = 0; i < fleet->count; i++) {
        struct fleet_device *device = &fleet->devices[i];
        bool in = place_of(device) < share;
        if (device->inside && !in && grows)
            return fleet_wrong(fleet, "device %zu left its cohort", i);
        device->inside = in;
        inside += in;
    }
    /* Five standard deviations, and one for the rounding, of so many coins. */
    double expected = (double)fleet->count * share / 10000;
    double slack = 1 + (share == 0 || share == 10000 ? 0 : fleet->count * 0.08);
    if ((double)inside > expected + slack || (double)inside < expected - slack)
        return fleet_wrong(fleet, "%zu of %zu devices are in a share of %u", inside, fleet->count,
                           share);
    printf("%6.2f %%: %zu devices\n", share / 100.0, inside);
    return true;
}

/* ---- What apps do ------------------------------------------------------------------- */

static bool enter_patient(struct fleet *fleet, const struct fleet_device *device)
{
    return fleet_app(fleet, device,
                     "INSERT INTO patient(full_name, age_years, age_recorded_at_ms)"
                     " VALUES ('Asha', 40, 1)");
}

/* Who has the feature enters a reading and edits one; who has not, with a newer app, enters
 * one all the same now and then: it must not be lost. */
static bool work(struct fleet *fleet, struct fleet_device *device, bool bad)
{
    if (device->old_app)
        return fleet_app(fleet, device, "UPDATE patient SET zone = zone || 'x'");
    if (!device->inside && fleet_random(fleet, 10) > 0)
        return true;
    device->readings++;
    return fleet_app(fleet, device,
                     bad ? "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)"
                           " SELECT id, 999, 80 FROM patient ORDER BY id LIMIT 1"
                         : "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)"
                           " SELECT id, 120, 80 FROM patient ORDER BY id LIMIT 1;"
                           "UPDATE blood_pressure SET diastolic_mmhg = diastolic_mmhg + 1"
                           " WHERE systolic_mmhg = 120 AND id = (SELECT min(id) FROM"
                           " blood_pressure)");
}

/* ---- Rounds ---------------------------------------------------------------------------- */

static size_t *shuffled(struct fleet *fleet)
{
    size_t *order = calloc(fleet->count, sizeof *order);

    for (size_t i = 0; order != NULL && i < fleet->count; i++) {
        size_t at = (size_t)fleet_random(fleet, i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    return order;
}

/* One sync that counts; a broken one, once the server has greeted, is a failed one. */
static bool call(struct fleet *fleet, struct fleet_device *device, bool breaks, bool rejected)
{
    if (breaks) {
        /* Lost: the answer to a push; with nothing to push, Welcome. */
        bool pushes = fleet_ask(fleet, device, "SELECT count(*) FROM outpost_pending") > 0;
        if (fleet_sync(fleet, device, pushes ? 2 : 1))
            return fleet_wrong(fleet, "a sync over a broken link came to its end");
        device->syncs.begun++;
        device->syncs.failed++;
    }
    if (!fleet_sync(fleet, device, 0))
        return false;
    device->syncs.begun++;
    device->syncs.rejected += rejected;
    return true;
}

static bool check_device(struct fleet *fleet, struct fleet_device *device)
{
    int64_t held = device->old_app
                       ? fleet_ask(fleet, device, "SELECT count(*) FROM outpost_unknown_record")
                       : fleet_ask(fleet, device, "SELECT " READINGS);
    int64_t pending = fleet_ask(fleet, device,
                                "SELECT count(*) FROM outpost_pending p WHERE NOT EXISTS (SELECT 1"
                                " FROM outpost_rejected r WHERE r.id = p.id)");

    if (pending != 0)
        return fleet_wrong(fleet, "device %zu has %" PRId64 " pending records",
                           (size_t)(device - fleet->devices), pending);
    if (!device->inside && held > fleet_ask(fleet, device, "SELECT count(*) FROM outpost_rejected"))
        return fleet_wrong(fleet, "device %zu is outside and holds %" PRId64 " of the type",
                           (size_t)(device - fleet->devices), held);
    return fleet->error[0] == '\0';
}

/* Everybody works and calls, then everybody calls again, so that all have all. */
static bool round_of_calls(struct fleet *fleet, bool bad)
{
    size_t *order = shuffled(fleet);
    bool good = order != NULL;

    for (size_t i = 0; good && i < fleet->count; i++) {
        struct fleet_device *device = &fleet->devices[order[i]];
        unsigned before = device->readings;
        good = work(fleet, device, bad && device->inside);
        good = good && call(fleet, device, fleet_random(fleet, 8) == 0,
                            bad && device->inside && device->readings > before);
    }
    for (size_t i = 0; good && i < fleet->count; i++)
        good = call(fleet, &fleet->devices[i], false, false) &&
               check_device(fleet, &fleet->devices[i]);
    free(order);
    if (good && fleet->leaked > 0)
        return fleet_wrong(fleet, "%" PRIu64 " records of the type went outside", fleet->leaked);
    return good;
}

/* ---- What the server counts ------------------------------------------------------------------ */

static bool check_counts(struct fleet *fleet)
{
    struct store_device_list list = {.request = {.kind = STORE_DEVICE_LIST}};
    struct rpc_status status = store_run(server_half_store(fleet->server), &list.request);
    struct rollouts rollouts;
    bool good =
        rpc_ok(&status) && list.device_count == fleet->count && fleet_rollouts(fleet, &rollouts);

    for (size_t i = 0; good && i < fleet->count; i++) {
        const struct fleet_device *device = &fleet->devices[i];
        struct rollout_device asked = {device->id, device->region};
        size_t at = 0;
        while (at < list.device_count &&
               record_uuid_compare(&list.devices[at].device_id, &device->id) != 0)
            at++;
        const struct rollout_syncs *syncs = &list.devices[at].syncs;
        if (syncs->begun != device->syncs.begun || syncs->failed != device->syncs.failed ||
            syncs->rejected != device->syncs.rejected)
            good = fleet_wrong(fleet,
                               "device %zu: %" PRIu64 " syncs, %" PRIu64 " failed, %" PRIu64
                               " rejected; the server counts %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                               i, device->syncs.begun, device->syncs.failed, device->syncs.rejected,
                               syncs->begun, syncs->failed, syncs->rejected);
        if (rollout_includes(&rollouts, FLEET_REVISION, &asked) != device->inside)
            good = fleet_wrong(fleet, "device %zu is in the wrong cohort", i);
    }
    free(list.devices);
    return good || fleet_wrong(fleet, "the server's lists are not right");
}

/* ---- The story
 * ----------------------------------------------------------------------------------- */

static bool change(struct fleet *fleet, struct rollout_change change, enum rollout_outcome wanted)
{
    struct rollout rollout;

    change.revision = FLEET_REVISION;
    change.switch_count = change.kind == ROLLOUT_SET;
    change.switches[0] = (struct rollout_field){.type = FLEET_TYPE};
    enum rollout_outcome outcome = fleet_change(fleet, &change, &rollout);
    if (outcome != wanted)
        return fleet_wrong(fleet, "a change came to %d and not to %d", (int)outcome, (int)wanted);
    return fleet->error[0] == '\0';
}

static bool step_to(struct fleet *fleet, uint32_t percent, bool resume)
{
    struct rollout_change set = {.kind = ROLLOUT_SET,
                                 .has_share = true,
                                 .share = percent * PERCENT,
                                 .has_halt_above = true,
                                 .halt_above = 15 * PERCENT,
                                 .resume = resume};

    return change(fleet, set, ROLLOUT_CHANGED) && reckon(fleet, percent * PERCENT, true) &&
           round_of_calls(fleet, false) && check_counts(fleet);
}

/* The new feature is broken: what its apps enter is refused. Above 15 % of the cohort's
 * syncs, nobody can let it grow. */
static bool halt_by_errors(struct fleet *fleet)
{
    struct rollout_change grow = {.kind = ROLLOUT_SET, .has_share = true, .share = 50 * PERCENT};
    struct store_rollout_review review = {.request = {.kind = STORE_ROLLOUT_REVIEW}};
    struct rpc_status status;
    struct rollouts rollouts;

    if (!round_of_calls(fleet, true))
        return false;
    if (!change(fleet, grow, ROLLOUT_IS_HALTED))
        return false;
    status = store_run(server_half_store(fleet->server), &review.request);
    if (!rpc_ok(&status) || !fleet_rollouts(fleet, &rollouts) || !rollouts.list[0].halted ||
        rollout_share(&rollouts.list[0]) != 10 * PERCENT)
        return fleet_wrong(fleet, "the rollout is not halted at 10 %%");
    puts("halted by its errors");
    /* The app is mended: the nurses correct what was refused. */
    for (size_t i = 0; i < fleet->count; i++)
        if (!fleet->devices[i].old_app &&
            !fleet_app(fleet, &fleet->devices[i],
                       "UPDATE blood_pressure SET systolic_mmhg = 121 WHERE systolic_mmhg = 999"))
            return false;
    return round_of_calls(fleet, false);
}

static bool step_back(struct fleet *fleet)
{
    struct rollout_change back = {.kind = ROLLOUT_BACK};

    return change(fleet, back, ROLLOUT_CHANGED) && reckon(fleet, 10 * PERCENT, false) &&
           round_of_calls(fleet, false) && check_counts(fleet);
}

/* At 100 % every device holds every reading of its region, and the server each that was
 * ever entered. */
static bool check_end(struct fleet *fleet)
{
    char sql[200], error[SERVER_HALF_ERROR_LEN];
    int64_t entered = 0;

    for (size_t i = 0; i < fleet->count; i++)
        entered += fleet->devices[i].readings;
    int64_t stored = fleet_ask_server(fleet, "SELECT " ON_SERVER);
    if (stored != entered)
        return fleet_wrong(fleet, "%" PRId64 " readings were entered and %" PRId64 " are stored",
                           entered, stored);
    if (fleet_ask_server(fleet, "SELECT count(*) FROM record WHERE type = 13 AND instr(hex(body),"
                                " '08E707') = 1") != 0)
        return fleet_wrong(fleet, "a refused reading was stored");
    for (size_t i = 0; i < fleet->count; i++) {
        const struct fleet_device *device = &fleet->devices[i];
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM record WHERE type = 13 AND deleted = 0 AND region_id ="
                 " x'a0%02x0000000000000000000000000000'",
                 device->region.bytes[1]);
        int64_t held = fleet_ask(fleet, device,
                                 device->old_app ? "SELECT count(*) FROM outpost_unknown_record"
                                                 : "SELECT " READINGS);
        int64_t wanted = fleet_ask_server(fleet, sql);
        if (held != wanted)
            return fleet_wrong(fleet, "device %zu holds %" PRId64 " of %" PRId64 " readings", i,
                               held, wanted);
    }
    printf("%" PRId64 " readings, on the server and on every device of their regions\n", entered);
    return server_half_verify(fleet->server, error) || fleet_wrong(fleet, "%s", error);
}

static bool run(struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->count; i++)
        if (!enter_patient(fleet, &fleet->devices[i]))
            return false;
    return step_to(fleet, 1, false) && step_to(fleet, 10, false) && halt_by_errors(fleet) &&
           step_to(fleet, 50, true) && step_back(fleet) && step_to(fleet, 50, true) &&
           step_to(fleet, 100, false) && check_end(fleet);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"devices", required_argument, NULL, 'd'},
                                            {"seed", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    struct fleet fleet;
    unsigned long devices = 1000, seed = 1;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'd')
            devices = strtoul(optarg, NULL, 10);
        else if (option == 's')
            seed = strtoul(optarg, NULL, 10);
        else
            return 64;
    }
    printf("%lu devices, seed %lu\n", devices, seed);
    bool good = fleet_init(&fleet, devices, seed) && run(&fleet);
    if (!good)
        printf("wrong: %s\n", fleet.error);
    fleet_deinit(&fleet);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
