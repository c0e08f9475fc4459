/* SPDX-License-Identifier: Apache-2.0
 *
 * From nothing to a fleet at rest: regions and facilities, devices and their identities, the
 * data set, every device's first sync, the followers.
 */
#include "device.h"
#include "run.h"
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PURPOSE_DATA = 40,
    PURPOSE_GROUPS = 41,
    /* A code that was refused is replaced so often: two in a million select the same. */
    ENROL_TRIES = 3,
    CODES_BYTES_MAX = 8 * 1024 * 1024,
};

static double seconds_since(int64_t start_us)
{
    return (double)(fleet_now_us() - start_us) / 1e6;
}

static uint64_t own_bytes(void)
{
    return process_sample(getpid(), 0).resident_bytes;
}

/* ---- Sizes ------------------------------------------------------------------------------ */

/* Shares of a whole by the Zipf law, in whole numbers that add up; each at least least. */
static void share_out(const struct zipf *law, uint64_t whole, uint64_t least, uint64_t *parts)
{
    uint64_t left = whole - least * law->count;
    double due = 0;
    uint64_t given = 0;

    for (size_t i = 0; i < law->count; i++) {
        due += zipf_share(law, i) * (double)left;
        uint64_t part = (uint64_t)(due + .5) - given;
        parts[i] = least + part;
        given += part;
    }
}

/* Calls take with each region's part of a whole. False: no memory. */
static bool share_among_regions(struct run *run, uint64_t whole, uint64_t least,
                                void (*take)(struct region *region, uint64_t part))
{
    struct fleet *fleet = &run->fleet;
    uint64_t *parts = calloc(fleet->region_count, sizeof *parts);
    struct zipf law = {0};
    bool good = parts != NULL && zipf_init(&law, fleet->region_count, run->options->region_skew);

    if (good)
        share_out(&law, whole, least, parts);
    for (size_t i = 0; i < fleet->region_count && good; i++)
        take(&fleet->regions[i], parts[i]);
    zipf_deinit(&law);
    free(parts);
    return good;
}

static void take_devices(struct region *region, uint64_t part)
{
    region->device_count = (uint32_t)part;
}

static void take_records(struct region *region, uint64_t part)
{
    region->records = part;
}

/* The devices of a region stand side by side. */
static bool size_regions(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    uint32_t first = 0;

    if (!share_among_regions(run, fleet->device_count, 1, take_devices))
        return false;
    for (size_t i = 0; i < fleet->region_count; i++) {
        fleet->regions[i].first_device = first;
        first += fleet->regions[i].device_count;
    }
    return true;
}

/* Which of a list of shares a device is of: drawn from the seed, by its number. */
static uint16_t draw_group(const struct run *run, const struct option_shares *shares,
                           uint64_t purpose, uint32_t number)
{
    struct draw draw = draw_stream(run->options->seed, purpose, number);
    double sum = 0;

    for (size_t i = 0; i < shares->count; i++)
        sum += shares->shares[i];
    double wanted = draw_unit(&draw) * sum;
    for (size_t i = 0; i + 1 < shares->count; i++) {
        if (wanted < shares->shares[i])
            return (uint16_t)i;
        wanted -= shares->shares[i];
    }
    return (uint16_t)(shares->count - 1);
}

static void make_devices(struct run *run)
{
    const struct options *options = run->options;
    struct fleet *fleet = &run->fleet;

    for (uint32_t i = 0; i < fleet->device_count; i++) {
        struct device *device = &fleet->devices[i];
        device_init(device, fleet, i);
        device->link = draw_group(run, &options->link_shares, PURPOSE_GROUPS, i);
        device->version = draw_group(run, &options->version_shares, PURPOSE_GROUPS + 1, i);
        fleet->measure->links[device->link].devices++;
        fleet->measure->versions[device->version].devices++;
    }
}

static void name_groups(struct run *run)
{
    const struct options *options = run->options;
    struct fleet *fleet = &run->fleet;
    struct measure *measure = fleet->measure;

    fleet->link_count = measure->link_count = options->link_shares.count;
    fleet->version_count = measure->version_count = options->version_shares.count;
    for (size_t i = 0; i < fleet->link_count; i++) {
        fleet->links[i] = options->links[i];
        snprintf(measure->links[i].name, sizeof measure->links[i].name, "%s",
                 options->links[i].name);
    }
    for (size_t i = 0; i < fleet->version_count; i++) {
        fleet->versions[i] = options->versions[i];
        snprintf(measure->versions[i].name, sizeof measure->versions[i].name, "%s",
                 options->versions[i].name);
    }
}

/* ---- A server of our own: regions, facilities, codes ------------------------------------------
 */

static struct rpc_status add_regions(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    struct rpc_status status = rpc_status_ok();
    char name[64];

    for (size_t i = 0; i < fleet->region_count && rpc_ok(&status); i++) {
        struct region *region = &fleet->regions[i];
        snprintf(name, sizeof name, "Block %zu", i + 1);
        status = server_add_region(&run->server, name, &region->id);
        region->facility_count = run->options->facilities;
        for (size_t j = 0; j < region->facility_count && rpc_ok(&status); j++) {
            snprintf(name, sizeof name, "Clinic %zu of block %zu", j + 1, i + 1);
            status = server_add_facility(&run->server, name, &region->id, &region->facilities[j]);
        }
    }
    return status;
}

