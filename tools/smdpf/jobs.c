// SPDX-License-Identifier: GPL-2.0-or-later
#include "jobs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "error.h"
#include "file.h"
#include "inputs.h"
#include "package.h"
#include "pool.h"

#define SHOW_MAX 32		/* packages listed one by one */
#define WINDOW (10 * G_USEC_PER_SEC)	/* at least so long is what the rate is taken of */

/*
 * A worker says, in lines:
 *	P TEXT					a package, as it is to be listed
 *	R SEALED AGAIN ELSEWHERE ABROAD CODE	ready for a range; what it has done in all
 *	E CODE MESSAGE				it ends, with this error
 *	T TOKEN					this token refused its PIN
 * and is answered R with a Range. When there is none any more it ends.
 */
typedef struct {
	guint from, to;
} Range;

typedef struct {
	pid_t pid;
	int fd;
	GString *in;
	BindCounts counts;
	guint chips;		/* it has now */
	gboolean ready;		/* it has been */
	gboolean unwanted;
} Worker;

typedef struct {
	BindOrder order;
	const BindOptions *options;
	GArray *workers;
	guint next;		/* chip that nobody has yet */
	guint batch;		/* chips in a range */
	guint done;
	guint64 listed;
	struct {
		gint64 at;
		guint done;
	} marks[2];		/* one or two windows ago, and less */
	GError *error;		/* the first one */
} Jobs;

/* ------------------------------------------------------------ a worker */

static void tell_error(FILE *lines, const GError *error)
{
	g_autofree char *text = g_strescape(error->message, NULL);

	fprintf(lines, "E%d %s\n", error->domain == IFPP_ERROR ? error->code : IFPP_ERROR_INTERNAL, text);
	fflush(lines);
}

static gboolean next_range(int fd, FILE *lines, const BindCounts *c, Range *range)
{
	fprintf(lines, "R%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %d\n",
		c->sealed, c->again, c->elsewhere, c->abroad, c->exit_code);
	return fflush(lines) == 0 && recv(fd, range, sizeof(*range), MSG_WAITALL) == sizeof(*range);
}

static int work(const BindOrder *order, gboolean spare, int fd)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Bind) bind = NULL;
	FILE *lines = fdopen(fd, "w");
	BindCounts counts = {};
	Range range;

	if (!lines)
		return 1;
	bind = bind_new(order, spare, &error);
	pool_tell_refused(order->home, lines);
	while (bind && next_range(fd, lines, &counts, &range))
		if (!bind_range(bind, range.from, range.to, lines, &counts, &error))
			break;
	if (error)
		tell_error(lines, error);
	g_clear_pointer(&bind, bind_free);
	if (order->options->close)
		order->options->close(order->options->open_user);
	return 0;
}

