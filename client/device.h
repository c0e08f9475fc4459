/* SPDX-License-Identifier: Apache-2.0
 *
 * The handle behind outpost.h: a store, and what the app told about itself.
 */
#ifndef OUTPOST_CLIENT_DEVICE_H
#define OUTPOST_CLIENT_DEVICE_H

#include "outpost/rpc.h"
#include "store.h"

struct outpost {
    struct store store;
    char app_version[128];
};

/* Ends a public function: undoes what is open and gives the failure, if any. */
struct outpost_status device_status(struct outpost *device);

/* What a call's end means to the caller. doing begins the message. */
struct outpost_status device_status_of_call(const char *doing, const struct rpc_status *status);

/* ms since 1970. */
int64_t device_now_ms(void);
/* ms since some moment, never back. */
int64_t device_ticks_ms(void);

#endif
