/* SPDX-License-Identifier: Apache-2.0
 *
 * Compares a contract with what was released before, rule by rule (finding.h). Each
 * file of comparisons takes one kind of thing.
 */
#ifndef OUTPOST_CHECK_COMPARE_H
#define OUTPOST_CHECK_COMPARE_H

#include "contract.h"
#include "finding.h"

struct comparison {
    const struct contract *before, *now;
    struct output *output; /* memory */
    struct findings findings;
    const char *unreadable; /* a message with an annotation that this program does not know */
};

/* compare_contracts.c: everything. */
void compare_contracts(struct comparison *comparison);

/* compare_messages.c, compare_enums.c: one that is in both. */
void compare_message(struct comparison *comparison, const struct contract_message *before,
                     const struct contract_message *now);
void compare_enum(struct comparison *comparison, const struct contract_enum *before,
                  const struct contract_enum *now);

/* compare_records.c: the annotations of a message that is in both. */
void compare_record(struct comparison *comparison, const struct contract_message *before,
                    const struct contract_message *now);
/* That a record type which is new takes no number that was another's. */
void compare_record_number(struct comparison *comparison, const struct contract_message *now);

/* Reserved numbers, both ends inclusive, and names, of a message or an enum. */
struct reserved_range {
    int64_t first, last;
};

struct reserved {
    struct reserved_range *ranges;
    size_t range_count;
    char *const *names;
    size_t name_count;
};

bool reserved_has_number(const struct reserved *reserved, int64_t number);
bool reserved_has_name(const struct reserved *reserved, const char *name);
void compare_reserved(struct comparison *comparison, const struct finding_place *place,
                      const struct reserved *before, const struct reserved *now);

/* The field of that number, or name; NULL: none. */
const field_proto *message_field(const message_proto *message, int32_t number);
const field_proto *message_field_named(const message_proto *message, const char *name);

#endif
