/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: who is who. A client trusts its CA and the right name or address only;
 * a server admits everybody and tells its handlers the truth about the client's
 * certificate; a session resumes, with fewer bytes and the same truth. Method:
 * pairs of connections with certificates made in memory.
 */
#include "rpc_certificates.h"
#include "rpc_pair.h"
#include "suite.h"

static struct certificate ca;
static struct certificate other_ca;
static struct certificate server_leaf;
static struct certificate own_leaf;
static struct certificate foreign_leaf;
static struct rpc_method method;

/* What the handler saw when the call was opened. */
static size_t seen_certificate_len;
static bool seen_foreign;

static void see_certificate(void *service, rpc_call *call, struct rpc_call_events *events_out,
                            void **context_out)
{
    (void)service, (void)events_out, (void)context_out;
    seen_certificate_len = rpc_call_peer_certificate(call).len;
    seen_foreign = rpc_call_peer_certificate_foreign(call);
    rpc_call_finish(call, rpc_status_ok());
}

static rpc_tls *tls_of(bool server, const struct certificate *trusted,
                       const struct certificate *shown)
{
    struct rpc_tls_options options = {.ca_pem = certificate_bytes(trusted->x509_pem)};
    rpc_tls *tls = NULL;

    if (shown != NULL) {
        options.certificate_pem = certificate_bytes(shown->x509_pem);
        options.key_pem = certificate_bytes(shown->key_pem);
    }
    struct rpc_status status =
        server ? rpc_tls_server_new(&options, &tls) : rpc_tls_client_new(&options, &tls);
    CU_ASSERT_FATAL(rpc_ok(&status));
    return tls;
}

/* One call between them; the status, and the bytes of the handshake. */
static struct rpc_status call_once(rpc_tls *server, rpc_tls *client, const char *authority,
                                   struct rpc_conn_bytes *bytes_out)
{
    struct pair_options options = {.client_tls = client,
                                   .server_tls = server,
                                   .authority = authority,
                                   .method = {"/t/Who", see_certificate, NULL}};
    struct rpc_call_options call = {.path = "/t/Who", .events = side_events};
    struct pair pair;

    seen_certificate_len = 0;
    seen_foreign = false;
    pair_init(&pair, &method, &options);
    call.context = &pair.client_side;
    CU_ASSERT_PTR_NOT_NULL(rpc_client_call(pair.client, &call));
    pair_settle(&pair);
    CU_ASSERT_EQUAL(pair.client_side.closes, 1);
    struct rpc_status status = pair.client_side.status;
    if (bytes_out != NULL)
        *bytes_out = rpc_conn_bytes(pair.client);
    pair_deinit(&pair);
    return status;
}

static void test_host_names(void)
{
    static const struct {
        const char *authority;
        enum rpc_code code;
    } cases[] = {
        {"sync.example:443", RPC_OK},
        {"SYNC.example:443", RPC_OK},
        {"192.0.2.7:443", RPC_OK},
        {"[2001:db8::7]:443", RPC_OK},
        {"evil.example:443", RPC_UNAUTHENTICATED},
        {"192.0.2.8:443", RPC_UNAUTHENTICATED},
        {"[2001:db8::8]:443", RPC_UNAUTHENTICATED},
    };
    rpc_tls *server = tls_of(true, &ca, &server_leaf);
    rpc_tls *client = tls_of(false, &ca, NULL);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rpc_status status = call_once(server, client, cases[i].authority, NULL);
        CU_ASSERT_EQUAL(status.code, cases[i].code);
    }
    rpc_tls_free(server);
    rpc_tls_free(client);
}

/* Ten years ago and in ten years: refused, unless the client says that its clock
 * cannot be trusted; the CA still counts then. */
