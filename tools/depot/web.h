/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listeners for people and for other systems: they only ask, over HTTP/1.1, with or without TLS. */
#ifndef IFPP_DEPOT_WEB_H
#define IFPP_DEPOT_WEB_H

#include "access.h"
#include "answer.h"
#include "tls.h"

typedef struct _Web Web;

typedef struct {
	const char *path;
	char *who;				/* whose token it is, for the log; free with the request */
	struct MHD_Connection *connection;	/* for web_header() and web_query() */
} WebRequest;

typedef struct {
	Answer answer;
	const char *type;		/* Content-Type, if it is not JSON */
	const char *extra, *extra_value;	/* a further header, or NULL */
	struct MHD_Response *stream;	/* instead of a body in answer; answer.status counts */
} WebAnswer;

typedef struct {
	const char *name;		/* "dashboard", for messages */
	gboolean local_names;		/* refuse requests that are for another host than an address or localhost */
	AccessLog *log;			/* for refusals */
	/* Fill the answer. FALSE: @error is set, and becomes the answer. In a thread of its own for each connection. */
	gboolean (*handle)(WebRequest *request, WebAnswer *answer, gpointer user, GError **error);
	gpointer user;
} WebOptions;

/**
 * web_start() - serve on a socket
 * @fd: that listens; taken
 * @tls: certificate and key, taken; NULL: without TLS
 * @options: the strings must outlive the listener
 * @error: IFPP_ERROR_ACCESS
 */
Web *web_start(int fd, Tls *tls, const WebOptions *options, GError **error);
/* Takes @tls: new connections get it. */
void web_reload(Web *web, Tls *tls);
/* End connections whose request takes too long to come, also if a byte comes now and then. Called twice a second. */
void web_sweep(Web *web);
void web_stop(Web *web);
/* Say on standard output where it is. */
void web_tell(Web *web);

/* NULL: it is not there. */
const char *web_header(const WebRequest *request, const char *name);
const char *web_query(const WebRequest *request, const char *name);

/* Fill an answer with an error in words. */
void web_refuse(WebAnswer *answer, guint status, const char *name, const char *message, const char *hint);
/* Fill an answer with a text; takes @text. */
void web_text(WebAnswer *answer, const char *type, char *text);

#endif
