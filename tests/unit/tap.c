// SPDX-License-Identifier: GPL-2.0-or-later
#include "tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#define PAIRS 8

struct _Tap {
	Station *station;
	char *real;
	pid_t pid;
	guint *left;
};

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	return addr;
}

/* FALSE: one side has closed. */
static gboolean pump(int from, int to, gboolean to_modem, TapEdit edit, guint *left)
{
	guint8 buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n <= 0)
		return FALSE;
	if (*left)
		edit(buf, n, to_modem, left);
	return send(to, buf, n, MSG_NOSIGNAL) == n;
}

static void serve(int listener, const char *real, TapEdit edit, guint *left)
{
	struct pollfd fds[1 + 2 * PAIRS];
	struct sockaddr_un addr = address(real);
	guint n = 1;

	for (;;) {
		fds[0] = (struct pollfd){ .fd = listener, .events = n < G_N_ELEMENTS(fds) ? POLLIN : 0 };
		if (poll(fds, n, -1) < 0)
			_exit(1);
		for (guint i = 1; i < n; i += 2) {
			gboolean up = !fds[i].revents || pump(fds[i].fd, fds[i + 1].fd, TRUE, edit, left);
			gboolean down = !fds[i + 1].revents || pump(fds[i + 1].fd, fds[i].fd, FALSE, edit, left);

			if (up && down)
				continue;
			close(fds[i].fd);
			close(fds[i + 1].fd);
			memmove(fds + i, fds + i + 2, (n - i - 2) * sizeof(*fds));
			n -= 2;
			i -= 2;
		}
		if (fds[0].revents) {
			int host = accept(listener, NULL, NULL);
			int modem = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

			if (connect(modem, (struct sockaddr *)&addr, sizeof(addr))) {
				close(host);
				close(modem);
				continue;
			}
			fds[n++] = (struct pollfd){ .fd = host, .events = POLLIN };
			fds[n++] = (struct pollfd){ .fd = modem, .events = POLLIN };
		}
	}
}

Tap *tap_new(Station *station, TapEdit edit, guint times)
{
	Tap *tap = g_new0(Tap, 1);
	struct sockaddr_un addr = address(station->socket);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	tap->station = station;
	tap->real = g_build_filename(station->dir, "behind", NULL);
	tap->left = mmap(NULL, sizeof(*tap->left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_assert_true(tap->left != MAP_FAILED);
	*tap->left = times;
	g_assert_cmpint(g_rename(station->socket, tap->real), ==, 0);
	g_assert_cmpint(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_assert_cmpint(listen(listener, PAIRS), ==, 0);
	tap->pid = fork();
	g_assert_cmpint(tap->pid, >=, 0);
	if (!tap->pid)
		serve(listener, tap->real, edit, tap->left);
	close(listener);
	return tap;
}

guint tap_left(Tap *tap)
{
	return *tap->left;
}

void tap_set_left(Tap *tap, guint times)
{
	*tap->left = times;
}

void tap_free(Tap *tap)
{
	kill(tap->pid, SIGKILL);
	waitpid(tap->pid, NULL, 0);
	munmap(tap->left, sizeof(*tap->left));
	g_free(tap->real);
	g_free(tap);
}
