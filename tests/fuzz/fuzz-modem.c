// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtual modem: a stream of QMUX from two hosts, whose first byte says in which pieces it comes. Every
 * frame that goes out must be one, addressed to somebody.
 */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "modem.h"

static GBytes *memory;
static char *path;
static ModemLink *links[2];

static guint get16(const guint8 *p)
{
	return p[0] | p[1] << 8;
}

/* QMUX header, SDU header, and TLVs that fill it. */
static void on_frame(const guint8 *frame, gsize len, gpointer user)
{
	gsize at = 6 + (frame[4] ? 7 : 6), tlvs;

	g_assert_cmpuint(len, >=, at);
	g_assert_cmphex(frame[0], ==, 0x01);
	g_assert_cmpuint(get16(frame + 1), ==, len - 1);
	g_assert_cmphex(frame[3], ==, 0x80);
	tlvs = get16(frame + at - 2);
	g_assert_cmpuint(tlvs, ==, len - at);
	while (at < len) {
		g_assert_cmpuint(len - at, >=, 3);
		g_assert_cmpuint(len - at - 3, >=, get16(frame + at + 1));
		at += 3 + get16(frame + at + 1);
	}
}

static void drop_links(void)
{
	for (guint i = 0; i < G_N_ELEMENTS(links); i++)
		g_clear_pointer(&links[i], modem_link_free);
}

static void on_event(ModemEvent event, gpointer user)
{
	drop_links();
	if (event == MODEM_UNPLUG)
		return;
	for (guint i = 0; i < G_N_ELEMENTS(links); i++)
		links[i] = modem_link_new(user, on_frame, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Modem) modem = NULL;
	gsize size, piece;
	const char *bytes;
	Chip *chip;

	if (!memory) {
		memory = fuzz_file("chip", "memory");
		path = g_strdup_printf("/dev/shm/ifpp-fuzz-modem-%d", getpid());
	}
	bytes = g_bytes_get_data(memory, &size);
	if (!g_file_set_contents_full(path, bytes, size, G_FILE_SET_CONTENTS_NONE, 0600, &error))
		g_error("%s", error->message);
	chip = chip_new(path, &error);
	if (!chip)
		g_error("%s", error->message);
	modem = modem_new(chip);
	modem_set_event_func(modem, on_event, modem);
	on_event(MODEM_PLUG, modem);
	piece = len ? data[0] : 0;
	for (gsize at = 1, n; at < len; at += n) {
		ModemLink **link = &links[piece & at & 1];

		n = MIN(len - at, 1 + piece);
		if (*link && !modem_link_receive(*link, data + at, n))
			g_clear_pointer(link, modem_link_free);
		while (g_main_context_iteration(NULL, FALSE))
			;
		if (!*link)
			*link = modem_link_new(modem, on_frame, NULL);
		g_assert_cmpuint(modem_clients(modem), <=, 5 * 16);
		g_assert_cmpuint(chip_channels_open(chip), <=, CHIP_CHANNELS - 1);
	}
	drop_links();
	g_clear_pointer(&modem, modem_free);
	unlink(path);
	return 0;
}
