// SPDX-License-Identifier: GPL-2.0-or-later
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <error.h>
#include <notify.h>

int listen_on(const char *option, const char *address, GError **error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *colon = strrchr(address, ':');
	g_autofree char *host = NULL;
	struct addrinfo *found = NULL;
	int fd = -1, one = 1, status;

	if (!colon) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: HOST:PORT, as in 0.0.0.0:8443", option);
		return -1;
	}
	host = g_strndup(address, colon - address);
	if (host[0] == '[' && g_str_has_suffix(host, "]")) {
		memmove(host, host + 1, strlen(host));
		host[strlen(host) - 1] = '\0';
	}
	status = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
	if (status) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s %s: %s", option, address, gai_strerror(status));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "%s %s: %s", option, address, g_strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

int listen_handed_over(GError **error)
{
	int n = sd_listen_fds(1);

	if (n == 1 && sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) > 0)
		return SD_LISTEN_FDS_START;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "systemd has handed over %s; say --listen HOST:PORT",
		    n > 0 ? "something else than one listening socket" : "no socket");
	return -1;
}

char *listen_name(int fd, char **port_only)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getsockname(fd, (struct sockaddr *)&address, &len) ||
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV)) {
		strcpy(host, "-");
		strcpy(port, "0");
	}
	if (port_only)
		*port_only = g_strdup(port);
	return g_strdup_printf("%s:%s", host, port);
}
