/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: every number means one code, whatever a peer sends, and a message is
 * cut between characters. Method: all 17 codes, and what is none.
 */
#include "../../rpc/status.h"
#include "suite.h"

#include <stdio.h>
#include <string.h>

static struct rpc_bytes text(const char *literal)
{
    return rpc_bytes_view(literal, strlen(literal));
}

static void test_codes_by_text(void)
{
    static const char *const none[] = {"", "17", "00", "01", "-1", "1 ", "x", "100", "0x1"};
    char number[4];

    for (unsigned i = 0; i <= RPC_UNAUTHENTICATED; i++) {
        snprintf(number, sizeof number, "%u", i);
        CU_ASSERT_EQUAL(status_code_of_text(text(number)), i);
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        CU_ASSERT_EQUAL(status_code_of_text(text(none[i])), RPC_UNKNOWN);
}

static void test_names_and_advice(void)
{
    CU_ASSERT_STRING_EQUAL(rpc_code_name(RPC_OK), "OK");
    CU_ASSERT_STRING_EQUAL(rpc_code_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    CU_ASSERT_STRING_EQUAL(rpc_code_name((enum rpc_code)17), "UNKNOWN");
    CU_ASSERT_STRING_EQUAL(rpc_code_name((enum rpc_code) - 1), "UNKNOWN");
    CU_ASSERT_EQUAL(rpc_code_advice(RPC_UNAVAILABLE), RPC_ADVICE_TRY_LATER);
    CU_ASSERT_EQUAL(rpc_code_advice(RPC_UNAUTHENTICATED), RPC_ADVICE_ENROL);
}

static void test_mappings(void)
{
    CU_ASSERT_EQUAL(status_code_of_http(503), RPC_UNAVAILABLE);
    CU_ASSERT_EQUAL(status_code_of_http(404), RPC_UNIMPLEMENTED);
    CU_ASSERT_EQUAL(status_code_of_http(418), RPC_UNKNOWN);
    CU_ASSERT_EQUAL(status_code_of_reset(0x7), RPC_UNAVAILABLE);        /* REFUSED_STREAM */
    CU_ASSERT_EQUAL(status_code_of_reset(0x8), RPC_CANCELLED);          /* CANCEL */
    CU_ASSERT_EQUAL(status_code_of_reset(0xb), RPC_RESOURCE_EXHAUSTED); /* ENHANCE_YOUR_CALM */
    CU_ASSERT_EQUAL(status_code_of_reset(0xc), RPC_PERMISSION_DENIED);  /* INADEQUATE_SECURITY */
    CU_ASSERT_EQUAL(status_code_of_reset(0x1), RPC_INTERNAL);
    CU_ASSERT_EQUAL(status_code_of_reset(0xffffffff), RPC_INTERNAL);
}

/* A message of three-byte characters, at every offset of the cut. */
static void test_message_is_cut_between_characters(void)
{
    char longer[400];

    for (size_t shift = 0; shift < 3; shift++) {
        memset(longer, 'a', sizeof longer);
        for (size_t i = shift; i + 3 < sizeof longer; i += 3)
            memcpy(longer + i, "\xe2\x82\xac", 3);
        longer[sizeof longer - 1] = '\0';
        struct rpc_status status = rpc_status_make(RPC_INTERNAL, "%s", longer);
        size_t len = strlen(status.message);
        CU_ASSERT(len >= RPC_STATUS_MESSAGE_LEN - 3);
        CU_ASSERT_EQUAL((len - shift) % 3, 0);
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_codes_by_text),
        SUITE_TEST(test_names_and_advice),
        SUITE_TEST(test_mappings),
        SUITE_TEST(test_message_is_cut_between_characters),
    };

    return suite_run("rpc_status", tests, sizeof tests / sizeof tests[0]);
}
