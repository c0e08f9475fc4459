/* SPDX-License-Identifier: Apache-2.0
 *
 * scope.c: the one place that says who sees and writes what (I7, R15, R16). Each rule
 * by hand, on record types of the test's own; then a million decisions over random
 * organisations, moves and requests, against an oracle that knows nothing of ids and
 * sets: it counts regions on its fingers.
 */
#include "scope.h"
#include "suite.h"

#include <stdio.h>

/* ---- Ids ---------------------------------------------------------------------- */

static struct record_uuid id_of(unsigned n)
{
    struct record_uuid id = {{0}};

    id.bytes[0] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)n;
    return id;
}

static struct rpc_bytes bytes_of(const struct record_uuid *id)
{
    return rpc_bytes_view(id->bytes, RECORD_UUID_LEN);
}

static struct scope_regions regions_of(const unsigned *numbers, size_t count)
{
    struct scope_regions regions = {.count = 0};

    for (size_t i = 0; i < count; i++) {
        struct record_uuid id = id_of(numbers[i]);
        scope_regions_add(&regions, &id);
    }
    return regions;
}

/* ---- Roles ---------------------------------------------------------------------- */

enum { PATIENT = 10, READING = 11, FACILITY = 20, REGION = 21 };

static const struct record_field patient_fields[] = {
    {.number = 1, .name = "name"},
    {.number = 2, .name = "assigned", .reference = FACILITY},
    {.number = 3, .name = "registered", .reference = FACILITY, .fill = RECORD_FILL_DEVICE_FACILITY},
    {.number = 4, .name = "third", .reference = FACILITY},
};
static const struct record_field facility_fields[] = {
    {.number = 1, .name = "region", .scope = true, .reference = REGION},
    {.number = 2, .name = "closed", .closing = true},
    {.number = 3, .name = "name"},
};

/* The types in the order of their numbers; what a case leaves out of them. */
static struct record_type types[4];
static struct record_schema schema;

static void make_schema(size_t patient_field_count, size_t facility_field_count)
{
    types[0] = (struct record_type){.number = PATIENT,
                                    .family = RECORD_FAMILY_ROOT,
                                    .fields = patient_fields,
                                    .field_count = patient_field_count};
    types[1] = (struct record_type){.number = READING, .family = RECORD_FAMILY_MEMBER};
    types[2] = (struct record_type){.number = FACILITY,
                                    .family = RECORD_FAMILY_GLOBAL,
                                    .fields = facility_fields,
                                    .field_count = facility_field_count};
    types[3] = (struct record_type){.number = REGION, .family = RECORD_FAMILY_GLOBAL};
    schema = (struct record_schema){.types = types, .type_count = 4};
}

static void test_roles_are_read_from_the_annotations(void)
{
    struct scope_roles roles;

    make_schema(3, 3);
    CU_ASSERT_TRUE_FATAL(scope_roles_find(&schema, &roles));
    CU_ASSERT_PTR_EQUAL(roles.root, &types[0]);
    CU_ASSERT_PTR_EQUAL(roles.facility, &types[2]);
    CU_ASSERT_PTR_EQUAL(roles.region, &types[3]);
    CU_ASSERT_EQUAL(roles.facility_home->number, 1);
    CU_ASSERT_EQUAL(roles.facility_closed->number, 2);
    CU_ASSERT_EQUAL(roles.root_facility_count, 2);
    CU_ASSERT_EQUAL(roles.root_facilities[0]->number, 3); /* the filled one first */
    CU_ASSERT_EQUAL(roles.root_facilities[1]->number, 2);
}

static void test_a_schema_without_a_role_is_refused(void)
{
    struct scope_roles roles;

    make_schema(3, 0); /* no facility names a region */
    CU_ASSERT_FALSE(scope_roles_find(&schema, &roles));
    make_schema(3, 1); /* none can be closed */
    CU_ASSERT_FALSE(scope_roles_find(&schema, &roles));
    make_schema(4, 3); /* a family would be in more regions than a mutation may write */
    CU_ASSERT_FALSE(scope_roles_find(&schema, &roles));
    make_schema(2, 3); /* nothing is filled */
    CU_ASSERT_FALSE(scope_roles_find(&schema, &roles));
    make_schema(1, 3); /* a patient is nowhere */
    CU_ASSERT_FALSE(scope_roles_find(&schema, &roles));
    make_schema(3, 3); /* the region is of no type */
    schema.type_count = 3;
    CU_ASSERT_FALSE(scope_roles_find(&schema, &roles));
}

