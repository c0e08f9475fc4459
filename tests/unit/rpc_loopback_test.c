/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: whole calls work between our client and our server, with and without
 * TLS, however the network cuts the bytes. Method: two connections face to face
 * in memory (rpc_pair.h), a clock moved by hand, pieces of random size from a
 * seed that is printed; OUTPOST_SEED=N repeats one.
 */
#include "rpc_certificates.h"
#include "rpc_pair.h"
#include "suite.h"

#include <time.h>

static struct certificate ca;
static struct certificate server_certificate;
static rpc_tls *server_tls;
static rpc_tls *client_tls;
static struct rpc_method method;

enum { FIXED_SEEDS = 6 };

static uint64_t seeds[FIXED_SEEDS + 1];
static size_t seed_count;

static void make_tls(void)
{
    struct rpc_tls_options options = {0};

    ca = certificate_make("test CA", NULL, NULL);
    server_certificate = certificate_make("server", "DNS:sync.example", &ca);
    options.certificate_pem = certificate_bytes(server_certificate.x509_pem);
    options.key_pem = certificate_bytes(server_certificate.key_pem);
    struct rpc_status status = rpc_tls_server_new(&options, &server_tls);
    if (!rpc_ok(&status))
        abort();
    options = (struct rpc_tls_options){.ca_pem = certificate_bytes(ca.x509_pem)};
    status = rpc_tls_client_new(&options, &client_tls);
    if (!rpc_ok(&status))
        abort();
}

/* Runs a test body for every seed, plain and with TLS; the seeds take turns in
 * whole writes, large pieces and pieces of up to 700 bytes. */
static void for_each_network(void (*body)(struct pair *pair))
{
    for (size_t i = 0; i < 2 * seed_count; i++) {
        struct pair_options options = {.seed = seeds[i / 2]};
        struct pair pair;

        options.piece_max = i / 2 % 3 == 0 ? 0 : i / 2 % 3 == 1 ? 100000 : 700;
        if (i % 2 == 1) {
            options.client_tls = client_tls;
            options.server_tls = server_tls;
        }
        pair_init(&pair, &method, &options);
        body(&pair);
        pair_deinit(&pair);
    }
}

static struct rpc_bytes text(const char *literal)
{
    return rpc_bytes_view(literal, strlen(literal));
}

/* ---- Calls that go well -------------------------------------------------- */

static void unary(struct pair *pair)
{
    struct side *client = &pair->client_side;
    struct side *server = &pair->server_side;

    server->echo = server->finish_at_end = true;
    rpc_call_send(pair_call(pair, 0), text("hello"));
    rpc_call_half_close(client->call);
    pair_settle(pair);
    CU_ASSERT_EQUAL(server->opened, 1);
    CU_ASSERT_EQUAL(server->messages, 1);
    CU_ASSERT_EQUAL(server->half_closes, 1);
    CU_ASSERT_EQUAL(server->closes, 1);
    CU_ASSERT(rpc_ok(&server->status));
    CU_ASSERT_EQUAL(client->metadata_seen, 1);
    CU_ASSERT_EQUAL(client->messages, 1);
    CU_ASSERT(rpc_bytes_equal(rpc_buffer_view(&client->last), text("hello")));
    CU_ASSERT_EQUAL(client->closes, 1);
    CU_ASSERT(rpc_ok(&client->status));
}

static void test_unary(void)
{
    for_each_network(unary);
}

/* Messages of all sizes both ways at once, zero length among them. */
static void bidi(struct pair *pair)
{
    static uint8_t data[70000];
    size_t sent = 0;

    pair->server_side.echo = pair->server_side.finish_at_end = true;
    rpc_call *call = pair_call(pair, 0);
    for (unsigned i = 0; i < 300; i++) {
        size_t len = pair_random(pair) % (i % 10 == 0 ? sizeof data : 300);
        if (i % 17 == 0)
            len = 0;
        memset(data, (int)i, len);
        rpc_call_send(call, rpc_bytes_view(data, len));
        sent += len;
        if (i % 40 == 0)
            pair_settle(pair);
    }
    rpc_call_half_close(call);
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->server_side.messages, 300);
    CU_ASSERT_EQUAL(pair->client_side.messages, 300);
    CU_ASSERT_EQUAL(pair->server_side.bytes, sent);
    CU_ASSERT_EQUAL(pair->client_side.bytes, sent);
    CU_ASSERT(rpc_ok(&pair->client_side.status));
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
}

static void test_bidi(void)
{
    for_each_network(bidi);
}