static void test_validity_and_a_clock_that_is_wrong(void)
{
    static const long years[] = {-10, 10};

    for (size_t i = 0; i < 2; i++) {
        struct certificate leaf =
            certificate_make_at(years[i] * 365 * 86400, "server", "DNS:sync.example", &ca);
        for (int unreliable = 0; unreliable < 2; unreliable++) {
            rpc_tls *server = tls_of(true, &ca, &leaf);
            struct rpc_tls_options options = {.ca_pem = certificate_bytes(ca.x509_pem),
                                              .clock_unreliable = unreliable};
            rpc_tls *client = NULL;
            rpc_tls *stranger = NULL;
            CU_ASSERT_EQUAL_FATAL(rpc_tls_client_new(&options, &client).code, RPC_OK);
            CU_ASSERT_EQUAL(call_once(server, client, "sync.example:443", NULL).code,
                            unreliable ? RPC_OK : RPC_UNAUTHENTICATED);
            options.ca_pem = certificate_bytes(other_ca.x509_pem);
            CU_ASSERT_EQUAL_FATAL(rpc_tls_client_new(&options, &stranger).code, RPC_OK);
            CU_ASSERT_EQUAL(call_once(server, stranger, "sync.example:443", NULL).code,
                            RPC_UNAUTHENTICATED);
            rpc_tls_free(server);
            rpc_tls_free(client);
            rpc_tls_free(stranger);
        }
        certificate_free(&leaf);
    }
}

static void test_server_of_another_ca(void)
{
    rpc_tls *server = tls_of(true, &ca, &server_leaf);
    rpc_tls *client = tls_of(false, &other_ca, NULL);
    struct rpc_status status = call_once(server, client, NULL, NULL);

    CU_ASSERT_EQUAL(status.code, RPC_UNAUTHENTICATED);
    rpc_tls_free(server);
    rpc_tls_free(client);
}

/* Own, none and foreign; each again over a resumed session. */
static void test_client_certificates(void)
{
    const struct {
        const struct certificate *shown;
        bool own, foreign;
    } cases[] = {{NULL, false, false}, {&own_leaf, true, false}, {&foreign_leaf, false, true}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rpc_tls *server = tls_of(true, &ca, &server_leaf);
        rpc_tls *client = tls_of(false, &ca, cases[i].shown);
        struct rpc_conn_bytes full;
        struct rpc_conn_bytes resumed;

        CU_ASSERT_EQUAL(rpc_tls_session_view(client).len, 0);
        CU_ASSERT_EQUAL(call_once(server, client, NULL, &full).code, RPC_OK);
        CU_ASSERT_EQUAL(seen_certificate_len > 0, cases[i].own);
        CU_ASSERT_EQUAL(seen_foreign, cases[i].foreign);
        CU_ASSERT(rpc_tls_session_view(client).len > 0);
        rpc_tls_session_offer(client, rpc_tls_session_view(client));
        CU_ASSERT_EQUAL(call_once(server, client, NULL, &resumed).code, RPC_OK);
        CU_ASSERT_EQUAL(seen_certificate_len > 0, cases[i].own);
        CU_ASSERT_EQUAL(seen_foreign, cases[i].foreign);
        CU_ASSERT(resumed.handshake_received < full.handshake_received / 2);
        printf("\n    handshake %zu: full %llu + %llu bytes, resumed %llu + %llu", i,
               (unsigned long long)full.handshake_sent, (unsigned long long)full.handshake_received,
               (unsigned long long)resumed.handshake_sent,
               (unsigned long long)resumed.handshake_received);
        rpc_tls_free(server);
        rpc_tls_free(client);
    }
}

/* A session kept across processes, and one that is garbage. */
static void test_session_bytes(void)
{
    rpc_tls *server = tls_of(true, &ca, &server_leaf);
    rpc_tls *first = tls_of(false, &ca, NULL);
    rpc_tls *second = tls_of(false, &ca, NULL);
    struct rpc_conn_bytes full;
    struct rpc_conn_bytes resumed;
    uint8_t kept[4096];

    CU_ASSERT_EQUAL(call_once(server, first, NULL, &full).code, RPC_OK);
    struct rpc_bytes session = rpc_tls_session_view(first);
    CU_ASSERT_FATAL(session.len > 0 && session.len <= sizeof kept);
    memcpy(kept, session.data, session.len);
    rpc_tls_session_offer(second, rpc_bytes_view(kept, session.len));
    CU_ASSERT_EQUAL(call_once(server, second, NULL, &resumed).code, RPC_OK);
    CU_ASSERT(resumed.handshake_received < full.handshake_received / 2);
    memset(kept + session.len / 2, 0x5a, session.len / 2);
    rpc_tls_session_offer(second, rpc_bytes_view(kept, session.len));
    CU_ASSERT_EQUAL(call_once(server, second, NULL, NULL).code, RPC_OK);
    rpc_tls_free(server);
    rpc_tls_free(first);
    rpc_tls_free(second);
}

