/* SPDX-License-Identifier: Apache-2.0
 *
 * The typed stubs over the real gRPC runtime: unary calls, streams both ways, what is
 * missing and what is lost.
 */
#include "stub_pair.h"

/* ---- Handlers ------------------------------------------------------------------- */

struct service {
    int asked;
    int closed;
    int opened;
    int half_closed;
    int messages;
    struct rpc_status status;
    rpc_call *later; /* a call that is answered after its handler returned */
    bool answer_later;
};

static void reply(rpc_call *call, const char *text)
{
    Test__V1__EchoResponse response = TEST__V1__ECHO_RESPONSE__INIT;

    response.text = (char *)text;
    test_v1_echo_once_reply(call, &response);
}

static void once(void *context, rpc_call *call, const Test__V1__EchoRequest *request)
{
    struct service *service = context;

    service->asked++;
    if (service->answer_later)
        service->later = call;
    else if (strcmp(request->text, "no") == 0)
        rpc_call_finish(call, rpc_status_make(RPC_NOT_FOUND, "not here"));
    else
        reply(call, request->text);
}

static void once_closed(void *context, rpc_call *call)
{
    struct service *service = context;

    service->closed++;
    if (service->later == call)
        service->later = NULL;
}

static void chat_open(void *context, rpc_call *call, void **context_out)
{
    struct service *service = context;

    (void)call;
    service->opened++;
    *context_out = service;
}

static void chat_answer(rpc_call *call, const char *text)
{
    Test__V1__EchoResponse response = TEST__V1__ECHO_RESPONSE__INIT;

    response.text = (char *)text;
    test_v1_echo_chat_send(call, &response);
}

static void chat_request(void *context, rpc_call *call, const Test__V1__EchoRequest *request)
{
    struct service *service = context;

    service->messages++;
    chat_answer(call, request->text);
}

static void chat_request_bytes(void *context, rpc_call *call, struct rpc_bytes request)
{
    struct service *service = context;

    service->messages++;
    rpc_call_send(call, request); /* text has the same number in both messages */
}

static void chat_half_close(void *context, rpc_call *call)
{
    struct service *service = context;

    service->half_closed++;
    rpc_call_add_trailer(call, "said", rpc_bytes_view("all", 3));
    rpc_call_finish(call, rpc_status_ok());
}

static void chat_close(void *context, rpc_call *call, const struct rpc_status *status,
                       struct rpc_metadata_list trailers)
{
    struct service *service = context;

    (void)call;
    (void)trailers; /* a client sends none */
    service->closed++;
    service->status = *status;
}

static struct test_v1_echo_handlers handlers_of(struct service *service)
{
    return (struct test_v1_echo_handlers){
        .service = service,
        .once = once,
        .once_closed = once_closed,
        .chat =
            {
                .on_open = chat_open,
                .on_request = chat_request,
                .on_half_close = chat_half_close,
                .on_close = chat_close,
            },
    };
}

/* ---- Clients --------------------------------------------------------------------- */

struct result {
    int done;
    int messages;
    struct rpc_status status;
    bool has_response;
    bool said_all; /* the trailer of chat_half_close came */
    char text[64];
};

static void once_done(void *context, const struct rpc_status *status,
                      const Test__V1__EchoResponse *response)
{
    struct result *result = context;

    result->done++;
    result->status = *status;
    result->has_response = response != NULL;
    if (response != NULL)
        snprintf(result->text, sizeof result->text, "%s", response->text);
}

static rpc_call *ask(struct pair *pair, const char *text, struct result *result)
{
    Test__V1__EchoRequest request = TEST__V1__ECHO_REQUEST__INIT;

    request.text = (char *)text;
    return test_v1_echo_client_once(pair->client, (struct rpc_metadata_list){0}, 0, &request,
                                    once_done, result);
}

static void chat_response(void *context, rpc_call *call, const Test__V1__EchoResponse *response)
{
    struct result *result = context;

    (void)call;
    result->messages++;
    snprintf(result->text, sizeof result->text, "%s", response->text);
}

static void chat_response_bytes(void *context, rpc_call *call, struct rpc_bytes response)
{
    struct result *result = context;

    (void)call;
    result->messages++;
    snprintf(result->text, sizeof result->text, "%zu bytes", response.len);
}

