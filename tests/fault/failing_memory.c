/* SPDX-License-Identifier: Apache-2.0 */
#include "failing_memory.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static struct {
    unsigned entered, paused;
    uint64_t until;   /* allocations until the one that fails; 0: none will */
    uint64_t to_fail; /* it and those after it */
    uint64_t failed;
} plan;

void failing_memory_plan(uint64_t nth, uint64_t count)
{
    plan.until = nth;
    plan.to_fail = nth > 0 ? count : 0;
    plan.failed = 0;
}

uint64_t failing_memory_failed(void)
{
    return plan.failed;
}

void failing_memory_enter(void)
{
    plan.entered++;
}

void failing_memory_leave(void)
{
    plan.entered--;
}

void failing_memory_pause(void)
{
    plan.paused++;
}

void failing_memory_resume(void)
{
    plan.paused--;
}

static bool fails(void)
{
    if (plan.entered == 0 || plan.paused > 0 || plan.to_fail == 0)
        return false;
    if (plan.until > 1) {
        plan.until--;
        return false;
    }
    plan.to_fail--;
    plan.failed++;
    return true;
}

/* ---- What the linker puts in the place of the C library's -------------------------- */

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : strdup(text);
}

/* ---- SQLite ------------------------------------------------------------------------- */

static sqlite3_mem_methods inner;

static void *sqlite_malloc(int size)
{
    return fails() ? NULL : inner.xMalloc(size);
}

static void *sqlite_realloc(void *memory, int size)
{
    return fails() ? NULL : inner.xRealloc(memory, size);
}

bool failing_memory_install(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &inner) != SQLITE_OK)
        return false;
    sqlite3_mem_methods outer = inner;
    outer.xMalloc = sqlite_malloc;
    outer.xRealloc = sqlite_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &outer) == SQLITE_OK;
}
