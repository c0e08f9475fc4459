/* SPDX-License-Identifier: Apache-2.0
 *
 * A pull reader over libcsv, see synthea_csv.h. libcsv pushes fields and rows
 * into callbacks and cannot be stopped half-way; it is therefore fed one
 * physical line at a time, so that at most one row comes out of each feeding
 * and a fault is known by its line.
 */
#include "outpost/synthea_csv.h"

#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct synthea_csv {
    char *path;
    FILE *file;
    struct csv_parser parser;
    bool parser_made;
    const char *const *columns;
    size_t column_count;

    uint8_t block[BLOCK_BYTES];
    size_t block_at, block_len;
    bool at_end;    /* the file has no more bytes */
    bool finished;  /* the parser was told so */
    size_t line;    /* physical line being fed */
    size_t row_fed; /* bytes fed since the last row ended */

    /* The header maps a file's column to a place in the caller's table. */
    bool in_header;
    size_t *places; /* column_count: not needed */
    size_t place_count;

    /* The row under way: texts one after the other, and where each begins. */
    struct rpc_buffer text;
    size_t starts[SYNTHEA_COLUMNS_MAX];
    size_t field;
    bool row_done;
    bool failed; /* no memory, or a field that holds a NUL */
};

static const size_t no_text = (size_t)-1;

/* ---- Faults -------------------------------------------------------------- */

static void explain(const struct synthea_csv *csv, struct synthea_error *error, const char *what)
{
    snprintf(error->message, sizeof error->message, "%s: %s", csv->path, what);
}

void synthea_csv_explain(const struct synthea_csv *csv, size_t line, const char *what,
                         struct synthea_error *error_out)
{
    snprintf(error_out->message, sizeof error_out->message, "%s: line %zu: %s", csv->path, line,
             what);
}

/* ---- What libcsv calls ---------------------------------------------------- */

static void take_header(struct synthea_csv *csv, const char *name)
{
    size_t *places = realloc(csv->places, (csv->place_count + 1) * sizeof *places);

    if (places == NULL) {
        csv->failed = true;
        return;
    }
    csv->places = places;
    places[csv->place_count] = csv->column_count;
    for (size_t i = 0; i < csv->column_count; i++)
        if (strcmp(csv->columns[i], name) == 0)
            places[csv->place_count] = i;
    csv->place_count++;
}

static void take_field(void *bytes, size_t len, void *context)
{
    struct synthea_csv *csv = context;
    const char *text = bytes; /* CSV_APPEND_NULL */

    if (memchr(text, '\0', len) != NULL) {
        csv->failed = true;
        return;
    }
    if (csv->in_header) {
        take_header(csv, text);
        return;
    }
    size_t place = csv->field < csv->place_count ? csv->places[csv->field] : csv->column_count;
    csv->field++;
    if (place == csv->column_count)
        return;
    csv->starts[place] = csv->text.len;
    rpc_buffer_append(&csv->text, text, len + 1);
}

static void take_row(int terminator, void *context)
{
    struct synthea_csv *csv = context;

    (void)terminator;
    csv->row_done = true;
}

static int is_line_end(unsigned char byte)
{
    return byte == '\n';
}