static void chat_done(void *context, rpc_call *call, const struct rpc_status *status,
                      struct rpc_metadata_list trailers)
{
    struct result *result = context;
    const struct rpc_metadata *said = rpc_metadata_find(trailers, "said");

    (void)call;
    result->done++;
    result->status = *status;
    result->said_all = said != NULL && rpc_bytes_equal(said->value, rpc_bytes_view("all", 3));
}

static const struct test_v1_echo_client_chat_events chat_events = {
    .on_response = chat_response,
    .on_close = chat_done,
};

static rpc_call *chat(struct pair *pair, const struct test_v1_echo_client_chat_events *events,
                      struct result *result)
{
    rpc_call *call =
        test_v1_echo_client_chat(pair->client, (struct rpc_metadata_list){0}, 0, events, result);

    CU_ASSERT_PTR_NOT_NULL_FATAL(call);
    return call;
}

static void say(rpc_call *call, const char *text)
{
    Test__V1__EchoRequest request = TEST__V1__ECHO_REQUEST__INIT;

    request.text = (char *)text;
    test_v1_echo_client_chat_send(call, &request);
}

/* A call without stubs, to send what a stub would not. */
static rpc_call *raw_call(struct pair *pair, const char *path, struct result *result)
{
    rpc_call *call = rpc_client_call(pair->client, &(struct rpc_call_options){
                                                       .path = path,
                                                       .events = {.on_close = chat_done},
                                                       .context = result,
                                                   });

    CU_ASSERT_PTR_NOT_NULL_FATAL(call);
    return call;
}

/* ---- Unary ------------------------------------------------------------------------ */

static void test_unary_echo(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0}, empty = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    CU_ASSERT_PTR_NOT_NULL(ask(&pair, "hello", &result));
    CU_ASSERT_PTR_NOT_NULL(ask(&pair, "", &empty)); /* a message of no bytes */
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 1);
    CU_ASSERT_EQUAL(result.status.code, RPC_OK);
    CU_ASSERT_STRING_EQUAL(result.text, "hello");
    CU_ASSERT_EQUAL(empty.status.code, RPC_OK);
    CU_ASSERT_TRUE(empty.has_response);
    CU_ASSERT_EQUAL(service.asked, 2);
    CU_ASSERT_EQUAL(service.closed, 2);
    pair_close(&pair);
}

static void test_unary_error(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    ask(&pair, "no", &result);
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 1);
    CU_ASSERT_EQUAL(result.status.code, RPC_NOT_FOUND);
    CU_ASSERT_STRING_EQUAL(result.status.message, "not here");
    CU_ASSERT_FALSE(result.has_response);
    pair_close(&pair);
}

/* Goal: a handler may answer after its return, and learns of a client that went
 * away before. */
static void test_unary_answered_later(void)
{
    struct service service = {.answer_later = true};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0}, cancelled = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    ask(&pair, "hello", &result);
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service.later);
    reply(service.later, "at last");
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 1);
    CU_ASSERT_STRING_EQUAL(result.text, "at last");
    CU_ASSERT_PTR_NULL(service.later);

    rpc_call *call = ask(&pair, "hello", &cancelled);
    pair_run(&pair);
    CU_ASSERT_PTR_NOT_NULL_FATAL(service.later);
    rpc_call_cancel(call);
    pair_run(&pair);
    CU_ASSERT_EQUAL(cancelled.status.code, RPC_CANCELLED);
    CU_ASSERT_PTR_NULL(service.later);
    CU_ASSERT_EQUAL(service.closed, 2);
    pair_close(&pair);
}

/* Goal: none and two requests are UNIMPLEMENTED, and bytes that are no message
 * INTERNAL; the handler is not called. */
