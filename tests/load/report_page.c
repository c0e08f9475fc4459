/* SPDX-License-Identifier: Apache-2.0
 *
 * The page is page.html with the report's JSON in the place of @RUN@: everything that it
 * shows is drawn from that by its own script.
 */
#include "report.h"

#include <stdlib.h>
#include <string.h>

extern const char report_page_template[];

static const char mark[] = "@RUN@";

/* A text in it must not end the script element. */
static bool write_data(const json_t *report, FILE *file)
{
    char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(7));

    if (text == NULL)
        return false;
    for (const char *at = text; *at != '\0'; at++) {
        fputc(*at, file);
        if (at[0] == '<' && at[1] == '/')
            fputc('\\', file);
    }
    free(text);
    return true;
}

bool report_write_page(const json_t *report, const char *path)
{
    const char *place = strstr(report_page_template, mark);
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return false;
    fwrite(report_page_template, 1, (size_t)(place - report_page_template), file);
    bool good = write_data(report, file);
    fputs(place + strlen(mark), file);
    good = !ferror(file) && good;
    return fclose(file) == 0 && good;
}
