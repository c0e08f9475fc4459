/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

void account_name(char name_out[STORE_ACCOUNT_LEN])
{
    const struct passwd *account = getpwuid(getuid());

    if (account != NULL)
        snprintf(name_out, STORE_ACCOUNT_LEN, "%s", account->pw_name);
    else
        snprintf(name_out, STORE_ACCOUNT_LEN, "%ld", (long)getuid());
}