/* ---- What records say -------------------------------------------------------------- */

static void test_a_facility_names_its_region_or_none(void)
{
    static const uint8_t short_id[3];
    struct scope_roles roles;
    struct record_body body = {.count = 0};
    struct record_uuid region = id_of(7), found, zeros = id_of(0);
    struct wire_field home = {.number = 1, .type = WIRE_LEN, .bytes = bytes_of(&region)};

    make_schema(3, 3);
    CU_ASSERT_TRUE_FATAL(scope_roles_find(&schema, &roles));
    CU_ASSERT_FALSE(scope_region_of_facility(&roles, &body, &found));
    CU_ASSERT_TRUE(record_body_set(&body, &home));
    CU_ASSERT_TRUE(scope_region_of_facility(&roles, &body, &found));
    CU_ASSERT_EQUAL(record_uuid_compare(&found, &region), 0);
    body.fields[0].bytes = rpc_bytes_view(short_id, sizeof short_id);
    CU_ASSERT_FALSE(scope_region_of_facility(&roles, &body, &found));
    body.fields[0].bytes = bytes_of(&zeros); /* the global region is nobody's home */
    CU_ASSERT_FALSE(scope_region_of_facility(&roles, &body, &found));
    body.fields[0] = (struct wire_field){.number = 1, .type = WIRE_VARINT, .value = 7};
    CU_ASSERT_FALSE(scope_region_of_facility(&roles, &body, &found));
    CU_ASSERT_FALSE(scope_facility_is_closed(&roles, &body));
    struct wire_field closed = {.number = 2, .type = WIRE_VARINT, .value = 1};
    CU_ASSERT_TRUE(record_body_set(&body, &closed));
    CU_ASSERT_TRUE(scope_facility_is_closed(&roles, &body));
    body.fields[1].value = 0;
    CU_ASSERT_FALSE(scope_facility_is_closed(&roles, &body));
}

static void test_a_patient_names_its_facilities(void)
{
    struct scope_roles roles;
    struct record_body body = {.count = 0};
    struct record_uuid facility = id_of(9), found;
    struct wire_field registered = {.number = 3, .type = WIRE_LEN, .bytes = bytes_of(&facility)};

    make_schema(3, 3);
    CU_ASSERT_TRUE_FATAL(scope_roles_find(&schema, &roles));
    CU_ASSERT_TRUE(record_body_set(&body, &registered));
    CU_ASSERT_TRUE(scope_facility_of_root(roles.root_facilities[0], &body, &found));
    CU_ASSERT_EQUAL(record_uuid_compare(&found, &facility), 0);
    CU_ASSERT_FALSE(scope_facility_of_root(roles.root_facilities[1], &body, &found));
}

static void test_R21_the_facilities_of_a_patient_are_listed_once_each(void)
{
    struct scope_roles roles;
    struct record_body body = {.count = 0};
    struct record_uuid one = id_of(9), other = id_of(8);
    struct wire_field registered = {.number = 3, .type = WIRE_LEN, .bytes = bytes_of(&one)};
    struct wire_field assigned = {.number = 2, .type = WIRE_LEN, .bytes = bytes_of(&other)};

    make_schema(3, 3);
    CU_ASSERT_TRUE_FATAL(scope_roles_find(&schema, &roles));
    CU_ASSERT_EQUAL(scope_facilities_of_root(&roles, &body).count, 0);
    CU_ASSERT_TRUE(record_body_set(&body, &registered));
    CU_ASSERT_EQUAL(scope_facilities_of_root(&roles, &body).count, 1);
    CU_ASSERT_TRUE(record_body_set(&body, &assigned));
    struct scope_facilities both = scope_facilities_of_root(&roles, &body);
    CU_ASSERT_EQUAL_FATAL(both.count, 2);
    CU_ASSERT_EQUAL(record_uuid_compare(&both.ids[0], &one), 0);
    CU_ASSERT_EQUAL(record_uuid_compare(&both.ids[1], &other), 0);
    assigned.bytes = bytes_of(&one);
    CU_ASSERT_TRUE(record_body_set(&body, &assigned));
    CU_ASSERT_EQUAL(scope_facilities_of_root(&roles, &body).count, 1);
}

