/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out. What is linked with -Wl,--wrap for malloc, calloc, realloc
 * and strdup, and SQLite, allocates here; a plan says which allocation finds nothing,
 * counted only while the code under test runs. A shared library: it must be one in a
 * process, and what is not to fail is linked without the wrapping. One thread.
 */
#ifndef OUTPOST_TESTS_FAILING_MEMORY_H
#define OUTPOST_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* SQLite allocates here from now on; before sqlite3_initialize. False: it refuses. */
bool failing_memory_install(void);

/* The allocation number `nth` from now, from 1, fails, and so do those after it, `count`
 * in all; 0: none does. */
void failing_memory_plan(uint64_t nth, uint64_t count);
/* How many have failed since the last plan. */
uint64_t failing_memory_failed(void);

/* Between these two the code under test runs; they nest. */
void failing_memory_enter(void);
void failing_memory_leave(void);

/* Between these two it does not, though it has been entered: a test's callback. */
void failing_memory_pause(void);
void failing_memory_resume(void);

#endif
