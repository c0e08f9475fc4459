/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server has acknowledged, and whether it is still there. The ledger knows the
 * answers alone; the end is compared with what a device that had nothing was sent.
 *
 * Of each record: it is there, at the greatest version that an answer stood for or a later
 * one; at that very version with that very content; and its version is the number of edits
 * that were accepted, so none was lost and none took effect twice (I1, I2). The last is
 * asked only of records that nobody but this process has edited.
 */
#ifndef OUTPOST_LOAD_LEDGER_H
#define OUTPOST_LOAD_LEDGER_H

#include "outbox.h"

enum ledger_answer {
    LEDGER_APPLIED,
    LEDGER_MERGED,
    LEDGER_NO_EFFECT,
    LEDGER_QUARANTINED,
    LEDGER_OUT_OF_SCOPE,
    LEDGER_RETRY,
};

/* now: the version that the answer stands for, as the device holds it; NULL: none came. */
void ledger_note(const struct mutation *mutation, enum ledger_answer answer,
                 const struct pool_version *now);
/* The run ended without an answer to this one, which was sent. */
void ledger_note_unanswered(const struct mutation *mutation);

enum ledger_verdict {
    LEDGER_GOOD,
    LEDGER_MISSING,   /* acknowledged, and not there */
    LEDGER_OLDER,     /* there, in an older version */
    LEDGER_DIFFERENT, /* there in that version, with other content */
    LEDGER_LOST_EDIT, /* fewer versions than accepted edits */
    LEDGER_TWICE,     /* more versions than edits */
    LEDGER_VERDICTS,
};

/* "acknowledged records are missing", for a count. */
const char *ledger_verdict_text(enum ledger_verdict verdict);

/* held: the record as a fresh device has it; NULL: it does not. */
enum ledger_verdict ledger_check(const struct ledger_entry *entry, const struct pool_version *held);

#endif