static void test_a_key_fits_its_type(void)
{
    struct record_uuid a = id_of(1), b = id_of(2), none = id_of(0);
    const struct {
        struct record_key key;
        bool fits;
    } cases[] = {
        {{a, PATIENT, a}, true},     {{a, PATIENT, b}, false},    {{a, READING, b}, true},
        {{none, READING, b}, false}, {{none, FACILITY, b}, true}, {{a, FACILITY, b}, false},
        {{a, 99, b}, true},          {{none, 99, b}, true},
    };

    make_schema(3, 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CU_ASSERT_EQUAL(scope_key_fits(&schema, &cases[i].key), cases[i].fits);
    types[1].family = (enum record_family)77; /* of a newer plugin: on doubt, deny */
    CU_ASSERT_FALSE(scope_key_fits(&schema, &cases[2].key));
}

/* ---- Rights -------------------------------------------------------------------------- */

static void test_rights_are_set_changed_and_bounded(void)
{
    struct scope_rights rights = {.count = 0};
    struct record_uuid id;

    for (unsigned i = 1; i <= SCOPE_RIGHTS_MAX; i++) {
        id = id_of(i);
        CU_ASSERT_TRUE(scope_rights_set(&rights, &id, true));
    }
    CU_ASSERT_EQUAL(rights.count, SCOPE_RIGHTS_MAX);
    CU_ASSERT_TRUE(scope_rights_set(&rights, &id, false));
    CU_ASSERT_EQUAL(rights.count, SCOPE_RIGHTS_MAX);
    CU_ASSERT_FALSE(rights.rights[SCOPE_RIGHTS_MAX - 1].allowed);
    id = id_of(999);
    CU_ASSERT_FALSE(scope_rights_set(&rights, &id, true));
    CU_ASSERT_EQUAL(rights.count, SCOPE_RIGHTS_MAX);
}

static void test_where_a_device_has_worked(void)
{
    struct scope_device device = {.enrolment_region = id_of(1), .region = id_of(2)};
    struct record_uuid right = id_of(3), regions[SCOPE_WORKED_MAX];

    CU_ASSERT_TRUE(scope_rights_set(&device.rights, &right, false));
    CU_ASSERT_EQUAL(scope_worked_in(&device, regions), 3);
    for (unsigned i = 0; i < 3; i++) {
        struct record_uuid expected = id_of(i + 1);
        CU_ASSERT_EQUAL(record_uuid_compare(&regions[i], &expected), 0);
    }
}

static void test_regions_are_a_set_in_order(void)
{
    static const unsigned descending[] = {9, 4};
    struct scope_regions regions = regions_of(descending, 2);
    struct record_uuid four = id_of(4), nine = id_of(9), five = id_of(5);

    scope_regions_add(&regions, &four);
    CU_ASSERT_EQUAL(regions.count, 2);
    CU_ASSERT_EQUAL(record_uuid_compare(&regions.ids[0], &four), 0);
    CU_ASSERT_EQUAL(record_uuid_compare(&regions.ids[1], &nine), 0);
    CU_ASSERT_TRUE(scope_regions_have(&regions, &nine));
    CU_ASSERT_FALSE(scope_regions_have(&regions, &five));
}

/* ---- A million decisions --------------------------------------------------------------- */

enum { REGIONS = 12, FACILITIES = 40, DEVICES = 24, FAMILIES = 200, DECISIONS = 1000000 };

/* What the oracle knows: small numbers. Region 0 is the global one. */
struct world {
    unsigned home[FACILITIES]; /* a facility's region, 1 and up */
    struct known_device {
        bool admin;
        unsigned enrolled, facility;
        bool may[REGIONS], might[REGIONS]; /* beyond its enrolment region: now, once */
    } devices[DEVICES];
    struct known_family {
        unsigned registered, assigned; /* facilities */
    } families[FAMILIES];
    struct scope_device asked[DEVICES]; /* the same for scope.c */
};

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((random_state >> 33) % limit);
}

static void renew_device(struct world *world, unsigned n)
{
    struct known_device *known = &world->devices[n];
    struct scope_device *asked = &world->asked[n];

    *known = (struct known_device){.admin = random_below(12) == 0,
                                   .enrolled = 1 + random_below(REGIONS - 1),
                                   .facility = random_below(FACILITIES)};
    *asked = (struct scope_device){.device_id = id_of(500 + n),
                                   .enrolment_region = id_of(known->enrolled),
                                   .facility = id_of(100 + known->facility),
                                   .admin = known->admin};
}

static void change_right(struct world *world, unsigned n)
{
    unsigned region = 1 + random_below(REGIONS - 1);
    struct record_uuid id = id_of(region);
    bool allowed = random_below(3) > 0;

    CU_ASSERT_TRUE_FATAL(scope_rights_set(&world->asked[n].rights, &id, allowed));
    world->devices[n].may[region] = allowed;
    world->devices[n].might[region] = true;
}