/* A carriage return before the line's end is dropped with the blanks. */
static int is_blank(unsigned char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* ---- Feeding -------------------------------------------------------------- */

static bool fill_block(struct synthea_csv *csv, struct synthea_error *error)
{
    csv->block_at = 0;
    csv->block_len = fread(csv->block, 1, sizeof csv->block, csv->file);
    if (csv->block_len == 0) {
        if (ferror(csv->file)) {
            explain(csv, error, "cannot be read");
            return false;
        }
        csv->at_end = true;
    }
    return true;
}

/* Feeds up to the next line's end, or what the block has of it. */
static bool feed(struct synthea_csv *csv, struct synthea_error *error)
{
    const uint8_t *start = csv->block + csv->block_at;
    size_t left = csv->block_len - csv->block_at;
    const uint8_t *end = memchr(start, '\n', left);
    size_t len = end != NULL ? (size_t)(end - start) + 1 : left;

    csv->row_fed += len;
    if (csv->row_fed > SYNTHEA_ROW_BYTES_MAX) {
        synthea_csv_explain(csv, csv->line, "the row is too long; is a quote not closed?", error);
        return false;
    }
    if (csv_parse(&csv->parser, start, len, take_field, take_row, csv) != len || csv->failed ||
        csv->text.failed) {
        bool broken = csv_error(&csv->parser) == CSV_EPARSE || csv->failed;
        synthea_csv_explain(csv, csv->line, broken ? "broken quotes" : "no memory", error);
        return false;
    }
    csv->block_at += len;
    return true;
}

static bool finish(struct synthea_csv *csv, struct synthea_error *error)
{
    csv->finished = true;
    if (csv_fini(&csv->parser, take_field, take_row, csv) == 0)
        return true;
    synthea_csv_explain(csv, csv->line, "the file ends inside quotes", error);
    return false;
}

/* Reads one row into text and starts. line_out: where it began. */
static enum synthea_status read_row(struct synthea_csv *csv, size_t *line_out,
                                    struct synthea_error *error)
{
    rpc_buffer_clear(&csv->text);
    csv->field = 0;
    csv->row_done = false;
    csv->row_fed = 0;
    *line_out = csv->line;
    while (!csv->row_done) {
        if (csv->finished)
            return SYNTHEA_END;
        if (csv->block_at == csv->block_len && !csv->at_end && !fill_block(csv, error))
            return SYNTHEA_FAILED;
        if (csv->at_end) {
            if (!finish(csv, error))
                return SYNTHEA_FAILED;
            continue;
        }
        if (!feed(csv, error))
            return SYNTHEA_FAILED;
        csv->line += csv->block[csv->block_at - 1] == '\n';
    }
    return SYNTHEA_ROW;
}

/* ---- Reader --------------------------------------------------------------- */

static void skip_byte_order_mark(struct synthea_csv *csv)
{
    if (csv->block_len >= 3 && memcmp(csv->block, "\xef\xbb\xbf", 3) == 0)
        csv->block_at = 3;
}

static bool columns_complete(const struct synthea_csv *csv, struct synthea_error *error)
{
    for (size_t i = 0; i < csv->column_count; i++) {
        bool found = false;
        for (size_t j = 0; j < csv->place_count; j++)
            found = found || csv->places[j] == i;
        if (!found) {
            snprintf(error->message, sizeof error->message, "%s: column %s is missing", csv->path,
                     csv->columns[i]);
            return false;
        }
    }
    return true;
}

struct synthea_csv *synthea_csv_open(const char *path, const char *const *columns,
                                     size_t column_count, struct synthea_error *error_out)
{
    struct synthea_csv *csv = calloc(1, sizeof *csv);
    size_t line;

    if (csv == NULL || column_count > SYNTHEA_COLUMNS_MAX)
        goto no_memory;
    rpc_buffer_init(&csv->text, SYNTHEA_ROW_BYTES_MAX + SYNTHEA_COLUMNS_MAX);
    csv->columns = columns;
    csv->column_count = column_count;
    csv->line = 1;
    csv->in_header = true;
    csv->path = strdup(path);
    csv->parser_made = csv_init(&csv->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) == 0;
    if (csv->path == NULL || !csv->parser_made)
        goto no_memory;
    csv_set_term_func(&csv->parser, is_line_end);
    csv_set_space_func(&csv->parser, is_blank);

    csv->file = fopen(path, "rb");
    if (csv->file == NULL) {
        explain(csv, error_out, strerror(errno));
        goto error;
    }
    if (!fill_block(csv, error_out))
        goto error;
    skip_byte_order_mark(csv);
    switch (read_row(csv, &line, error_out)) {
    case SYNTHEA_ROW:
        break;
    case SYNTHEA_END:
        explain(csv, error_out, "empty: not even a header");
        goto error;
    case SYNTHEA_FAILED:
        goto error;
    }
    csv->in_header = false;
    if (!columns_complete(csv, error_out))
        goto error;
    return csv;

no_memory:
    snprintf(error_out->message, sizeof error_out->message, "%s: no memory", path);
error:
    synthea_csv_close(csv);
    return NULL;
}

enum synthea_status synthea_csv_next(struct synthea_csv *csv, struct synthea_row *row_out,
                                     struct synthea_error *error_out)
{
    struct synthea_row row;

    for (size_t i = 0; i < csv->column_count; i++)
        csv->starts[i] = no_text;
    enum synthea_status status = read_row(csv, &row.line, error_out);
    if (status != SYNTHEA_ROW)
        return status;
    if (csv->field != csv->place_count) {
        synthea_csv_explain(csv, row.line, "has not as many columns as the header", error_out);
        return SYNTHEA_FAILED;
    }
    for (size_t i = 0; i < csv->column_count; i++)
        row.values[i] =
            csv->starts[i] == no_text ? "" : (const char *)csv->text.data + csv->starts[i];
    *row_out = row;
    return SYNTHEA_ROW;
}

void synthea_csv_close(struct synthea_csv *csv)
{
    if (csv == NULL)
        return;
    if (csv->parser_made)
        csv_free(&csv->parser);
    if (csv->file != NULL)
        fclose(csv->file);
    rpc_buffer_deinit(&csv->text);
    free(csv->places);
    free(csv->path);
    free(csv);
}

/* ---- Dates and times ------------------------------------------------------ */

static bool take_number(const char **text, size_t digits, int *value_out)
{
    int value = 0;

    for (size_t i = 0; i < digits; i++) {
        char digit = (*text)[i];
        if (digit < '0' || digit > '9')
            return false;
        value = value * 10 + (digit - '0');
    }
    *text += digits;
    *value_out = value;
    return true;
}

static bool take_character(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool take_date(const char **text, int64_t *days_out)
{
    int year, month, day;

    if (!take_number(text, 4, &year) || !take_character(text, '-') ||
        !take_number(text, 2, &month) || !take_character(text, '-') || !take_number(text, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;

    int64_t past = year - 1;
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 - 719162;
    for (int m = 1; m < month; m++)
        days += month_days(year, m);
    *days_out = days + day - 1;
    return true;
}

static bool take_clock(const char **text, int64_t *ms_out)
{
    int hour, minute, second, digit;
    int64_t ms = 0;

    if (!take_number(text, 2, &hour) || !take_character(text, ':') ||
        !take_number(text, 2, &minute) || !take_character(text, ':') ||
        !take_number(text, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if (take_character(text, '.'))
        for (int64_t weight = 100; take_number(text, 1, &digit); weight /= 10)
            ms += digit * weight;
    *ms_out = ((int64_t)hour * 60 + minute) * 60000 + (int64_t)second * 1000 + ms;
    return true;
}

static bool take_zone(const char **text, int64_t *offset_ms_out)
{
    int sign = **text == '-' ? -1 : 1;
    int hour, minute;

    *offset_ms_out = 0;
    if (**text == '\0' || take_character(text, 'Z'))
        return true;
    if ((!take_character(text, '+') && !take_character(text, '-')) ||
        !take_number(text, 2, &hour) || !take_character(text, ':') ||
        !take_number(text, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *offset_ms_out = sign * ((int64_t)hour * 60 + minute) * 60000;
    return true;
}

bool synthea_time_parse(const char *text, int64_t *time_ms_out)
{
    int64_t days, ms = 0, offset_ms = 0;

    if (!take_date(&text, &days))
        return false;
    if (*text != '\0' &&
        (!take_character(&text, 'T') || !take_clock(&text, &ms) || !take_zone(&text, &offset_ms)))
        return false;
    if (*text != '\0')
        return false;
    *time_ms_out = days * 86400000 + ms - offset_ms;
    return true;
}
