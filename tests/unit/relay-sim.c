// SPDX-License-Identifier: GPL-2.0-or-later
#include "relay-sim.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MSG_MAX (512 * 1024)

RelaySim *relay_sim_new(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	RelaySim *sim = g_new0(RelaySim, 1);

	g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	unlink(path);
	sim->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	g_assert_cmpint(sim->listen_fd, >=, 0);
	g_assert_cmpint(bind(sim->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	g_assert_cmpint(listen(sim->listen_fd, 4), ==, 0);
	sim->fd = -1;
	sim->rec.keys = sim->keys;
	return sim;
}

void relay_sim_free(RelaySim *sim)
{
	relay_sim_hangup(sim);
	close(sim->listen_fd);
	g_free(sim);
}

void relay_sim_hangup(RelaySim *sim)
{
	if (sim->fd >= 0)
		close(sim->fd);
	sim->fd = -1;
	sim->rec.online = false;
}

static gboolean wait_for(int fd, guint timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&pfd, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

static int report(RelaySim *sim, const struct ifpp_report *rep)
{
	enum ifpp_tamper_kind kind;
	int err;

	if (!sim->rec.seen)
		sim->rec.room = ifpp_core_room(rep);
	err = ifpp_core_report(&sim->rec, rep, &kind);
	sim->tampers += err == -EBADE;
	return err;
}

static int take_attach(RelaySim *sim, const guint8 *msg, ssize_t len)
{
	struct ifpp_attach attach;
	struct ifpp_report rep;

	if (len < (ssize_t)sizeof(attach))
		return -EINVAL;
	memcpy(&attach, msg, sizeof(attach));
	if (attach.size != sizeof(attach) || attach.flags || attach.n_keys > IFPP_KEYS_MAX ||
	    len != (ssize_t)(sizeof(attach) + attach.n_keys * sizeof(struct ifpp_key)))
		return -EINVAL;
	if (sim->rec.seen && memcmp(sim->rec.eid, attach.eid, IFPP_EID_LEN))
		return -EINVAL;
	memcpy(sim->rec.eid, attach.eid, IFPP_EID_LEN);
	rep = (struct ifpp_report){
		.state = attach.state,
		.spent_count = attach.spent_count,
		.n_keys = attach.n_keys,
		.keys = (const struct ifpp_key *)(msg + sizeof(attach)),
	};
	return report(sim, &rep);
}

/* Readable, or the child has ended. */
static int wait_or_end(int fd, int pidfd, guint timeout_ms)
{
	struct pollfd pfd[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
	int n;

	do {
		n = poll(pfd, 2, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -ETIMEDOUT;
	return pfd[0].revents ? 0 : -ENODEV;
}

static int attach(RelaySim *sim, int pidfd, guint timeout_ms)
{
	g_autofree guint8 *msg = g_malloc(MSG_MAX);
	struct { gint32 status; guint32 index; } answer = { 0 };
	ssize_t len;
	int err;

	/* Daemons that died before or while attaching are still in the queue. */
	do {
		err = wait_or_end(sim->listen_fd, pidfd, timeout_ms);
		if (err)
			return err;
		relay_sim_hangup(sim);
		sim->fd = accept(sim->listen_fd, NULL, NULL);
		g_assert_cmpint(sim->fd, >=, 0);
		err = wait_or_end(sim->fd, pidfd, timeout_ms);
		if (err)
			return err;
		len = recv(sim->fd, msg, MSG_MAX, 0);
		if (len > 0)
			answer.status = take_attach(sim, msg, len);
	} while (len <= 0 || send(sim->fd, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer));
	sim->rec.online = !answer.status;
	return answer.status;
}

int relay_sim_attach_of(RelaySim *sim, const GPid *pid, guint timeout_ms)
{
	int pidfd = pid ? syscall(SYS_pidfd_open, *pid, 0) : -1;
	int err;

	relay_sim_hangup(sim);
	err = attach(sim, pidfd, timeout_ms);
	if (pidfd >= 0)
		close(pidfd);
	return err;
}

int relay_sim_submit(RelaySim *sim, guint32 type, const void *data, gsize len, guint timeout_ms)
{
	g_autoptr(GByteArray) msg = g_byte_array_new();
	int err;

	memset(&sim->hdr, 0, sizeof(sim->hdr));
	if (type == IFPP_REQ_LOAD) {
		if (len)
			memcpy(&sim->hdr, data, MIN(len, sizeof(sim->hdr)));
		err = ifpp_core_header(&sim->hdr, len, 256 * 1024) ?:
		      ifpp_core_submit(&sim->rec, IFPP_STATE_FACTORY, &sim->hdr);
		if (err)
			return err;
	}
	if (type == IFPP_REQ_LOCK)
		ifpp_core_lock(&sim->rec);
	err = ifpp_core_dispatch(&sim->rec, IFPP_STATE_FACTORY, type, &sim->hdr);
	if (err)
		return err;
	sim->req =
		(struct ifpp_req){ .size = sizeof(struct ifpp_req), .id = ++sim->next_id, .type = type, .timeout_ms = timeout_ms, .len = len };
	g_byte_array_append(msg, (const guint8 *)&sim->req, sizeof(sim->req));
	if (len)
		g_byte_array_append(msg, data, len);
	if (send(sim->fd, msg->data, msg->len, MSG_NOSIGNAL) != (ssize_t)msg->len) {
		relay_sim_hangup(sim);
		return -ENODEV;
	}
	return 0;
}

void relay_sim_force(RelaySim *sim, GBytes *package, guint timeout_ms)
{
	g_autoptr(GByteArray) msg = g_byte_array_new();
	gsize len;
	const guint8 *data = g_bytes_get_data(package, &len);

	memcpy(&sim->hdr, data, MIN(len, sizeof(sim->hdr)));
	sim->req = (struct ifpp_req){
		.size = sizeof(struct ifpp_req),
		.id = ++sim->next_id, .type = IFPP_REQ_LOAD, .timeout_ms = timeout_ms, .len = len
	};
	g_byte_array_append(msg, (const guint8 *)&sim->req, sizeof(sim->req));
	g_byte_array_append(msg, data, len);
	g_assert_cmpint(send(sim->fd, msg->data, msg->len, MSG_NOSIGNAL), ==, msg->len);
}

int relay_sim_wait(RelaySim *sim, RelaySimResult *result, guint timeout_ms)
{
	g_autofree guint8 *msg = g_malloc(MSG_MAX);
	struct ifpp_reply *reply = &result->reply;
	enum ifpp_tamper_kind kind;
	struct ifpp_report rep;
	gsize keys_len;
	ssize_t len;
	int err;

	memset(result, 0, sizeof(*result));
	do {
		if (!wait_for(sim->fd, timeout_ms))
			return -ETIMEDOUT;
		len = recv(sim->fd, msg, MSG_MAX, 0);
		if (len <= 0) {
			relay_sim_hangup(sim);
			return -ENODEV;
		}
		g_assert_cmpint(len, >=, sizeof(*reply));
		memcpy(reply, msg, sizeof(*reply));
		sim->stale += reply->id != sim->req.id;
	} while (reply->id != sim->req.id);

	/* The driver's checks of a reply: none may fail. */
	keys_len = reply->n_keys * sizeof(struct ifpp_key);
	g_assert_cmpint(len, ==, sizeof(*reply) + keys_len + reply->len);
	g_assert_cmpuint(reply->type, ==, sim->req.type);
	g_assert_cmpuint(reply->flags & ~IFPP_REPLY_REPORT, ==, 0);
	g_assert_cmpint(reply->status, <=, 0);
	g_assert_cmpuint(reply->size, ==, sizeof(*reply));
	g_assert_cmpuint(reply->len, <=, IFPP_PIR_MAX);
	g_assert_true((reply->flags & IFPP_REPLY_REPORT) || !reply->n_keys);
	if (reply->type == IFPP_REQ_LOCK && !reply->status)
		g_assert_cmpuint(reply->len, >, 0);

	result->status = reply->status;
	rep = (struct ifpp_report){
		.state = reply->state,
		.spent_count = reply->spent_count,
		.n_keys = reply->n_keys,
		.keys = (const struct ifpp_key *)(msg + sizeof(*reply)),
	};
	err = ifpp_core_reply(&sim->rec, reply->type, sim->hdr.key_id, &result->status,
			      reply->flags & IFPP_REPLY_REPORT ? &rep : NULL, &kind);
	g_assert_cmpint(err, !=, -EINVAL);
	sim->tampers += err == -EBADE;
	result->data = g_bytes_new(msg + sizeof(*reply) + keys_len, reply->len);
	return 0;
}

void relay_sim_result_clear(RelaySimResult *result)
{
	g_clear_pointer(&result->data, g_bytes_unref);
}
