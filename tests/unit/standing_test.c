/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: what is decided about a device has the effects that standing.h says, each
 * decision counts once, and a lost phone gets its order before anything else is said.
 */
#include "standing.h"
#include "suite.h"

static const struct record_uuid home = {{1}}, other = {{2}}, nowhere = {{0}};

static enum standing_outcome apply(struct standing *standing, enum standing_change change,
                                   const struct record_uuid *region)
{
    struct standing_decision decision = {
        .change = change, .region = *region, .now_ms = 5000, .wipe_ordered_at_ms = 4000};

    return standing_apply(standing, &home, &decision);
}

static enum standing_refusal refuses(const struct standing *standing,
                                     const struct record_uuid *region)
{
    struct scope_device device = {.enrolment_region = home, .rights = standing->rights};

    return standing_refuses(standing, &device, region);
}

static void test_R15_a_region_that_was_allowed_once_stays_writable(void)
{
    struct standing standing = {0};
    struct scope_device device = {.enrolment_region = home};
    struct scope_regions there = {.count = 1, .ids = {other}};

    CU_ASSERT_EQUAL(apply(&standing, STANDING_DISALLOW, &other), STANDING_UNCHANGED);
    CU_ASSERT_EQUAL(refuses(&standing, &other), STANDING_REFUSED_REGION);
    CU_ASSERT_FALSE(scope_may_write(&device, &there));
    CU_ASSERT_EQUAL(apply(&standing, STANDING_ALLOW, &other), STANDING_CHANGED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_ALLOW, &other), STANDING_UNCHANGED);
    CU_ASSERT_EQUAL(refuses(&standing, &other), STANDING_ADMITTED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_DISALLOW, &other), STANDING_CHANGED);
    CU_ASSERT_EQUAL(refuses(&standing, &other), STANDING_REFUSED_REGION);
    CU_ASSERT_EQUAL(refuses(&standing, &home), STANDING_ADMITTED);
    device.rights = standing.rights;
    CU_ASSERT_TRUE(scope_may_write(&device, &there));
    CU_ASSERT_EQUAL(standing.version, 2);
}

static void test_nobody_takes_the_enrolment_region_away(void)
{
    struct standing standing = {0};

    CU_ASSERT_EQUAL(apply(&standing, STANDING_ALLOW, &home), STANDING_UNCHANGED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_DISALLOW, &home), STANDING_IS_HOME);
    CU_ASSERT_EQUAL(standing.version, 0);
}

static void test_I12_the_rights_have_an_end(void)
{
    struct standing standing = {0};

    for (uint8_t i = 0; i < SCOPE_RIGHTS_MAX; i++) {
        struct record_uuid region = {{9, i}};
        CU_ASSERT_EQUAL(apply(&standing, STANDING_ALLOW, &region), STANDING_CHANGED);
    }
    CU_ASSERT_EQUAL(apply(&standing, STANDING_ALLOW, &other), STANDING_TOO_MANY_REGIONS);
    CU_ASSERT_EQUAL(standing.rights.count, SCOPE_RIGHTS_MAX);
    CU_ASSERT_EQUAL(standing.version, SCOPE_RIGHTS_MAX);
}

static void test_R18_a_revoked_device_still_gets_its_order(void)
{
    struct standing standing = {0};

    CU_ASSERT_STRING_EQUAL(standing_word(&standing), "active");
    apply(&standing, STANDING_REVOKE, &nowhere);
    CU_ASSERT_EQUAL(refuses(&standing, &home), STANDING_REFUSED_REVOKED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_ORDER_WIPE, &nowhere), STANDING_CHANGED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_ORDER_WIPE, &nowhere), STANDING_UNCHANGED);
    CU_ASSERT_EQUAL(standing.wipe_ordered_at_ms, 5000);
    CU_ASSERT_EQUAL(refuses(&standing, &home), STANDING_REFUSED_WIPE);
    CU_ASSERT_STRING_EQUAL(standing_word(&standing), "wiping");
    CU_ASSERT_EQUAL(apply(&standing, STANDING_CANCEL_WIPE, &nowhere), STANDING_CHANGED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_CANCEL_WIPE, &nowhere), STANDING_UNCHANGED);
    CU_ASSERT_STRING_EQUAL(standing_word(&standing), "revoked");
    CU_ASSERT_EQUAL(standing.version, 3);
}

/* The device was faster than the administrator who took the order back. */
static void test_what_is_wiped_stays_wiped(void)
{
    struct standing standing = {0};

    apply(&standing, STANDING_ORDER_WIPE, &nowhere);
    apply(&standing, STANDING_CANCEL_WIPE, &nowhere);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_NOTE_WIPED, &nowhere), STANDING_CHANGED);
    CU_ASSERT_EQUAL(standing.wipe_ordered_at_ms, 4000);
    CU_ASSERT_EQUAL(standing.wiped_at_ms, 5000);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_NOTE_WIPED, &nowhere), STANDING_UNCHANGED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_CANCEL_WIPE, &nowhere), STANDING_IS_WIPED);
    CU_ASSERT_EQUAL(apply(&standing, STANDING_ORDER_WIPE, &nowhere), STANDING_IS_WIPED);
    CU_ASSERT_EQUAL(refuses(&standing, &home), STANDING_REFUSED_WIPED);
    CU_ASSERT_STRING_EQUAL(standing_word(&standing), "wiped");
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R15_a_region_that_was_allowed_once_stays_writable),
        SUITE_TEST(test_nobody_takes_the_enrolment_region_away),
        SUITE_TEST(test_I12_the_rights_have_an_end),
        SUITE_TEST(test_R18_a_revoked_device_still_gets_its_order),
        SUITE_TEST(test_what_is_wiped_stays_wiped),
    };

    return suite_run("standing", tests, sizeof tests / sizeof tests[0]);
}
