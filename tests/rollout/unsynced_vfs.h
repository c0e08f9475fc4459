/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite on the system's own files, without waiting for the disk: a VFS that is made the
 * process's default, whose syncs do nothing. For tests of many databases in which no
 * power is lost.
 */
#ifndef OUTPOST_TESTS_UNSYNCED_VFS_H
#define OUTPOST_TESTS_UNSYNCED_VFS_H

#include <stdbool.h>

/* Before any database is opened. */
bool unsynced_vfs_install(void);

#endif
