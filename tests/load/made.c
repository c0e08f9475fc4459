/* SPDX-License-Identifier: Apache-2.0 */
#include "made.h"

#include "outpost/v1/schema.gen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PURPOSE_WORDS = 10,
    BODY_BYTES_MAX = 4096,

    PATIENT_FULL_NAME = 1,
    PATIENT_GENDER = 2,
    PATIENT_DATE_OF_BIRTH = 3,
    PATIENT_AGE_YEARS = 4,
    PATIENT_AGE_RECORDED_AT_MS = 5,
    PATIENT_STATUS = 6,
    PATIENT_STREET_ADDRESS = 7,
    PATIENT_VILLAGE = 8,
    PATIENT_DISTRICT = 10,
    PATIENT_STATE = 11,
    PATIENT_REGISTRATION_FACILITY_ID = 15,
    PATIENT_ASSIGNED_FACILITY_ID = 16,
    PATIENT_RECORDED_BY_USER_ID = 17,
    PATIENT_RECORDED_AT_MS = 18,

    READING_SYSTOLIC = 1,
    READING_DIASTOLIC = 2,
    READING_RECORDED_AT_MS = 3,
    READING_FACILITY_ID = 4,
    READING_USER_ID = 5,

    /* Of no record type, and far from the ones that will be. */
    UNKNOWN_FIELD = 1000,

    USERS = 60,
};

static const char *const first_names[] = {"Asha",   "Lakshmi", "Sunita", "Anita",  "Rekha",
                                          "Meena",  "Kavita",  "Geeta",  "Ramesh", "Suresh",
                                          "Rajesh", "Mahesh",  "Ganesh", "Vijay",  "Sanjay"};
static const char *const last_names[] = {"Devi",  "Kumar", "Singh",  "Sharma", "Patel",
                                         "Reddy", "Gowda", "Yadav",  "Das",    "Khan",
                                         "Naik",  "Rao",   "Shetty", "Pillai", "Bai"};

const struct record_type *made_patient_type(void)
{
    return record_root_type(&outpost_v1_schema);
}

const struct record_type *made_reading_type(void)
{
    return record_type_by_table(&outpost_v1_schema, "blood_pressure");
}

/* ---- Words ------------------------------------------------------------------------- */

/* The first are given, the others put together of syllables. */
static bool make_words(struct words *words, struct draw *draw, size_t count, double skew,
                       const char *const *head, size_t head_count)
{
    static const char *const onsets[] = {"b", "bh", "ch", "d", "dh", "g", "h",  "j", "k", "kh",
                                         "l", "m",  "n",  "p", "r",  "s", "sh", "t", "v", "y"};
    static const char *const vowels[] = {"a", "aa", "e", "ee", "i", "o", "u", "ai"};

    words->texts = calloc(count, sizeof *words->texts);
    if (words->texts == NULL || !zipf_init(&words->law, count, skew))
        return false;
    for (size_t i = 0; i < count; i++) {
        char *text = words->texts[i];
        size_t len = 0;
        for (uint64_t syllables = 2 + draw_below(draw, 2); i >= head_count && syllables > 0;
             syllables--)
            len += (size_t)snprintf(text + len, sizeof *words->texts - len, "%s%s",
                                    onsets[draw_below(draw, sizeof onsets / sizeof *onsets)],
                                    vowels[draw_below(draw, sizeof vowels / sizeof *vowels)]);
        if (i < head_count)
            snprintf(text, sizeof *words->texts, "%s", head[i]);
        else
            text[0] = (char)(text[0] - 'a' + 'A');
    }
    return true;
}

bool made_init(struct made *made, uint64_t seed)
{
    struct draw draw = draw_stream(seed, PURPOSE_WORDS, 0);

    *made = (struct made){0};
    return make_words(&made->first_names, &draw, 1500, 1.0, first_names,
                      sizeof first_names / sizeof *first_names) &&
           make_words(&made->last_names, &draw, 2500, 1.0, last_names,
                      sizeof last_names / sizeof *last_names) &&
           make_words(&made->villages, &draw, 66, .8, NULL, 0) &&
           make_words(&made->streets, &draw, 600, .7, NULL, 0);
}

void made_deinit(struct made *made)
{
    struct words *all[] = {&made->first_names, &made->last_names, &made->villages, &made->streets};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        free(all[i]->texts);
        zipf_deinit(&all[i]->law);
    }
}

static const char *word(const struct words *words, struct draw *draw)
{
    return words->texts[zipf_pick(&words->law, draw)];
}

/* ---- Bodies ------------------------------------------------------------------------- */

void made_body_init(struct made_body *made)
{
    *made = (struct made_body){0};
    rpc_buffer_init(&made->body, BODY_BYTES_MAX);
}

void made_body_deinit(struct made_body *made)
{
    rpc_buffer_deinit(&made->body);
}

static void start(struct made_body *made)
{
    rpc_buffer_clear(&made->body);
    made->field_count = 0;
}

static void name_field(struct made_body *made, uint32_t number)
{
    made->fields[made->field_count++] = number;
}

static void put_number(struct made_body *made, uint32_t number, uint64_t value)
{
    name_field(made, number);
    wire_put_uint(&made->body, number, value);
}

