/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: rollouts decide as rollout.h says, and type sums count as type_sums.h says.
 * Method: all of it is pure; cohorts are looked at over ten thousand devices drawn from a
 * seed, and sums beside a plain reckoning of a random history.
 */
#include "rollout.h"
#include "suite.h"
#include "type_sums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 10000, TYPES = 100 };

static const struct record_uuid north = {{1}}, south = {{2}};
static uint64_t luck = 1;

static uint64_t draw(void)
{
    luck = luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return luck >> 32;
}

static struct rollout_device device_of(unsigned n)
{
    struct rollout_device device = {.enrolment_region = north};

    for (size_t i = 0; i < RECORD_UUID_LEN; i++)
        device.id.bytes[i] = (uint8_t)(n >> (8 * (i % 4)) ^ (i * 37));
    return device;
}

static enum rollout_outcome set_share(struct rollouts *rollouts, uint32_t revision, uint32_t share)
{
    struct rollout_change change = {
        .kind = ROLLOUT_SET, .revision = revision, .has_share = true, .share = share};

    return rollout_apply(rollouts, &change);
}

static enum rollout_outcome simply(struct rollouts *rollouts, int kind, uint32_t revision)
{
    struct rollout_change change = {.revision = revision};

    change.kind = kind;
    return rollout_apply(rollouts, &change);
}

static size_t cohort_size(const struct rollouts *rollouts, uint32_t revision)
{
    size_t size = 0;

    for (unsigned i = 0; i < DEVICES; i++) {
        struct rollout_device device = device_of(i);
        size += rollout_includes(rollouts, revision, &device);
    }
    return size;
}

/* Whoever is in stays in while the share grows, and the share is met. */
static void test_cohorts_are_sticky_and_grow(void)
{
    static const uint32_t shares[] = {0, 25, 100, 1000, 5000, 9999, ROLLOUT_WHOLE};
    static bool was[DEVICES];
    static struct rollouts rollouts;

    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        CU_ASSERT_EQUAL(set_share(&rollouts, 2, shares[s]), ROLLOUT_CHANGED);
        size_t size = 0;
        for (unsigned i = 0; i < DEVICES; i++) {
            struct rollout_device device = device_of(i);
            bool in = rollout_includes(&rollouts, 2, &device);
            CU_ASSERT_FALSE(was[i] && !in);
            was[i] = in;
            size += in;
        }
        double expected = DEVICES * (shares[s] / 10000.0);
        CU_ASSERT(size + 250 >= expected && size <= expected + 250);
        CU_ASSERT(shares[s] > 0 || size == 0);
        CU_ASSERT(shares[s] < ROLLOUT_WHOLE || size == DEVICES);
    }
}

/* Another revision has other devices first: nobody is always the one who tries. */
static void test_revisions_have_cohorts_of_their_own(void)
{
    static struct rollouts rollouts;
    size_t both = 0;

    set_share(&rollouts, 2, 1000);
    set_share(&rollouts, 3, 1000);
    for (unsigned i = 0; i < DEVICES; i++) {
        struct rollout_device device = device_of(i);
        both += rollout_includes(&rollouts, 2, &device) && rollout_includes(&rollouts, 3, &device);
    }
    CU_ASSERT(both > 50 && both < 150);
}

static void test_a_regions_share_goes_before_that_of_all(void)
{
    static struct rollouts rollouts;
    struct rollout_change change = {.kind = ROLLOUT_SET,
                                    .revision = 2,
                                    .region = south,
                                    .has_share = true,
                                    .share = ROLLOUT_WHOLE};
    struct rollout_device device = device_of(1);

    set_share(&rollouts, 2, 0);
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &change), ROLLOUT_CHANGED);
    CU_ASSERT_FALSE(rollout_includes(&rollouts, 2, &device));
    device.enrolment_region = south;
    CU_ASSERT_TRUE(rollout_includes(&rollouts, 2, &device));
}