static void test_unary_wrong_requests(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result none = {0}, two = {0}, broken = {0};
    struct pair pair;
    const char *path = "/test.v1.Echo/Once";

    pair_open(&pair, &handlers);
    rpc_call_half_close(raw_call(&pair, path, &none));
    rpc_call *call = raw_call(&pair, path, &two);
    rpc_call_send(call, rpc_bytes_view("\x0a\x01x", 3));
    rpc_call_send(call, rpc_bytes_view("\x0a\x01x", 3));
    rpc_call_half_close(call);
    call = raw_call(&pair, path, &broken);
    rpc_call_send(call, rpc_bytes_view("\x0a\x05x", 3));
    rpc_call_half_close(call);
    pair_run(&pair);
    CU_ASSERT_EQUAL(none.status.code, RPC_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(two.status.code, RPC_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(broken.status.code, RPC_INTERNAL);
    CU_ASSERT_EQUAL(none.done + two.done + broken.done, 3);
    CU_ASSERT_EQUAL(service.asked, 0);
    CU_ASSERT_EQUAL(service.closed, 0);
    pair_close(&pair);
}

static void bare_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                      void **context_out)
{
    const struct rpc_bytes *answers = service;

    (void)context_out;
    *events_out = (struct rpc_call_events){0};
    for (size_t i = 0; answers[i].data != NULL; i++)
        rpc_call_send(call, answers[i]);
    rpc_call_finish(call, rpc_status_ok());
}

/* Goal: a client gets INTERNAL for an OK with no response, with two, or with one
 * that is no message. Method: a server without stubs. */
static void test_unary_wrong_responses(void)
{
    static const struct rpc_bytes good = {(const uint8_t *)"\x0a\x01x", 3};
    static const struct rpc_bytes bad = {(const uint8_t *)"\x0a\x05x", 3};
    const struct rpc_bytes answers[][3] = {{{0}}, {good, good}, {bad}, {good}};

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct test_v1_echo_handlers handlers = {0};
        struct result result = {0};
        struct pair pair;
        bool right = i == 3;
        pair_open(&pair, &handlers);
        for (size_t j = 0; j < TEST_V1_ECHO_METHODS; j++) {
            pair.methods[j].on_open = bare_open;
            pair.methods[j].service = (void *)answers[i];
        }
        ask(&pair, "hello", &result);
        pair_run(&pair);
        CU_ASSERT_EQUAL(result.done, 1);
        CU_ASSERT_EQUAL(result.status.code, right ? RPC_OK : RPC_INTERNAL);
        CU_ASSERT_EQUAL(result.has_response, right);
        pair_close(&pair);
    }
}

/* Goal: a request that no server would take is not started. */
static void test_unary_too_large(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0};
    struct pair pair;
    char *text = malloc(RPC_MESSAGE_BYTES_MAX + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'x', RPC_MESSAGE_BYTES_MAX);
    text[RPC_MESSAGE_BYTES_MAX] = '\0';
    pair_open(&pair, &handlers);
    CU_ASSERT_PTR_NULL(ask(&pair, text, &result));
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 0);
    free(text);
    pair_close(&pair);
}

/* ---- Streams ---------------------------------------------------------------------- */

static void test_stream_echo(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    rpc_call *call = chat(&pair, &chat_events, &result);
    say(call, "one");
    pair_run(&pair);
    CU_ASSERT_STRING_EQUAL(result.text, "one");
    say(call, "two");
    say(call, "three");
    pair_run(&pair);
    CU_ASSERT_STRING_EQUAL(result.text, "three");
    CU_ASSERT_EQUAL(result.messages, 3);
    CU_ASSERT_EQUAL(result.done, 0);
    rpc_call_half_close(call);
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 1);
    CU_ASSERT_EQUAL(result.status.code, RPC_OK);
    CU_ASSERT_TRUE(result.said_all);
    CU_ASSERT_EQUAL(service.opened, 1);
    CU_ASSERT_EQUAL(service.messages, 3);
    CU_ASSERT_EQUAL(service.half_closed, 1);
    CU_ASSERT_EQUAL(service.closed, 1);
    pair_close(&pair);
}

/* Goal: on_request_bytes and on_response_bytes are called in place of the typed
 * ones, with the bytes as they came. */
static void test_stream_of_bytes(void)
{
    static const struct test_v1_echo_client_chat_events events = {
        .on_response = chat_response,
        .on_response_bytes = chat_response_bytes,
        .on_close = chat_done,
    };
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0};
    struct pair pair;

    handlers.chat.on_request_bytes = chat_request_bytes;
    pair_open(&pair, &handlers);
    rpc_call *call = chat(&pair, &events, &result);
    say(call, "one");
    rpc_call_half_close(call);
    pair_run(&pair);
    CU_ASSERT_EQUAL(service.messages, 1);
    CU_ASSERT_EQUAL(result.messages, 1);
    CU_ASSERT_STRING_EQUAL(result.text, "5 bytes");
    CU_ASSERT_EQUAL(result.status.code, RPC_OK);
    pair_close(&pair);
}

/* Goal: a message that does not decode ends the call with INTERNAL, on either
 * side, and no handler sees it. */
