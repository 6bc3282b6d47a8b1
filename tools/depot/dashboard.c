// SPDX-License-Identifier: GPL-2.0-or-later
#include "dashboard.h"

#include <metrics.h>

#include "listen.h"
#include "tell.h"
#include "web-files.h"

#define RESOURCES "/ifpp/depot/web/"

static const struct {
	const char *path, *file, *type;
} files[] = {
	{ "/", "index.html", "text/html; charset=utf-8" },
	{ "/dashboard.css", "dashboard.css", "text/css; charset=utf-8" },
	{ "/dashboard.js", "dashboard.js", "text/javascript; charset=utf-8" },
	{ "/icon.svg", "icon.svg", "image/svg+xml" },
};

GBytes *dashboard_file(const char *name, GError **error)
{
	static gsize known;
	g_autofree char *path = g_strconcat(RESOURCES, name, NULL);

	if (g_once_init_enter(&known)) {
		web_files_register_resource();
		g_once_init_leave(&known, 1);
	}
	return g_resources_lookup_data(path, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
}

void dashboard_metrics(Snapshot *snapshot, WebAnswer *answer)
{
	GString *out = g_string_new(NULL);

	snapshot_tell(snapshot, tell_metrics, out);
	web_text(answer, IFPP_METRICS_TYPE, g_string_free(out, FALSE));
}

static void figures(Snapshot *snapshot, WebAnswer *answer)
{
	JsonBuilder *b = answer_new();

	snapshot_tell(snapshot, tell_json, b);
	answer_json(&answer->answer, 200, b);
}

static gboolean handle(WebRequest *request, WebAnswer *answer, gpointer user, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		if (g_str_equal(request->path, files[i].path)) {
			answer->answer.body = dashboard_file(files[i].file, error);
			if (!answer->answer.body)
				return FALSE;
			answer->type = files[i].type;
			answer->answer.status = 200;
			answer->answer.len = g_bytes_get_size(answer->answer.body);
			return TRUE;
		}
	}
	if (g_str_equal(request->path, "/figures.json"))
		figures(user, answer);
	else if (g_str_equal(request->path, "/metrics"))
		dashboard_metrics(user, answer);
	else
		web_refuse(answer, 404, "unknown", "there is no such thing here", "The dashboard is at /, Prometheus' figures at /metrics");
	return TRUE;
}

Web *dashboard_start(const char *address, Snapshot *snapshot, AccessLog *log, GError **error)
{
	const WebOptions options = { .name = "dashboard", .local_names = TRUE, .log = log, .handle = handle, .user = snapshot };
	int fd = listen_on("--dashboard", address, error);

	return fd < 0 ? NULL : web_start(fd, NULL, &options, error);
}
