/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    WORDS_MAX = 16,
    OUTPUT_BYTES_MAX = 1024 * 1024,
    /* Codes that one command makes. */
    CODES_AT_ONCE = 1000,
    STOP_WAIT_MS = 60000,
};

/* ---- Processes ----------------------------------------------------------------------- */

/* Starts outpostd with these words and --data; its standard output comes through a pipe, what
 * it says of errors goes to the log beside the data. */
static struct rpc_status start(const struct server *server, const char *const *words,
                               pid_t *pid_out, FILE **output_out)
{
    const char *line[WORDS_MAX] = {server->program};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char log[PATH_MAX + 32];
    size_t count = 1;
    int ends[2];

    while (*words != NULL && count < WORDS_MAX - 3)
        line[count++] = *words++;
    line[count++] = "--data";
    line[count++] = server->data;
    snprintf(log, sizeof log, "%s.log", server->data);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return rpc_status_make(RPC_UNAVAILABLE, "cannot make a pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    /* A group of its own: Ctrl-C is for the harness, which then stops the server. */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    int error =
        posix_spawnp(pid_out, server->program, &actions, &attributes, (char *const *)line, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *output_out = error == 0 ? fdopen(ends[0], "r") : NULL;
    if (*output_out != NULL)
        return rpc_status_ok();
    close(ends[0]);
    return rpc_status_make(RPC_UNAVAILABLE, "cannot start %s: name it with --outpostd",
                           server->program);
}

/* What it said last, which is why it failed. */
static struct rpc_status failure(const struct server *server, const char *command)
{
    char path[PATH_MAX + 32], line[160], last[160] = "it said nothing";

    snprintf(path, sizeof path, "%s.log", server->data);
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof line, log) != NULL)
        snprintf(last, sizeof last, "%.*s", (int)strcspn(line, "\n"), line);
    if (log != NULL)
        fclose(log);
    return rpc_status_make(RPC_UNAVAILABLE, "outpostd %s failed: %s", command, last);
}

static struct rpc_status run(const struct server *server, const char *const *words,
                             struct rpc_buffer *output)
{
    uint8_t bytes[4096];
    FILE *pipe;
    pid_t pid;
    size_t len;
    int code;
    struct rpc_status status = start(server, words, &pid, &pipe);

    rpc_buffer_clear(output);
    if (!rpc_ok(&status))
        return status;
    while ((len = fread(bytes, 1, sizeof bytes, pipe)) > 0)
        rpc_buffer_append(output, bytes, len);
    fclose(pipe);
    while (waitpid(pid, &code, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(code) || WEXITSTATUS(code) != 0 || output->failed)
        return failure(server, words[0]);
    return status;
}

/* ---- Its life ------------------------------------------------------------------------ */

static bool choose_folder(struct server *server, const char *data)
{
    const char *parent = getenv("TMPDIR");

    server->temporary = data == NULL;
    if (data != NULL)
        return snprintf(server->data, sizeof server->data, "%s", data) < PATH_MAX - 32;
    snprintf(server->data, sizeof server->data, "%.1000s/outpost-load-XXXXXX",
             parent != NULL ? parent : "/tmp");
    if (mkdtemp(server->data) == NULL)
        return false;
    strcat(server->data, "/data");
    return true;
}

struct rpc_status server_init(struct server *server, const char *program, const char *data,
                              const char *store)
{
    const char *words[] = {"init", store != NULL ? "--store" : NULL, store, NULL};
    struct rpc_buffer output;

    *server = (struct server){.program = program};
    if (!choose_folder(server, data))
        return rpc_status_make(RPC_UNAVAILABLE, "cannot make a folder for the data");
    rpc_buffer_init(&output, OUTPUT_BYTES_MAX);
    struct rpc_status status = run(server, words, &output);
    rpc_buffer_deinit(&output);
    return status;
}

struct rpc_status server_start(struct server *server)
{
    static const char *const words[] = {"serve", "--listen", "127.0.0.1:0", NULL};
    FILE *output;
    struct rpc_status status = start(server, words, &server->pid, &output);

