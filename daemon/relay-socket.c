// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay-socket.h"

#define ERRNO_MAX 4095		/* of the kernel */
#define ATTACH_TIMEOUT_MS 10000

gboolean relay_socket_is(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISSOCK(st.st_mode);
}

int relay_socket_open(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

int relay_socket_attach(int fd, struct ifpp_attach *attach, const struct ifpp_key *keys)
{
	struct { gint32 status; guint32 index; } answer;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	g_autoptr(GByteArray) msg = g_byte_array_new();

	g_byte_array_append(msg, (const guint8 *)attach, sizeof(*attach));
	if (attach->n_keys)
		g_byte_array_append(msg, (const guint8 *)keys, attach->n_keys * sizeof(*keys));
	if (relay_socket_send(fd, msg) != (gssize)msg->len)
		return errno;
	if (poll(&pfd, 1, ATTACH_TIMEOUT_MS) != 1)
		return ETIMEDOUT;
	if (recv(fd, &answer, sizeof(answer), 0) != sizeof(answer) || answer.status > 0 || answer.status < -ERRNO_MAX)
		return EIO;
	attach->index = answer.index;
	/* From here on as the node: the main loop waits. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return -answer.status;
}

gssize relay_socket_send(int fd, GByteArray *record)
{
	return send(fd, record->data, record->len, MSG_NOSIGNAL);
}
