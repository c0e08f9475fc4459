/* SPDX-License-Identifier: Apache-2.0
 *
 * What the plugin writes, a file of the plugin for each.
 */
#ifndef OUTPOST_PLUGIN_EMIT_H
#define OUTPOST_PLUGIN_EMIT_H

#include "schema.h"

enum {
    /* Columns of a line of SQL, so that as a C string, indented, quoted and with
     * its \n and semicolon, it stays within OUTPUT_COLUMNS. */
    EMIT_SQL_COLUMNS = OUTPUT_COLUMNS - 4 - 2 - 2 - 1,
};

/* The first lines of every generated C file: what it was made from. */
void emit_banner(struct text *text, const char *const *files, size_t file_count);
/* The bracket that lets C++ include a header; opening or closing. */
void emit_extern_c(struct text *text, bool opening);

/* envelope.c: PACKAGE/record.proto, with Record and Mutation. */
void emit_envelope(struct output *output, const struct schema *schema);

/* tables.c: PACKAGE/schema.gen.h and .c. */
void emit_tables(struct output *output, const struct schema *schema);

/* device_sql.c: the SQL of one record type (struct record_type.device_sql). */
void emit_device_sql(struct output *output, struct text *text, const struct record_schema *schema,
                     const struct record_type *type);

/* stubs.c: FILE.rpc.h and .c for each file with services. False: output->error. */
bool emit_stubs(struct output *output, const Plugin__Request *request);

#endif
