// SPDX-License-Identifier: GPL-2.0-or-later
#include "hook.h"
#include "outbox.h"
#include "sockets.h"

#include <eid.h>
#include <errno.h>
#include <error.h>
#include <euicc.h>
#include <fcntl.h>
#include <file.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT 30	/* s */
#define TIMEOUT_MAX 3600
#define TOLD_MAX 4096		/* bytes of a hook's output that are passed on */
#define SPOOL_MAX 10000		/* notes that wait: a hook that never comes along does not fill the memory */
#define TICK_MS 50
#define NOTE ".json"

extern char **environ;

static const char *place(const char *variable, const char *by_default)
{
	return g_getenv(variable) ?: by_default;
}

/* ------------------------------------------------------------ what the hook is told */

static void tell_packages(JsonBuilder *b, const GPtrArray *attempts, const GPtrArray *deletions)
{
	json_builder_set_member_name(b, "results");
	json_builder_begin_array(b);
	for (guint i = 0; attempts && i < attempts->len; i++) {
		const IfppAttempt *attempt = attempts->pdata[i];

		json_builder_begin_object(b);
		ifpp_json_hex(b, "key_id", IFPP_SPAN(attempt->key_id));
		ifpp_json_int(b, "status", attempt->status);
		ifpp_json_string(b, "reason_name", ifpp_reason_name(attempt->reason));
		ifpp_json_string(b, "time", attempt->time);
		if (ctl_attempt_deleted(attempt, deletions))
			ifpp_json_bool(b, "deleted", TRUE);
		json_builder_end_object(b);
	}
	json_builder_end_array(b);
}

static void tell_unit(JsonBuilder *b, const char *outbox, const guint8 eid[16])
{
	g_auto(IfppUnit) unit = { 0 };

	ctl_unit_read(outbox, eid, &unit);
	ifpp_json_unit(b, &unit);
}

static guint waiting(const char *spool)
{
	g_autoptr(GDir) dir = g_dir_open(spool, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

void ctl_hook_note(Ctl *ctl, CtlChip *chip, const char *outbox)
{
	const char *spool = place(CTL_HOOK_SPOOL_ENV, CTL_HOOK_SPOOL);
	g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free), attempts = NULL, deletions = NULL;
	g_autofree char *name = NULL, *text = NULL, *now = ctl_now();
	g_autoptr(GError) error = NULL;
	struct ifpp_info info;
	JsonBuilder *b;

	if (!g_file_test(place(CTL_HOOK_ENV, CTL_HOOK), G_FILE_TEST_IS_EXECUTABLE))
		return;
	if (waiting(spool) >= SPOOL_MAX) {
		ctl_say(&ctl->out, "%s: the hook is not told: %u notes wait for it.", chip->node, SPOOL_MAX);
		return;
	}
	attempts = ctl_outbox_attempts(outbox, chip->info.eid, damaged, NULL);
	deletions = ctl_outbox_deletions(outbox, chip->info.eid, NULL);
	b = ifpp_json_new("unit-done");
	ifpp_json_int(b, "version", 1);
	ifpp_json_string(b, "time", now);
	ifpp_json_string(b, "host", g_get_host_name());
	ifpp_json_string(b, "node", chip->node);
	ifpp_json_eid(b, chip->info.eid);
	ifpp_json_bool(b, "locked", !ctl_device_info(chip->device, &info) && info.state == IFPP_STATE_LOCKED);
	tell_packages(b, attempts, deletions);
	tell_unit(b, outbox, chip->info.eid);
	text = ifpp_json_text(b);
	/* In the order of time, and once for each end. */
	name = g_strdup_printf("%s/%" G_GINT64_FORMAT "-%s" NOTE, spool, g_get_real_time(), chip->node);
	if (!ifpp_file_write(name, text, strlen(text), 0640, &error))
		ctl_say(&ctl->out, "%s: the hook is not told: %s.", chip->node, error->message);
}

/* ------------------------------------------------------------ running it */

static void complain(const char *note, const char *what, int number)
{
	fprintf(stderr, "ifppctl: hook: %s: %s %d\n", note, what, number);
}

/* Pass the first of it on and drop the rest: what floods us floods no log. FALSE: it has closed its output. */
static gboolean drain(int fd, gsize *told)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	if (*told < TOLD_MAX) {
		fwrite(buf, 1, MIN((gsize)n, TOLD_MAX - *told), stderr);
		if (*told + n >= TOLD_MAX)
			fputs("\nifppctl: hook: it says more, which is not passed on\n", stderr);
	}
	*told += n;
	return TRUE;
}

