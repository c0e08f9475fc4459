/* SPDX-License-Identifier: Apache-2.0
 *
 * Records such as clinics have, from a seed: names by a Zipf law, villages and streets
 * too, readings around 148/90 at clinic hours of three years, random ids. One patient
 * has four readings in the data set that a run begins with.
 */
#ifndef OUTPOST_LOAD_MADE_H
#define OUTPOST_LOAD_MADE_H

#include "draw.h"

enum {
    MADE_READINGS_PER_PATIENT = 4,
    /* Fields that one edit names. */
    MADE_FIELDS_MAX = 24,
};

struct words {
    char (*texts)[24];
    struct zipf law;
};

struct made {
    struct words first_names, last_names, villages, streets;
};

/* The types of what is made. */
extern const struct record_type *made_patient_type(void);
extern const struct record_type *made_reading_type(void);

/* False: no memory. */
bool made_init(struct made *made, uint64_t seed);
void made_deinit(struct made *made);

/* A body in canonical form, and the fields that its mutation names, ascending. */
struct made_body {
    struct rpc_buffer body;
    uint32_t fields[MADE_FIELDS_MAX];
    size_t field_count;
};

void made_body_init(struct made_body *made);
void made_body_deinit(struct made_body *made);

void made_patient(const struct made *made, struct draw *draw, const struct record_uuid *facility,
                  struct made_body *body_out);
void made_reading(struct draw *draw, const struct record_uuid *facility,
                  struct made_body *body_out);

/* Edits of a record that is there: the patient lives elsewhere, a reading was written down
 * wrong, another facility cares for the patient. */
void made_address_edit(const struct made *made, struct draw *draw, struct made_body *body_out);
void made_reading_edit(struct draw *draw, struct made_body *body_out);
void made_move(const struct record_uuid *facility, struct made_body *body_out);
/* A field of a newer app, which the server does not know (I9). */
void made_add_unknown(struct draw *draw, struct made_body *body);

#endif