static gboolean add_worker(Jobs *jobs)
{
	Worker worker = {};
	pid_t parent = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return ifpp_file_error("a worker", NULL, &jobs->error);
	fflush(NULL);
	worker.pid = fork();
	if (worker.pid < 0) {
		ifpp_file_error("a worker", NULL, &jobs->error);
		close(fds[0]);
		close(fds[1]);
		return FALSE;
	}
	if (!worker.pid) {
		for (guint i = 0; i < jobs->workers->len; i++)
			close(g_array_index(jobs->workers, Worker, i).fd);
		close(fds[0]);
		/* Whoever kills the command ends its workers too, though not within a login: see cryptoki.c. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		signal(SIGPIPE, SIG_IGN);
		_exit(getppid() == parent ? work(&jobs->order, jobs->workers->len, fds[1]) : 1);
	}
	close(fds[1]);
	worker.fd = fds[0];
	worker.in = g_string_new(NULL);
	g_array_append_val(jobs->workers, worker);
	return TRUE;
}

/* ------------------------------------------------------------ what is seen of it */

static void list(Jobs *jobs, const char *text)
{
	if (jobs->options->json || jobs->listed < SHOW_MAX)
		puts(text);
	else if (jobs->listed == SHOW_MAX)
		puts("...");
	jobs->listed++;
}

static void progress(Jobs *jobs)
{
	static const char full[] = "==============================", none[] = "                              ";
	guint64 count = jobs->options->count, total = inputs_count(jobs->order.files) * count, done = jobs->done * count;
	int bar = done * (sizeof(full) - 1) / total;
	gint64 now = g_get_monotonic_time(), left;
	double rate;

	/* What an earlier run has sealed goes by quickly, and says nothing of what is left. */
	if (now - jobs->marks[1].at >= WINDOW) {
		jobs->marks[0] = jobs->marks[1];
		jobs->marks[1].at = now;
		jobs->marks[1].done = jobs->done;
	}
	rate = (jobs->done - jobs->marks[0].done) * count * 1e6 / MAX(now - jobs->marks[0].at, 1);
	if (!isatty(STDERR_FILENO) || !done || rate <= 0)
		return;
	left = (total - done) / rate;
	fprintf(stderr, "\r[%.*s%s] %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " packages, %.0f a second, %" G_GINT64_FORMAT
		":%02d:%02d left \033[K", bar, full, none + bar, done, total, rate, left / 3600, (int)(left / 60 % 60),
		(int)(left % 60));
}

static BindCounts add_up(Jobs *jobs)
{
	BindCounts sum = {};

	for (guint i = 0; i < jobs->workers->len; i++) {
		const BindCounts *c = &g_array_index(jobs->workers, Worker, i).counts;

		sum.sealed += c->sealed;
		sum.again += c->again;
		sum.elsewhere += c->elsewhere;
		sum.abroad += c->abroad;
		if (!sum.exit_code)
			sum.exit_code = c->exit_code;
	}
	if (sum.elsewhere && !sum.exit_code)
		sum.exit_code = IFPP_EXIT_BUSY;
	return sum;
}

static void summary(Jobs *jobs, const BindCounts *c)
{
	const BindOptions *o = jobs->options;

	if (o->json)
		return;
	printf("%" G_GUINT64_FORMAT " packages in %s: %" G_GUINT64_FORMAT " sealed now, %" G_GUINT64_FORMAT " from before\n",
	       c->sealed + c->again, o->out ? o->out : jobs->order.home->dir, c->sealed, c->again);
	if (c->abroad)
		fprintf(stderr,
			"ifpp-smdpf: %" G_GUINT64_FORMAT " more packages were sealed on another host, and are in its home.\n",
			c->abroad);
	if (c->elsewhere)
		fprintf(stderr,
			"ifpp-smdpf: %" G_GUINT64_FORMAT " more packages are being sealed by another process. "
			"Run this again when it is done.\n",
			c->elsewhere);
}

/* ------------------------------------------------------------ handing out */

static void keep_error(Jobs *jobs, GError *error)
{
	if (jobs->error)
		g_error_free(error);
	else
		jobs->error = error;
}

/* One more begins when the first has shown that PIN, key and ledger are right: a wrong PIN is tried once. */
static void add_workers(Jobs *jobs)
{
	guint cores = jobs->options->jobs ? (guint)jobs->options->jobs : g_get_num_processors();
	guint ranges = (inputs_count(jobs->order.files) + jobs->batch - 1) / jobs->batch, want = MIN(MIN(cores, ranges), JOBS_MAX);

	while (jobs->workers->len < want && add_worker(jobs))
		;
}

static gboolean give_range(Jobs *jobs, Worker *worker)
{
	guint all = inputs_count(jobs->order.files);
	Range range = { jobs->next, MIN(jobs->next + jobs->batch, all) };

	jobs->done += worker->chips;
	worker->chips = 0;
	if (jobs->error || jobs->next == all)
		return FALSE;
	worker->chips = range.to - range.from;
	jobs->next = range.to;
	return send(worker->fd, &range, sizeof(range), MSG_NOSIGNAL) == sizeof(range);
}

static void take_error(Jobs *jobs, Worker *worker, const char *line)
{
	g_autofree char *text = NULL;
	char *rest;
	int code = strtol(line, &rest, 10);

	text = g_strcompress(*rest ? rest + 1 : rest);
	/* A token that has no session for one more has one for the first: it does all. */
	if (code != IFPP_ERROR_TOKEN || worker->ready || jobs->workers->len == 1)
		keep_error(jobs, g_error_new_literal(IFPP_ERROR, code, text));
	worker->chips = 0;
	worker->ready = TRUE;
}

static void take_line(Jobs *jobs, guint number, const char *line)
{
	Worker *worker = &g_array_index(jobs->workers, Worker, number);
	BindCounts *c = &worker->counts;

	if (line[0] == 'P') {
		list(jobs, line + 1);
	} else if (line[0] == 'E') {
		take_error(jobs, worker, line + 1);
	} else if (line[0] == 'T') {
		pool_refuse(jobs->order.home, line + 1);
	} else if (sscanf(line, "R%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %d",
			  &c->sealed, &c->again, &c->elsewhere, &c->abroad, &c->exit_code) == 5) {
		worker->ready = TRUE;
		if (!give_range(jobs, worker))
			shutdown(worker->fd, SHUT_WR);
		progress(jobs);
		/* moves the workers */
		if (number == 0)
			add_workers(jobs);
	}
}

/* What it had in hand when it ended before its word is not known to be sealed: the order says so, and is finished by another run. */
static void ended(Jobs *jobs, Worker *worker)
{
	gboolean whole = !worker->chips || worker->unwanted;
	int status = 0;

	close(worker->fd);
	worker->fd = -1;
	while (waitpid(worker->pid, &status, 0) < 0) {
		if (errno != EINTR) {
			ifpp_file_error("a worker", NULL, jobs->error ? NULL : &jobs->error);
			return;
		}
	}
	if (WIFSIGNALED(status) && !worker->unwanted)
		keep_error(jobs, g_error_new(IFPP_ERROR, IFPP_ERROR_INTERNAL, "a worker was ended by signal %d; run this again",
					     WTERMSIG(status)));
	else if (!WIFSIGNALED(status) && (WEXITSTATUS(status) || !whole))
		keep_error(jobs, g_error_new(IFPP_ERROR, IFPP_ERROR_INTERNAL, "a worker ended with status %d; run this again",
					     WEXITSTATUS(status)));
}

static void take(Jobs *jobs, guint number)
{
	Worker *worker = &g_array_index(jobs->workers, Worker, number);
	char buf[16384];
	gssize n = read(worker->fd, buf, sizeof(buf));
	char *end;

	if (n <= 0) {
		if (n == 0 || errno != EINTR)
			ended(jobs, worker);
		return;
	}
	g_string_append_len(worker->in, buf, n);
	while ((end = strchr(g_array_index(jobs->workers, Worker, number).in->str, '\n'))) {
		GString *in = g_array_index(jobs->workers, Worker, number).in;
		gsize len = end - in->str;
		g_autofree char *line = g_strndup(in->str, len);

		g_string_erase(in, 0, len + 1);
		take_line(jobs, number, line);
	}
}

static gboolean wait_for_workers(Jobs *jobs)
{
	struct pollfd fds[JOBS_MAX];
	guint running = 0, n = jobs->workers->len, idle = 0;

	for (guint i = 0; i < n; i++) {
		Worker *worker = &g_array_index(jobs->workers, Worker, i);

		fds[i] = (struct pollfd){ .fd = worker->fd, .events = POLLIN };
		running += worker->fd >= 0;
		idle += worker->fd >= 0 && !worker->ready;
	}
	/* Nothing is left for those that have not begun. */
	for (guint i = 0; running == idle && n > 1 && i < n; i++) {
		if (fds[i].fd < 0)
			continue;
		g_array_index(jobs->workers, Worker, i).unwanted = TRUE;
		kill(g_array_index(jobs->workers, Worker, i).pid, SIGTERM);
	}
	if (!running)
		return FALSE;
	if (poll(fds, n, -1) < 0)
		return errno == EINTR;
	for (guint i = 0; i < n; i++)
		if (fds[i].fd >= 0 && fds[i].revents)
			take(jobs, i);
	return TRUE;
}

/* ------------------------------------------------------------ the order */

/* The same profiles, metadata and mode are the same order, wherever they lie. */
static gboolean name_order(BindOrder *order, GError **error)
{
	static const guint8 unknown[10];
	const BindOptions *o = order->options;
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree char *text = NULL;
	guint8 digest[32];
	gsize len = sizeof(digest);

	text = g_strdup_printf("%s\n%s\n%s\n%d\n%d\n", o->order ? o->order : "", o->spn,
			       o->profile_name ? o->profile_name : "", o->class, o->session_keys);
	g_checksum_update(sum, (const guint8 *)text, -1);
	if (o->metadata) {
		g_checksum_update(sum, o->metadata->icon->data, o->metadata->icon->len);
		g_checksum_update(sum, o->metadata->rest->data, o->metadata->rest->len);
	}
	for (guint i = 0; order->profiles && i < inputs_count(order->profiles); i++) {
		g_autofree char *path = inputs_path(order->profiles, i);
		g_autoptr(GBytes) file = ifpp_file_read(path, 2 * IFPP_PACKAGE_MAX, error);
		g_autofree char *name = NULL;
		guint8 version[2] = {};
		IfppSpan span;

		if (!file)
			return FALSE;
		span = ifpp_span_bytes(file);
		g_checksum_update(sum, span.data, span.len);
		g_byte_array_append(order->iccids, unknown, sizeof(unknown));
		profile_glance(span, order->iccids->data + 10 * i, &name, version);
		kinds_add(order->kinds, name, version);
		if (!order->profile)
			order->profile = g_steal_pointer(&name);
		gnutls_memset((guint8 *)span.data, 0, span.len);
	}
	if (!order->profiles)
		kinds_add(order->kinds, PROFILE_BUILTIN_TYPE, (const guint8[]){ 2, 3 });
	kinds_sort(order->kinds);
	if (!order->profile)
		order->profile = g_strdup(order->profiles ? "" : PROFILE_BUILTIN_TYPE);
	g_checksum_get_digest(sum, digest, &len);
	memcpy(order->id, digest, sizeof(order->id));
	return TRUE;
}

static gboolean prepare(BindOrder *order, GError **error)
{
	const BindOptions *o = order->options;

	if (o->rules && !(order->rules = rules_load(o->rules, error)))
		return FALSE;
	order->kinds = kinds_new(order->rules);
	order->files = inputs_open(o->euicc, ".euicc", ".euicc", error);
	if (!order->files)
		return FALSE;
	order->devices = devices_new();
	for (guint i = 0; o->euicc[i]; i++)
		if (g_file_test(o->euicc[i], G_FILE_TEST_IS_DIR) && !devices_load(order->devices, o->euicc[i], error))
			return FALSE;
	if (o->upp || o->protected) {
		order->profiles = o->protected ? inputs_open(o->protected, ".ppp", ".ppp", error) :
						 inputs_open(o->upp, ".der", ".upp", error);
		if (!order->profiles)
			return FALSE;
	}
	if (!name_order(order, error))
		return FALSE;
	if (o->assign)
		order->assignments = assign_load(o->assign, order->files, order->iccids, error);
	return !o->assign || order->assignments;
}

gboolean jobs_seal(Home *home, const BindOptions *options, int *exit_code, GError **error)
{
	Jobs jobs = { .order = { .home = home, .options = options }, .options = options };
	BindCounts counts;
	gboolean ok;

	jobs.batch = MAX(1, BIND_BATCH / options->count);
	jobs.workers = g_array_new(FALSE, FALSE, sizeof(Worker));
	jobs.order.iccids = g_byte_array_new();
	jobs.marks[0].at = jobs.marks[1].at = g_get_monotonic_time();
	ok = prepare(&jobs.order, error);
	if (ok && add_worker(&jobs))
		while (wait_for_workers(&jobs))
			;
	if (ok && isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	counts = add_up(&jobs);
	*exit_code = counts.exit_code;
	if (jobs.error) {
		g_propagate_error(error, jobs.error);
		ok = FALSE;
	} else if (ok) {
		summary(&jobs, &counts);
	}
	for (guint i = 0; i < jobs.workers->len; i++)
		g_string_free(g_array_index(jobs.workers, Worker, i).in, TRUE);
	g_array_unref(jobs.workers);
	inputs_free(jobs.order.files);
	inputs_free(jobs.order.profiles);
	g_byte_array_unref(jobs.order.iccids);
	g_free(jobs.order.profile);
	kinds_free(jobs.order.kinds);
	devices_free(jobs.order.devices);
	rules_free(jobs.order.rules);
	assign_free(jobs.order.assignments);
	return ok;
}
