/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as people write them; see address.h.
 */
#include "address.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* getaddrinfo would take a larger number modulo 65,536, and so another port. */
static bool is_port(const char *text)
{
    unsigned long port = 0;

    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9' || i == 5)
            return false;
        port = 10 * port + (unsigned long)(text[i] - '0');
    }
    return text[0] != '\0' && port <= UINT16_MAX;
}

bool address_parse(const char *text, struct address *address_out)
{
    bool bracketed = text[0] == '[';
    const char *host = bracketed ? text + 1 : text;
    const char *host_end = bracketed ? strchr(host, ']') : strrchr(host, ':');

    if (host_end == NULL || (bracketed && host_end[1] != ':'))
        return false;
    const char *port = host_end + (bracketed ? 2 : 1);
    size_t host_len = (size_t)(host_end - host);
    if (host_len >= ADDRESS_HOST_SIZE || !is_port(port))
        return false;
    memcpy(address_out->host, host, host_len);
    address_out->host[host_len] = '\0';
    memcpy(address_out->port, port, strlen(port) + 1);
    return true;
}

bool address_format(const struct sockaddr *socket_address, socklen_t len,
                    char text_out[ADDRESS_TEXT_SIZE])
{
    struct address address;

    if (getnameinfo(socket_address, len, address.host, sizeof address.host, address.port,
                    sizeof address.port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    snprintf(text_out, ADDRESS_TEXT_SIZE,
             socket_address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", address.host,
             address.port);
    return true;
}

bool address_prepare_socket(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    int on = 1;

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
}