/* The largest message that is allowed, there and back. */
static void largest(struct pair *pair)
{
    uint8_t *data = malloc(RPC_MESSAGE_BYTES_MAX);

    if (data == NULL)
        abort();
    for (size_t i = 0; i < RPC_MESSAGE_BYTES_MAX; i++)
        data[i] = (uint8_t)pair_random(pair);
    pair->server_side.echo = pair->server_side.finish_at_end = true;
    rpc_call *call = pair_call(pair, 0);
    rpc_call_send(call, rpc_bytes_view(data, RPC_MESSAGE_BYTES_MAX));
    CU_ASSERT_FALSE(rpc_call_writable(call));
    rpc_call_half_close(call);
    pair_settle(pair);
    CU_ASSERT(rpc_ok(&pair->client_side.status));
    CU_ASSERT(rpc_bytes_equal(rpc_buffer_view(&pair->client_side.last),
                              rpc_bytes_view(data, RPC_MESSAGE_BYTES_MAX)));
    free(data);
}

static void test_largest_message(void)
{
    for_each_network(largest);
}

/* More calls than the server admits at once: the rest wait their turn. */
static void many_calls(struct pair *pair)
{
    struct rpc_call_options options = {
        .path = "/t/Echo", .events = side_events, .context = &pair->client_side};

    pair->server_side.echo = pair->server_side.finish_at_end = true;
    for (int i = 0; i < 3 * RPC_CALLS_MAX; i++) {
        rpc_call *call = rpc_client_call(pair->client, &options);
        CU_ASSERT_PTR_NOT_NULL_FATAL(call);
        rpc_call_send(call, text("one of many"));
        rpc_call_half_close(call);
    }
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->server_side.closes, 3 * RPC_CALLS_MAX);
    CU_ASSERT_EQUAL(pair->client_side.messages, 3 * RPC_CALLS_MAX);
    CU_ASSERT_EQUAL(pair->client_side.closes, 3 * RPC_CALLS_MAX);
}

static void test_many_calls(void)
{
    for_each_network(many_calls);
}

/* ---- Statuses ------------------------------------------------------------ */

/* The server's answer is nothing but a status, with trailers and a message
 * that needs percent-encoding. */
static void trailers_only(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 0), text("?"));
    pair_settle(pair);
    rpc_call_add_trailer(pair->server_side.call, "x-reason-bin", text("\xff\x01,"));
    rpc_call_finish(pair->server_side.call,
                    rpc_status_make(RPC_NOT_FOUND, "100%% f\xc3\xb6und\n nowhere"));
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.metadata_seen, 0);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(pair->client_side.status.message, "100% f\xc3\xb6und\n nowhere");
    CU_ASSERT_EQUAL(pair->client_side.trailer_count, 1);
    CU_ASSERT_EQUAL(pair->server_side.status.code, RPC_NOT_FOUND);
}

static void test_trailers_only(void)
{
    for_each_network(trailers_only);
}

static void test_unknown_method(void)
{
    struct pair_options options = {.seed = 1};
    struct rpc_call_options call = {.path = "/t/Nothing", .events = side_events};
    struct pair pair;

    pair_init(&pair, &method, &options);
    call.context = &pair.client_side;
    rpc_call_send(rpc_client_call(pair.client, &call), text("?"));
    pair_settle(&pair);
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(pair.server_side.opened, 0);
    pair_deinit(&pair);
}

/* The server has its answer while the client still has megabytes to send: the
 * client sees the status, and the connection goes on. */
static void early_finish(struct pair *pair)
{
    static const uint8_t data[100000];
    rpc_call *call = pair_call(pair, 0);

    for (int i = 0; i < 80; i++)
        rpc_call_send(call, rpc_bytes_view(data, sizeof data));
    while (pair->server_side.messages == 0) {
        pair_carry(pair, pair->client, pair->server);
        pair_carry(pair, pair->server, pair->client);
    }
    rpc_call_finish(pair->server_side.call, rpc_status_make(RPC_PERMISSION_DENIED, "enough"));
    unsigned messages = pair->server_side.messages;
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->server_side.messages, messages);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_PERMISSION_DENIED);
    CU_ASSERT_STRING_EQUAL(pair->client_side.status.message, "enough");
    pair->server_side = (struct side){.last = pair->server_side.last};
    pair->client_side = (struct side){.last = pair->client_side.last};
    unary(pair);
}

static void test_early_finish(void)
{
    for_each_network(early_finish);
}

/* ---- Calls that are cut short -------------------------------------------- */

