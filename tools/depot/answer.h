/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes back to a station: JSON, bytes of a package or a part of them, errors. */
#ifndef IFPP_DEPOT_ANSWER_H
#define IFPP_DEPOT_ANSWER_H

#include <json.h>
#include <microhttpd.h>

typedef struct {
	guint status;
	GBytes *body;
	gsize from, len;		/* of body */
	char *etag, *range;
	gboolean json;
	char *reason;			/* for the access log, or NULL */
} Answer;

void answer_clear(Answer *answer);

/* A builder in which "version" stands already. */
JsonBuilder *answer_new(void);
/* Takes @text, which is JSON. */
void answer_text(Answer *answer, guint status, char *text);
/* Takes @b. */
void answer_json(Answer *answer, guint status, JsonBuilder *b);
/* What is there already is dropped. What the database says stays here: it goes to standard error. */
void answer_error(Answer *answer, const GError *error, const char *station);

/**
 * answer_bytes() - the bytes of a package, as far as they are asked for
 * @answer: filled
 * @bytes: all of them; taken
 * @sha256: of them, which is the ETag
 * @range, @if_range, @if_none: the headers of RFC 9110, or NULL
 */
void answer_bytes(Answer *answer, GBytes *bytes, const guint8 sha256[32], const char *range, const char *if_range,
		  const char *if_none);

enum MHD_Result answer_send(struct MHD_Connection *connection, const Answer *answer);

#endif
