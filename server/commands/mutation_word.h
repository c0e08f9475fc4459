/* SPDX-License-Identifier: Apache-2.0
 *
 * Naming a conflict or a quarantined mutation on the command line: by its
 * mutation id in hexadecimal, or by a beginning of it that no other has.
 */
#ifndef OUTPOST_SERVER_MUTATION_WORD_H
#define OUTPOST_SERVER_MUTATION_WORD_H

#include "command.h"

struct mutation_word {
    struct store_mutation_range range;
    struct record_uuid region_id; /* what range points to, with --region */
};

/* Every mutation id: for listing. */
struct store_mutation_range mutation_word_all(const struct command *command);

/* Takes the command's second word, and --region. */
struct rpc_status mutation_word_take(const struct command *command, struct mutation_word *word_out);

/* OK when exactly one entry was found; what: "conflict". */
struct rpc_status mutation_word_unique(const struct command *command, const char *what,
                                       size_t count);

/* Who acts on that entry, now. */
struct store_review mutation_word_review(const struct record_uuid *region_id,
                                         const struct record_mutation_id *mutation_id);

json_t *mutation_word_json(const struct record_mutation_id *id);

/* Adds "<name>_at_ms" and "<name>_by"; 0 and empty while the entry is open. */
void mutation_word_add_closed(json_t *row, const char *name, const struct store_closed *closed);

#endif