static void deadline(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 5000), text("slow"));
    pair_settle(pair);
    CU_ASSERT_EQUAL(rpc_call_deadline_ms(pair->server_side.call), pair->now_ms + 5000);
    CU_ASSERT_EQUAL(rpc_conn_due_ms(pair->client), pair->now_ms + 5000);
    pair_advance(pair, 4999);
    CU_ASSERT_EQUAL(pair->client_side.closes, 0);
    pair_advance(pair, 1);
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_DEADLINE_EXCEEDED);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
    CU_ASSERT_EQUAL(pair->server_side.status.code, RPC_DEADLINE_EXCEEDED);
}

static void test_deadline(void)
{
    for_each_network(deadline);
}

/* The server's deadline alone: it tells its handler and answers. */
static void server_deadline(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 5000), text("slow"));
    pair_settle(pair);
    pair->now_ms += 5000;
    rpc_conn_tick(pair->server);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
    CU_ASSERT_EQUAL(pair->server_side.status.code, RPC_DEADLINE_EXCEEDED);
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_DEADLINE_EXCEEDED);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
}

static void test_server_deadline(void)
{
    for_each_network(server_deadline);
}

static void cancel(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 0), text("never mind"));
    pair_settle(pair);
    rpc_call_cancel(pair->client_side.call);
    CU_ASSERT_EQUAL(pair->client_side.closes, 0);
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_CANCELLED);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
    CU_ASSERT_EQUAL(pair->server_side.status.code, RPC_CANCELLED);
}

static void test_cancel(void)
{
    for_each_network(cancel);
}

/* Cancelled before a single byte of it has gone. */
static void cancel_unsent(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 0), text("never mind"));
    rpc_call_cancel(pair->client_side.call);
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_CANCELLED);
    CU_ASSERT_EQUAL(pair->server_side.opened, pair->server_side.closes);
    rpc_call_cancel(pair_call(pair, 0));
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.closes, 2);
}

static void test_cancel_unsent(void)
{
    for_each_network(cancel_unsent);
}

static void vanish(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 0), text("anybody?"));
    pair_settle(pair);
    rpc_conn_eof(pair->client);
    rpc_conn_eof(pair->server);
    CU_ASSERT_EQUAL(pair->client_side.status.code, RPC_UNAVAILABLE);
    CU_ASSERT_EQUAL(pair->server_side.status.code, RPC_CANCELLED);
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
    CU_ASSERT(rpc_conn_done(pair->client));
    CU_ASSERT(rpc_conn_done(pair->server));
    CU_ASSERT_PTR_NULL(
        rpc_client_call(pair->client, &(struct rpc_call_options){.path = "/t/Echo"}));
}

static void test_peer_vanishes(void)
{
    for_each_network(vanish);
}

/* Freed in the middle of a call: the owner hears it. */
static void freed(struct pair *pair)
{
    rpc_call_send(pair_call(pair, 0), text("anybody?"));
    pair_settle(pair);
    rpc_conn_free(pair->client);
    rpc_conn_free(pair->server);
    pair->client = pair->server = NULL;
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT_EQUAL(pair->server_side.closes, 1);
}

static void test_freed_in_a_call(void)
{
    for_each_network(freed);
}

/* Drained: the open call ends in peace, a new one is refused, and then both
 * connections are over. */
static void drain(struct pair *pair)
{
    pair->server_side.echo = pair->server_side.finish_at_end = true;
    rpc_call *call = pair_call(pair, 0);
    rpc_call_send(call, text("one"));
    pair_settle(pair);
    rpc_conn_drain(pair->server);
    pair_settle(pair);
    CU_ASSERT_FALSE(rpc_conn_done(pair->server));
    CU_ASSERT_PTR_NULL(
        rpc_client_call(pair->client, &(struct rpc_call_options){.path = "/t/Echo"}));
    rpc_call_send(call, text("two"));
    rpc_call_half_close(call);
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.messages, 2);
    CU_ASSERT(rpc_ok(&pair->client_side.status));
    CU_ASSERT(rpc_conn_done(pair->server));
    CU_ASSERT(rpc_conn_done(pair->client));
}

static void test_drain(void)
{
    for_each_network(drain);
}

/* ---- Back-pressure ------------------------------------------------------- */

enum {
    PRODUCED_BYTES = 30 * 1000 * 1000,
    PIECE_BYTES = 10000,
    /* A queue, two windows, a write: what may be under way when nobody reads. */
    UNDER_WAY_BYTES_MAX = RPC_SEND_QUEUE_BYTES + 1024 * 1024 + 256 * 1024,
};

/* A producer that asks before it sends, and a reader that has paused: the
 * producer stalls, after no more than the queue and the window hold. Then the
 * reader goes on, one message at a time, and everything arrives. */
