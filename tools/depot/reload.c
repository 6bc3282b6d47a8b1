// SPDX-License-Identifier: GPL-2.0-or-later
#include "reload.h"

#include <string.h>
#include <sys/stat.h>

#include "depot-error.h"

#define REMIND_US ((gint64)24 * 3600 * G_USEC_PER_SEC)
#define AGAIN_US (10 * G_USEC_PER_SEC)

enum { CERTIFICATES, CI_ROOTS, N_KINDS };

struct _Reload {
	const TlsFiles *files;
	const char *dir;
	void (*tell)(const char *line);
	Tls *tls;
	IfppTrust *trust;		/* each thread that uses one has its own */
	char *stamp, *changing;		/* of what was read last; of what is not read yet, as it may be in the middle of a change */
	gint64 tried, reminded;
	GMutex lock;			/* of what follows */
	char *trouble[N_KINDS];
	gint64 since, at;
};

/* ------------------------------------------------------------ have they changed? */

static void add_stamp(GString *stamp, const char *path)
{
	struct stat st;

	if (path && stat(path, &st) == 0)
		g_string_append_printf(stamp, "%" G_GUINT64_FORMAT ":%" G_GINT64_FORMAT ".%ld:%" G_GINT64_FORMAT " ",
				       (guint64)st.st_ino, (gint64)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (gint64)st.st_size);
	else
		g_string_append(stamp, "- ");
}

/* Of the certificates' files, and of all files in the directory of CI roots. */
static char *stamp_of(const Reload *reload)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	GString *stamp = g_string_new(NULL);
	g_autoptr(GDir) dir = g_dir_open(reload->dir, 0, NULL);
	const char *name;

	add_stamp(stamp, reload->files->cert);
	add_stamp(stamp, reload->files->key);
	add_stamp(stamp, reload->files->client_ca);
	add_stamp(stamp, reload->files->client_crl);
	while (dir && (name = g_dir_read_name(dir)))
		g_ptr_array_add(names, g_build_filename(reload->dir, name, NULL));
	g_ptr_array_sort_values(names, (GCompareFunc)strcmp);
	for (guint i = 0; i < names->len; i++)
		add_stamp(stamp, names->pdata[i]);
	return g_string_free(stamp, FALSE);
}

/* ------------------------------------------------------------ what is wrong with them? */

/* @known: what was wrong before and is left out, or NULL. NULL: nothing. */
static char *problems_of(IfppTrust *trust, IfppTrust *known)
{
	GPtrArray *problems = ifpp_trust_problems(trust), *before = known ? ifpp_trust_problems(known) : NULL;
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < problems->len; i++)
		if (!before || !g_ptr_array_find_with_equal_func(before, problems->pdata[i], g_str_equal, NULL))
			g_string_append_printf(text, "%s%s", text->len ? "; " : "", (const char *)problems->pdata[i]);
	return g_string_free(text, !text->len);
}

/* NULL: something is wrong that was not wrong before. */
static IfppTrust *read_trust(const char *dir, IfppTrust *known, GError **error)
{
	g_autoptr(IfppTrust) trust = ifpp_trust_new_from_dir(dir, error);
	g_autofree char *why = trust ? problems_of(trust, known) : NULL;

	if (why)
		g_set_error_literal(error, DEPOT_ERROR, DEPOT_ERROR_FILES, why);
	return why ? NULL : g_steal_pointer(&trust);
}

gboolean reload_trust(IfppTrust **trust, const char *dir, GError **error)
{
	IfppTrust *read = read_trust(dir, *trust, error);

	if (!read)
		return FALSE;
	ifpp_trust_free(*trust);
	*trust = read;
	return TRUE;
}

/* @why: NULL: nothing is wrong any more. Takes it. */
static void set_trouble(Reload *reload, guint kind, char *why)
{
	gint64 now = g_get_real_time() / 1000;

	g_mutex_lock(&reload->lock);
	g_free(reload->trouble[kind]);
	reload->trouble[kind] = why;
	if (!reload->trouble[CERTIFICATES] && !reload->trouble[CI_ROOTS]) {
		reload->since = 0;
		reload->at = now;
	} else if (!reload->since) {
		reload->since = now;
	}
	g_mutex_unlock(&reload->lock);
}

static void remind(Reload *reload)
{
	gint64 now = g_get_monotonic_time();

	if (now - reload->reminded < REMIND_US)
		return;
	reload->reminded = now;
	tls_warn(reload->tls, reload->tell);
	for (guint kind = 0; kind < N_KINDS; kind++)
		if (reload->trouble[kind])
			reload->tell(reload->trouble[kind]);
}

/* ------------------------------------------------------------ reading */

/* @why: as set_trouble() */
static void note(Reload *reload, guint kind, char *why, gboolean asked)
{
	gboolean news = why && (asked || g_strcmp0(reload->trouble[kind], why));

	set_trouble(reload, kind, why);
	if (news)
		reload->tell(why);
}

