/* SPDX-License-Identifier: Apache-2.0
 *
 * "HOST:PORT" and "[IPv6]:PORT", for both drivers.
 */
#ifndef OUTPOST_RPC_ADDRESS_H
#define OUTPOST_RPC_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

enum {
    ADDRESS_HOST_SIZE = 256, /* a DNS name has at most 253 characters */
    ADDRESS_PORT_SIZE = 16,
    ADDRESS_TEXT_SIZE = ADDRESS_HOST_SIZE + ADDRESS_PORT_SIZE + 4,
};

struct address {
    char host[ADDRESS_HOST_SIZE]; /* without brackets */
    char port[ADDRESS_PORT_SIZE];
};

/* False: it is neither form. */
bool address_parse(const char *text, struct address *address_out);

/* The numeric text of a socket address. */
bool address_format(const struct sockaddr *socket_address, socklen_t len,
                    char text_out[ADDRESS_TEXT_SIZE]);

/* Non-blocking, closed on exec, without Nagle's delay. */
bool address_prepare_socket(int fd);

#endif
