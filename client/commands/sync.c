/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost sync: one sync, or with --follow a stream that stays. On a terminal a
 * single line shows how far it is.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

struct showing {
    struct command *command;
    bool terminal;
    bool line_open;
    /* What was told of already. */
    bool identity_told, recount_told;
    uint32_t repairs_told;
};

/* ---- Progress --------------------------------------------------------------------- */

static void show_progress(void *context, const struct outpost_progress *progress)
{
    struct showing *showing = context;
    uint64_t done = progress->pushed + progress->pulled;
    uint64_t total = progress->to_push + progress->to_pull;
    char bar[BAR_WIDTH + 1];
    uint64_t filled;

    if (!showing->terminal)
        return;
    total = total > done ? total : done;
    filled = total > 0 ? done * BAR_WIDTH / total : BAR_WIDTH;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %llu of %llu records, %.1f kB sent, %.1f kB received ", bar,
            (unsigned long long)done, (unsigned long long)total,
            (double)progress->bytes_sent / 1000, (double)progress->bytes_received / 1000);
    fflush(stderr);
    showing->line_open = true;
}

static void end_line(struct showing *showing)
{
    if (showing->line_open)
        fprintf(stderr, "\n");
    showing->line_open = false;
}

/* ---- What a person should know, though it ended well --------------------------------- */

static void print_id(const char *before, const uint8_t id[OUTPOST_ID_LEN], const char *after)
{
    struct record_uuid uuid;
    char text[RECORD_UUID_TEXT_LEN + 1];

    memcpy(uuid.bytes, id, sizeof uuid.bytes);
    record_uuid_format(&uuid, text);
    fprintf(stderr, "outpost: %s%s%s\n", before, text, after);
}

static void tell_news(struct showing *showing, const struct outpost_sync_result *result)
{
    bool identity = result->new_identity && !showing->identity_told;
    bool recount = result->recounted && !showing->recount_told;

    if (identity || recount || result->repaired > showing->repairs_told)
        end_line(showing);
    if (identity)
        print_id("this database is a copy of one that has synced since: it has a new identity,"
                 " device ",
                 result->device_id, "");
    for (uint32_t i = showing->repairs_told; i < result->repaired; i++)
        print_id("region ", result->repaired_region_ids[i],
                 " differed from the server's; it was fetched anew, and agrees now");
    if (recount)
        fprintf(stderr, "outpost: stamps or sums over what is held were wrong, and are"
                        " recounted: report it\n");
    showing->identity_told = showing->identity_told || identity;
    showing->recount_told = showing->recount_told || recount;
    showing->repairs_told = result->repaired;
}

/* ---- Result ------------------------------------------------------------------------- */

static void put_result(struct command *command, const struct outpost_sync_result *result)
{
    command_put(command, "caught_up", json_boolean(result->caught_up));
    command_put_count(command, "pushed", result->pushed);
    command_put_count(command, "pulled", result->pulled);
    command_put_count(command, "withdrawn", result->withdrawn);
    command_put_count(command, "conflicts", result->conflicts);
    command_put_count(command, "quarantined", result->quarantined);
    command_put_count(command, "retried", result->retried);
    command_put(command, "new_identity", json_boolean(result->new_identity));
    command_put(command, "upgrade_required", json_boolean(result->upgrade_required));
    command_put_count(command, "repaired", result->repaired);
    command_put(command, "recounted", json_boolean(result->recounted));
    command_put_count(command, "bytes_sent", result->bytes_sent);
    command_put_count(command, "bytes_received", result->bytes_received);
    command_put_count(command, "handshake_bytes", result->handshake_bytes);
    command_put_count(command, "round_trips", result->round_trips);
    command_put_count(command, "duration_ms", (uint64_t)result->duration_ms);
    if (result->retry_after_ms > 0)
        command_put_count(command, "retry_after_ms", (uint64_t)result->retry_after_ms);
}

/* Follow mode: a line for each time that everything is here. */
static void show_caught_up(void *context, const struct outpost_sync_result *result)
{
    struct showing *showing = context;

    if (!showing->command->follow)
        return;
    tell_news(showing, result);
    if (showing->command->json) {
        put_result(showing->command, result);
        command_put(showing->command, "error", json_null());
        command_print_line(showing->command);
    } else if (!showing->terminal) {
        printf("caught up: %llu pushed, %llu pulled\n", (unsigned long long)result->pushed,
               (unsigned long long)result->pulled);
        fflush(stdout);
    }
}

static void show_waiting(void *context, const struct outpost_status *why, int64_t wait_ms)
{
    struct showing *showing = context;

    end_line(showing);
    fprintf(stderr, "outpost: %s: the next try is in %.0f s\n", why->message,
            (double)wait_ms / 1000);
}

struct outpost_status command_sync(struct command *command)
{
    struct showing showing = {.command = command, .terminal = isatty(STDERR_FILENO)};
    struct outpost_sync_options options;
    struct outpost_sync_result result;
    struct outpost_status status;
    outpost *device;

    if (command->word_count != 0)
        return command_fail(OUTPOST_USAGE, "usage: outpost sync --db FILE [--follow]");
    status = command_open_any(command, &device);
    if (status.code != OUTPOST_OK)
        return status;
    outpost_sync_options_init_default(&options);
    options.follow = command->follow;
    options.progress = show_progress;
    options.caught_up = show_caught_up;
    options.waiting = show_waiting;
    options.cancelled = command_cancelled;
    options.context = &showing;
    status = outpost_sync(device, &options, &result);
    end_line(&showing);
    tell_news(&showing, &result);
    put_result(command, &result);
    outpost_close(device);
    /* Who follows and then stops has had what was asked for. */
    if (status.code == OUTPOST_TRY_LATER && command->follow && result.caught_up &&
        command_cancelled(NULL))
        return command_ok();
    return status;
}
