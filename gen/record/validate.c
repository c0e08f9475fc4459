/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a living record is valid, by the tables that the generator wrote
 * from the annotations. The device uses it to mark, the server to decide; it
 * never looks at anything but the body and the given clock, and what it does
 * not know (fields, enum values) passes (I9).
 */
#include "outpost/record.h"

#include <math.h>

/* A phone's clock and a time zone may be ahead of the server's by this much. */
enum { FUTURE_GRACE_DAYS = 1 };

static const int64_t day_ms = INT64_C(86400000);

static struct record_verdict verdict(enum record_problem problem, uint32_t field)
{
    return (struct record_verdict){problem, field};
}

/* ---- Wire kinds --------------------------------------------------------- */

static enum wire_type wire_type_of(enum record_kind kind)
{
    switch (kind) {
    case RECORD_KIND_STRING:
    case RECORD_KIND_BYTES:
        return WIRE_LEN;
    case RECORD_KIND_DOUBLE:
        return WIRE_FIXED64;
    case RECORD_KIND_FLOAT:
        return WIRE_FIXED32;
    default:
        return WIRE_VARINT;
    }
}

static bool fits_int32(uint64_t value)
{
    int64_t number = (int64_t)value;

    return number >= INT32_MIN && number <= INT32_MAX;
}

static bool value_fits_kind(const struct wire_field *value, enum record_kind kind)
{
    if (value->type != wire_type_of(kind))
        return false;
    switch (kind) {
    case RECORD_KIND_ENUM:
    case RECORD_KIND_INT32:
        return fits_int32(value->value);
    case RECORD_KIND_UINT32:
        return value->value <= UINT32_MAX;
    case RECORD_KIND_BOOL:
        return value->value <= 1;
    default:
        return true;
    }
}

/* ---- Text --------------------------------------------------------------- */

size_t record_utf8_character(const uint8_t *bytes, size_t len, uint32_t *character_out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = bytes[0];
    size_t need = first < 0x80           ? 1
                  : (first >> 5) == 0x6  ? 2
                  : (first >> 4) == 0xe  ? 3
                  : (first >> 3) == 0x1e ? 4
                                         : 0;

    if (need == 0 || need > len)
        return 0;
    uint32_t character = need == 1 ? first : first & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (bytes[i] & 0x3f);
    }
    if (character < least[need] || character > 0x10ffff ||
        (character >= 0xd800 && character <= 0xdfff))
        return 0;
    *character_out = character;
    return need;
}

static bool is_white_space(uint32_t character)
{
    return character <= 0x20 || character == 0x85 || character == 0xa0 || character == 0x1680 ||
           (character >= 0x2000 && character <= 0x200b) || character == 0x2028 ||
           character == 0x2029 || character == 0x202f || character == 0x205f || character == 0x3000;
}

/* False: not UTF-8, or a NUL inside, which C and SQL would cut. */
static bool text_measure(struct rpc_bytes text, size_t *characters_out, bool *blank_out)
{
    *characters_out = 0;
    *blank_out = true;
    for (size_t at = 0; at < text.len;) {
        uint32_t character;
        size_t len = record_utf8_character(text.data + at, text.len - at, &character);
        if (len == 0 || character == 0)
            return false;
        *blank_out = *blank_out && is_white_space(character);
        (*characters_out)++;
        at += len;
    }
    return true;
}

static bool digits(const uint8_t *bytes, size_t count, int *value_out)
{
    int value = 0;

    for (size_t i = 0; i < count; i++) {
        if (bytes[i] < '0' || bytes[i] > '9')
            return false;
        value = value * 10 + (bytes[i] - '0');
    }
    *value_out = value;
    return true;
}

/* YYYY-MM-DD of the Gregorian calendar, as days since 1970-01-01. */
static bool date_parse(struct rpc_bytes text, int64_t *days_out)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;

    if (text.len != 10 || text.data[4] != '-' || text.data[7] != '-' ||
        !digits(text.data, 4, &year) || !digits(text.data + 5, 2, &month) ||
        !digits(text.data + 8, 2, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        day > month_days[month - 1] + (month == 2 && leap))
        return false;

    int64_t past = year - 1;
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400;
    for (int m = 0; m < month - 1; m++)
        days += month_days[m] + (m == 1 && leap);
    *days_out = days + day - 1 - 719162;
    return true;
}

/* ---- One field ---------------------------------------------------------- */

static enum record_problem check_text(const struct record_field *field,
                                      const struct wire_field *value, int64_t now_ms)
{
    size_t characters;
    bool blank;
    int64_t days;

    if (!text_measure(value->bytes, &characters, &blank))
        return RECORD_PROBLEM_MALFORMED;
    if (characters < field->min_length || (blank && field->format == RECORD_FORMAT_NOT_BLANK))
        return RECORD_PROBLEM_FORMAT;
    if (field->format == RECORD_FORMAT_DATE) {
        if (!date_parse(value->bytes, &days))
            return RECORD_PROBLEM_FORMAT;
        if (field->not_future && days > now_ms / day_ms + FUTURE_GRACE_DAYS)
            return RECORD_PROBLEM_FUTURE;
    }
    return RECORD_PROBLEM_NONE;
}

/* A number as it compares: whole numbers exactly, over the range of int64 and
 * uint64 together, which a double does not hold. */
struct number {
    bool whole;
    bool negative;
    uint64_t bits; /* of a whole number, in two's complement */
    double real;   /* the number, about, if it is whole */
};

