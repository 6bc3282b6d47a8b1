// SPDX-License-Identifier: GPL-2.0-or-later
#include "output.h"

#include <eid.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IMEI_DIGITS 15

void ctl_progress_end(CtlOutput *out)
{
	if (out->progress)
		fputs("\r\033[K", stdout);
	out->progress = FALSE;
	fflush(stdout);
}

void ctl_say(CtlOutput *out, const char *format, ...)
{
	va_list args;

	if (out->json)
		return;
	ctl_progress_end(out);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

void ctl_progress(CtlOutput *out, const char *format, ...)
{
	g_autofree char *text = NULL;
	struct winsize size = { 0 };
	va_list args;

	if (out->json || !out->terminal)
		return;
	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	/* A line that wraps could not be overwritten. */
	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (size.ws_col && g_utf8_validate(text, -1, NULL) && g_utf8_strlen(text, -1) >= size.ws_col)
		*g_utf8_offset_to_pointer(text, size.ws_col - 1) = '\0';
	fputs("\r\033[K", stdout);
	fputs(text, stdout);
	fflush(stdout);
	out->progress = TRUE;
}

void ctl_show_eid(CtlOutput *out, const guint8 eid[16], char text[33])
{
	if (out->terminal || out->show_ids)
		ifpp_eid_format(eid, text);
	else
		ifpp_eid_mask(eid, text);
}

void ctl_mask(char *text)
{
	for (char *p = text; *p; p++) {
		gsize n = strspn(p, "0123456789");

		/* As ifpp_eid_mask() and ifpp_imei_mask(): eight digits, dots, two digits. */
		if (n == IFPP_EID_DIGITS || n == IMEI_DIGITS)
			memset(p + 8, '.', n - 10);
		if (n)
			p += n - 1;
	}
}

char *ctl_show_path(CtlOutput *out, const char *path)
{
	char *shown = g_strdup(path);

	if (!out->terminal && !out->show_ids)
		ctl_mask(shown);
	return shown;
}

void ctl_short_key(const guint8 key_id[32], char text[17])
{
	for (int i = 0; i < 8; i++)
		g_snprintf(text + 2 * i, 3, "%02x", key_id[i]);
}

void ctl_status(const char *text)
{
	static gboolean told;
	const char *path = g_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	g_autofree char *message = g_strdup_printf("STATUS=%s", text);
	gsize len = path ? strlen(path) : 0;
	int fd;

	if (told || !len || len >= sizeof(address.sun_path) || (*path != '/' && *path != '@'))
		return;
	told = TRUE;
	memcpy(address.sun_path, path, len);
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Who does not hear it can still read the log. */
	(void)!sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address,
		      offsetof(struct sockaddr_un, sun_path) + len);
	close(fd);
}

char *ctl_time(gint64 us)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(us / G_USEC_PER_SEC);

	return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("-");
}

char *ctl_now(void)
{
	return ctl_time(g_get_real_time());
}
