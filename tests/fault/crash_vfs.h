/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite on crash disks: a VFS that is made the process's default, so that the
 * code under test opens its databases as it always does and no line of it
 * changes. A file belongs to the disk whose label its name begins with, up to the
 * first '.': "device.db-wal" is on the disk "device".
 *
 * Locks and the WAL's shared memory are as on Unix, for any number of connections
 * and threads of this process; they go when the last connection closes. A disk
 * that is down answers every operation with SQLITE_IOERR, so what a process does
 * between the loss of power and its own end reaches nothing.
 */
#ifndef OUTPOST_TESTS_CRASH_VFS_H
#define OUTPOST_TESTS_CRASH_VFS_H

#include "crash_disk.h"

/* Makes the VFS and its disks, and makes it the default. The disks are the caller's
 * and stay while the VFS does. */
void crash_vfs_install(struct crash_disk *disks, size_t count);
void crash_vfs_uninstall(void);

/* SQLite's random numbers start anew, from that seed. */
void crash_vfs_seed(uint64_t seed);

/* Of a disk that threads may be using: whether its power is gone. */
bool crash_vfs_is_down(const struct crash_disk *disk);

#endif