static bool oracle_works_in(const struct known_device *device, unsigned region)
{
    return region != 0 && (device->admin || region == device->enrolled || device->may[region]);
}

static bool oracle_writes(const struct known_device *device, unsigned region)
{
    if (region == 0)
        return device->admin;
    return oracle_works_in(device, region) || device->might[region];
}

/* One request against the oracle; whether it was allowed. */
static bool decide(const struct world *world)
{
    unsigned n = random_below(DEVICES);
    const struct known_device *device = &world->devices[n];
    struct scope_device asked = world->asked[n];
    unsigned works_in = world->home[device->facility];
    asked.region = id_of(works_in);

    if (random_below(10) == 0) { /* global records */
        struct scope_regions global = {.count = 1};
        CU_ASSERT_TRUE_FATAL(scope_may_read(&asked, &global));
        CU_ASSERT_EQUAL_FATAL(scope_may_write(&asked, &global), device->admin);
        return device->admin;
    }
    if (random_below(10) == 0) { /* a facility that is asked for, forged ones too */
        unsigned region = random_below(REGIONS);
        struct record_uuid id = id_of(region);
        bool may = oracle_works_in(device, region);
        CU_ASSERT_EQUAL_FATAL(scope_may_work_in(&asked, &id), may);
        return may;
    }
    const struct known_family *family = &world->families[random_below(FAMILIES)];
    unsigned in[] = {world->home[family->registered], world->home[family->assigned]};
    struct scope_regions regions = regions_of(in, 2);
    bool reads = in[0] == works_in || in[1] == works_in;
    bool writes = oracle_writes(device, in[0]) || oracle_writes(device, in[1]);
    CU_ASSERT_EQUAL_FATAL(regions.count, in[0] == in[1] ? 1 : 2);
    CU_ASSERT_EQUAL_FATAL(scope_may_read(&asked, &regions), reads);
    CU_ASSERT_EQUAL_FATAL(scope_may_write(&asked, &regions), writes);
    regions.count = 0; /* a family that is nowhere yet is nobody's */
    CU_ASSERT_FALSE_FATAL(scope_may_read(&asked, &regions) || scope_may_write(&asked, &regions));
    return reads;
}

static void test_I7_a_million_decisions_and_no_leak(void)
{
    static struct world world;
    unsigned allowed = 0;

    random_state = 20261122;
    printf("(seed %llu) ", (unsigned long long)random_state);
    for (unsigned i = 0; i < DECISIONS; i++) {
        if (i % 20000 == 0) { /* another organisation */
            for (unsigned f = 0; f < FACILITIES; f++)
                world.home[f] = 1 + random_below(REGIONS - 1);
            for (unsigned d = 0; d < DEVICES; d++)
                renew_device(&world, d);
            for (unsigned p = 0; p < FAMILIES; p++)
                world.families[p] =
                    (struct known_family){random_below(FACILITIES), random_below(FACILITIES)};
        }
        if (i % 7 == 0) /* a patient moves, a nurse, a right, a facility */
            world.families[random_below(FAMILIES)].assigned = random_below(FACILITIES);
        if (i % 31 == 0)
            world.devices[random_below(DEVICES)].facility = random_below(FACILITIES);
        if (i % 17 == 0)
            change_right(&world, random_below(DEVICES));
        if (i % 997 == 0)
            world.home[random_below(FACILITIES)] = 1 + random_below(REGIONS - 1);
        allowed += decide(&world);
    }
    printf("(%u of %u allowed) ", allowed, (unsigned)DECISIONS);
    CU_ASSERT_TRUE(allowed > DECISIONS / 20 && allowed < DECISIONS / 2);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_roles_are_read_from_the_annotations),
        SUITE_TEST(test_a_schema_without_a_role_is_refused),
        SUITE_TEST(test_a_facility_names_its_region_or_none),
        SUITE_TEST(test_a_patient_names_its_facilities),
        SUITE_TEST(test_R21_the_facilities_of_a_patient_are_listed_once_each),
        SUITE_TEST(test_a_key_fits_its_type),
        SUITE_TEST(test_rights_are_set_changed_and_bounded),
        SUITE_TEST(test_where_a_device_has_worked),
        SUITE_TEST(test_regions_are_a_set_in_order),
        SUITE_TEST(test_I7_a_million_decisions_and_no_leak),
    };

    return suite_run("scope", tests, sizeof tests / sizeof tests[0]);
}
