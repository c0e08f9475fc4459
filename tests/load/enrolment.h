/* SPDX-License-Identifier: Apache-2.0
 *
 * How the virtual devices become known to the server: each makes a P-256 key and trades a
 * one-time code for a certificate, as a phone does.
 */
#ifndef OUTPOST_LOAD_ENROLMENT_H
#define OUTPOST_LOAD_ENROLMENT_H

#include "fleet.h"

enum { ENROLMENT_CODE_LEN = 64 };

struct enrolment_code {
    char text[ENROLMENT_CODE_LEN];
};

/* Where a device was enrolled. */
struct enrolment_place {
    struct record_uuid facility, region;
};

/* Enrols count devices from first on, with a code each, and runs the loop until all have
 * their answer. A device whose code was refused stays as it was (not enrolled); any
 * other fault is the result. places: by the device's number, filled from the answers;
 * NULL: not wanted. */
struct rpc_status enrolment_run(struct fleet *fleet, struct rpc_bytes ca_pem,
                                const struct enrolment_code *codes, size_t first, size_t count,
                                struct enrolment_place *places);

#endif