static size_t count_not_enrolled(const struct fleet *fleet, size_t first, size_t count)
{
    size_t missing = 0;

    for (size_t i = first; i < first + count; i++)
        missing += !fleet->devices[i].enrolled;
    return missing;
}

/* Devices first..first+count-1 at one facility. Codes are made just before they are used: they are
 * good for a quarter of an hour. */
static struct rpc_status enrol_at(struct run *run, const struct record_uuid *facility, size_t first,
                                  size_t count)
{
    struct enrolment_code *codes = calloc(count, sizeof *codes);
    struct rpc_status status = rpc_status_ok();

    if (codes == NULL)
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "out of memory");
    for (int i = 0; i < ENROL_TRIES && rpc_ok(&status); i++)
        for (size_t at = first; at < first + count && rpc_ok(&status); at++) {
            size_t some = 0;
            while (at + some < first + count && !run->fleet.devices[at + some].enrolled)
                some++;
            if (some == 0)
                continue;
            status = server_make_codes(&run->server, facility, some, codes);
            if (rpc_ok(&status))
                status = enrolment_run(&run->fleet, rpc_buffer_view(&run->ca_pem), codes, at, some,
                                       NULL);
            at += some - 1;
        }
    free(codes);
    if (rpc_ok(&status) && count_not_enrolled(&run->fleet, first, count) > 0)
        status = rpc_status_make(RPC_PERMISSION_DENIED, "the server refuses its own codes");
    return status;
}

/* A region's devices, facility by facility. */
static struct rpc_status enrol_region(struct run *run, size_t number)
{
    struct region *region = &run->fleet.regions[number];
    struct rpc_status status = rpc_status_ok();
    size_t done = 0;

    for (size_t i = 0; i < region->facility_count && rpc_ok(&status); i++) {
        size_t until = region->device_count * (i + 1) / region->facility_count;
        for (size_t j = done; j < until; j++) {
            struct device *device = &run->fleet.devices[region->first_device + j];
            device->region = (uint32_t)number;
            device->facility = region->facilities[i];
        }
        if (until > done)
            status =
                enrol_at(run, &region->facilities[i], region->first_device + done, until - done);
        done = until;
    }
    return status;
}

static struct rpc_status set_up_own(struct run *run)
{
    const struct options *options = run->options;
    struct fleet *fleet = &run->fleet;
    char ca[PATH_MAX + 16];
    struct rpc_status status =
        server_init(&run->server, options->outpostd, options->data, options->store);

    if (rpc_ok(&status))
        status = add_regions(run);
    if (rpc_ok(&status))
        status = server_start(&run->server);
    snprintf(ca, sizeof ca, "%s/ca.pem", run->server.data);
    if (rpc_ok(&status))
        status = server_read_file(ca, &run->ca_pem);
    if (rpc_ok(&status))
        status = dialer_init(&fleet->dialer, fleet->loop, run->server.address);
    for (size_t i = 0; i < fleet->region_count && rpc_ok(&status); i++)
        status = enrol_region(run, i);
    return status;
}

/* ---- A server that is there: a code each -------------------------------------------------------
 */

/* Regions and facilities are where the devices were enrolled. False: too many. */
static bool take_place(struct fleet *fleet, struct device *device,
                       const struct enrolment_place *place)
{
    size_t i = 0, j = 0;

    while (i < fleet->region_count &&
           record_uuid_compare(&fleet->regions[i].id, &place->region) != 0)
        i++;
    if (i == FLEET_REGIONS_MAX)
        return false;
    struct region *region = &fleet->regions[i];
    if (i == fleet->region_count) {
        *region = (struct region){.id = place->region, .first_device = device->number};
        fleet->region_count++;
    }
    while (j < region->facility_count &&
           record_uuid_compare(&region->facilities[j], &place->facility) != 0)
        j++;
    if (j == region->facility_count && j < FLEET_FACILITIES_MAX)
        region->facilities[region->facility_count++] = place->facility;
    region->device_count++;
    device->region = (uint32_t)i;
    device->facility = place->facility;
    return true;
}

/* The codes of a file, one a line. */
static struct rpc_status read_codes(struct run *run, struct enrolment_code *codes)
{
    struct rpc_buffer text;
    size_t count = 0;

    rpc_buffer_init(&text, CODES_BYTES_MAX);
    struct rpc_status status = server_read_file(run->options->codes, &text);
    rpc_buffer_append(&text, "", 1);
    char *rest = NULL;
    for (char *line = rpc_ok(&status) ? strtok_r((char *)text.data, "\r\n", &rest) : NULL;
         line != NULL && count < run->fleet.device_count; line = strtok_r(NULL, "\r\n", &rest))
        snprintf(codes[count++].text, ENROLMENT_CODE_LEN, "%s", line);
    rpc_buffer_deinit(&text);
    if (rpc_ok(&status) && count < run->fleet.device_count)
        status = rpc_status_make(RPC_INVALID_ARGUMENT, "%.200s has %zu codes for %zu devices",
                                 run->options->codes, count, run->fleet.device_count);
    return status;
}

