/* SPDX-License-Identifier: Apache-2.0
 *
 * The typed stubs of calls that stream one way: one request and many responses, many
 * requests and one response.
 */
#include "stub_pair.h"

/* Answers with the text's letters, one by one, as they fit. */
struct letters {
    char text[64];
    size_t sent;
    int writable, closed;
};

static void send_letters(struct letters *letters, rpc_call *call)
{
    while (letters->text[letters->sent] != '\0' && rpc_call_writable(call)) {
        char letter[2] = {letters->text[letters->sent++]};
        Test__V1__EchoResponse response = TEST__V1__ECHO_RESPONSE__INIT;
        response.text = letter;
        test_v1_echo_split_send(call, &response);
    }
    if (letters->text[letters->sent] == '\0')
        rpc_call_finish(call, rpc_status_ok());
}

static void split(void *service, rpc_call *call, const Test__V1__EchoRequest *request)
{
    struct letters *letters = service;

    snprintf(letters->text, sizeof letters->text, "%s", request->text);
    send_letters(letters, call);
}

static void split_writable(void *service, rpc_call *call)
{
    struct letters *letters = service;

    letters->writable++;
    send_letters(letters, call);
}

static void split_closed(void *service, rpc_call *call)
{
    struct letters *letters = service;

    (void)call;
    letters->closed++;
}

struct heard {
    char text[64];
    int closed;
    struct rpc_status status;
};

static void hear(void *context, rpc_call *call, const Test__V1__EchoResponse *response)
{
    struct heard *heard = context;

    (void)call;
    strncat(heard->text, response->text, sizeof heard->text - strlen(heard->text) - 1);
}

static void hear_close(void *context, rpc_call *call, const struct rpc_status *status,
                       struct rpc_metadata_list trailers)
{
    struct heard *heard = context;

    (void)call, (void)trailers;
    heard->closed++;
    heard->status = *status;
}

static void test_one_request_many_responses(void)
{
    static const struct test_v1_echo_client_split_events events = {.on_response = hear,
                                                                   .on_close = hear_close};
    struct letters letters = {.sent = 0};
    struct test_v1_echo_handlers handlers = {.service = &letters,
                                             .split = split,
                                             .split_writable = split_writable,
                                             .split_closed = split_closed};
    Test__V1__EchoRequest request = TEST__V1__ECHO_REQUEST__INIT;
    struct rpc_metadata_list none = {NULL, 0};
    struct heard heard = {.closed = 0};
    struct pair pair;

    request.text = (char *)"letters";
    pair_open(&pair, &handlers);
    CU_ASSERT_PTR_NOT_NULL(
        test_v1_echo_client_split(pair.client, none, 0, &request, &events, &heard));
    pair_run(&pair);
    CU_ASSERT_STRING_EQUAL(heard.text, "letters");
    CU_ASSERT_EQUAL(heard.closed, 1);
    CU_ASSERT_EQUAL(heard.status.code, RPC_OK);
    CU_ASSERT_EQUAL(letters.closed, 1);
    pair_close(&pair);
}

/* Two requests where one is due, and none, are refused before the handler. */
static void test_one_request_is_exactly_one(void)
{
    struct letters letters = {.sent = 0};
    struct test_v1_echo_handlers handlers = {
        .service = &letters, .split = split, .split_closed = split_closed};

    for (int count = 0; count < 3; count += 2) {
        struct heard heard = {.closed = 0};
        struct rpc_call_options options = {
            .path = "/test.v1.Echo/Split", .events = {.on_close = hear_close}, .context = &heard};
        struct pair pair;
        pair_open(&pair, &handlers);
        rpc_call *call = rpc_client_call(pair.client, &options);
        CU_ASSERT_PTR_NOT_NULL_FATAL(call);
        for (int i = 0; i < count; i++)
            rpc_call_send(call, rpc_bytes_view("", 0));
        rpc_call_half_close(call);
        pair_run(&pair);
        CU_ASSERT_EQUAL(heard.status.code, RPC_UNIMPLEMENTED);
        CU_ASSERT_EQUAL(letters.closed, 0);
        pair_close(&pair);
    }
}

/* Answers with all texts together, when the last has come. */
static void join_request(void *context, rpc_call *call, const Test__V1__EchoRequest *request)
{
    struct heard *joined = context;

    (void)call;
    strncat(joined->text, request->text, sizeof joined->text - strlen(joined->text) - 1);
}

static void join_half_close(void *context, rpc_call *call)
{
    struct heard *joined = context;
    Test__V1__EchoResponse response = TEST__V1__ECHO_RESPONSE__INIT;

    response.text = joined->text;
    if (joined->text[0] == '\0')
        rpc_call_finish(call, rpc_status_make(RPC_NOT_FOUND, "nothing to join"));
    else
        test_v1_echo_join_reply(call, &response);
}

static void joined_done(void *context, const struct rpc_status *status,
                        const Test__V1__EchoResponse *response)
{
    struct heard *heard = context;

    heard->closed++;
    heard->status = *status;
    if (response != NULL)
        snprintf(heard->text, sizeof heard->text, "%s", response->text);
}

static void test_many_requests_one_response(void)
{
    static const char *const texts[] = {"many ", "requests"};
    static const struct test_v1_echo_client_join_events events = {.on_done = joined_done};
    struct rpc_metadata_list none = {NULL, 0};

    for (size_t count = 0; count <= 2; count += 2) {
        struct heard joined = {.closed = 0}, heard = {.closed = 0};
        struct test_v1_echo_handlers handlers = {
            .service = &joined,
            .join = {.on_request = join_request, .on_half_close = join_half_close}};
        struct pair pair;
        pair_open(&pair, &handlers);
        rpc_call *call = test_v1_echo_client_join(pair.client, none, 0, &events, &heard);
        CU_ASSERT_PTR_NOT_NULL_FATAL(call);
        for (size_t i = 0; i < count; i++) {
            Test__V1__EchoRequest request = TEST__V1__ECHO_REQUEST__INIT;
            request.text = (char *)texts[i];
            test_v1_echo_client_join_send(call, &request);
        }
        rpc_call_half_close(call);
        pair_run(&pair);
        CU_ASSERT_EQUAL(heard.closed, 1);
        CU_ASSERT_EQUAL(heard.status.code, count > 0 ? RPC_OK : RPC_NOT_FOUND);
        CU_ASSERT_STRING_EQUAL(heard.text, count > 0 ? "many requests" : "");
        pair_close(&pair);
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_one_request_many_responses),
        SUITE_TEST(test_one_request_is_exactly_one),
        SUITE_TEST(test_many_requests_one_response),
    };

    return suite_run("stub one way", tests, sizeof tests / sizeof tests[0]);
}
