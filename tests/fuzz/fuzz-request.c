// SPDX-License-Identifier: GPL-2.0-or-later
/* A factory's request as the Key Maker gets it, and the signature over it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "bundle.h"
#include "fuzz.h"
#include "request-bundle.h"
#include "requests.h"

/* What import and seal rely on for file names and terminals. */
static void check_items(IfppRequest *request)
{
	GArray *items = ifpp_request_items(request);
	const IfppRequestItem *item = (IfppRequestItem *)items->data;

	g_assert_true(items->len > 0);
	g_assert_true(!ifpp_request_order(request) || ifpp_bundle_text_valid(ifpp_request_order(request)));
	for (guint i = 0; i < items->len; i++, item++) {
		g_autoptr(GBytes) data = ifpp_request_read(request, i, NULL);
		IfppRequestItem again = {};

		g_assert_true(!i || memcmp(item[-1].eid, item->eid, 16) < 0);
		if (!data)
			continue;
		g_assert_true(ifpp_request_item(data, &again, NULL));
		g_assert_true(memcmp(again.eid, item->eid, 16) == 0 && again.len == item->len);
	}
}

static gboolean hash_text(int algorithm, guint8 *hash, gpointer user, GError **error)
{
	IfppSpan text = ifpp_span_bytes(ifpp_request_text(user));

	return gnutls_hash_fast(algorithm, text.data, text.len, hash) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autofree char *dir = g_build_filename(g_getenv("IFPP_FUZZ_SEEDS"), "asked", NULL);
	const Home home = { .dir = dir };
	int fd = memfd_create("request", MFD_CLOEXEC);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd), *who = NULL;
	g_autoptr(IfppRequest) request = NULL;

	g_assert_true(fd >= 0 && write(fd, data, len) == (gssize)len);
	request = ifpp_request_open(path, NULL);
	if (request) {
		check_items(request);
		/* The data behind it is not signed: its hashes are. */
		if (requester_check(&home, hash_text, request, ifpp_request_signature(request), &who, NULL)) {
			g_autoptr(GBytes) signed_text = ifpp_request_text(request);
			g_autoptr(GPtrArray) seeds = fuzz_seeds("request");
			gboolean known = FALSE;

			g_bytes_ref(signed_text);
			for (guint i = 0; i < seeds->len; i++) {
				IfppSpan seed = ifpp_span_bytes(seeds->pdata[i]);

				known |= seed.len > IFPP_REQUEST_HEADER_LEN + g_bytes_get_size(signed_text) &&
					 memcmp(seed.data + IFPP_REQUEST_HEADER_LEN, g_bytes_get_data(signed_text, NULL),
						g_bytes_get_size(signed_text)) == 0;
				g_bytes_unref(seeds->pdata[i]);
			}
			if (!known)
				g_error("a request that nobody signed was accepted");
		}
	}
	close(fd);
	return 0;
}
