/* SPDX-License-Identifier: Apache-2.0
 *
 * Synthea's CSV export, read row by row.
 *
 * Shared by the device's importer (patients, encounters, observations) and the
 * server's (organizations). A caller names the columns it needs; they are found
 * by the header's names wherever they stand, other columns are skipped. A file
 * that is not what it should be gives one line of text that names the file, the
 * line or the column, and never a value (I10).
 *
 * Threads: one reader, one thread.
 */
#ifndef OUTPOST_SYNTHEA_CSV_H
#define OUTPOST_SYNTHEA_CSV_H

#include "outpost/record.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* Columns that a caller may need: protects a table of this size. */
    SYNTHEA_COLUMNS_MAX = 32,
    /* Bytes of one row: protects memory from a quote that is never closed. */
    SYNTHEA_ROW_BYTES_MAX = 1024 * 1024,
    SYNTHEA_ERROR_LEN = 512,
};

struct synthea_error {
    char message[SYNTHEA_ERROR_LEN]; /* one line, NUL-terminated, without a newline */
};

struct synthea_row {
    size_t line; /* where the row begins; the header is line 1 */
    /* The needed columns in the caller's order, NUL-terminated, empty when the
     * file has nothing there; they live until the next row is read. */
    const char *values[SYNTHEA_COLUMNS_MAX];
};

enum synthea_status {
    SYNTHEA_ROW,
    SYNTHEA_END,
    SYNTHEA_FAILED, /* see the error */
};

struct synthea_csv;

/* Opens a file and reads its header. columns is a table of at most
 * SYNTHEA_COLUMNS_MAX names that outlives the reader; column names match
 * exactly. NULL: error_out says why ("FILE: column X is missing"). */
struct synthea_csv *synthea_csv_open(const char *path, const char *const *columns,
                                     size_t column_count, struct synthea_error *error_out);

enum synthea_status synthea_csv_next(struct synthea_csv *csv, struct synthea_row *row_out,
                                     struct synthea_error *error_out);

void synthea_csv_close(struct synthea_csv *csv);

/* "FILE: line N: ..." for what a caller finds wrong in a row. */
void synthea_csv_explain(const struct synthea_csv *csv, size_t line, const char *what,
                         struct synthea_error *error_out);

/* An ISO 8601 date (YYYY-MM-DD: its midnight, UTC) or date and time
 * (YYYY-MM-DDTHH:MM:SS, a fraction, then Z, nothing or +HH:MM) as ms since 1970. */
bool synthea_time_parse(const char *text, int64_t *time_ms_out);

#ifdef __cplusplus
}
#endif

#endif
