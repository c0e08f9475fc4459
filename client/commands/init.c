/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost init: a database and its identity. A file that this command made and
 * could not enrol is removed again; one that was there is left as it was.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CA_BYTES_MAX = 64 * 1024 };

static struct outpost_status read_ca(const char *path, char text_out[CA_BYTES_MAX])
{
    FILE *file = fopen(path, "rb");
    struct outpost_status status = command_ok();
    size_t len;

    if (file == NULL)
        return command_fail(OUTPOST_BAD_INPUT, "%s: %s; give the server's ca.pem", path,
                            strerror(errno));
    len = fread(text_out, 1, CA_BYTES_MAX - 1, file);
    text_out[len] = '\0';
    if (ferror(file))
        status = command_fail(OUTPOST_IO, "%s cannot be read", path);
    else if (!feof(file) && len == CA_BYTES_MAX - 1)
        status = command_fail(OUTPOST_BAD_INPUT, "%s is too large for a certificate", path);
    fclose(file);
    return status;
}

static void remove_database(const char *path)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    char name[4096];

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (snprintf(name, sizeof name, "%s%s", path, endings[i]) < (int)sizeof name)
            unlink(name);
}

/* The file will hold a private key: nobody else's to read. SQLite gives its
 * companions the same mode. */
static struct outpost_status make_file(const char *path)
{
    int descriptor = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);

    if (descriptor < 0)
        return command_fail(OUTPOST_IO, "cannot make %s: %s", path, strerror(errno));
    close(descriptor);
    return command_ok();
}

/* SQLite makes a file that everybody may read, and this one will hold a private
 * key and people's health. Its -wal and -shm take its mode. */
static void make_private(const char *path)
{
    int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (descriptor >= 0)
        close(descriptor); /* else opening the database tells why */
}

static struct outpost_status enrol(struct command *command, const char *ca_pem)
{
    struct outpost_enrol_options enrol = {.server = command->server,
                                          .ca_pem = ca_pem,
                                          .code = command->code,
                                          .cancelled = command_cancelled};
    struct outpost_options options;
    static struct outpost_device_status here;
    struct outpost_status status;
    outpost *device;

    outpost_options_init_default(&options);
    options.path = command->db;
    options.create = true;
    status = outpost_open(&options, &device);
    if (status.code != OUTPOST_OK)
        return status;
    status = outpost_enrol(device, &enrol);
    if (status.code == OUTPOST_OK)
        status = outpost_get_status(device, &here);
    if (status.code == OUTPOST_OK) {
        command_put(command, "device_id", command_id_json(here.device_id));
        command_put(command, "facility_id", command_id_json(here.facility_id));
    }
    outpost_close(device);
    return status;
}

struct outpost_status command_init(struct command *command)
{
    static char ca_pem[CA_BYTES_MAX];
    bool made_here = command->db[0] != '\0' && access(command->db, F_OK) != 0;
    struct outpost_status status;

    if (command->server == NULL || command->ca == NULL || command->code == NULL ||
        command->word_count != 0)
        return command_fail(OUTPOST_USAGE, "usage: outpost init --db FILE --server HOST:PORT "
                                           "--ca FILE --code CODE");
    status = read_ca(command->ca, ca_pem);
    if (status.code != OUTPOST_OK)
        return status;
    if (made_here)
        status = make_file(command->db);
    if (status.code == OUTPOST_OK)
        if (made_here)
            make_private(command->db);
    status = enrol(command, ca_pem);
    if (status.code != OUTPOST_OK && made_here)
        remove_database(command->db);
    return status;
}