/* Until it ends, or its time does; then whatever it has started ends, too. */
static int wait_for(pid_t pid, int out, const char *note, guint seconds)
{
	gint64 until = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
	gboolean open = TRUE, late = FALSE;
	int status = 0;
	gsize told = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct pollfd pfd = { .fd = open ? out : -1, .events = POLLIN };

		if (poll(&pfd, 1, TICK_MS) > 0)
			open = drain(out, &told);
		if (!late && g_get_monotonic_time() > until) {
			late = TRUE;
			complain(note, "it has had its time and is ended after seconds:", seconds);
			kill(-pid, SIGKILL);
		}
	}
	kill(-pid, SIGKILL);
	while (open && told < TOLD_MAX) {
		struct pollfd pfd = { .fd = out, .events = POLLIN };

		if (poll(&pfd, 1, 0) <= 0)
			break;
		open = drain(out, &told);
	}
	return status;
}

static int spawn(const char *program, int in, int out, pid_t *pid)
{
	char *argv[] = { (char *)program, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, out, 2);
	err = posix_spawn(pid, program, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return err;
}

/*
 * A note goes before it is told: a hook that brings us down with it does so once. One that cannot go would be told for ever, and
 * one that cannot be read now is kept. *in: -1 if it was a link, which is nobody's note, and has gone.
 */
static gboolean take_note(const char *path, int *in, GError **error)
{
	g_autofree char *note = g_path_get_basename(path);

	*in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*in < 0 && errno != ELOOP)
		return ifpp_file_error(path, "cannot open", error);
	if (*in < 0)
		complain(note, "it cannot be read: error", ELOOP);
	if (!unlink(path))
		return TRUE;
	ifpp_file_error(path, "cannot be removed, so the hook is not told", error);
	if (*in >= 0)
		close(*in);
	return FALSE;
}

static gboolean run_with(const char *program, const char *path, guint seconds, GError **error)
{
	g_autofree char *note = g_path_get_basename(path);
	int in, out[2], err, status;
	gboolean taken;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return ifpp_file_error(path, "cannot be told", error);
	taken = take_note(path, &in, error);
	if (!taken || in < 0) {
		close(out[0]);
		close(out[1]);
		return taken;
	}
	err = spawn(program, in, out[1], &pid);
	close(in);
	close(out[1]);
	if (err) {
		complain(note, "it cannot be run: error", err);
	} else {
		fcntl(out[0], F_SETFL, O_NONBLOCK);
		status = wait_for(pid, out[0], note, seconds);
		if (WIFEXITED(status) && WEXITSTATUS(status))
			complain(note, "exit status", WEXITSTATUS(status));
		else if (WIFSIGNALED(status))
			complain(note, "ended by signal", WTERMSIG(status));
	}
	close(out[0]);
	return TRUE;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *notes(const char *spool, GError **error)
{
	g_autoptr(GDir) dir = ctl_dir_open(spool, error);
	GPtrArray *found = dir ? g_ptr_array_new_with_free_func(g_free) : NULL;
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, NOTE))
			g_ptr_array_add(found, g_build_filename(spool, name, NULL));
	if (found)
		g_ptr_array_sort(found, by_name);
	return found;
}

int ctl_cmd_hook(Ctl *ctl, int argc, char **argv, GError **error)
{
	const char *spool = place(CTL_HOOK_SPOOL_ENV, CTL_HOOK_SPOOL), *program = place(CTL_HOOK_ENV, CTL_HOOK);
	int seconds = TIMEOUT_DEFAULT;
	const GOptionEntry entries[] = {
		{ "timeout", 0, 0, G_OPTION_ARG_INT, &seconds, "For one unit (30)", "SECONDS" },
		G_OPTION_ENTRY_NULL
	};

	if (!ctl_parse(ctl, &argc, &argv, entries, "",
		       "Run " CTL_HOOK " for each unit that is done and that it was not told of, with what became of it as JSON on its "
		       "standard input. ifpp-hook.service does that.", error))
		return 0;
	if (argc > 1 || seconds < 1 || seconds > TIMEOUT_MAX) {
		g_set_error_literal(error, IFPP_ERROR, IFPP_ERROR_USAGE, "hook: it takes --timeout from 1 to 3600 only");
		return 0;
	}
	/* Further units are done meanwhile. What cannot be told stops none of them, and is told of at the end. */
	for (;;) {
		g_autoptr(GPtrArray) found = notes(spool, error);
		guint told = 0;

		if (!found)
			return 0;
		for (guint i = 0; i < found->len; i++) {
			g_autoptr(GError) local = NULL;

			if (run_with(program, found->pdata[i], seconds, &local))
				told++;
			else if (!*error)
				g_propagate_error(error, g_steal_pointer(&local));
		}
		if (*error || !told)
			return IFPP_EXIT_OK;
	}
}
