// SPDX-License-Identifier: GPL-2.0-or-later
#include "station.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include "eid.h"

#define PIN "1234"

char *station_program(const char *name)
{
	static const struct { const char *name, *path; } programs[] = {
		{ "ifpp-eum", "tools/eum" },
		{ "ifpp-smdpf", "tools/smdpf" },
		{ "ifpp-vmodem", "tools/vmodem" },
		{ "ifppd", "daemon" },
		{ "ifppctl", "tools/ifppctl" },
	};
	const char *build = g_getenv("IFPP_BUILD");

	for (guint i = 0; build && i < G_N_ELEMENTS(programs); i++) {
		if (!strcmp(programs[i].name, name))
			return g_build_filename(build, programs[i].path, name, NULL);
	}
	return g_strdup(name);
}

static int run_argv(char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *out = NULL;
	g_autofree char *err = NULL;
	int status;

	g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
	g_assert_no_error(error);
	if (status && g_test_verbose())
		g_printerr("%s %s: %s%s", argv[0], argv[1], out, err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

GPtrArray *station_argv(const char *program, va_list args)
{
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	const char *arg;

	g_ptr_array_add(argv, station_program(program));
	while ((arg = va_arg(args, const char *)))
		g_ptr_array_add(argv, g_strdup(arg));
	g_ptr_array_add(argv, NULL);
	return argv;
}

int station_run(const char *program, ...)
{
	g_autoptr(GPtrArray) argv = NULL;
	va_list args;

	va_start(args, program);
	argv = station_argv(program, args);
	va_end(args);
	return run_argv((char **)argv->pdata);
}

void station_remove(const char *path)
{
	g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		station_remove(child);
	}
	g_remove(path);
}

void station_copy(const char *from, const char *to)
{
	g_autofree char *data = NULL;
	gsize len;

	g_assert_true(g_file_get_contents(from, &data, &len, NULL));
	g_assert_true(g_file_set_contents(to, data, len, NULL));
}

World *world_new(void)
{
	return world_of("O");
}

World *world_of(const char *variant)
{
	World *world = g_new0(World, 1);
	g_autofree char *conf = NULL;
	g_autofree char *tokens = NULL;
	g_autofree char *text = NULL;
	g_autofree char *ci = NULL;
	g_autofree char *cert = NULL;
	g_autofree char *pub = NULL;
	g_autofree char *copied = NULL;

	world->dir = g_dir_make_tmp("ifpp-XXXXXX", NULL);
	world->pki = g_build_filename(world->dir, "pki", NULL);
	world->trust = g_build_filename(world->dir, "trust", NULL);
	world->home = g_build_filename(world->dir, "vault", NULL);
	world->pin = g_build_filename(world->dir, "pin", NULL);
	tokens = g_build_filename(world->dir, "tokens", NULL);
	conf = g_build_filename(world->dir, "softhsm2.conf", NULL);
	ci = g_build_filename(world->pki, "ci.pem", NULL);
	cert = g_build_filename(world->dir, "dppb.pem", NULL);
	pub = g_build_filename(world->home, "dppb.pub.pem", NULL);
	text = g_strdup_printf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
			       tokens);
	g_assert_cmpint(g_mkdir(tokens, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(world->trust, 0700), ==, 0);
	g_assert_true(g_file_set_contents(conf, text, -1, NULL));
	g_assert_true(g_file_set_contents(world->pin, PIN "\n", -1, NULL));
	world->conf = g_strdup(conf);
	g_setenv("SOFTHSM2_CONF", conf, TRUE);
	g_setenv("G_DEBUG", "fatal-criticals", TRUE);	/* in our programs */

	g_assert_cmpint(station_run("softhsm2-util", "--init-token", "--free", "--label", "ifpp", "--pin",
				    PIN, "--so-pin", PIN, NULL),
			==, 0);
	g_assert_cmpint(station_run("ifpp-eum", "pki", "init", world->pki, "--variant", variant, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "init", "--home", world->home, "--key",
				  "pkcs11:token=ifpp;object=dppb", "--pin-file", world->pin, NULL), ==, 0);
	g_assert_cmpint(
		station_run("ifpp-eum", "pki", "dppb", world->pki, "--public-key", pub, "--out", cert, NULL),
		==, 0);
	g_assert_cmpint(
		station_run("ifpp-smdpf", "certificate", "--home", world->home, cert, "--ci", ci, NULL), ==,
		0);
	copied = g_build_filename(world->trust, "ci.pem", NULL);
	station_copy(ci, copied);
	return world;
}

void world_free(World *world)
{
	station_remove(world->dir);
	g_free(world->dir);
	g_free(world->pki);
	g_free(world->trust);
	g_free(world->home);
	g_free(world->pin);
	g_free(world->conf);
	g_free(world);
}

Station *station_bare(World *world, const char *name, const char *eid)
{
	Station *station = g_new0(Station, 1);

	station->world = world;
	station->trust = world->trust;
	station->protocol = world->protocol;
	station->timeout = "20";	/* longer than a busy machine takes */
	g_strlcpy(station->eid, eid, sizeof(station->eid));
	station->dir = g_build_filename(world->dir, name, NULL);
	station->chip = g_build_filename(station->dir, "chip", NULL);
	station->data = g_build_filename(station->dir, "chip.euicc", NULL);
	station->packages = g_build_filename(station->dir, "packages", NULL);
	station->state = g_build_filename(station->dir, "state", NULL);
	station->socket = g_build_filename(station->dir, "qmux_socket", NULL);
	station->control = g_build_filename(station->dir, "control", NULL);
	station->relay = g_build_filename(station->dir, "relay", NULL);
	station->log = g_build_filename(station->dir, "log", NULL);
	g_assert_cmpint(g_mkdir(station->dir, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(station->packages, 0700), ==, 0);
	g_assert_cmpint(g_mkdir(station->state, 0700), ==, 0);
	station->sim = relay_sim_new(station->relay);
	station->exits = g_array_new(FALSE, FALSE, sizeof(int));
	return station;
}

Station *station_new(World *world, guint keys)
{
	g_autofree char *count = g_strdup_printf("%u", keys);
	g_autofree char *name = g_strdup_printf("%u", ++world->chips);
	char eid[33];
	Station *station;

	g_snprintf(eid, sizeof(eid), "89049032%022u00", world->chips);
	ifpp_eid_check_digits(eid);
	station = station_bare(world, name, eid);
	g_assert_cmpint(station_run("ifpp-eum", "personalise", "--pki", world->pki, "--eid", eid, "--keys",
				    count, "--chip", station->chip, "--data", station->data, world->iot ? "--iot" : NULL, NULL),
			==, 0);
	return station;
}

Station *station_clone(Station *from)
{
	g_autofree char *name = g_strdup_printf("clone-%d", getpid());
	Station *station = station_bare(from->world, name, from->eid);

	station_copy(from->chip, station->chip);
	return station;
}

static void show_log(Station *station)
{
	g_autofree char *text = NULL;

	if (!station->quiet && g_test_verbose() && g_file_get_contents(station->log, &text, NULL, NULL))
		g_printerr("%s", text);
}

/* Whatever a test is about: no daemon of it may crash. */
static void nobody_crashed(Station *station)
{
	for (guint i = 0; i < station->exits->len; i++) {
		int sig = g_array_index(station->exits, int, i) - 256;

		g_assert_false(sig == SIGSEGV || sig == SIGABRT || sig == SIGBUS || sig == SIGFPE || sig == SIGILL);
	}
}

void station_free(Station *station)
{
	station_daemon_kill(station);
	station_modem_stop(station);
	relay_sim_free(station->sim);
	show_log(station);
	nobody_crashed(station);
	g_array_unref(station->exits);
	station_remove(station->dir);
	g_free(station->dir);
	g_free(station->chip);
	g_free(station->data);
	g_free(station->packages);
	g_free(station->state);
	g_free(station->socket);
	g_free(station->control);
	g_free(station->relay);
	g_free(station->log);
	g_free(station->options);
	g_free(station);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char **)a, *(const char **)b);
}

