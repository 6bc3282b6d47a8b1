// SPDX-License-Identifier: GPL-2.0-or-later
#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tlv.h>

#include "depot-error.h"

void answer_clear(Answer *answer)
{
	g_clear_pointer(&answer->body, g_bytes_unref);
	g_clear_pointer(&answer->etag, g_free);
	g_clear_pointer(&answer->range, g_free);
	g_clear_pointer(&answer->reason, g_free);
	memset(answer, 0, sizeof(*answer));
}

JsonBuilder *answer_new(void)
{
	JsonBuilder *b = ifpp_json_new(NULL);

	ifpp_json_int(b, "version", 1);
	return b;
}

void answer_text(Answer *answer, guint status, char *text)
{
	answer->status = status;
	answer->json = TRUE;
	answer->len = strlen(text);
	answer->body = g_bytes_new_take(text, answer->len);
}

void answer_json(Answer *answer, guint status, JsonBuilder *b)
{
	answer_text(answer, status, ifpp_json_text(b));
}

void answer_error(Answer *answer, const GError *error, const char *station)
{
	JsonBuilder *b = answer_new();
	const char *name, *hint;
	guint status = depot_error_http(error, &name, &hint);
	gboolean ours = status == 503 || status == 500;

	/* What the database says is the depot's business. */
	if (ours)
		fprintf(stderr, "ifpp-depot: for %s: %s\n", station ?: "-", error->message);
	ifpp_json_string(b, "error", name);
	ifpp_json_string(b, "message", ours ? "the depot cannot do it now" : error->message);
	ifpp_json_string(b, "hint", ours ? "Try again later; if it stays, tell the operator of the depot" : hint);
	answer_clear(answer);
	answer->reason = g_strdup(error->message);
	answer_json(answer, status, b);
}

static gboolean number(const char **text, gsize *out)
{
	char *end;

	if (!g_ascii_isdigit(**text))
		return FALSE;
	errno = 0;
	*out = g_ascii_strtoull(*text, &end, 10);
	*text = end;
	return !errno;
}

/* One range of RFC 9110 section 14: FALSE: none, or one that is ignored. */
static gboolean parse_range(const char *text, gsize size, gsize *from, gsize *len)
{
	gsize first, last = size;

	if (!text || g_ascii_strncasecmp(text, "bytes=", 6))
		return FALSE;
	text += 6;
	if (*text == '-') {
		text++;
		if (!number(&text, &last) || *text)
			return FALSE;
		*from = size - MIN(last, size);
		*len = size - *from;
		return TRUE;
	}
	if (!number(&text, &first) || *text++ != '-')
		return FALSE;
	if (*text && (!number(&text, &last) || *text || last < first))
		return FALSE;
	*from = MIN(first, size);
	*len = last >= size ? size - *from : MIN(last + 1, size) - *from;
	return TRUE;
}

void answer_bytes(Answer *answer, GBytes *bytes, const guint8 sha256[32], const char *range, const char *if_range,
		  const char *if_none)
{
	gsize size = g_bytes_get_size(bytes);
	g_autofree char *hex = ifpp_hex((IfppSpan){ sha256, 32 });

	answer->body = bytes;
	answer->etag = g_strdup_printf("\"%s\"", hex);
	answer->status = 200;
	answer->len = size;
	if (if_none && g_str_equal(if_none, answer->etag)) {
		answer->status = 304;
		answer->len = 0;
	} else if (parse_range(if_range && !g_str_equal(if_range, answer->etag) ? NULL : range, size, &answer->from,
			       &answer->len)) {
		answer->status = answer->len ? 206 : 416;
		answer->range = answer->len ? g_strdup_printf("bytes %zu-%zu/%zu", answer->from,
							      answer->from + answer->len - 1, size) :
					      g_strdup_printf("bytes */%zu", size);
	}
}

enum MHD_Result answer_send(struct MHD_Connection *c, const Answer *answer)
{
	const char *data = g_bytes_get_data(answer->body, NULL);
	struct MHD_Response *response = MHD_create_response_from_buffer(answer->len, (void *)(data + answer->from),
									MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	MHD_add_response_header(response, "Content-Type", answer->json ? "application/json" : "application/octet-stream");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	if (!answer->json)
		MHD_add_response_header(response, "Accept-Ranges", "bytes");
	if (answer->etag)
		MHD_add_response_header(response, "ETag", answer->etag);
	if (answer->range)
		MHD_add_response_header(response, "Content-Range", answer->range);
	if (answer->status == 429 || answer->status == 503)
		MHD_add_response_header(response, "Retry-After", answer->status == 429 ? "1" : "5");
	if (answer->status == 405)
		MHD_add_response_header(response, "Allow", "GET, HEAD, POST, PUT, DELETE");
	result = MHD_queue_response(c, answer->status, response);
	MHD_destroy_response(response);
	return result;
}