static char *kept(const GError *why, const char *what)
{
	return g_strdup_printf("%s; the %s from before stay in use", why->message, what);
}

/* @which: RELOAD_ bits */
static guint read_again(Reload *reload, guint which, const char *stamp, gboolean asked)
{
	g_autoptr(GError) no_tls = NULL, no_trust = NULL;
	g_autoptr(Tls) tls = which & RELOAD_CERTIFICATES ? tls_load(reload->files, &no_tls) : NULL;
	g_autoptr(IfppTrust) trust = which & RELOAD_CI_ROOTS ? read_trust(reload->dir, reload->trust, &no_trust) : NULL;
	g_autofree char *after = stamp_of(reload);

	reload->tried = g_get_monotonic_time();
	/* They were written to meanwhile: nothing of it counts. */
	if (!g_str_equal(after, stamp)) {
		g_free(reload->changing);
		reload->changing = g_steal_pointer(&after);
		return 0;
	}
	g_free(reload->stamp);
	reload->stamp = g_steal_pointer(&after);
	if (which & RELOAD_CERTIFICATES)
		note(reload, CERTIFICATES, tls ? NULL : kept(no_tls, "certificates"), asked);
	if (which & RELOAD_CI_ROOTS)
		note(reload, CI_ROOTS, trust ? problems_of(trust, NULL) : kept(no_trust, "CI roots"), asked);
	which = (tls ? RELOAD_CERTIFICATES : 0) | (trust ? RELOAD_CI_ROOTS : 0);
	if (tls) {
		tls_unref(reload->tls);
		reload->tls = g_steal_pointer(&tls);
		tls_warn(reload->tls, reload->tell);
		reload->reminded = reload->tried;
	}
	if (trust) {
		ifpp_trust_free(reload->trust);
		reload->trust = g_steal_pointer(&trust);
	}
	if (!reload->since)
		reload->tell("certificates, CRLs and CI roots were read again");
	return which;
}

guint reload_look(Reload *reload, gboolean asked)
{
	g_autofree char *stamp = stamp_of(reload);
	guint which = 0;

	remind(reload);
	if (!asked && !g_str_equal(stamp, reload->stamp) && g_strcmp0(stamp, reload->changing)) {
		g_free(reload->changing);
		reload->changing = g_steal_pointer(&stamp);
		return 0;
	}
	if (asked || !g_str_equal(stamp, reload->stamp))
		which = RELOAD_CERTIFICATES | RELOAD_CI_ROOTS;
	/* Whether a file may be read, for one, is not in its stamp. */
	else if (g_get_monotonic_time() - reload->tried >= AGAIN_US)
		which = (reload->trouble[CERTIFICATES] ? RELOAD_CERTIFICATES : 0) | (reload->trouble[CI_ROOTS] ? RELOAD_CI_ROOTS : 0);
	return which ? read_again(reload, which, stamp, asked) : 0;
}

/* ------------------------------------------------------------ all of it */

Reload *reload_new(const TlsFiles *files, const char *trust, void (*tell)(const char *line), GError **error)
{
	Reload *reload = g_new0(Reload, 1);
	char *why;

	g_mutex_init(&reload->lock);
	reload->files = files;
	reload->dir = trust;
	reload->tell = tell;
	reload->stamp = stamp_of(reload);
	reload->tls = tls_load(files, error);
	reload->trust = reload->tls ? ifpp_trust_new_from_dir(trust, error) : NULL;
	if (!reload->trust) {
		reload_free(reload);
		return NULL;
	}
	/* One bad file stops what depends on it, and nothing else. */
	why = problems_of(reload->trust, NULL);
	set_trouble(reload, CI_ROOTS, why);
	if (why)
		tell(why);
	tls_warn(reload->tls, tell);
	reload->tried = reload->reminded = g_get_monotonic_time();
	return reload;
}

void reload_free(Reload *reload)
{
	if (!reload)
		return;
	tls_unref(reload->tls);
	g_clear_pointer(&reload->trust, ifpp_trust_free);
	g_free(reload->stamp);
	g_free(reload->changing);
	for (guint kind = 0; kind < N_KINDS; kind++)
		g_free(reload->trouble[kind]);
	g_mutex_clear(&reload->lock);
	g_free(reload);
}

Tls *reload_tls(Reload *reload)
{
	return tls_ref(reload->tls);
}

char *reload_trouble(Reload *reload, gint64 *since, gint64 *at)
{
	g_autofree char *text = NULL;

	g_mutex_lock(&reload->lock);
	*since = reload->since;
	*at = reload->at;
	if (reload->trouble[CERTIFICATES] && reload->trouble[CI_ROOTS])
		text = g_strdup_printf("%s; %s", reload->trouble[CERTIFICATES], reload->trouble[CI_ROOTS]);
	else
		text = g_strdup(reload->trouble[CERTIFICATES] ?: reload->trouble[CI_ROOTS]);
	g_mutex_unlock(&reload->lock);
	return g_steal_pointer(&text);
}
