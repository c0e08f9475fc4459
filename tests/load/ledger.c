/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

const char *ledger_verdict_text(enum ledger_verdict verdict)
{
    static const char *const texts[LEDGER_VERDICTS] = {
        [LEDGER_GOOD] = "good",
        [LEDGER_MISSING] = "acknowledged records are missing",
        [LEDGER_OLDER] = "records are older than acknowledged",
        [LEDGER_DIFFERENT] = "records differ from what was acknowledged",
        [LEDGER_LOST_EDIT] = "records lack an accepted edit",
        [LEDGER_TWICE] = "records have an edit more than once",
    };

    return texts[verdict];
}

static void note_version(struct ledger_entry *entry, const struct pool_version *now)
{
    if (now == NULL || now->number < entry->version)
        return;
    entry->version = now->number;
    entry->stamp = now->stamp;
}

void ledger_note(const struct mutation *mutation, enum ledger_answer answer,
                 const struct pool_version *now)
{
    struct ledger_entry *entry = &mutation->entity->ledger;

    switch (answer) {
    case LEDGER_APPLIED:
        entry->accepted++; /* never said of an edit that was accepted before (R11) */
        note_version(entry, now);
        break;
    case LEDGER_MERGED:
        if (mutation->times_sent == 1)
            entry->accepted++;
        else
            entry->unsure++;
        note_version(entry, now);
        break;
    case LEDGER_OUT_OF_SCOPE:
        /* It does not say whether another had written the same before; a new record nobody had. */
        if (mutation->times_sent == 1 && mutation->expected->number == 1)
            entry->accepted++;
        else
            entry->unsure++;
        break;
    case LEDGER_NO_EFFECT:
        entry->unsure += mutation->times_sent > 1;
        note_version(entry, now);
        break;
    case LEDGER_QUARANTINED:
    case LEDGER_RETRY:
        break;
    }
}

void ledger_note_unanswered(const struct mutation *mutation)
{
    mutation->entity->ledger.unsure += mutation->times_sent > 0;
}

enum ledger_verdict ledger_check(const struct ledger_entry *entry, const struct pool_version *held)
{
    if (entry->version == 0 && entry->accepted == 0)
        return LEDGER_GOOD;
    if (held == NULL)
        return LEDGER_MISSING;
    if (held->number < entry->version)
        return LEDGER_OLDER;
    if (held->number == entry->version && held->stamp != entry->stamp)
        return LEDGER_DIFFERENT;
    if (entry->ours && held->number < entry->accepted)
        return LEDGER_LOST_EDIT;
    if (entry->ours && held->number > (uint64_t)entry->accepted + entry->unsure)
        return LEDGER_TWICE;
    return LEDGER_GOOD;
}
