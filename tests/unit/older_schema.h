/* SPDX-License-Identifier: Apache-2.0
 *
 * An older schema, in one process with the present one: that without blood pressure and
 * without three fields of the patient, one revision back. (Releases as they really were
 * are played by tests/schema.)
 */
#ifndef OUTPOST_TESTS_OLDER_SCHEMA_H
#define OUTPOST_TESTS_OLDER_SCHEMA_H

#include "outpost/record.h"

enum {
    OLDER_SCHEMA_LACKS_TYPE = 13,
    /* Of the patient: an id, a text and a number. */
    OLDER_SCHEMA_LACKS_ID = 16,
    OLDER_SCHEMA_LACKS_TEXT = 9,
    OLDER_SCHEMA_LACKS_NUMBER = 18,
};

extern struct record_schema older_schema;

void older_schema_make(void);

#endif