/* By name a device is in whatever its place, and out again by back. */
static void test_a_device_is_in_by_name(void)
{
    static struct rollouts rollouts;
    struct rollout_device device = device_of(7), other = device_of(8);
    struct rollout_change change = {.kind = ROLLOUT_SET, .revision = 2, .device = device.id};

    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &change), ROLLOUT_CHANGED);
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &change), ROLLOUT_CHANGED);
    CU_ASSERT_EQUAL(rollouts.named_count, 1);
    CU_ASSERT_TRUE(rollout_includes(&rollouts, 2, &device));
    CU_ASSERT_FALSE(rollout_includes(&rollouts, 2, &other));
    change.kind = ROLLOUT_BACK;
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &change), ROLLOUT_CHANGED);
    CU_ASSERT_FALSE(rollout_includes(&rollouts, 2, &device));
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &change), ROLLOUT_UNKNOWN);
}

static void test_steps_forward_and_back(void)
{
    static struct rollouts rollouts;

    CU_ASSERT_EQUAL(simply(&rollouts, ROLLOUT_BACK, 2), ROLLOUT_UNKNOWN);
    CU_ASSERT_EQUAL(simply(&rollouts, ROLLOUT_HALT, 2), ROLLOUT_UNKNOWN);
    set_share(&rollouts, 2, 100);
    set_share(&rollouts, 2, 1000);
    CU_ASSERT_EQUAL(set_share(&rollouts, 2, 500), ROLLOUT_WOULD_SHRINK);
    CU_ASSERT_EQUAL(set_share(&rollouts, 2, 1000), ROLLOUT_CHANGED);
    CU_ASSERT_EQUAL(rollouts.list[0].step_count, 2);
    CU_ASSERT_EQUAL(simply(&rollouts, ROLLOUT_BACK, 2), ROLLOUT_CHANGED);
    CU_ASSERT_EQUAL(rollout_share(&rollouts.list[0]), 100);
    CU_ASSERT_TRUE(rollouts.list[0].halted);
    CU_ASSERT_EQUAL(set_share(&rollouts, 2, 1000), ROLLOUT_IS_HALTED);
    struct rollout_change resume = {
        .kind = ROLLOUT_SET, .revision = 2, .has_share = true, .share = 1000, .resume = true};
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &resume), ROLLOUT_CHANGED);
    CU_ASSERT_FALSE(rollouts.list[0].halted);
    for (int i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(simply(&rollouts, ROLLOUT_BACK, 2), ROLLOUT_CHANGED);
    CU_ASSERT_EQUAL(rollout_share(&rollouts.list[0]), 0);
    CU_ASSERT_EQUAL(simply(&rollouts, ROLLOUT_BACK, 2), ROLLOUT_AT_START);
}

/* Limits: nothing is changed by what does not fit. */
static void test_I12_what_does_not_fit_changes_nothing(void)
{
    static struct rollouts rollouts, before;
    struct rollout_change held = {.kind = ROLLOUT_SET, .revision = 1};

    for (uint32_t i = 0; i < ROLLOUTS_MAX; i++)
        CU_ASSERT_EQUAL(set_share(&rollouts, i + 1, 1), ROLLOUT_CHANGED);
    before = rollouts;
    CU_ASSERT_EQUAL(set_share(&rollouts, 1000, 1), ROLLOUT_TOO_MANY);
    CU_ASSERT_EQUAL(memcmp(&before, &rollouts, sizeof before), 0);
    for (uint32_t i = 2; i <= ROLLOUT_STEPS_MAX; i++)
        CU_ASSERT_EQUAL(set_share(&rollouts, 1, i), ROLLOUT_CHANGED);
    CU_ASSERT_EQUAL(set_share(&rollouts, 1, 9000), ROLLOUT_TOO_MANY);
    held.switch_count = ROLLOUT_SWITCHES_MAX;
    for (uint32_t i = 0; i < ROLLOUT_SWITCHES_MAX; i++)
        held.switches[i] = (struct rollout_field){100 + i, 0};
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &held), ROLLOUT_CHANGED);
    held.switch_count = 1;
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &held), ROLLOUT_CHANGED);
    held.switches[0].type = 1;
    CU_ASSERT_EQUAL(rollout_apply(&rollouts, &held), ROLLOUT_TOO_MANY);
    struct rollout_device device = device_of(DEVICES - 1);
    device.id.bytes[0] ^= 0x80;
    while (rollout_includes(&rollouts, 1, &device))
        device.id.bytes[1]++;
    struct rollout_view view = rollout_view_of(&rollouts, &device);
    CU_ASSERT_EQUAL(view.type_count, ROLLOUT_TYPES_MAX);
}

