/* SPDX-License-Identifier: Apache-2.0
 *
 * The row is read and written under the lock that migrations take, so that of two
 * servers set up at once one is the first.
 */
#include "authority.h"

#include "ca.h"
#include "new_file.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

enum { PEM_BYTES_MAX = 16 * 1024 };

static struct rpc_status failed(PGconn *conn)
{
    const char *problem = PQerrorMessage(conn);

    return rpc_status_make(RPC_UNAVAILABLE, "the database's CA: %.*s", (int)strcspn(problem, "\n"),
                           problem);
}

static struct rpc_status run(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? rpc_status_ok() : failed(conn);
}

/* Empty: there is no such file. */
static struct rpc_status read_pem(const char *folder, const char *name, char text[PEM_BYTES_MAX])
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    size_t len = file != NULL ? fread(text, 1, PEM_BYTES_MAX - 1, file) : 0;
    bool good = file == NULL || !ferror(file);
    text[len] = '\0';
    if (file != NULL)
        fclose(file);
    return good ? rpc_status_ok() : rpc_status_make(RPC_RESOURCE_EXHAUSTED, "read %s", path);
}

static struct rpc_status write_pem(const char *folder, const char *name, int mode, const char *text)
{
    struct new_file new_file;
    struct rpc_status status = new_file_open(&new_file, folder, name, mode);

    return rpc_ok(&status) ? new_file_close(&new_file, fputs(text, new_file.file) >= 0) : status;
}

/* The key first: a certificate without its key would be taken for a whole CA. */
static struct rpc_status take(const char *folder, const char *certificate, const char *key)
{
    char own[PEM_BYTES_MAX];
    struct rpc_status status = read_pem(folder, "ca.pem", own);

    if (rpc_ok(&status) && own[0] != '\0')
        return strcmp(own, certificate) == 0
                   ? status
                   : rpc_status_make(RPC_FAILED_PRECONDITION,
                                     "%s has a CA that is not the database's: take another folder,"
                                     " or another database",
                                     folder);
    if (rpc_ok(&status))
        status = write_pem(folder, "ca.key", 0600, key);
    return rpc_ok(&status) ? write_pem(folder, "ca.pem", 0644, certificate) : status;
}

static struct rpc_status give(PGconn *conn, const char *folder)
{
    char certificate[PEM_BYTES_MAX], key[PEM_BYTES_MAX];
    struct rpc_status status = ca_create(folder);

    if (status.code == RPC_ALREADY_EXISTS)
        status = rpc_status_ok();
    if (rpc_ok(&status))
        status = read_pem(folder, "ca.pem", certificate);
    if (rpc_ok(&status))
        status = read_pem(folder, "ca.key", key);
    if (!rpc_ok(&status))
        return status;
    const char *values[] = {certificate, key};
    PGresult *result =
        PQexecParams(conn, "INSERT INTO authority(one, certificate, key) VALUES (1, $1, $2)", 2,
                     NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        status = failed(conn);
    PQclear(result);
    memset(key, 0, sizeof key);
    return status;
}

static struct rpc_status join(PGconn *conn, const char *folder)
{
    struct rpc_status status =
        run(conn, "BEGIN; SELECT 1 FROM schema_migration WHERE version = 0 FOR UPDATE");

    if (!rpc_ok(&status))
        return status;
    PGresult *result = PQexec(conn, "SELECT certificate, key FROM authority");
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        status = failed(conn);
    else if (PQntuples(result) == 1)
        status = take(folder, PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
    else
        status = give(conn, folder);
    PQclear(result);
    return rpc_ok(&status) ? run(conn, "COMMIT") : status;
}

struct rpc_status authority_join(const char *conninfo, const char *folder)
{
    PGconn *conn = PQconnectdb(conninfo);
    struct rpc_status status = PQstatus(conn) == CONNECTION_OK ? join(conn, folder) : failed(conn);

    PQfinish(conn);
    return status;
}
