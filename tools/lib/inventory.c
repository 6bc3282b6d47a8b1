// SPDX-License-Identifier: LGPL-2.1-or-later
#include "inventory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "error.h"

char *inventory_line(IfppSpan *in, const char *name)
{
	gsize len = strlen(name);
	const guint8 *nl;
	char *value;

	if (in->len < len || memcmp(in->data, name, len) || !(nl = memchr(in->data, '\n', in->len)))
		return NULL;
	value = g_strndup((const char *)in->data + len, nl - in->data - len);
	in->len -= nl + 1 - in->data;
	in->data = nl + 1;
	return value;
}

gboolean inventory_number(IfppSpan *in, const char *name, guint64 min, guint64 max, guint64 *out)
{
	g_autofree char *text = inventory_line(in, name);

	return text && g_ascii_string_to_unsigned(text, 10, min, max, out, NULL);
}

gboolean inventory_hash(IfppSpan *in, const char *name, guint8 out[32])
{
	g_autofree char *text = inventory_line(in, name);

	return ifpp_unhex_into(text, out, 32);
}

static gboolean errno_error(GError **error)
{
	g_set_error(error, IFPP_ERROR, errno == EACCES ? IFPP_ERROR_ACCESS : IFPP_ERROR_IO, "cannot read: %s",
		    g_strerror(errno));
	return FALSE;
}

int inventory_open(const char *path, guint64 *size, GError **error)
{
	/* O_NONBLOCK: a FIFO must not make us wait for its other end. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		errno_error(error);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_IO, "is not a file");
		goto fail;
	}
	*size = st.st_size;
	return fd;

fail:
	if (fd >= 0)
		close(fd);
	return -1;
}

GBytes *inventory_read_at(int fd, guint64 offset, gsize len, GError **error)
{
	g_autofree guint8 *data = g_malloc(len);
	gsize have = 0;

	while (have < len) {
		ssize_t n = pread(fd, data + have, len - have, offset + have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			errno_error(error);
			return NULL;
		}
		if (n == 0) {
			g_set_error(error, IFPP_ERROR, IFPP_ERROR_LENGTH, "is cut off");
			return NULL;
		}
		have += n;
	}
	return g_bytes_new_take(g_steal_pointer(&data), len);
}

gboolean inventory_size_is(guint64 size, guint64 end, GError **error)
{
	if (size == end)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_LENGTH, "has %" G_GUINT64_FORMAT " bytes instead of %" G_GUINT64_FORMAT, size,
		    end);
	return FALSE;
}

gboolean inventory_sha256_is(GBytes *bytes, const guint8 sha256[32])
{
	guint8 digest[32];

	return gnutls_hash_fast(GNUTLS_DIG_SHA256, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), digest) >= 0 &&
	       memcmp(digest, sha256, sizeof(digest)) == 0;
}
