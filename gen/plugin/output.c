/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing texts, line breaking and the list of files; see output.h.
 */
#include "output.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct output_block {
    struct output_block *next;
    max_align_t memory[];
};

static void *need(void *memory)
{
    if (memory == NULL) {
        fputs("protoc-gen-outpost: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

/* ---- Texts --------------------------------------------------------------- */

static char *text_reserve(struct text *text, size_t len)
{
    if (text->capacity - text->len <= len) {
        text->capacity = (text->len + len) * 2 + 256;
        text->data = need(realloc(text->data, text->capacity));
    }
    return text->data + text->len;
}

void text_add_bytes(struct text *text, const char *data, size_t len)
{
    char *room = text_reserve(text, len);

    memcpy(room, data, len);
    room[len] = '\0';
    text->len += len;
}

void text_add_list(struct text *text, const char *format, va_list arguments)
{
    va_list again;

    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(len >= 0);
    vsnprintf(text_reserve(text, (size_t)len), (size_t)len + 1, format, arguments);
    text->len += (size_t)len;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    text_add_list(text, format, arguments);
    va_end(arguments);
}

void text_deinit(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

/* ---- Lines --------------------------------------------------------------- */

static size_t text_column(const struct text *text)
{
    size_t column = 0;

    while (column < text->len && text->data[text->len - column - 1] != '\n')
        column++;
    return column;
}

/* What follows an item on its line. */
static size_t item_end(size_t item, size_t item_count, const char *tail)
{
    return item + 1 == item_count ? strlen(tail) : strlen(",");
}

void text_add_parameters(struct text *text, const char *head, const char *const *items,
                         size_t item_count, const char *tail)
{
    text_add(text, "%s", head);
    size_t indent = text_column(text);
    bool aligned = true;

    for (size_t i = 0; i < item_count; i++)
        if (indent + strlen(items[i]) + item_end(i, item_count, tail) > OUTPUT_COLUMNS)
            aligned = false;
    if (!aligned) {
        indent = strspn(head, " ") + OUTPUT_INDENT;
        text_add(text, "\n%*s", (int)indent, "");
    }
    for (size_t i = 0; i < item_count; i++) {
        size_t len = strlen(items[i]) + item_end(i, item_count, tail);
        bool first_of_line = text_column(text) == indent;
        if (!first_of_line && text_column(text) + strlen(" ") + len > OUTPUT_COLUMNS)
            text_add(text, "\n%*s", (int)indent, "");
        else if (!first_of_line)
            text_add(text, " ");
        text_add(text, "%s%s", items[i], i + 1 < item_count ? "," : "");
    }
    text_add(text, "%s\n", tail);
}

void text_add_assignment(struct text *text, const char *left, const char *right)
{
    size_t len = strlen(left) + strlen(" = ") + strlen(right) + strlen(";");
    int indent = (int)strspn(left, " ") + OUTPUT_INDENT;

    if (len <= OUTPUT_COLUMNS)
        text_add(text, "%s = %s;\n", left, right);
    else
        text_add(text, "%s =\n%*s%s;\n", left, indent, "", right);
}

void text_add_words(struct text *text, const char *words, const char *indent, size_t columns)
{
    for (bool first = true; *words != '\0'; first = false) {
        size_t len = strcspn(words, " ");
        if (!first && text_column(text) + strlen(" ") + len > columns)
            text_add(text, "\n%s", indent);
        else if (!first)
            text_add(text, " ");
        text_add_bytes(text, words, len);
        words += len;
        words += strspn(words, " ");
    }
}

/* ---- Files and memory ---------------------------------------------------- */

struct text *output_file(struct output *output, const char *name_format, ...)
{
    assert(output->file_count < OUTPUT_FILES_MAX);
    struct output_file *file = &output->files[output->file_count++];
    va_list arguments;

    va_start(arguments, name_format);
    text_add_list(&file->name, name_format, arguments);
    va_end(arguments);
    return &file->content;
}

void *output_alloc(struct output *output, size_t count, size_t size)
{
    struct output_block *block = need(calloc(1, sizeof *block + count * size));

    block->next = output->blocks;
    output->blocks = block;
    return block->memory;
}

const char *output_string(struct output *output, const char *format, ...)
{
    struct text text = {0};
    va_list arguments;

    va_start(arguments, format);
    text_add_list(&text, format, arguments);
    va_end(arguments);
    char *string = output_alloc(output, text.len + 1, 1);
    memcpy(string, text.data, text.len);
    text_deinit(&text);
    return string;
}

void output_deinit(struct output *output)
{
    for (size_t i = 0; i < output->file_count; i++) {
        text_deinit(&output->files[i].name);
        text_deinit(&output->files[i].content);
    }
    text_deinit(&output->error);
    while (output->blocks != NULL) {
        struct output_block *block = output->blocks;
        output->blocks = block->next;
        free(block);
    }
}