/* Operational profiles: the built-in template with a subscriber of the chip's number in each. */
static char *subscribers(Station *station, guint count)
{
	g_autofree char *template = g_build_filename(station->dir, "template.der", NULL);
	g_autofree char *records = g_build_filename(station->dir, "records.csv", NULL);
	g_autoptr(GString) csv = g_string_new("ICCID,IMSI,Ki,OPc\n");
	char *out = g_build_filename(station->dir, "profiles", NULL);

	for (guint i = 0; i < count; i++) {
		g_autofree char *body = g_strdup_printf("89999%.10s%04u", station->eid + 20, i);
		g_autofree char *name = g_strdup_printf("%s %u", station->eid, i);
		g_autofree char *keys = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);

		g_string_append_printf(csv, "%s%c,99970%.8s%02u,%.32s,%.32s\n", body, ifpp_luhn(body), station->eid + 22, i,
				       keys, keys + 32);
	}
	g_assert_true(g_file_set_contents(records, csv->str, csv->len, NULL));
	g_assert_cmpint(station_run("ifpp-smdpf", "profile", "minimal", "--out", template, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "profile", "build", "--template", template, "--records", records, "--out",
				    out, NULL), ==, 0);
	return out;
}

GPtrArray *station_seal(Station *station, guint count)
{
	GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *n = g_strdup_printf("%u", count);
	const char *given = g_getenv("IFPP_UPP");	/* another profile than the built-in template */
	g_autofree char *upp = given ? g_strdup(given) : subscribers(station, count);
	g_autoptr(GDir) dir = NULL;
	const char *name;

	g_setenv("SOFTHSM2_CONF", station->world->conf, TRUE);
	g_assert_cmpint(station_run("ifpp-smdpf", "seal", "--home", station->world->home, "--pin-file",
				    station->world->pin, "--euicc", station->data, "--count", n, "--out",
				    station->packages, "--upp", upp, given ? "--class" : NULL, "test", NULL), ==, 0);
	dir = g_dir_open(station->packages, 0, NULL);
	g_assert_nonnull(dir);
	while ((name = g_dir_read_name(dir))) {
		if (g_str_has_suffix(name, ".ifpp"))
			g_ptr_array_add(names, g_build_filename(station->packages, name, NULL));
	}
	g_ptr_array_sort(names, compare_names);
	g_assert_cmpuint(names->len, ==, count);
	for (guint i = 0; i < names->len; i++) {
		char *data;
		gsize len;

		g_assert_true(g_file_get_contents(names->pdata[i], &data, &len, NULL));
		g_ptr_array_add(out, g_bytes_new_take(data, len));
	}
	return out;
}

