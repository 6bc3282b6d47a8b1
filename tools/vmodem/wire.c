// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire.h"

#include <string.h>

#include "error.h"

#define HEADER 5		/* T=0: CLA INS P1 P2 P3 */
#define SW 2
#define BLOCK_INF 254		/* T=1: IFSC and IFSD */
#define BLOCK_EXTRA 4		/* prologue and LRC */

const WireModel wire_default = {
	.pps = 0x96,
	.clock_khz = 4000,
	.apdu_us = 2250,
	.sign_us = 31960,
	.verify_us = 30220,
	.point_us = 26800,
	.cipher_ns = 8590,
	.nvm_ns = 11170,
};

/* ISO 7816-3 tables 7 and 8; 0: reserved */
static const guint16 fi[16] = { 372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048 };
static const guint8 di[16] = { 0, 1, 2, 4, 8, 16, 32, 64, 12, 20 };

static gboolean bad(GError **error, const char *word, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "link: %s: %s", word, what);
	return FALSE;
}

static gboolean parse_word(const char *word, WireModel *m, GError **error)
{
	const struct {
		const char *name;
		guint *value;
		guint base, min, max;
	} keys[] = {
		{ "pps", &m->pps, 16, 0x01, 0xFF },	     { "clock", &m->clock_khz, 10, 1000, 20000 },
		{ "apdu", &m->apdu_us, 10, 0, 10000000 },    { "sign", &m->sign_us, 10, 0, 10000000 },
		{ "verify", &m->verify_us, 10, 0, 10000000 }, { "point", &m->point_us, 10, 0, 10000000 },
		{ "cipher", &m->cipher_ns, 10, 0, 1000000 }, { "nvm", &m->nvm_ns, 10, 0, 1000000 },
	};
	const char *equals = strchr(word, '=');
	guint64 number;

	if (!strcmp(word, "default"))
		return TRUE;
	if (!strcmp(word, "t0") || !strcmp(word, "t1")) {
		m->t1 = word[1] == '1';
		return TRUE;
	}
	if (!strcmp(word, "count")) {
		m->wait = FALSE;
		return TRUE;
	}
	for (guint i = 0; equals && i < G_N_ELEMENTS(keys); i++) {
		if (strlen(keys[i].name) != (gsize)(equals - word) ||
		    strncmp(word, keys[i].name, equals - word))
			continue;
		if (!g_ascii_string_to_unsigned(equals + 1, keys[i].base, keys[i].min, keys[i].max, &number,
						error)) {
			g_clear_error(error);
			return bad(error, word, "not a number in its range");
		}
		*keys[i].value = number;
		return TRUE;
	}
	return bad(error, word,
		   "default, count, t0, t1, pps, clock, apdu, sign, verify, point, cipher and nvm are known");
}

gboolean wire_parse(const char *text, WireModel *model, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	*model = wire_default;
	model->wait = TRUE;
	if (!*text)
		return bad(error, "nothing", "\"default\" is the shortest model");
	for (guint i = 0; words[i]; i++)
		if (!parse_word(words[i], model, error))
			return FALSE;
	if (!fi[model->pps >> 4] || !di[model->pps & 15])
		return bad(error, text, "pps is a pair of Fi and Di that ISO 7816-3 does not have");
	return TRUE;
}

/* ------------------------------------------------------------------ the wire */

/*
 * T=0, in etu: a character takes 12, one against the direction of the last at least 16 after it
 * (ISO 7816-3 10.2). Every part is answered by a procedure byte; the answer to a command
 * with data has to be fetched, which the modem does where the host does not.
 */
static guint64 t0_etu(gsize lc, gsize data)
{
	gsize characters = HEADER + SW, turns = 1;

	if (lc) {
		characters += 1 + lc;
		turns += 2;
	}
	if (data)
		characters += 1 + data;
	if (lc && data) {
		characters += SW + HEADER;
		turns += 2;
	}
	return characters * 12 + turns * 4;
}

/* T=1: characters of 11 etu, 22 between blocks of opposite direction; all but the last block acknowledged. */
static guint64 t1_etu(gsize command, gsize response)
{
	gsize blocks = (command + BLOCK_INF - 1) / BLOCK_INF + (response + BLOCK_INF - 1) / BLOCK_INF;
	gsize acks = blocks - 2;

	return (command + response + (blocks + acks) * BLOCK_EXTRA) * 11 + (blocks + acks) * 11;
}

guint64 wire_characters_ns(const WireModel *m, IfppSpan apdu, gsize response_len)
{
	gsize lc = apdu.len > 5 ? apdu.data[4] : 0;
	guint64 etu = m->t1 ? t1_etu(MAX(apdu.len, 4), MAX(response_len, SW)) :
			      t0_etu(lc, response_len > SW ? response_len - SW : 0);

	return etu * fi[m->pps >> 4] * 1000000 / di[m->pps & 15] / m->clock_khz;
}

void wire_exchange(Wire *wire, IfppSpan apdu, const GByteArray *response, const ChipStats *before,
		   const ChipStats *after)
{
	const WireModel *m = &wire->model;
	guint64 characters = wire_characters_ns(m, apdu, response ? response->len : 0);
	guint64 modem = (guint64)m->apdu_us * 1000, chip;

	chip = ((after->signs - before->signs) * m->sign_us + (after->verifies - before->verifies) * m->verify_us +
		(after->agreements - before->agreements) * m->point_us) * 1000 +
	       (after->cipher_bytes - before->cipher_bytes) * m->cipher_ns +
	       (after->nvm_bytes - before->nvm_bytes) * m->nvm_ns;
	wire->time.wire_ns += characters;
	wire->time.apdu_ns += modem;
	wire->time.chip_ns += chip;
	wire->pending_ns += characters + modem + chip;
}

guint wire_take_delay(Wire *wire)
{
	gint64 now = g_get_monotonic_time();
	guint64 pending = wire->pending_ns / 1000;

	wire->pending_ns %= 1000;
	if (!wire->model.wait || !pending)
		return 0;
	/* One card, one wire: who comes while it is busy waits for its turn. */
	wire->busy_until = MAX(now, wire->busy_until) + pending;
	return (wire->busy_until - now + 500) / 1000;
}
