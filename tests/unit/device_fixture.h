/* SPDX-License-Identifier: Apache-2.0
 *
 * A device for tests: a real SQLite file in a temporary folder, an app's own
 * connection to it, and syncs against the mini server that can be cut anywhere.
 */
#ifndef OUTPOST_TESTS_DEVICE_FIXTURE_H
#define OUTPOST_TESTS_DEVICE_FIXTURE_H

#include "image.h"
#include "mini_server.h"
#include "session.h"

struct device {
    struct store store;
    sqlite3 *app; /* as the app has it: triggers on, synchronous FULL */
    int number;
    char path[256];
    const struct record_schema *schema;
    struct outpost_sync_result result; /* of the last sync */
    struct outpost_status status;      /* of the last sync */
};

/* Where a sync is cut; -1: nowhere. */
struct cut {
    int after_sent;     /* messages of the device; what is sent then is lost */
    int after_received; /* messages of the server; what it did stays done */
};

extern const struct cut whole;

void device_open(struct device *device, int number, const struct record_schema *schema);
/* Closes without a word, as a killed process does, and opens again. */
void device_reopen(struct device *device, const struct record_schema *schema);
void device_close(struct device *device);

/* Runs SQL as the app; a failure is a failed assertion. */
void app(struct device *device, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, allowed to fail; SQLite's result. */
int app_try(struct device *device, const char *sql);
/* The first column of the first row as text; "" when there is none. Static. */
const char *app_text(struct device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int64_t app_number(struct device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True when the session ended caught up. during is called once, when every
 * request was sent and before the first answer is applied. */
bool device_sync(struct device *device, struct mini_server *server, struct cut cut);
bool device_sync_with(struct device *device, struct mini_server *server, struct cut cut,
                      void (*during)(struct device *device));

/* Asserts that the device holds exactly what the server has, and nothing waits. */
void expect_same(struct device *device, struct mini_server *server);
void expect_rejected(struct device *device, int64_t rejected);

/* Keys and ids: an id is a byte repeated 16 times. */
struct record_uuid id_of(uint8_t byte);
struct record_key patient_key(uint8_t patient);
struct record_key pressure_key(uint8_t patient, uint8_t id);

/* The server's side of one field. */
void server_text(struct mini_server *server, const struct record_key *key, uint32_t number,
                 const char *text);
void server_uint(struct mini_server *server, const struct record_key *key, uint32_t number,
                 uint64_t value);
void server_patient(struct mini_server *server, uint8_t patient, const char *name);
void server_pressure(struct mini_server *server, uint8_t patient, uint8_t id, uint64_t systolic,
                     uint64_t diastolic);
/* A field of the server's record as text; "" when it is not recorded. Static. */
const char *server_field(struct mini_server *server, const struct record_key *key, uint32_t number);

#endif
