/* SPDX-License-Identifier: Apache-2.0
 *
 * What the plugin writes: texts, and the files made of them.
 *
 * The plugin is a short-lived program of one thread. Without memory it says so
 * and ends; all that is allocated here belongs to one struct output, and goes
 * with it.
 */
#ifndef OUTPOST_PLUGIN_OUTPUT_H
#define OUTPOST_PLUGIN_OUTPUT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    /* The project's column limit, .clang-format's. */
    OUTPUT_COLUMNS = 100,
    OUTPUT_INDENT = 4,
    /* Files that one run writes: protects from a wild file list. */
    OUTPUT_FILES_MAX = 256,
};

/* A growing text, NUL-terminated once anything was added. */
struct text {
    char *data;
    size_t len;
    size_t capacity;
};

#define TEXT_PRINTF(at, first) __attribute__((format(printf, at, first)))

void text_add(struct text *text, const char *format, ...) TEXT_PRINTF(2, 3);
void text_add_list(struct text *text, const char *format, va_list arguments);
void text_add_bytes(struct text *text, const char *data, size_t len);
void text_deinit(struct text *text);

/* Adds "head" and the items of a parameter list, broken before the column limit
 * as clang-format does: aligned to the bracket at head's end, or one step in
 * when an item does not fit there; then "tail" and the line's end. */
void text_add_parameters(struct text *text, const char *head, const char *const *items,
                         size_t item_count, const char *tail);

/* Adds "left = right;" and the line's end, broken when it is too long. */
void text_add_assignment(struct text *text, const char *left, const char *right);

/* Adds words, broken before the given column; each further line begins with
 * indent. The first line begins where the text stands. */
void text_add_words(struct text *text, const char *words, const char *indent, size_t columns);

struct output_file {
    struct text name;
    struct text content;
};

struct output {
    struct output_file files[OUTPUT_FILES_MAX];
    size_t file_count;
    struct text error;           /* of the first thing that is wrong; empty: nothing */
    struct output_block *blocks; /* what output_alloc gave */
};

void output_deinit(struct output *output);

/* A new, empty file; the name is formatted. */
struct text *output_file(struct output *output, const char *name_format, ...) TEXT_PRINTF(2, 3);

/* A string that lives as long as the output. */
const char *output_string(struct output *output, const char *format, ...) TEXT_PRINTF(2, 3);

/* Zeroed memory that lives as long as the output. */
void *output_alloc(struct output *output, size_t count, size_t size);

#endif
