/* SPDX-License-Identifier: Apache-2.0
 *
 * The annotations. Records of the earlier rules are stored, pending on phones and on
 * their way, so a rule may become wider and never narrower; and devices and servers of
 * both versions must come to the same merge.
 */
#include "compare.h"

#include "../plugin/annotations.h"

#include <string.h>

static const Outpost__FieldRules no_rules = OUTPOST__FIELD_RULES__INIT;

static Outpost__RecordOptions *record_of(struct comparison *comparison,
                                         const struct contract_message *message)
{
    Outpost__RecordOptions *options;

    if (annotation_read_record(comparison->output, message->proto, &options))
        return options;
    comparison->unreadable = message->name;
    return NULL;
}

static const Outpost__FieldRules *rules_of(struct comparison *comparison,
                                           const struct contract_message *message,
                                           const field_proto *field)
{
    Outpost__FieldRules *rules = NULL;

    if (field != NULL && !annotation_read_field(comparison->output, field, &rules))
        comparison->unreadable = message->name;
    return rules != NULL ? rules : &no_rules;
}

/* ---- Groups ------------------------------------------------------------------ */

static bool same_group(const Outpost__FieldRules *a, const Outpost__FieldRules *b)
{
    return a->group[0] != '\0' && strcmp(a->group, b->group) == 0;
}

/* Whether a field that was there before shares its group with other ones of before
 * than it did; for a new field, with any. */
static bool is_regrouped(struct comparison *comparison, const struct contract_message *before,
                         const struct contract_message *now, const field_proto *field)
{
    const field_proto *was = message_field(before->proto, field->number);

    for (size_t i = 0; i < before->proto->n_field; i++) {
        const field_proto *other_was = before->proto->field[i];
        const field_proto *other = message_field(now->proto, other_was->number);
        if (other == NULL || other->number == field->number)
            continue;
        bool together =
            same_group(rules_of(comparison, now, field), rules_of(comparison, now, other));
        bool were = was != NULL && same_group(rules_of(comparison, before, was),
                                              rules_of(comparison, before, other_was));
        if (together != were)
            return true;
    }
    return false;
}

/* ---- One field ----------------------------------------------------------------- */

static void compare_limits(struct findings *findings, const struct finding_place *place,
                           const Outpost__FieldRules *before, const Outpost__FieldRules *now)
{
    const Outpost__Range *was = before->range;
    const Outpost__Range *is = now->range;

    if (now->required && !before->required)
        finding_add(findings, FINDING_FIELD_REQUIRED_ADDED, place, "is required now");
    if (is != NULL && was == NULL)
        finding_add(findings, FINDING_FIELD_RANGE_NARROWED, place, "has a range now, %lld..%lld",
                    (long long)is->min, (long long)is->max);
    else if (is != NULL && (is->min > was->min || is->max < was->max))
        finding_add(findings, FINDING_FIELD_RANGE_NARROWED, place,
                    "had the range %lld..%lld and has %lld..%lld", (long long)was->min,
                    (long long)was->max, (long long)is->min, (long long)is->max);
    if (now->min_length > before->min_length)
        finding_add(findings, FINDING_FIELD_MIN_LENGTH_RAISED, place, "min_length was %u and is %u",
                    before->min_length, now->min_length);
    if (now->format != before->format && now->format != OUTPOST__FORMAT__FORMAT_ANY)
        finding_add(findings, FINDING_FIELD_FORMAT_CHANGED, place, "the format is another one");
    if (now->not_future && !before->not_future)
        finding_add(findings, FINDING_FIELD_NOT_FUTURE_ADDED, place, "is not_future now");
    if (now->not_below[0] != '\0' && strcmp(now->not_below, before->not_below) != 0)
        finding_add(findings, FINDING_FIELD_NOT_BELOW_CHANGED, place, "is not_below \"%s\" now",
                    now->not_below);
    if (now->together_with[0] != '\0' && strcmp(now->together_with, before->together_with) != 0)
        finding_add(findings, FINDING_FIELD_TOGETHER_WITH_CHANGED, place,
                    "is together_with \"%s\" now", now->together_with);
}

