/* SPDX-License-Identifier: Apache-2.0
 *
 * What the database itself does with the rows of a store, without Outpost: the measure
 * that store_bench sets the PostgreSQL engine beside.
 */
#ifndef OUTPOST_TESTS_STORE_REFERENCE_H
#define OUTPOST_TESTS_STORE_REFERENCE_H

/* Seconds; on any fault the program ends with a line that says which. */

/* All rows that pushes wrote (records, history, mutation ids) taken out and put back by
 * COPY BINARY, in one transaction, into the same tables with their indexes: only the
 * putting back counts. */
double store_reference_copy_in(const char *conninfo);

/* All records of one region in family order: by one COPY TO STDOUT BINARY; by keyset
 * pages of the given size, prepared and binary. */
double store_reference_copy_out(const char *conninfo, const char *region);
double store_reference_keyset(const char *conninfo, const char *region, unsigned page_rows);

#endif