static void test_what_a_device_is_told(void)
{
    static struct rollouts rollouts;
    struct rollout_device in = device_of(1), out = device_of(2);
    struct rollout_change change = {
        .kind = ROLLOUT_SET,
        .revision = 5,
        .has_minimum = true,
        .minimum = 4,
        .device = in.id,
        .switch_count = 4,
        .switches = {{30, 0}, {20, 0}, {20, 7}, {10, 9}},
    };

    rollout_apply(&rollouts, &change);
    struct rollout_view view = rollout_view_of(&rollouts, &in);
    CU_ASSERT_EQUAL(view.minimum, 4);
    CU_ASSERT_EQUAL(view.recommended, 5);
    CU_ASSERT_EQUAL(view.type_count + view.field_count, 0);
    view = rollout_view_of(&rollouts, &out);
    CU_ASSERT_EQUAL(view.minimum + view.recommended, 0);
    CU_ASSERT_EQUAL(view.type_count, 2);
    CU_ASSERT_EQUAL(view.types[0], 20);
    CU_ASSERT_EQUAL(view.types[1], 30);
    CU_ASSERT_EQUAL(view.field_count, 1); /* that of the withheld type is withheld with it */
    CU_ASSERT_EQUAL(view.fields[0].type, 10);
    CU_ASSERT_EQUAL(view.fields[0].field, 9);
    /* Another rollout of the same type opens it to its own cohort. */
    change = (struct rollout_change){.kind = ROLLOUT_SET,
                                     .revision = 6,
                                     .device = out.id,
                                     .switch_count = 1,
                                     .switches = {{20, 0}}};
    rollout_apply(&rollouts, &change);
    view = rollout_view_of(&rollouts, &out);
    CU_ASSERT_EQUAL(view.type_count, 1);
    CU_ASSERT_EQUAL(view.recommended, 6);
    /* Halted, nobody is told to upgrade, and what is withheld stays so. */
    uint64_t version = rollouts_version(&rollouts);
    simply(&rollouts, ROLLOUT_HALT, 5);
    CU_ASSERT(rollouts_version(&rollouts) > version);
    view = rollout_view_of(&rollouts, &in);
    CU_ASSERT_EQUAL(view.minimum + view.recommended, 0);
    CU_ASSERT_EQUAL(rollout_view_of(&rollouts, &out).type_count, 1);
}

