/* SPDX-License-Identifier: Apache-2.0
 *
 * One device on a real database, edited through the app's own connection, and the mini
 * server that it syncs with.
 */
#ifndef OUTPOST_TESTS_APPLY_FIXTURE_H
#define OUTPOST_TESTS_APPLY_FIXTURE_H

#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

static struct device device;
static struct mini_server *server;

static inline void set_up(void)
{
    server = mini_server_new(&outpost_v1_schema);
    device_open(&device, 1, &outpost_v1_schema);
}

static inline void tear_down(void)
{
    device_close(&device);
    mini_server_free(server);
}

#define P1 "x'01010101010101010101010101010101'"
#define P2 "x'02020202020202020202020202020202'"
#define B1 "x'11111111111111111111111111111111'"
#define B2 "x'12121212121212121212121212121212'"

static inline void insert_patient(const char *id, const char *name)
{
    app(&device,
        "INSERT INTO patient (id, full_name, date_of_birth) VALUES (%s, '%s',"
        " '1980-01-02')",
        id, name);
}

#endif
