/* SPDX-License-Identifier: Apache-2.0
 *
 * One CA for all servers of one PostgreSQL database: the first outpostd init leaves
 * its CA there, and every later one takes it, so that a device which enrolled through
 * one is known to all.
 */
#ifndef OUTPOST_SERVER_AUTHORITY_H
#define OUTPOST_SERVER_AUTHORITY_H

#include "outpost/rpc_status.h"

/* Gives the folder the database's CA, or, when that has none, the database the
 * folder's, which is made if need be. The schema is up to date. FAILED_PRECONDITION:
 * the folder has another one. */
struct rpc_status authority_join(const char *conninfo, const char *folder);

#endif
