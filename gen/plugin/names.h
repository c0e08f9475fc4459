/* SPDX-License-Identifier: Apache-2.0
 *
 * Names: what a name in a .proto file is called in C and whether it can be one
 * in SQL. The C names of messages are protoc-gen-c's and must stay so.
 */
#ifndef OUTPOST_PLUGIN_NAMES_H
#define OUTPOST_PLUGIN_NAMES_H

#include "output.h"

/* ".outpost.v1.PatientPhone" -> "Outpost__V1__PatientPhone" */
const char *name_c_type(struct output *output, const char *full_name);
/* ".outpost.v1.PatientPhone" -> "outpost__v1__patient_phone" */
const char *name_c_lower(struct output *output, const char *full_name);

/* "SyncService" -> "sync_service"; "PushOnly" -> "push_only" */
const char *name_snake(struct output *output, const char *camel);
/* "outpost.v1" -> "outpost_v1", with any other separator too */
const char *name_package(struct output *output, const char *package, char separator);
const char *name_upper(struct output *output, const char *name);

/* NULL: good for a table or a column. Otherwise what is wrong with it. */
const char *name_sql_problem(const char *name);

#endif
