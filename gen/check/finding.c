/* SPDX-License-Identifier: Apache-2.0 */
#include "finding.h"

static const struct {
    const char *name, *instead;
} rules[FINDING_RULE_COUNT] = {
#define X(rule, instead) {#rule, instead},
    FINDING_RULES(X)
#undef X
};

const char *finding_name(enum finding_rule rule)
{
    return rules[rule].name;
}

void finding_add(struct findings *findings, enum finding_rule rule,
                 const struct finding_place *place, const char *format, ...)
{
    struct text *text = &findings->text;
    va_list arguments;

    findings->count++;
    text_add(text, "%s: %s: ", rules[rule].name, place->file);
    if (place->kind != NULL)
        text_add(text, "%s %s", place->kind, place->name);
    if (place->member_kind != NULL)
        text_add(text, ", %s %s", place->member_kind, place->member);
    if (place->kind != NULL)
        text_add(text, ": ");
    va_start(arguments, format);
    text_add_list(text, format, arguments);
    va_end(arguments);
    text_add(text, "; %s\n", rules[rule].instead);
}
