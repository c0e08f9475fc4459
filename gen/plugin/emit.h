/* SPDX-License-Identifier: Apache-2.0
 *
 * What the plugin writes, a file of the plugin for each.
 */
#ifndef OUTPOST_PLUGIN_EMIT_H
#define OUTPOST_PLUGIN_EMIT_H

#include "schema.h"

/* The first lines of every generated C file: what it was made from. */
void emit_banner(struct text *text, const char *const *files, size_t file_count);
/* The bracket that lets C++ include a header; opening or closing. */
void emit_extern_c(struct text *text, bool opening);

/* envelope.c: PACKAGE/record.proto, with Record and Mutation. */
void emit_envelope(struct output *output, const struct schema *schema);

/* tables.c: PACKAGE/schema.gen.h and .c. */
void emit_tables(struct output *output, const struct schema *schema);

/* stubs.c: FILE.rpc.h and .c for each file with services. False: output->error. */
bool emit_stubs(struct output *output, const Plugin__Request *request);

#endif