static void back_pressure(struct pair *pair, struct side *producer, struct side *reader)
{
    static const uint8_t piece[PIECE_BYTES];
    size_t produced = 0;
    unsigned stalls = 0;

    reader->pause = true;
    while (reader->bytes < PRODUCED_BYTES) {
        while (produced < PRODUCED_BYTES && rpc_call_writable(producer->call)) {
            rpc_call_send(producer->call, rpc_bytes_view(piece, sizeof piece));
            produced += sizeof piece;
        }
        pair_settle(pair);
        stalls += produced < PRODUCED_BYTES && !rpc_call_writable(producer->call);
        CU_ASSERT_FATAL(produced - reader->bytes <= UNDER_WAY_BYTES_MAX);
        for (int i = 0; i < 40; i++) {
            rpc_call_resume_reading(reader->call);
            pair_carry(pair, pair->client, pair->server);
            pair_carry(pair, pair->server, pair->client);
        }
    }
    CU_ASSERT_EQUAL(reader->bytes, PRODUCED_BYTES);
    CU_ASSERT(stalls > 0);
    CU_ASSERT(producer->writables > 0);
}

static void paused_server(struct pair *pair)
{
    pair_call(pair, 0);
    pair_settle(pair);
    back_pressure(pair, &pair->client_side, &pair->server_side);
}

static void paused_client(struct pair *pair)
{
    pair_call(pair, 0);
    pair_settle(pair);
    back_pressure(pair, &pair->server_side, &pair->client_side);
}

static void test_back_pressure(void)
{
    struct pair_options options = {.seed = seeds[0]};
    struct pair pair;

    pair_init(&pair, &method, &options);
    paused_server(&pair);
    pair_deinit(&pair);
    options.client_tls = client_tls;
    options.server_tls = server_tls;
    pair_init(&pair, &method, &options);
    paused_client(&pair);
    pair_deinit(&pair);
}

/* An echo that reads on only when there is room, and a client that has half-closed
 * long before: what waited in the server comes before the end. */
static void test_end_behind_back_pressure(void)
{
    static const uint8_t piece[PIECE_BYTES];
    /* All of it fits the stream's window, and half of it the queue of answers. */
    const unsigned count = 2 * RPC_SEND_QUEUE_BYTES / PIECE_BYTES;
    struct pair_options options = {.seed = seeds[0]};
    struct pair pair;
    unsigned sent = 0;

    pair_init(&pair, &method, &options);
    pair.server_side.echo = pair.server_side.finish_at_end = true;
    rpc_call *call = pair_call(&pair, 0);
    pair_settle(&pair);
    while (sent < count) {
        for (; sent < count && rpc_call_writable(call); sent++)
            rpc_call_send(call, rpc_bytes_view(piece, sizeof piece));
        pair_carry(&pair, pair.client, pair.server);
    }
    rpc_call_half_close(call);
    pair_settle(&pair);
    CU_ASSERT(pair.server_side.writables > 0);
    CU_ASSERT_EQUAL(pair.client_side.messages, count);
    CU_ASSERT_EQUAL(pair.client_side.closes, 1);
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_OK);
    pair_deinit(&pair);
}

/* The end of a call waits for the messages before it. */
static void end_after_pause(struct pair *pair)
{
    pair->client_side.pause = true;
    rpc_call_send(pair_call(pair, 0), text("?"));
    pair_settle(pair);
    for (int i = 0; i < 3; i++)
        rpc_call_send(pair->server_side.call, text("!"));
    rpc_call_finish(pair->server_side.call, rpc_status_ok());
    pair_settle(pair);
    CU_ASSERT_EQUAL(pair->client_side.messages, 1);
    CU_ASSERT_EQUAL(pair->client_side.closes, 0);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(pair->client_side.call);
        rpc_call_resume_reading(pair->client_side.call);
        pair_settle(pair);
    }
    CU_ASSERT_EQUAL(pair->client_side.messages, 3);
    CU_ASSERT_EQUAL(pair->client_side.closes, 1);
    CU_ASSERT(rpc_ok(&pair->client_side.status));
}

static void test_end_waits_for_paused_messages(void)
{
    for_each_network(end_after_pause);
}

/* ---- Damage -------------------------------------------------------------- */

/* One byte on the wire is changed, somewhere, without TLS to notice: whatever
 * comes of it, every call that was opened is closed once, and nothing is left
 * behind. */