static void put_text(struct made_body *made, uint32_t number, const char *text)
{
    name_field(made, number);
    wire_put_bytes(&made->body, number, rpc_bytes_view(text, strlen(text)));
}

static void put_id(struct made_body *made, uint32_t number, const struct record_uuid *id)
{
    name_field(made, number);
    wire_put_bytes(&made->body, number, rpc_bytes_view(id->bytes, RECORD_UUID_LEN));
}

/* One of a clinic's users: the same few again and again. */
static struct record_uuid user(struct draw *draw, const struct record_uuid *facility)
{
    struct record_uuid id = *facility;

    id.bytes[0] ^= (uint8_t)(1 + draw_below(draw, USERS));
    return id;
}

/* Nine to five, on some day of three years. */
static uint64_t clinic_time_ms(struct draw *draw)
{
    const uint64_t start_ms = UINT64_C(1672531200000), hour_ms = 3600000;

    return start_ms + draw_below(draw, UINT64_C(3) * 365) * 24 * hour_ms + 9 * hour_ms +
           draw_below(draw, 8 * hour_ms);
}

static void put_address(const struct made *made, struct draw *draw, struct made_body *body)
{
    char text[48];

    snprintf(text, sizeof text, "%u %s", (unsigned)(1 + draw_below(draw, 40000)),
             word(&made->streets, draw));
    put_text(body, PATIENT_STREET_ADDRESS, text);
}

static void put_birth(struct draw *draw, uint64_t now_ms, struct made_body *body)
{
    unsigned age = 25 + (unsigned)draw_below(draw, 66);
    char date[32];

    if (draw_chance(draw, .3)) {
        snprintf(date, sizeof date, "%04u-%02u-%02u", 2023 - age,
                 1 + (unsigned)draw_below(draw, 12), 1 + (unsigned)draw_below(draw, 28));
        put_text(body, PATIENT_DATE_OF_BIRTH, date);
        name_field(body, PATIENT_AGE_YEARS);
        name_field(body, PATIENT_AGE_RECORDED_AT_MS);
        return;
    }
    name_field(body, PATIENT_DATE_OF_BIRTH);
    put_number(body, PATIENT_AGE_YEARS, age);
    put_number(body, PATIENT_AGE_RECORDED_AT_MS, now_ms);
}

void made_patient(const struct made *made, struct draw *draw, const struct record_uuid *facility,
                  struct made_body *body_out)
{
    uint64_t now_ms = clinic_time_ms(draw);
    struct record_uuid by = user(draw, facility);
    char name[64];

    start(body_out);
    snprintf(name, sizeof name, "%s %s", word(&made->first_names, draw),
             word(&made->last_names, draw));
    put_text(body_out, PATIENT_FULL_NAME, name);
    put_number(body_out, PATIENT_GENDER, draw_chance(draw, .6) ? 1 : 2);
    put_birth(draw, now_ms, body_out);
    put_number(body_out, PATIENT_STATUS, 1);
    if (draw_chance(draw, .7))
        put_address(made, draw, body_out);
    put_text(body_out, PATIENT_VILLAGE, word(&made->villages, draw));
    put_text(body_out, PATIENT_DISTRICT, "District one");
    put_text(body_out, PATIENT_STATE, "State one");
    put_id(body_out, PATIENT_REGISTRATION_FACILITY_ID, facility);
    put_id(body_out, PATIENT_RECORDED_BY_USER_ID, &by);
    put_number(body_out, PATIENT_RECORDED_AT_MS, now_ms);
}

static void put_pressure(struct draw *draw, struct made_body *body)
{
    double systolic = fmin(300, fmax(90, round(148 + 17 * draw_normal(draw))));
    double diastolic = fmin(systolic, fmax(40, fmin(180, round(90 + 10 * draw_normal(draw)))));

    put_number(body, READING_SYSTOLIC, (uint64_t)systolic);
    put_number(body, READING_DIASTOLIC, (uint64_t)diastolic);
}

void made_reading(struct draw *draw, const struct record_uuid *facility, struct made_body *body_out)
{
    struct record_uuid by = user(draw, facility);

    start(body_out);
    put_pressure(draw, body_out);
    put_number(body_out, READING_RECORDED_AT_MS, clinic_time_ms(draw));
    put_id(body_out, READING_FACILITY_ID, facility);
    put_id(body_out, READING_USER_ID, &by);
}

/* ---- Edits -------------------------------------------------------------------------- */

void made_address_edit(const struct made *made, struct draw *draw, struct made_body *body_out)
{
    start(body_out);
    put_address(made, draw, body_out);
}

void made_reading_edit(struct draw *draw, struct made_body *body_out)
{
    start(body_out);
    put_pressure(draw, body_out);
    put_number(body_out, READING_RECORDED_AT_MS, clinic_time_ms(draw));
}

void made_move(const struct record_uuid *facility, struct made_body *body_out)
{
    start(body_out);
    put_id(body_out, PATIENT_ASSIGNED_FACILITY_ID, facility);
}

void made_add_unknown(struct draw *draw, struct made_body *body)
{
    put_number(body, UNKNOWN_FIELD, 1 + draw_below(draw, 1000000));
}
