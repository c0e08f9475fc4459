/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "server_half.h"

#include <inttypes.h>
#include <stdio.h>

sqlite3_stmt *check_query(struct sim *sim, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        sim_fail(sim, "the checker cannot ask \"%.60s\": %s", sql, sqlite3_errmsg(db));
    return statement;
}

/* ", patient 12 for one": of a query that gives type and id, too. */
static const char *an_example(sqlite3_stmt *statement, char text_out[80])
{
    char name[48];

    text_out[0] = '\0';
    if (sqlite3_column_count(statement) == 3 &&
        sqlite3_column_bytes(statement, 2) == RECORD_UUID_LEN) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(statement, 1)};
        memcpy(key.id.bytes, sqlite3_column_blob(statement, 2), RECORD_UUID_LEN);
        snprintf(text_out, 80, ", %s for one", sim_name(&key, name));
    }
    return text_out;
}

void check_nothing(struct sim *sim, sqlite3 *db, const char *whose,
                   const struct check_nothing *checks, size_t count)
{
    char example[80];

    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *statement = check_query(sim, db, checks[i].sql);
        if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
            int64_t number = sqlite3_column_int64(statement, 0);
            if (number != 0)
                sim_fail(sim, "%s: %" PRId64 " %s%s", whose, number, checks[i].what,
                         an_example(statement, example));
        }
        sqlite3_finalize(statement);
    }
}

static void check_whole(struct sim *sim, sqlite3 *db, const char *whose)
{
    sqlite3_stmt *statement = check_query(sim, db, "PRAGMA integrity_check(1)");

    if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW &&
        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        sim_fail(sim, "%s is corrupt: %s", whose, sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
}

static void check_log_chain(struct sim *sim)
{
    struct store_steps steps = server_end_steps(&sim->server);
    struct server_half_options options = {
        .path = sim->server.path, .now_ms = sim->now_ms, .steps = &steps};
    char error[SERVER_HALF_ERROR_LEN];
    struct server_half *half = server_half_open(&options, error);

    if (half == NULL || !server_half_verify(half, error))
        sim_fail(sim, "%s", error);
    server_half_close(half);
}

void check_world(struct sim *sim)
{
    bool damaged = sim_has(sim, SIM_POWER_BIT) || sim_has(sim, SIM_DISKS_BIT);
    sqlite3 *db = NULL;

    server_end_stop(&sim->server);
    check_log_chain(sim);
    if (sqlite3_open(sim->server.path, &db) != SQLITE_OK) {
        sim_fail(sim, "the server's database cannot be opened");
        sqlite3_close(db);
        return;
    }
    if (damaged)
        check_whole(sim, db, "the server");
    check_server(sim, db);
    for (size_t i = 0; i < sim->phone_count; i++) {
        struct phone *phone = &sim->phones[i];
        if (!phone->used || phone->half == NULL)
            continue;
        if (damaged)
            check_whole(sim, phone->app, phone->path);
        if (!phone->refused)
            check_phone(sim, phone);
    }
    check_values(sim, db);
    sqlite3_close(db);
}