static void test_stream_undecodable(void)
{
    static const struct rpc_bytes bad[] = {{(const uint8_t *)"\x0a\x05x", 3}, {0}};
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    rpc_call *call = raw_call(&pair, "/test.v1.Echo/Chat", &result);
    rpc_call_send(call, bad[0]);
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.status.code, RPC_INTERNAL);
    CU_ASSERT_EQUAL(service.messages, 0);
    CU_ASSERT_EQUAL(service.closed, 1);
    pair_close(&pair);

    result = (struct result){0};
    pair_open(&pair, &handlers);
    for (size_t j = 0; j < TEST_V1_ECHO_METHODS; j++) {
        pair.methods[j].on_open = bare_open;
        pair.methods[j].service = (void *)bad;
    }
    chat(&pair, &chat_events, &result);
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.done, 1);
    CU_ASSERT_EQUAL(result.status.code, RPC_INTERNAL);
    CU_ASSERT_EQUAL(result.messages, 0);
    pair_close(&pair);
}

/* Goal: the server's handler learns why a call ended early. */
static void test_stream_cancelled(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result result = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    rpc_call *call = chat(&pair, &chat_events, &result);
    say(call, "one");
    pair_run(&pair);
    rpc_call_cancel(call);
    pair_run(&pair);
    CU_ASSERT_EQUAL(result.status.code, RPC_CANCELLED);
    CU_ASSERT_EQUAL(service.closed, 1);
    CU_ASSERT_EQUAL(service.status.code, RPC_CANCELLED);
    pair_close(&pair);
}

/* Goal: without on_open the context is the service; without any handler of its
 * own a stream is still decoded, answered by nobody, and freed. */
static void test_stream_without_optional_handlers(void)
{
    struct service service = {0};
    struct test_v1_echo_handlers handlers = {
        .service = &service,
        .chat = {.on_request = chat_request},
    };
    static const struct test_v1_echo_client_chat_events no_events = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    rpc_call *call = chat(&pair, &no_events, NULL);
    say(call, "one");
    pair_run(&pair);
    CU_ASSERT_EQUAL(service.messages, 1);
    rpc_call_half_close(call);
    pair_run(&pair);
    pair_close(&pair);
}

/* ---- Handlers that are missing ---------------------------------------------------------- */

/* Goal: methods that have no handler are UNIMPLEMENTED. */
static void test_missing_handlers(void)
{
    struct test_v1_echo_handlers handlers = {0};
    struct result unary = {0}, stream = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    ask(&pair, "hello", &unary);
    chat(&pair, &chat_events, &stream);
    pair_run(&pair);
    CU_ASSERT_EQUAL(unary.status.code, RPC_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(stream.status.code, RPC_UNIMPLEMENTED);
    pair_close(&pair);
}

/* Goal: when the connection goes, every open call is closed once, on both sides,
 * and nothing is leaked. */
static void test_connection_lost(void)
{
    struct service service = {.answer_later = true};
    struct test_v1_echo_handlers handlers = handlers_of(&service);
    struct result unary = {0}, stream = {0};
    struct pair pair;

    pair_open(&pair, &handlers);
    ask(&pair, "hello", &unary);
    chat(&pair, &chat_events, &stream);
    pair_run(&pair);
    pair_close(&pair);
    CU_ASSERT_EQUAL(unary.done, 1);
    CU_ASSERT_EQUAL(unary.status.code, RPC_UNAVAILABLE);
    CU_ASSERT_EQUAL(stream.done, 1);
    CU_ASSERT_EQUAL(service.closed, 2);
    CU_ASSERT_PTR_NULL(service.later);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_unary_echo),
        SUITE_TEST(test_unary_error),
        SUITE_TEST(test_unary_answered_later),
        SUITE_TEST(test_unary_wrong_requests),
        SUITE_TEST(test_unary_wrong_responses),
        SUITE_TEST(test_unary_too_large),
        SUITE_TEST(test_stream_echo),
        SUITE_TEST(test_stream_of_bytes),
        SUITE_TEST(test_stream_undecodable),
        SUITE_TEST(test_stream_cancelled),
        SUITE_TEST(test_stream_without_optional_handlers),
        SUITE_TEST(test_missing_handlers),
        SUITE_TEST(test_connection_lost),
    };

    return suite_run("stub", tests, sizeof tests / sizeof tests[0]);
}
