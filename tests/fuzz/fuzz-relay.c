// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon's side of the relay, against a kernel that is none: the answer to attaching, then requests. A
 * message is a length of two bytes and the bytes, as they come over the socket.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay.h"

typedef struct {
	Relay *relay;
	gboolean called, over;
	IfppSpan message;	/* that was sent last */
} Bench;

static char *path;
static int listener = -1;

static IfppSpan next_message(IfppSpan *in)
{
	IfppSpan message = { 0 };

	if (in->len < 2)
		return message;
	message = (IfppSpan){ in->data + 2, MIN((gsize)(in->data[0] | in->data[1] << 8), in->len - 2) };
	in->data += 2 + message.len;
	in->len -= 2 + message.len;
	return message;
}

/* What the daemon is told is what was sent, whole; anything else is the end. */
static void on_request(RelayRequest *request, const GError *error, gpointer user)
{
	Bench *bench = user;
	struct ifpp_req req;

	bench->called = TRUE;
	bench->over = !request;
	if (!request) {
		g_assert_nonnull(error);
		return;
	}
	g_assert_cmpuint(bench->message.len, >=, sizeof(req));
	memcpy(&req, bench->message.data, sizeof(req));
	g_assert_cmpint(memcmp(&req, &request->req, sizeof(req)), ==, 0);
	g_assert_cmpuint(req.size, >=, sizeof(req));
	g_assert_cmpuint(req.len, ==, bench->message.len - req.size);
	g_assert_cmpmem(g_bytes_get_data(request->data, NULL), g_bytes_get_size(request->data),
			bench->message.data + req.size, req.len);
	relay_request_free(request);
}

static void start(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	path = g_strdup_printf("/dev/shm/ifpp-fuzz-relay-%d", getpid());
	unlink(path);
	g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1))
		g_error("%s: no socket", path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ifpp_attach attach = { .n_keys = 0 };
	g_autoptr(GError) error = NULL;
	IfppSpan in = { data, len };
	Bench bench = { 0 };
	guint8 buf[4096];
	int kernel;

	if (listener < 0)
		start();
	bench.relay = relay_open(path, &error);
	g_assert_no_error(error);
	kernel = accept(listener, NULL, NULL);
	g_assert_cmpint(kernel, >=, 0);
	bench.message = next_message(&in);
	/* An empty record would be the end of the stream. */
	if (send(kernel, bench.message.len ? bench.message.data : buf, MAX(bench.message.len, 1), 0) > 0 &&
	    relay_attach(bench.relay, &attach, NULL, &error)) {
		relay_watch(bench.relay, on_request, &bench);
		while (!bench.over) {
			struct ifpp_reply reply = { .status = -1 };

			bench.message = next_message(&in);
			if (bench.message.len)
				g_assert_cmpint(send(kernel, bench.message.data, bench.message.len, 0), ==,
						bench.message.len);
			else
				shutdown(kernel, SHUT_WR);
			for (bench.called = FALSE; !bench.called;)
				g_main_context_iteration(NULL, TRUE);
			if (bench.over)
				break;
			g_assert_true(relay_reply(bench.relay, &reply, NULL, NULL, NULL));
		}
	} else {
		g_assert_nonnull(error);
	}
	relay_free(bench.relay);
	close(kernel);
	return 0;
}