    if (!rpc_ok(&status))
        return status;
    if (fscanf(output, "listening on %127s", server->address) != 1)
        status = failure(server, "serve");
    fclose(output);
    return status;
}

bool server_runs(struct server *server)
{
    if (server->pid > 0 && waitpid(server->pid, NULL, WNOHANG) == server->pid)
        server->pid = 0;
    return server->pid > 0;
}

static void remove_folder(const struct server *server)
{
    char parent[PATH_MAX];
    pid_t pid;

    snprintf(parent, sizeof parent, "%s", server->data);
    *strrchr(parent, '/') = '\0';
    const char *const words[] = {"rm", "-rf", "--", parent, NULL};
    if (posix_spawnp(&pid, words[0], NULL, NULL, (char *const *)words, environ) == 0)
        waitpid(pid, NULL, 0);
}

void server_stop(struct server *server)
{
    const struct timespec moment = {.tv_nsec = 10 * 1000000};

    if (server_runs(server))
        kill(server->pid, SIGTERM);
    for (int waited_ms = 0; server_runs(server); waited_ms += 10) {
        if (waited_ms == STOP_WAIT_MS)
            kill(server->pid, SIGKILL);
        nanosleep(&moment, NULL);
    }
    if (server->temporary && server->data[0] != '\0')
        remove_folder(server);
}

/* ---- Its commands -------------------------------------------------------------------- */

static struct rpc_status run_for_id(const struct server *server, const char *const *words,
                                    struct record_uuid *id_out)
{
    char text[RECORD_UUID_TEXT_LEN + 1] = "";
    struct rpc_buffer output;

    rpc_buffer_init(&output, OUTPUT_BYTES_MAX);
    struct rpc_status status = run(server, words, &output);
    if (rpc_ok(&status) && output.len >= RECORD_UUID_TEXT_LEN)
        memcpy(text, output.data, RECORD_UUID_TEXT_LEN);
    if (rpc_ok(&status) && !record_uuid_parse(text, id_out))
        status = rpc_status_make(RPC_INTERNAL, "outpostd %s printed no id", words[0]);
    rpc_buffer_deinit(&output);
    return status;
}

struct rpc_status server_add_region(const struct server *server, const char *name,
                                    struct record_uuid *id_out)
{
    char field[64];
    const char *words[] = {"region", "add", field, NULL};

    snprintf(field, sizeof field, "name=%s", name);
    return run_for_id(server, words, id_out);
}

struct rpc_status server_add_facility(const struct server *server, const char *name,
                                      const struct record_uuid *region, struct record_uuid *id_out)
{
    char field[64], of_region[64], id[RECORD_UUID_TEXT_LEN + 1];
    const char *words[] = {"facility", "add", field, of_region, NULL};

    record_uuid_format(region, id);
    snprintf(field, sizeof field, "name=%s", name);
    snprintf(of_region, sizeof of_region, "sync_region_id=%s", id);
    return run_for_id(server, words, id_out);
}

static struct rpc_status make_some(const struct server *server, const char *facility, size_t count,
                                   struct enrolment_code *codes_out)
{
    char number[24];
    const char *words[] = {"enrol", "--facility", facility, "--count", number, NULL};
    struct rpc_buffer output;
    size_t made = 0;

    snprintf(number, sizeof number, "%zu", count);
    rpc_buffer_init(&output, OUTPUT_BYTES_MAX);
    struct rpc_status status = run(server, words, &output);
    rpc_buffer_append(&output, "", 1);
    char *rest = NULL;
    for (char *line = rpc_ok(&status) ? strtok_r((char *)output.data, "\n", &rest) : NULL;
         line != NULL && made < count; line = strtok_r(NULL, "\n", &rest))
        snprintf(codes_out[made++].text, ENROLMENT_CODE_LEN, "%s", line);
    if (rpc_ok(&status) && made < count)
        status = rpc_status_make(RPC_INTERNAL, "outpostd enrol printed too few codes");
    rpc_buffer_deinit(&output);
    return status;
}

struct rpc_status server_make_codes(const struct server *server, const struct record_uuid *facility,
                                    size_t count, struct enrolment_code *codes_out)
{
    char id[RECORD_UUID_TEXT_LEN + 1];
    struct rpc_status status = rpc_status_ok();

    record_uuid_format(facility, id);
    for (size_t made = 0; made < count && rpc_ok(&status); made += CODES_AT_ONCE) {
        size_t some = count - made < CODES_AT_ONCE ? count - made : CODES_AT_ONCE;
        status = make_some(server, id, some, codes_out + made);
    }
    return status;
}

struct rpc_status server_verify(const struct server *server)
{
    static const char *const words[] = {"verify", NULL};
    struct rpc_buffer output;

    rpc_buffer_init(&output, OUTPUT_BYTES_MAX);
    struct rpc_status status = run(server, words, &output);
    rpc_buffer_deinit(&output);
    return status;
}

struct rpc_status server_read_file(const char *path, struct rpc_buffer *content)
{
    uint8_t bytes[4096];
    size_t len;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return rpc_status_make(RPC_NOT_FOUND, "cannot read %.200s", path);
    while ((len = fread(bytes, 1, sizeof bytes, file)) > 0)
        rpc_buffer_append(content, bytes, len);
    bool good = !ferror(file) && !content->failed;
    fclose(file);
    return good ? rpc_status_ok() : rpc_status_make(RPC_UNAVAILABLE, "cannot read %.200s", path);
}