static struct number whole_number(int64_t value)
{
    return (struct number){true, value < 0, (uint64_t)value, (double)value};
}

static struct number number_of(enum record_kind kind, const struct wire_field *value)
{
    struct number number = {0};
    float single;
    uint32_t low = (uint32_t)value->value;

    switch (kind) {
    case RECORD_KIND_DOUBLE:
        memcpy(&number.real, &value->value, sizeof number.real);
        return number;
    case RECORD_KIND_FLOAT:
        memcpy(&single, &low, sizeof single);
        number.real = single;
        return number;
    case RECORD_KIND_UINT32:
    case RECORD_KIND_UINT64:
    case RECORD_KIND_BOOL:
        return (struct number){true, false, value->value, (double)value->value};
    default:
        return whole_number((int64_t)value->value);
    }
}

static bool number_below(struct number a, struct number b)
{
    if (!a.whole || !b.whole)
        return a.real < b.real;
    return a.negative != b.negative ? a.negative : a.bits < b.bits;
}

int record_value_compare(enum record_kind kind, const struct wire_field *a,
                         const struct wire_field *b)
{
    if (kind == RECORD_KIND_STRING || kind == RECORD_KIND_BYTES || a->type != wire_type_of(kind) ||
        b->type != a->type)
        return 0;
    struct number x = number_of(kind, a), y = number_of(kind, b);
    return number_below(y, x) - number_below(x, y);
}

static enum record_problem check_number(const struct record_field *field,
                                        const struct wire_field *value, int64_t now_ms)
{
    struct number number = number_of(field->kind, value);

    if (isnan(number.real) || isinf(number.real))
        return RECORD_PROBLEM_RANGE;
    if (field->ranged && (number_below(number, whole_number(field->min)) ||
                          number_below(whole_number(field->max), number)))
        return RECORD_PROBLEM_RANGE;
    if (field->not_future &&
        number_below(whole_number(now_ms + FUTURE_GRACE_DAYS * day_ms), number))
        return RECORD_PROBLEM_FUTURE;
    return RECORD_PROBLEM_NONE;
}

static enum record_problem check_field(const struct record_field *field,
                                       const struct wire_field *value, int64_t now_ms)
{
    if (value == NULL)
        return field->required ? RECORD_PROBLEM_REQUIRED : RECORD_PROBLEM_NONE;
    if (!value_fits_kind(value, field->kind))
        return RECORD_PROBLEM_MALFORMED;
    if (field->kind == RECORD_KIND_STRING)
        return check_text(field, value, now_ms);
    if (field->kind == RECORD_KIND_BYTES)
        return field->format == RECORD_FORMAT_UUID && value->bytes.len != RECORD_UUID_LEN
                   ? RECORD_PROBLEM_FORMAT
                   : RECORD_PROBLEM_NONE;
    return check_number(field, value, now_ms);
}

/* ---- The whole record --------------------------------------------------- */

static bool contradicts(const struct record_type *type, const struct record_field *field,
                        const struct record_body *body)
{
    const struct wire_field *value = record_body_find(body, field->number);

    if (field->together_with != 0) {
        const struct wire_field *other = record_body_find(body, field->together_with);
        if ((value == NULL) != (other == NULL))
            return true;
    }
    if (field->not_below != 0 && value != NULL) {
        const struct record_field *limit = record_field_by_number(type, field->not_below);
        const struct wire_field *other = record_body_find(body, field->not_below);
        if (other != NULL &&
            number_below(number_of(field->kind, value), number_of(limit->kind, other)))
            return true;
    }
    return false;
}

struct record_verdict record_validate(const struct record_type *type,
                                      const struct record_body *body, int64_t now_ms)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        enum record_problem problem =
            check_field(field, record_body_find(body, field->number), now_ms);
        if (problem != RECORD_PROBLEM_NONE)
            return verdict(problem, field->number);
    }
    for (size_t i = 0; i < type->field_count; i++)
        if (contradicts(type, &type->fields[i], body))
            return verdict(RECORD_PROBLEM_CONTRADICTION, type->fields[i].number);

    if (type->exactly_one_of_count > 0) {
        size_t recorded = 0;
        for (size_t i = 0; i < type->exactly_one_of_count; i++)
            recorded += record_body_find(body, type->exactly_one_of[i]) != NULL;
        if (recorded == 0)
            return verdict(RECORD_PROBLEM_REQUIRED, type->exactly_one_of[0]);
        if (recorded > 1)
            return verdict(RECORD_PROBLEM_CONTRADICTION, type->exactly_one_of[0]);
    }
    return verdict(RECORD_PROBLEM_NONE, 0);
}

const char *record_problem_text(enum record_problem problem)
{
    switch (problem) {
    case RECORD_PROBLEM_NONE:
        return "valid";
    case RECORD_PROBLEM_MALFORMED:
        return "malformed";
    case RECORD_PROBLEM_REQUIRED:
        return "required and not recorded";
    case RECORD_PROBLEM_RANGE:
        return "out of range";
    case RECORD_PROBLEM_FORMAT:
        return "not in its format";
    case RECORD_PROBLEM_FUTURE:
        return "in the future";
    case RECORD_PROBLEM_CONTRADICTION:
        return "contradicts another field";
    case RECORD_PROBLEM_TOO_LARGE:
        return "too large";
    }
    return "refused";
}
