/* SPDX-License-Identifier: Apache-2.0 */
#include "cut_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Connections at once: a store's, and those that are being given up. */
    PAIRS_MAX = 64,
    CHUNK_LEN = 65536,
};

/* sockets[d] is the end that bytes in direction d go to. */
struct pair {
    int sockets[CUT_DIRECTIONS];
    bool open;
    bool cut;                   /* both ends are told; what still comes is dropped */
    bool ended[CUT_DIRECTIONS]; /* the sender in that direction has closed */
    uint64_t opened_in;         /* the plan, and how many of its cuts were done */
    size_t opened_after;
};

struct cut_relay {
    int listener, wake[2];
    uint16_t port, database_port;
    pthread_t thread;
    pthread_mutex_t mutex; /* what is below */
    bool closing;
    uint64_t plan_number;
    struct cut_plan plan;
    struct cut_report report;
    struct pair *under_way; /* whose bytes count for the next cut */
    struct pair pairs[PAIRS_MAX];
    uint8_t chunk[CHUNK_LEN];
};

/* ---- Sockets ------------------------------------------------------------------- */

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void send_all(int socket, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(socket, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the other end is gone, and its sender will see that */
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void accept_pair(struct cut_relay *relay)
{
    struct sockaddr_in address = loopback(relay->database_port);
    int store = accept(relay->listener, NULL, NULL), one = 1;
    int database = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t at = 0;

    while (at < PAIRS_MAX && relay->pairs[at].open)
        at++;
    if (at == PAIRS_MAX || store < 0 || database < 0 ||
        connect(database, (struct sockaddr *)&address, sizeof address) != 0) {
        close(store);
        close(database);
        return;
    }
    setsockopt(store, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(database, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    relay->pairs[at] = (struct pair){
        .open = true, .opened_in = relay->plan_number, .opened_after = relay->report.done};
    relay->pairs[at].sockets[CUT_TO_DATABASE] = database;
    relay->pairs[at].sockets[CUT_TO_STORE] = store;
}

/* ---- Cuts ---------------------------------------------------------------------- */

/* Whether the bytes of this connection are those that the next cut is about. */
static bool counts(struct cut_relay *relay, struct pair *pair)
{
    bool news = pair->opened_in == relay->plan_number && pair->opened_after == relay->report.done;

    if (relay->report.done == relay->plan.count)
        return false;
    if (relay->under_way == NULL && (relay->report.done == 0 || news))
        relay->under_way = pair;
    return relay->under_way == pair;
}

/* How many of the bytes may pass; *cut_out: and none after them. */
static size_t allowance(struct cut_relay *relay, struct pair *pair, enum cut_direction direction,
                        size_t len, bool *cut_out)
{
    *cut_out = false;
    if (!counts(relay, pair))
        return len;
    const struct cut *cut = &relay->plan.cuts[relay->report.done];
    uint64_t before = relay->report.passed[direction];
    relay->report.passed[direction] += len;
    if (cut->direction != direction || before + len <= cut->after)
        return len;
    *cut_out = true;
    return (size_t)(cut->after - before);
}

static void cut_pair(struct cut_relay *relay, struct pair *pair)
{
    /* Not closed yet: unread bytes would turn the end into a reset, which may overtake
     * what was to arrive. */
    for (int d = 0; d < CUT_DIRECTIONS; d++)
        shutdown(pair->sockets[d], SHUT_WR);
    pair->cut = true;
    relay->report.done++;
    relay->under_way = NULL;
    for (int d = 0; d < CUT_DIRECTIONS; d++)
        relay->report.passed[d] = 0;
}

static void pump(struct cut_relay *relay, struct pair *pair, enum cut_direction direction)
{
    int source = pair->sockets[1 - direction], sink = pair->sockets[direction];
    ssize_t len = recv(source, relay->chunk, sizeof relay->chunk, 0);
    bool cut;

    if (len <= 0) {
        pair->ended[direction] = true;
        shutdown(sink, SHUT_WR);
    } else if (!pair->cut) {
        size_t allowed = allowance(relay, pair, direction, (size_t)len, &cut);
        send_all(sink, relay->chunk, allowed);
        if (cut)
            cut_pair(relay, pair);
    }
    if (pair->ended[CUT_TO_DATABASE] && pair->ended[CUT_TO_STORE]) {
        close(source);
        close(sink);
        pair->open = false;
    }
}

/* ---- The thread ------------------------------------------------------------------ */

static void serve_once(struct cut_relay *relay)
{
    struct pollfd polled[2 + PAIRS_MAX * CUT_DIRECTIONS] = {
        {.fd = relay->listener, .events = POLLIN}, {.fd = relay->wake[0], .events = POLLIN}};

    for (size_t i = 0; i < PAIRS_MAX; i++)
        for (int d = 0; d < CUT_DIRECTIONS; d++) {
            struct pair *pair = &relay->pairs[i];
            bool read = pair->open && !pair->ended[d];
            polled[2 + CUT_DIRECTIONS * i + (size_t)d] =
                (struct pollfd){.fd = read ? pair->sockets[1 - d] : -1, .events = POLLIN};
        }
    poll(polled, sizeof polled / sizeof polled[0], -1);
    pthread_mutex_lock(&relay->mutex);
    for (size_t i = 0; i < PAIRS_MAX; i++)
        for (int d = 0; d < CUT_DIRECTIONS; d++)
            if (relay->pairs[i].open && polled[2 + CUT_DIRECTIONS * i + (size_t)d].revents != 0)
                pump(relay, &relay->pairs[i], (enum cut_direction)d);
    if (polled[0].revents != 0)
        accept_pair(relay);
    pthread_mutex_unlock(&relay->mutex);
}

static bool is_closing(struct cut_relay *relay)
{
    pthread_mutex_lock(&relay->mutex);
    bool closing = relay->closing;
    pthread_mutex_unlock(&relay->mutex);
    return closing;
}

static void *relay_main(void *context)
{
    struct cut_relay *relay = context;

    while (!is_closing(relay))
        serve_once(relay);
    return NULL;
}

struct cut_relay *cut_relay_new(uint16_t database_port)
{
    struct cut_relay *relay = calloc(1, sizeof *relay);
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;

    if (relay == NULL)
        return NULL;
    relay->database_port = database_port;
    pthread_mutex_init(&relay->mutex, NULL);
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (relay->listener < 0 || pipe(relay->wake) != 0 ||
        bind(relay->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(relay->listener, PAIRS_MAX) != 0 ||
        getsockname(relay->listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&relay->thread, NULL, relay_main, relay) != 0) {
        free(relay);
        return NULL;
    }
    relay->port = ntohs(address.sin_port);
    return relay;
}

void cut_relay_free(struct cut_relay *relay)
{
    pthread_mutex_lock(&relay->mutex);
    relay->closing = true;
    pthread_mutex_unlock(&relay->mutex);
    (void)!write(relay->wake[1], "", 1);
    pthread_join(relay->thread, NULL);
    for (size_t i = 0; i < PAIRS_MAX; i++)
        for (int d = 0; d < CUT_DIRECTIONS && relay->pairs[i].open; d++)
            close(relay->pairs[i].sockets[d]);
    close(relay->listener);
    close(relay->wake[0]);
    close(relay->wake[1]);
    pthread_mutex_destroy(&relay->mutex);
    free(relay);
}

uint16_t cut_relay_port(const struct cut_relay *relay)
{
    return relay->port;
}

size_t cut_relay_open_count(struct cut_relay *relay)
{
    size_t count = 0;

    pthread_mutex_lock(&relay->mutex);
    for (size_t i = 0; i < PAIRS_MAX; i++)
        count += relay->pairs[i].open;
    pthread_mutex_unlock(&relay->mutex);
    return count;
}

/* ---- Plans ------------------------------------------------------------------------ */

void cut_relay_plan(struct cut_relay *relay, const struct cut_plan *plan)
{
    pthread_mutex_lock(&relay->mutex);
    relay->plan = *plan;
    relay->plan_number++;
    relay->report = (struct cut_report){0};
    relay->under_way = NULL;
    pthread_mutex_unlock(&relay->mutex);
}

struct cut_report cut_relay_report(struct cut_relay *relay)
{
    static const struct cut_plan none = {0};

    pthread_mutex_lock(&relay->mutex);
    struct cut_report report = relay->report;
    pthread_mutex_unlock(&relay->mutex);
    cut_relay_plan(relay, &none);
    return report;
}