static void test_bad_files(void)
{
    struct rpc_tls_options options = {.certificate_pem = certificate_bytes(server_leaf.x509_pem),
                                      .key_pem = certificate_bytes(own_leaf.key_pem)};
    rpc_tls *tls = NULL;

    CU_ASSERT_EQUAL(rpc_tls_server_new(&options, &tls).code, RPC_INVALID_ARGUMENT);
    options.key_pem = rpc_bytes_view("junk", 4);
    CU_ASSERT_EQUAL(rpc_tls_server_new(&options, &tls).code, RPC_INVALID_ARGUMENT);
    options = (struct rpc_tls_options){.ca_pem = rpc_bytes_view("junk", 4)};
    CU_ASSERT_EQUAL(rpc_tls_client_new(&options, &tls).code, RPC_INVALID_ARGUMENT);
    CU_ASSERT_PTR_NULL(tls);
}

/* The context is freed while a connection made with it lives. */
static void test_freed_while_in_use(void)
{
    struct pair_options options = {.client_tls = tls_of(false, &ca, NULL),
                                   .server_tls = tls_of(true, &ca, &server_leaf)};
    struct pair pair;

    pair_init(&pair, &method, &options);
    rpc_tls_free(options.client_tls);
    rpc_tls_free(options.server_tls);
    pair.server_side.echo = pair.server_side.finish_at_end = true;
    rpc_call_half_close(pair_call(&pair, 0));
    pair_settle(&pair);
    CU_ASSERT(rpc_ok(&pair.client_side.status));
    pair_deinit(&pair);
}

/* Every byte of the handshake damaged in turn: an end, never a crash. */
static void test_damaged_handshake(void)
{
    rpc_tls *server = tls_of(true, &ca, &server_leaf);
    rpc_tls *client = tls_of(false, &ca, &own_leaf);
    struct pair_options options = {.client_tls = client, .server_tls = server};

    for (size_t damaged = 0; damaged < 2500; damaged += 7) {
        struct pair pair;
        size_t passed = 0;

        pair_init(&pair, &method, &options);
        pair_call(&pair, 0);
        for (int turn = 0; turn < 8; turn++) {
            rpc_conn *from = turn % 2 == 0 ? pair.client : pair.server;
            struct rpc_bytes pending = rpc_conn_pending(from);
            uint8_t *copy = malloc(pending.len + 1);
            if (copy == NULL)
                abort();
            if (pending.len > 0)
                memcpy(copy, pending.data, pending.len);
            if (damaged >= passed && damaged < passed + pending.len)
                copy[damaged - passed] ^= 0x41;
            passed += pending.len;
            rpc_conn_sent(from, pending.len);
            rpc_conn_recv(turn % 2 == 0 ? pair.server : pair.client,
                          rpc_bytes_view(copy, pending.len));
            free(copy);
        }
        pair_advance(&pair, 60 * 1000);
        CU_ASSERT(pair.client_side.closes <= 1);
        pair_deinit(&pair);
    }
    rpc_tls_free(server);
    rpc_tls_free(client);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_host_names),          SUITE_TEST(test_server_of_another_ca),
        SUITE_TEST(test_client_certificates), SUITE_TEST(test_session_bytes),
        SUITE_TEST(test_bad_files),           SUITE_TEST(test_freed_while_in_use),
        SUITE_TEST(test_damaged_handshake),   SUITE_TEST(test_validity_and_a_clock_that_is_wrong),
    };

    ca = certificate_make("CA", NULL, NULL);
    other_ca = certificate_make("other CA", NULL, NULL);
    server_leaf = certificate_make("server", "DNS:sync.example,IP:192.0.2.7,IP:2001:db8::7", &ca);
    own_leaf = certificate_make("own", NULL, &ca);
    foreign_leaf = certificate_make("foreign", NULL, &other_ca);
    int result = suite_run("rpc_tls", tests, sizeof tests / sizeof tests[0]);
    certificate_free(&ca);
    certificate_free(&other_ca);
    certificate_free(&server_leaf);
    certificate_free(&own_leaf);
    certificate_free(&foreign_leaf);
    return result;
}
