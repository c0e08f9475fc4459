/* SPDX-License-Identifier: Apache-2.0 */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct rpc_status new_file_open(struct new_file *new_file, const char *folder, const char *name,
                                int mode)
{
    snprintf(new_file->path, sizeof new_file->path, "%s/%s", folder, name);
    snprintf(new_file->draft, sizeof new_file->draft, "%s.new", new_file->path);
    unlink(new_file->draft); /* of one that was interrupted; it may have another mode */
    int descriptor = open(new_file->draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (descriptor < 0)
        return rpc_status_make(RPC_UNAVAILABLE, "write %s: %s", new_file->path, strerror(errno));
    new_file->file = fdopen(descriptor, "w");
    if (new_file->file != NULL)
        return rpc_status_ok();
    close(descriptor);
    unlink(new_file->draft);
    return rpc_status_make(RPC_UNAVAILABLE, "write %s: out of memory", new_file->path);
}

struct rpc_status new_file_close(struct new_file *new_file, bool good)
{
    good = fflush(new_file->file) == 0 && good && fsync(fileno(new_file->file)) == 0;
    good = fclose(new_file->file) == 0 && good;
    good = good && link(new_file->draft, new_file->path) == 0;
    int reason = errno;
    unlink(new_file->draft);
    if (good)
        return rpc_status_ok();
    return rpc_status_make(reason == EEXIST ? RPC_ALREADY_EXISTS : RPC_UNAVAILABLE, "write %s: %s",
                           new_file->path, strerror(reason));
}