/* Errors halt above the limit, of a cohort that has said enough. */
static void test_errors_halt(void)
{
    static struct rollouts rollouts;
    struct rollout_change change = {.kind = ROLLOUT_SET,
                                    .revision = 2,
                                    .has_share = true,
                                    .share = 5000,
                                    .has_halt_above = true,
                                    .halt_above = 1000};
    struct rollout_syncs syncs = {.begun = 10, .failed = 1, .rejected = 0};
    struct rollout_cohorts cohorts = {0};
    unsigned in = 0, counted = 0;

    rollout_apply(&rollouts, &change);
    for (unsigned i = 0; i < 100 && in < 3; i++) {
        struct rollout_device device = device_of(i);
        in += rollout_includes(&rollouts, 2, &device);
        counted++;
        rollout_count(&rollouts, &device, &syncs, &cohorts);
    }
    CU_ASSERT_EQUAL(cohorts.of[0].begun, 30);
    CU_ASSERT_EQUAL(cohorts.of[0].failed, 3);
    CU_ASSERT(counted > 3);
    CU_ASSERT_EQUAL(rollout_judge(&rollouts, &cohorts), 0); /* 10 % is not above 10 % */
    cohorts.of[0].rejected = 1;
    struct rollout_cohorts few = {.of = {{.begun = ROLLOUT_JUDGED_SYNCS - 1, .failed = 19}}};
    CU_ASSERT_EQUAL(rollout_judge(&rollouts, &few), 0);
    CU_ASSERT_EQUAL(rollout_judge(&rollouts, &cohorts), 1);
    CU_ASSERT_TRUE(rollouts.list[0].halted);
    CU_ASSERT_EQUAL(rollout_judge(&rollouts, &cohorts), 0);
    CU_ASSERT_EQUAL(cohort_size(&rollouts, 2) > 0, true); /* who is in stays in */
}

/* ---- Type sums ------------------------------------------------------------------------ */

static void test_I13_type_sums_are_those_of_a_plain_reckoning(void)
{
    static struct {
        uint32_t type;
        uint64_t share;
        bool in;
    } records[2000];
    struct type_sums sums = {0}, again;
    uint8_t bytes[TYPE_SUMS_MAX * TYPE_SUM_LEN];

    for (int step = 0; step < 50000; step++) {
        size_t at = (size_t)(draw() % 2000);
        if (records[at].in) {
            type_sums_take_out(&sums, records[at].type, records[at].share);
        } else {
            records[at].type = 10 + (uint32_t)(draw() % TYPES);
            records[at].share = draw() << 32 | draw();
            type_sums_put_in(&sums, records[at].type, records[at].share);
        }
        records[at].in = !records[at].in;
    }
    CU_ASSERT_EQUAL(sums.count, TYPE_SUMS_MAX); /* more types than are summed came */
    size_t len = type_sums_encode(&sums, bytes);
    type_sums_parse(rpc_bytes_view(bytes, len), &again);
    CU_ASSERT_EQUAL(again.count, sums.count);
    for (size_t i = 0; i < again.count; i++) {
        uint64_t count = 0, digest = 0, hidden_count = 1000, hidden_digest = 7;
        for (size_t r = 0; r < 2000; r++)
            if (records[r].in && records[r].type == again.sums[i].type) {
                count++;
                digest += records[r].share;
            }
        CU_ASSERT_EQUAL(again.sums[i].records, count);
        CU_ASSERT_EQUAL(again.sums[i].digest, digest);
        type_sums_hide(&again, &again.sums[i].type, 1, &hidden_count, &hidden_digest);
        CU_ASSERT_EQUAL(hidden_count, 1000 - count);
        CU_ASSERT_EQUAL(hidden_digest, 7 - digest);
    }
    type_sums_parse(rpc_bytes_view(bytes, len - 1), &again);
    CU_ASSERT_EQUAL(again.count, 0);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_cohorts_are_sticky_and_grow),
        SUITE_TEST(test_revisions_have_cohorts_of_their_own),
        SUITE_TEST(test_a_regions_share_goes_before_that_of_all),
        SUITE_TEST(test_a_device_is_in_by_name),
        SUITE_TEST(test_steps_forward_and_back),
        SUITE_TEST(test_I12_what_does_not_fit_changes_nothing),
        SUITE_TEST(test_what_a_device_is_told),
        SUITE_TEST(test_errors_halt),
        SUITE_TEST(test_I13_type_sums_are_those_of_a_plain_reckoning),
    };

    return suite_run("rollout", tests, sizeof tests / sizeof tests[0]);
}