static void compare_meaning(struct findings *findings, const struct finding_place *place,
                            const Outpost__FieldRules *before, const Outpost__FieldRules *now)
{
    if (now->merge != before->merge)
        finding_add(findings, FINDING_FIELD_MERGE_CHANGED, place, "merges by another rule");
    if (before->reference[0] != '\0' && strcmp(now->reference, before->reference) != 0)
        finding_add(findings, FINDING_FIELD_REFERENCE_CHANGED, place,
                    "referred to \"%s\" and refers to \"%s\"", before->reference, now->reference);
    if (now->fill != before->fill || now->scope != before->scope || now->closing != before->closing)
        finding_add(findings, FINDING_FIELD_ROLE_CHANGED, place,
                    "fill, scope or closing is another one");
    if (before->personal && !now->personal)
        finding_add(findings, FINDING_FIELD_PERSONAL_REMOVED, place, "is no longer personal");
}

/* Of a new field only what records without it would fail by. */
static void compare_new_field(struct findings *findings, const struct finding_place *place,
                              const Outpost__FieldRules *now)
{
    if (now->required)
        finding_add(findings, FINDING_FIELD_REQUIRED_ADDED, place, "is new and required");
    if (now->together_with[0] != '\0')
        finding_add(findings, FINDING_FIELD_TOGETHER_WITH_CHANGED, place,
                    "is new, and together_with \"%s\"", now->together_with);
}

static void compare_fields(struct comparison *comparison, const struct contract_message *before,
                           const struct contract_message *now)
{
    struct findings *findings = &comparison->findings;
    struct finding_place place = {now->file->name, "message", now->name, "field", NULL};

    for (size_t i = 0; i < now->proto->n_field; i++) {
        const field_proto *field = now->proto->field[i];
        const field_proto *was = message_field(before->proto, field->number);
        const Outpost__FieldRules *rules = rules_of(comparison, now, field);
        place.member = field->name;
        if (was == NULL) {
            compare_new_field(findings, &place, rules);
        } else {
            compare_limits(findings, &place, rules_of(comparison, before, was), rules);
            compare_meaning(findings, &place, rules_of(comparison, before, was), rules);
        }
        if (is_regrouped(comparison, before, now, field))
            finding_add(findings, FINDING_FIELD_GROUP_CHANGED, &place,
                        "shares its group with other fields%s", was != NULL ? " than before" : "");
    }
}

/* ---- One record type --------------------------------------------------------------- */

static bool names_all(const Outpost__RecordOptions *a, const Outpost__RecordOptions *b)
{
    for (size_t i = 0; i < a->n_exactly_one_of; i++) {
        bool found = false;
        for (size_t j = 0; j < b->n_exactly_one_of && !found; j++)
            found = strcmp(a->exactly_one_of[i], b->exactly_one_of[j]) == 0;
        if (!found)
            return false;
    }
    return true;
}

void compare_record(struct comparison *comparison, const struct contract_message *before,
                    const struct contract_message *now)
{
    const Outpost__RecordOptions *was = record_of(comparison, before);
    const Outpost__RecordOptions *is = record_of(comparison, now);
    struct findings *findings = &comparison->findings;
    struct finding_place place = {now->file->name, "message", now->name, NULL, NULL};

    if (was == NULL)
        return;
    if (is == NULL) {
        finding_add(findings, FINDING_RECORD_NO_LONGER, &place, "is no record type any more");
        return;
    }
    if (is->type != was->type)
        finding_add(findings, FINDING_RECORD_TYPE_CHANGED, &place, "was type %u and is type %u",
                    was->type, is->type);
    if (strcmp(is->table, was->table) != 0)
        finding_add(findings, FINDING_RECORD_TABLE_CHANGED, &place,
                    "had the table \"%s\" and has \"%s\"", was->table, is->table);
    if (is->family != was->family)
        finding_add(findings, FINDING_RECORD_FAMILY_CHANGED, &place,
                    "belongs to families otherwise");
    if (!names_all(was, is) || !names_all(is, was))
        finding_add(findings, FINDING_RECORD_EXACTLY_ONE_OF_CHANGED, &place,
                    "exactly_one_of names other fields");
    compare_fields(comparison, before, now);
}

void compare_record_number(struct comparison *comparison, const struct contract_message *now)
{
    const Outpost__RecordOptions *is = record_of(comparison, now);
    struct finding_place place = {now->file->name, "message", now->name, NULL, NULL};

    for (size_t i = 0; is != NULL && i < comparison->before->message_count; i++) {
        const struct contract_message *other = &comparison->before->messages[i];
        const Outpost__RecordOptions *was = record_of(comparison, other);
        if (was != NULL && was->type == is->type)
            finding_add(&comparison->findings, FINDING_RECORD_TYPE_REUSED, &place, "type %u was %s",
                        is->type, other->name);
    }
}