static void test_damaged_bytes(void)
{
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct pair_options options = {.seed = seeds[seed_count - 1] + seed};
        struct pair pair;
        bool moved = true;

        pair_init(&pair, &method, &options);
        pair.server_side.echo = pair.server_side.finish_at_end = true;
        pair.damage_at = pair_random(&pair) % 700;
        rpc_call *call = pair_call(&pair, 1000);
        rpc_call_set_encoding(call, seed % 2 == 0 ? RPC_ENCODING_GZIP : RPC_ENCODING_ZSTD);
        for (int i = 0; i < 5; i++)
            rpc_call_send(call, text("all work and no play makes jack a dull boy, all work and "
                                     "no play makes jack a dull boy, all work and no play"));
        rpc_call_half_close(call);
        while (moved)
            moved = pair_carry(&pair, pair.client, pair.server) |
                    pair_carry(&pair, pair.server, pair.client);
        pair_advance(&pair, 1000);
        pair_advance(&pair, 1000 * 1000);
        CU_ASSERT_EQUAL(pair.client_side.closes, 1);
        CU_ASSERT_EQUAL(pair.server_side.closes, pair.server_side.opened);
        pair_deinit(&pair);
    }
}

/* ---- Compression --------------------------------------------------------- */

/* Text shrinks on the wire in both directions; noise is sent as it is. */
static void compressed(struct pair *pair, enum rpc_encoding encoding)
{
    uint8_t data[20000];

    memset(data, 'a', sizeof data);
    rpc_call *call = pair_call(pair, 0);
    rpc_call_set_encoding(call, encoding);
    uint64_t before = rpc_conn_bytes(pair->client).sent;
    rpc_call_send(call, rpc_bytes_view(data, sizeof data));
    pair_settle(pair);
    CU_ASSERT(rpc_conn_bytes(pair->client).sent - before < 3000);
    CU_ASSERT(rpc_bytes_equal(rpc_buffer_view(&pair->server_side.last),
                              rpc_bytes_view(data, sizeof data)));
    CU_ASSERT(rpc_call_peer_accepts(pair->server_side.call, RPC_ENCODING_ZSTD));
    rpc_call_set_encoding(pair->server_side.call, encoding);
    before = rpc_conn_bytes(pair->server).sent;
    rpc_call_send(pair->server_side.call, rpc_bytes_view(data, sizeof data));
    pair_settle(pair);
    CU_ASSERT(rpc_conn_bytes(pair->server).sent - before < 3000);
    CU_ASSERT_EQUAL(pair->client_side.bytes, sizeof data);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)pair_random(pair);
    rpc_call_send(call, rpc_bytes_view(data, sizeof data));
    rpc_call_half_close(call);
    pair_settle(pair);
    CU_ASSERT(rpc_bytes_equal(rpc_buffer_view(&pair->server_side.last),
                              rpc_bytes_view(data, sizeof data)));
}

static void compressed_gzip(struct pair *pair)
{
    compressed(pair, RPC_ENCODING_GZIP);
}

static void compressed_zstd(struct pair *pair)
{
    compressed(pair, RPC_ENCODING_ZSTD);
}

static void test_compression(void)
{
    for_each_network(compressed_gzip);
    for_each_network(compressed_zstd);
}

/* ---- The program --------------------------------------------------------- */

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_unary),
        SUITE_TEST(test_bidi),
        SUITE_TEST(test_largest_message),
        SUITE_TEST(test_many_calls),
        SUITE_TEST(test_trailers_only),
        SUITE_TEST(test_unknown_method),
        SUITE_TEST(test_early_finish),
        SUITE_TEST(test_deadline),
        SUITE_TEST(test_server_deadline),
        SUITE_TEST(test_cancel),
        SUITE_TEST(test_cancel_unsent),
        SUITE_TEST(test_peer_vanishes),
        SUITE_TEST(test_freed_in_a_call),
        SUITE_TEST(test_drain),
        SUITE_TEST(test_back_pressure),
        SUITE_TEST(test_end_waits_for_paused_messages),
        SUITE_TEST(test_end_behind_back_pressure),
        SUITE_TEST(test_damaged_bytes),
        SUITE_TEST(test_compression),
    };
    const char *seed = getenv("OUTPOST_SEED");

    if (seed != NULL) {
        seeds[seed_count++] = strtoull(seed, NULL, 10);
    } else {
        for (uint64_t i = 0; i < FIXED_SEEDS; i++)
            seeds[seed_count++] = i;
        seeds[seed_count++] = (uint64_t)time(NULL);
    }
    printf("newest seed: %llu\n", (unsigned long long)seeds[seed_count - 1]);
    make_tls();
    int result = suite_run("rpc_loopback", tests, sizeof tests / sizeof tests[0]);
    rpc_tls_free(server_tls);
    rpc_tls_free(client_tls);
    certificate_free(&server_certificate);
    certificate_free(&ca);
    return result;
}