/* ------------------------------------------------------------- processes */

static GPid spawn(Station *station, char **argv)
{
	g_autoptr(GError) error = NULL;
	FILE *log = fopen(station->log, "a");
	GPid pid;

	g_assert_nonnull(log);
	g_spawn_async_with_fds(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, -1, fileno(log),
			       fileno(log), &error);
	fclose(log);
	g_assert_no_error(error);
	return pid;
}

static int wait_exit(GPid *pid, guint timeout_ms)
{
	int fd = syscall(SYS_pidfd_open, *pid, 0);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int status, n;

	g_assert_cmpint(fd, >=, 0);
	do {
		n = poll(&pfd, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	close(fd);
	if (n != 1)
		return -1;
	g_assert_cmpint(waitpid(*pid, &status, 0), ==, *pid);
	*pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

void station_modem_start(Station *station)
{
	g_autofree char *program = station_program("ifpp-vmodem");
	g_auto(GStrv) options = g_strsplit(station->modem_options ? station->modem_options : "", " ", -1);
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	int fd = -1;

	g_ptr_array_add(argv, program);
	g_ptr_array_add(argv, (char *)"--chip");
	g_ptr_array_add(argv, station->chip);
	g_ptr_array_add(argv, (char *)(station->protocol ? "--pty" : "--socket"));
	g_ptr_array_add(argv, station->socket);
	g_ptr_array_add(argv, (char *)"--protocol");
	g_ptr_array_add(argv, (char *)(station->protocol ? station->protocol : "qmi"));
	g_ptr_array_add(argv, (char *)"--control");
	g_ptr_array_add(argv, station->control);
	for (guint i = 0; options[i]; i++)
		g_ptr_array_add(argv, options[i]);
	g_ptr_array_add(argv, NULL);
	g_unlink(station->socket);
	g_unlink(station->control);
	station->modem = spawn(station, (char **)argv->pdata);
	for (guint i = 0; fd < 0 && i < STATION_WAIT_MS / 10; i++) {
		g_usleep(10000);
		fd = g_file_test(station->socket, G_FILE_TEST_EXISTS) ? connect_to(station->control) : -1;
	}
	g_assert_cmpint(fd, >=, 0);
	close(fd);
}

void station_modem_stop(Station *station)
{
	if (!station->modem)
		return;
	kill(station->modem, SIGKILL);
	wait_exit(&station->modem, STATION_WAIT_MS);
}

int station_modem_quit(Station *station)
{
	kill(station->modem, SIGTERM);
	return wait_exit(&station->modem, STATION_WAIT_MS);
}

void station_daemon_start(Station *station)
{
	g_autofree char *program = station->ifppd ? g_strdup(station->ifppd) : station_program("ifppd");
	char *argv[] = { program,
			 (char *)"--device",
			 station->socket,
			 (char *)"--relay",
			 station->relay,
			 (char *)"--trust",
			 (char *)station->trust,
			 (char *)"--state-dir",
			 station->state,
			 (char *)"--timeout",
			 (char *)station->timeout,
			 (char *)"--linger",
			 (char *)"0",
			 (char *)"--protocol",
			 (char *)(station->protocol ? "mbim" : "auto"),
			 NULL, NULL, NULL, NULL };
	guint n = G_N_ELEMENTS(argv) - 4;

	if (station->proxy)
		argv[n++] = (char *)"--proxy";
	if (station->policy) {
		argv[n++] = (char *)"--policy";
		argv[n++] = (char *)station->policy;
	}
	g_assert_cmpint(station->daemon, ==, 0);
	station->daemon = spawn(station, argv);
}

void station_daemon_up(Station *station)
{
	int err;

	station_daemon_start(station);
	err = relay_sim_attach_of(station->sim, NULL, STATION_WAIT_MS);
	if (err)
		show_log(station);
	g_assert_cmpint(err, ==, 0);
}

int station_daemon_wait(Station *station, guint timeout_ms)
{
	int code = wait_exit(&station->daemon, timeout_ms);

	if (!station->daemon) {
		relay_sim_hangup(station->sim);
		g_array_append_val(station->exits, code);
	}
	return code;
}

int station_daemon_stop(Station *station)
{
	kill(station->daemon, SIGTERM);
	return station_daemon_wait(station, STATION_WAIT_MS);
}

void station_daemon_kill(Station *station)
{
	if (!station->daemon)
		return;
	kill(station->daemon, SIGKILL);
	station_daemon_wait(station, STATION_WAIT_MS);
}

/* --------------------------------------------------------------- control */

char *station_control(Station *station, const char *line)
{
	g_autofree char *text = g_strdup_printf("%s\n", line);
	g_autoptr(GString) answer = g_string_new(NULL);
	int fd = connect_to(station->control);
	char buf[512];
	ssize_t n;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
	while (!strchr(answer->str, '\n') && (n = read(fd, buf, sizeof(buf))) > 0)
		g_string_append_len(answer, buf, n);
	close(fd);
	return g_string_free(g_steal_pointer(&answer), FALSE);
}

gint64 station_stat(Station *station, const char *name)
{
	g_autofree char *text = station_control(station, "stats");
	g_autoptr(JsonNode) node = json_from_string(text, NULL);

	g_assert_nonnull(node);
	g_assert_true(json_object_has_member(json_node_get_object(node), name));
	return json_object_get_int_member(json_node_get_object(node), name);
}

const char *station_messages(Station *station)
{
	return station->protocol ? "mbim_messages" : "requests";
}

const char *station_place(Station *station)
{
	return station->protocol ? "mbim" : "qmi";
}

guint station_outbox(Station *station, const char *suffix)
{
	g_autofree char *path = g_build_filename(station->state, "outbox", station->eid, NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	guint n = 0;

	while (dir && (name = g_dir_read_name(dir)))
		n += g_str_has_suffix(name, suffix);
	return n;
}

char *station_report(Station *station)
{
	g_autofree char *file = g_build_filename(station->dir, "report.json", NULL);
	g_autofree char *outbox = g_build_filename(station->state, "outbox", NULL);
	char *text = NULL;

	g_assert_cmpint(station_run("ifppctl", "report", "--outbox", outbox, "--output", file, NULL), ==, 0);
	g_assert_cmpint(station_run("ifpp-smdpf", "verify-report", "--home", station->world->home, file, NULL), ==, 0);
	g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
	return text;
}

int station_request(Station *station, guint32 type, GBytes *data, RelaySimResult *result)
{
	gsize len = 0;
	const void *bytes = data ? g_bytes_get_data(data, &len) : NULL;
	int err;

	memset(result, 0, sizeof(*result));
	err = relay_sim_submit(station->sim, type, bytes, len, STATION_WAIT_MS);
	if (!err)
		err = relay_sim_wait(station->sim, result, STATION_WAIT_MS);
	if (err)
		return err;
	return result->status;
}

/* ----------------------------------------------------------------- steps */

void station_up(Station *station, guint n_packages, GPtrArray **packages)
{
	if (n_packages)
		*packages = station_seal(station, n_packages);
	station_modem_start(station);
	station_daemon_up(station);
}

Station *station_begin(World *world, guint keys, guint n_packages, GPtrArray **packages)
{
	Station *station = station_new(world, keys);

	station_up(station, n_packages, packages);
	return station;
}

void station_fault(Station *station, const char *format, ...)
{
	g_autofree char *text = NULL, *line = NULL, *answer = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	line = g_strconcat("fault ", text, NULL);
	answer = station_control(station, line);
	g_assert_null(strstr(answer, "error"));
}

int station_load(Station *station, GBytes *package, guint *reason, guint *apdus)
{
	RelaySimResult result;
	int status = station_request(station, IFPP_REQ_LOAD, package, &result);

	if (reason)
		*reason = result.reply.reason;
	if (apdus)
		*apdus = result.reply.apdus;
	relay_sim_result_clear(&result);
	return status;
}

void station_submit(Station *station, GBytes *package)
{
	gsize len;
	const void *data = g_bytes_get_data(package, &len);

	g_assert_cmpint(relay_sim_submit(station->sim, IFPP_REQ_LOAD, data, len, STATION_WAIT_MS), ==, 0);
}

void station_until(Station *station, const char *stat, gint64 value)
{
	for (guint i = 0; station_stat(station, stat) < value; i++) {
		g_assert_cmpuint(i, <, STATION_WAIT_MS / 2);
		g_usleep(2000);
	}
}