static struct rpc_status set_up_there(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    struct enrolment_code *codes = calloc(fleet->device_count, sizeof *codes);
    struct enrolment_place *places = calloc(fleet->device_count, sizeof *places);
    struct rpc_status status = server_read_file(run->options->ca, &run->ca_pem);

    if (codes == NULL || places == NULL)
        status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "out of memory");
    if (rpc_ok(&status))
        status = read_codes(run, codes);
    if (rpc_ok(&status))
        status = dialer_init(&fleet->dialer, fleet->loop, run->options->server);
    if (rpc_ok(&status))
        status = enrolment_run(fleet, rpc_buffer_view(&run->ca_pem), codes, 0, fleet->device_count,
                               places);
    fleet->region_count = 0;
    for (size_t i = 0; i < fleet->device_count && rpc_ok(&status); i++)
        if (!fleet->devices[i].enrolled || !take_place(fleet, &fleet->devices[i], &places[i]))
            status = rpc_status_make(RPC_PERMISSION_DENIED, "code %zu of %.200s is not good", i + 1,
                                     run->options->codes);
    free(codes);
    free(places);
    return status;
}

/* ---- Data, first syncs, followers
 * ---------------------------------------------------------------- */

/* One device of each region brings its records. */
static bool is_seeder(const struct device *device)
{
    return device_region(device)->first_device == device->number;
}

static bool is_everyone(const struct device *device)
{
    (void)device;
    return true;
}

static bool is_follower(const struct device *device)
{
    return device->follows;
}

static struct rpc_status make_data(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    int64_t start_us = fleet_now_us();

    for (size_t i = 0; i < fleet->region_count; i++) {
        struct region *region = &fleet->regions[i];
        struct draw draw = draw_stream(run->options->seed, PURPOSE_DATA, i);
        for (uint64_t made = 0; made < region->records; made += 1 + MADE_READINGS_PER_PATIENT) {
            work_make_family(&fleet->devices[region->first_device], &draw);
            run->setup.data_records += 1 + MADE_READINGS_PER_PATIENT;
        }
    }
    if (!run_round(run, is_seeder))
        return rpc_status_make(RPC_UNAVAILABLE, "the data set could not be pushed");
    run->setup.data_seconds = seconds_since(start_us);
    return rpc_status_ok();
}

static struct rpc_status sync_first(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    int64_t start_us = fleet_now_us();

    if (!run_round(run, is_everyone))
        return rpc_status_make(RPC_UNAVAILABLE, "not every device could sync");
    run->setup.first_sync_seconds = seconds_since(start_us);
    for (size_t i = 0; i < fleet->device_count; i++)
        run->setup.first_sync_records += fleet->devices[i].replica.count;
    return rpc_status_ok();
}

/* Every n-th device, so that each region has its share. */
static struct rpc_status start_followers(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    double due = 0;

    fleet->shaped = true;
    for (size_t i = 0; i < fleet->device_count; i++) {
        due += run->options->followers;
        fleet->devices[i].follows = due >= 1;
        due -= fleet->devices[i].follows;
        run->setup.followers += fleet->devices[i].follows;
    }
    if (!run_round(run, is_follower))
        return rpc_status_make(RPC_UNAVAILABLE, "not every follower could follow");
    return rpc_status_ok();
}

struct rpc_status setup_fleet(struct run *run)
{
    struct fleet *fleet = &run->fleet;
    struct setup_figures *figures = &run->setup;
    int64_t start_us = fleet_now_us();

    if (run->options->spawn && !size_regions(run))
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "out of memory");
    figures->own_bytes_before = own_bytes();
    name_groups(run);
    make_devices(run);
    struct rpc_status status = run->options->spawn ? set_up_own(run) : set_up_there(run);
    if (rpc_ok(&status) && !share_among_regions(run, run->options->records, 0, take_records))
        status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "out of memory");
    figures->enrol_seconds = seconds_since(start_us);
    if (rpc_ok(&status)) {
        run_say(run, "%zu devices enrolled in %.1f s", fleet->device_count, figures->enrol_seconds);
        status = make_data(run);
    }
    if (rpc_ok(&status)) {
        run_say(run, "data set of %llu records pushed in %.1f s",
                (unsigned long long)figures->data_records, figures->data_seconds);
        status = sync_first(run);
    }
    figures->own_bytes_after = own_bytes();
    figures->pool_bytes = fleet->pool.bytes;
    figures->server_bytes_before = process_sample(run->server.pid, 0).resident_bytes;
    if (rpc_ok(&status)) {
        run_say(run, "first syncs of %llu records in %.1f s",
                (unsigned long long)figures->first_sync_records, figures->first_sync_seconds);
        status = start_followers(run);
    }
    figures->server_bytes_after = process_sample(run->server.pid, 0).resident_bytes;
    figures->own_bytes_followed = own_bytes();
    return status;
}
