/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <stdio.h>
#include <stdlib.h>

/* Rates and delays as networks in the field have them, not as they are sold. */
static const struct known {
    const char *name;
    double kbit_per_s;
    int64_t round_trip_ms;
    double cut;
} known[] = {
    {"lan", 0, 0, 0},     {"wifi", 20000, 10, 0}, {"4g", 8000, 50, 0},
    {"3g", 1000, 150, 0}, {"2g", 64, 600, .02},   {"bad", 64, 800, .25},
};

enum { KNOWN_COUNT = sizeof known / sizeof *known };

static struct link_quality quality(const char *name, double kbit_per_s, int64_t round_trip_ms,
                                   double cut)
{
    struct link_quality made = {
        .bytes_per_s = kbit_per_s * 125, .round_trip_us = round_trip_ms * 1000, .cut = cut};

    snprintf(made.name, sizeof made.name, "%s", name);
    return made;
}

bool link_quality_parse(const char *text, size_t len, struct link_quality *quality_out)
{
    char name[LINK_NAME_LEN];
    double kbit_per_s, cut_percent = 0;
    unsigned round_trip_ms;
    int used = 0;

    if (len >= sizeof name)
        return false;
    memcpy(name, text, len);
    name[len] = '\0';
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(name, known[i].name) == 0) {
            *quality_out = quality(name, known[i].kbit_per_s, known[i].round_trip_ms, known[i].cut);
            return true;
        }
    if (sscanf(name, "%lf:%u%n:%lf%n", &kbit_per_s, &round_trip_ms, &used, &cut_percent, &used) <
            2 ||
        (size_t)used != len || kbit_per_s < 0 || round_trip_ms > 60000 || cut_percent < 0 ||
        cut_percent > 100)
        return false;
    *quality_out = quality(name, kbit_per_s, round_trip_ms, cut_percent / 100);
    return true;
}

void link_quality_list(char *text, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < KNOWN_COUNT && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s (%.0f:%lld:%.0f)", i > 0 ? ", " : "",
                                known[i].name, known[i].kbit_per_s,
                                (long long)known[i].round_trip_ms, known[i].cut * 100);
}

/* ---- Pipes --------------------------------------------------------------------------- */

struct pipe_frame {
    struct pipe_frame *next;
    int64_t due_us;
    size_t len, taken;
    uint8_t bytes[];
};

void pipe_deinit(struct pipe *pipe)
{
    while (pipe->first != NULL)
        pipe_took(pipe, pipe->first->len - pipe->first->taken);
}

bool pipe_full(const struct pipe *pipe)
{
    return pipe->queued >= LINK_QUEUE_BYTES;
}

static void put_frame(struct pipe *pipe, struct rpc_bytes bytes, int64_t due_us)
{
    struct pipe_frame *frame = malloc(sizeof *frame + bytes.len);

    if (frame == NULL)
        abort();
    *frame = (struct pipe_frame){.due_us = due_us, .len = bytes.len};
    memcpy(frame->bytes, bytes.data, bytes.len);
    if (pipe->first == NULL)
        pipe->first = frame;
    else
        pipe->last->next = frame;
    pipe->last = frame;
    pipe->queued += bytes.len;
}

void pipe_put(struct pipe *pipe, const struct link_quality *quality, struct rpc_bytes bytes,
              int64_t now_us)
{
    while (bytes.len > 0) {
        size_t len = bytes.len < LINK_FRAME_BYTES ? bytes.len : LINK_FRAME_BYTES;
        if (pipe->free_us < now_us)
            pipe->free_us = now_us;
        if (quality->bytes_per_s > 0)
            pipe->free_us += (int64_t)((double)len / quality->bytes_per_s * 1e6);
        put_frame(pipe, rpc_bytes_view(bytes.data, len),
                  pipe->free_us + quality->round_trip_us / 2);
        bytes = rpc_bytes_view(bytes.data + len, bytes.len - len);
    }
}

struct rpc_bytes pipe_arrived(const struct pipe *pipe, int64_t now_us)
{
    const struct pipe_frame *frame = pipe->first;

    if (frame == NULL || frame->due_us > now_us)
        return rpc_bytes_view(NULL, 0);
    return rpc_bytes_view(frame->bytes + frame->taken, frame->len - frame->taken);
}

void pipe_took(struct pipe *pipe, size_t len)
{
    struct pipe_frame *frame = pipe->first;

    frame->taken += len;
    pipe->queued -= len;
    if (frame->taken < frame->len)
        return;
    pipe->first = frame->next;
    free(frame);
}

int64_t pipe_due_us(const struct pipe *pipe)
{
    return pipe->first != NULL ? pipe->first->due_us : -1;
}
