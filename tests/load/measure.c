/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <stdlib.h>

struct measure *measure_new(void)
{
    return calloc(1, sizeof(struct measure));
}

void measure_free(struct measure *measure)
{
    if (measure != NULL)
        free(measure->seconds);
    free(measure);
}

void measure_arrival(struct measure *measure, enum work work, size_t link, size_t version,
                     uint64_t latency_us)
{
    histogram_record(&measure->latency, latency_us);
    histogram_record(&measure->works[work], latency_us);
    histogram_record(&measure->now_latency, latency_us);
    histogram_record(&measure->links[link].latency, latency_us);
    histogram_record(&measure->versions[version].latency, latency_us);
}

void measure_freshness(struct measure *measure, bool followed, uint64_t us)
{
    histogram_record(followed ? &measure->followed : &measure->polled, us);
    if (followed)
        histogram_record(&measure->now_freshness, us);
}

void measure_error(struct measure *measure, enum rpc_code code, size_t link, size_t version)
{
    measure->errors[(unsigned)code < MEASURE_CODES ? code : RPC_UNKNOWN]++;
    measure->now.errors++;
    measure->links[link].errors++;
    measure->versions[version].errors++;
}

static struct measure_second *next_second(struct measure *measure)
{
    if (measure->second_count == MEASURE_SECONDS_MAX)
        return NULL;
    if (measure->second_count == measure->second_room) {
        size_t room = measure->second_room > 0 ? measure->second_room * 2 : 64;
        struct measure_second *seconds = realloc(measure->seconds, room * sizeof *measure->seconds);
        if (seconds == NULL)
            return NULL;
        measure->seconds = seconds;
        measure->second_room = room;
    }
    return &measure->seconds[measure->second_count++];
}

struct measure_second measure_tick(struct measure *measure, const struct rpc_conn_bytes *bytes,
                                   const struct process_sample *server,
                                   const struct process_sample *own, uint32_t open)
{
    struct measure_second *place = next_second(measure);
    struct measure_second *now = &measure->now;

    now->open = open;
    now->p50_us = histogram_quantile(&measure->now_latency, .5);
    now->p99_us = histogram_quantile(&measure->now_latency, .99);
    now->greatest_us = measure->now_latency.greatest;
    now->freshness_p99_us = histogram_quantile(&measure->now_freshness, .99);
    now->bytes_sent = bytes->sent - measure->bytes_before.sent;
    now->bytes_received = bytes->received - measure->bytes_before.received;
    now->server_cpu = process_cores(&measure->server_before, server);
    now->own_cpu = process_cores(&measure->own_before, own);
    now->server_bytes = server->resident_bytes;
    now->own_bytes = own->resident_bytes;
    const struct measure_second ended = *now;
    if (place != NULL)
        *place = ended;
    *now = (struct measure_second){0};
    histogram_clear(&measure->now_latency);
    histogram_clear(&measure->now_freshness);
    measure->bytes_before = *bytes;
    measure->server_before = *server;
    measure->own_before = *own;
    return ended;
}

uint64_t measure_error_count(const struct measure *measure)
{
    uint64_t sum = 0;

    for (int code = 0; code < MEASURE_CODES; code++)
        sum += measure->errors[code];
    return sum;
}
