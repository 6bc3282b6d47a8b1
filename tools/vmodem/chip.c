// SPDX-License-Identifier: GPL-2.0-or-later
/* The card's outside: power, logical channels, APDUs (ISO 7816-4, TS 102 221, SGP.22 5.7.2). */
#include "chip-services.h"

#include <string.h>

#include <gnutls/gnutls.h>

#include "error.h"

static const guint8 isdr_aid[16] = { 0xA0, 0x00, 0x00, 0x05, 0x59, 0x10, 0x10, 0xFF,
				     0xFF, 0xFF, 0xFF, 0x89, 0x00, 0x00, 0x01, 0x00 };

typedef struct {
	guint8 cla, ins, p1, p2;
	IfppSpan data;
	int le;			/* -1: none, 256 for 00 */
} Command;

/* ------------------------------------------------------------------ power */

static void channel_clear(ChipChannel *channel)
{
	g_clear_pointer(&channel->run, ifpp_secret_free);
	g_clear_pointer(&channel->response, ifpp_secret_free);
	memset(channel, 0, sizeof(*channel));
}

static void ram_clear(Chip *chip)
{
	for (guint i = 0; i < CHIP_CHANNELS; i++)
		channel_clear(&chip->channels[i]);
	chip_load_clear(chip);
	chip_session_clear(chip);
	chip->has_last = FALSE;
	chip->refresh = FALSE;
	chip->poll = FALSE;
	chip->broken = FALSE;
	chip->cut = FALSE;
}

void chip_power_reset(Chip *chip)
{
	ram_clear(chip);
	g_clear_pointer(&chip->mem, ifpp_chipmem_free);
}

void chip_power_off(Chip *chip)
{
	chip_power_reset(chip);
	memset(&chip->test, 0, sizeof(chip->test));
}

gboolean chip_power_on(Chip *chip, GError **error)
{
	chip_power_reset(chip);
	chip->mem = ifpp_chipmem_load(chip->path, error);
	if (!chip->mem)
		return FALSE;
	chip->mem->hook = chip->hook;
	chip->mem->hook_user = chip->hook_user;
	chip->channels[0].open = TRUE;
	if (!chip_load_recover(chip) && chip->cut) {
		chip_power_off(chip);
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "%s: power cut during power-up", chip->path);
		return FALSE;
	}
	chip->broken = FALSE;
	return TRUE;
}

gboolean chip_powered(const Chip *chip)
{
	return chip->mem != NULL;
}

Chip *chip_new(const char *path, GError **error)
{
	Chip *chip = g_new0(Chip, 1);

	chip->path = g_strdup(path);
	chip->max_channels = CHIP_CHANNELS - 1;
	if (chip_power_on(chip, error))
		return chip;
	chip_free(chip);
	return NULL;
}

void chip_free(Chip *chip)
{
	if (!chip)
		return;
	chip_power_off(chip);
	g_free(chip->path);
	g_free(chip);
}

const IfppChipMem *chip_memory(const Chip *chip)
{
	return chip->mem;
}

IfppChipProfile *chip_enabled(const Chip *chip)
{
	if (!chip->mem)
		return NULL;
	if (g_get_monotonic_time() < chip->test.until)
		return ifpp_chipmem_find_iccid(chip->mem, chip->test.iccid);
	return ifpp_chipmem_enabled(chip->mem);
}

guint chip_applications(const Chip *chip, IfppUppApplication out[IFPP_UPP_APPLICATIONS])
{
	IfppChipProfile *profile = chip_enabled(chip);

	return profile ? ifpp_upp_applications(ifpp_span_bytes(profile->upp), out) : 0;
}

guint chip_channels_open(const Chip *chip)
{
	guint n = 0;

	for (guint i = 1; i < CHIP_CHANNELS; i++)
		n += chip->channels[i].open;
	return n;
}

void chip_set_max_channels(Chip *chip, guint max)
{
	chip->max_channels = CLAMP(max, 1, CHIP_CHANNELS - 1);
}

void chip_set_write_hook(Chip *chip, IfppChipMemHook hook, gpointer user)
{
	chip->hook = hook;
	chip->hook_user = user;
	if (chip->mem) {
		chip->mem->hook = hook;
		chip->mem->hook_user = user;
	}
}

void chip_set_quirks(Chip *chip, const Quirks *quirks)
{
	chip->quirks = *quirks;
}

const ChipStats *chip_stats(const Chip *chip)
{
	return &chip->stats;
}

/* ------------------------------------------------------------------ APDUs */

/* ISO 7816-4 12.1, short lengths only. */
static gboolean parse_command(IfppSpan apdu, Command *cmd)
{
	gsize lc;

	if (apdu.len < 4)
		return FALSE;
	cmd->cla = apdu.data[0];
	cmd->ins = apdu.data[1];
	cmd->p1 = apdu.data[2];
	cmd->p2 = apdu.data[3];
	cmd->data = (IfppSpan){ NULL, 0 };
	cmd->le = -1;
	if (apdu.len == 4)
		return TRUE;
	lc = apdu.data[4];
	if (apdu.len == 5) {
		cmd->le = lc ? lc : 256;
		return TRUE;
	}
	cmd->data = (IfppSpan){ apdu.data + 5, lc };
	if (apdu.len == 5 + lc && lc)
		return TRUE;
	if (apdu.len == 6 + lc && lc) {
		cmd->le = apdu.data[5 + lc] ? apdu.data[5 + lc] : 256;
		return TRUE;
	}
	return FALSE;
}

/* TS 102 221 10.1.1: the channel in CLA; -1 for classes and secure messaging that we do not know. */
static int cla_channel(guint8 cla)
{
	switch (cla & 0xF0) {
	case 0x00:
	case 0x80:
		return cla & 0x0C ? -1 : cla & 0x03;
	case 0x40:
	case 0xC0:
		return 4 + (cla & 0x0F);
	default:
		return -1;
	}
}

static void add_sw(GByteArray *out, guint16 sw)
{
	g_byte_array_append(out, (guint8[]){ sw >> 8, sw }, 2);
}

static gsize chunk(const Chip *chip)
{
	return chip->quirks.chunk ? chip->quirks.chunk : 256;
}

static guint16 waiting_sw(const Chip *chip, const ChipChannel *channel)
{
	gsize left = channel->response->len - channel->taken, next = MIN(left, chunk(chip));

	return 0x6100 | (next < 256 ? next : 0);
}

/* Answer now if the command left room for it, else have it fetched. */
static guint16 answer(Chip *chip, ChipChannel *channel, const Command *cmd, GByteArray *response, GByteArray *out)
{
	if (response->len == 0 || (cmd->le >= 0 && response->len <= MIN((gsize)cmd->le, chunk(chip)))) {
		g_byte_array_append(out, response->data, response->len);
		ifpp_secret_free(response);
		return SW_OK;
	}
	channel->response = response;
	channel->taken = 0;
	return waiting_sw(chip, channel);
}

static guint16 get_response(Chip *chip, ChipChannel *channel, const Command *cmd, GByteArray *out)
{
	gsize left, n;

	if (cmd->p1 || cmd->p2)
		return SW_WRONG_P1P2;
	if (!channel->response)
		return SW_CONDITIONS;
	left = channel->response->len - channel->taken;
	if (cmd->le < 0)
		return SW_WRONG_LENGTH;
	n = MIN((gsize)cmd->le, chunk(chip));
	if (n > left)
		return 0x6C00 | left;
	g_byte_array_append(out, channel->response->data + channel->taken, n);
	channel->taken += n;
	if (channel->taken < channel->response->len)
		return waiting_sw(chip, channel);
	g_clear_pointer(&channel->response, ifpp_secret_free);
	return SW_OK;
}

/* What was going on in the application of this channel is over. */
static guint16 leave_application(Chip *chip, guint ch)
{
	g_clear_pointer(&chip->channels[ch].run, ifpp_secret_free);
	g_clear_pointer(&chip->channels[ch].response, ifpp_secret_free);
	chip->channels[ch].app = APP_NONE;
	if (chip->load.stage == LOAD_IDLE || chip->load.channel != ch)
		return SW_OK;
	return chip_load_interrupt(chip) ? SW_OK : SW_MEMORY_FAILURE;
}

static guint16 manage_channel(Chip *chip, const Command *cmd, GByteArray *out)
{
	guint8 ch = cmd->p2;
	guint16 sw;

	if (cmd->p1 == 0x80) {
		if (ch == 0 || ch >= CHIP_CHANNELS || !chip->channels[ch].open)
			return SW_NO_CHANNEL;
		sw = leave_application(chip, ch);
		channel_clear(&chip->channels[ch]);
		return sw;
	}
	if (cmd->p1 != 0 || ch >= CHIP_CHANNELS)
		return SW_WRONG_P1P2;
	if (ch == 0)
		for (ch = 1; ch < CHIP_CHANNELS && chip->channels[ch].open; ch++)
			;
	else if (chip->channels[ch].open)
		return SW_NO_CHANNEL;
	if (ch > chip->max_channels)
		return SW_NO_FREE_CHANNEL;
	chip->channels[ch].open = TRUE;
	if (cmd->p2 == 0)
		g_byte_array_append(out, &ch, 1);
	return SW_OK;
}

/* FCI of the ISD-R: AID, longest command, SVN (as real ones answer). */
static void put_isdr_fci(GByteArray *out)
{
	static const guint8 tail[] = { 0xA5, 0x04, 0x9F, 0x65, 0x01, 0xFF, 0xE0, 0x05, 0x82, 0x03, 0x02, 0x02,
				       0x02 };

	ifpp_tlv_put_header(out, 0x6F, 2 + sizeof(isdr_aid) + sizeof(tail));
	ifpp_tlv_put(out, 0x84, isdr_aid, sizeof(isdr_aid));
	g_byte_array_append(out, tail, sizeof(tail));
}

/* An application whose AID begins so, of the enabled profile; an empty span: none. */
static IfppSpan find_application(const Chip *chip, IfppSpan start)
{
	IfppUppApplication apps[IFPP_UPP_APPLICATIONS];
	guint n = chip_applications(chip, apps);

	for (guint i = 0; i < n; i++)
		if (apps[i].aid.len >= start.len && !memcmp(apps[i].aid.data, start.data, start.len))
			return apps[i].aid;
	return (IfppSpan){ NULL, 0 };
}

static guint16 select_aid(Chip *chip, guint ch, const Command *cmd, GByteArray *out)
{
	IfppSpan aid = { NULL, 0 };
	GByteArray *fci;
	ChipApp app;
	guint16 sw;

	/* By DF name, first occurrence; the reply in P2 is FCI, FCP or none. */
	if (cmd->p1 != 0x04 || (cmd->p2 & 0x03))
		return SW_WRONG_P1P2;
	if (cmd->data.len < 5 || cmd->data.len > 16)
		return SW_NOT_FOUND;
	app = memcmp(cmd->data.data, isdr_aid, cmd->data.len) == 0 ? APP_ISDR : APP_NAA;
	if (app == APP_NAA)
		aid = find_application(chip, cmd->data);
	if (app == APP_NAA && !aid.len)
		return SW_NOT_FOUND;

	sw = leave_application(chip, ch);
	if (sw != SW_OK)
		return sw;
	chip->channels[ch].app = app;
	if ((cmd->p2 & 0x0C) == 0x0C)
		return SW_OK;
	fci = g_byte_array_new();
	if (app == APP_ISDR) {
		put_isdr_fci(fci);
	} else {
		ifpp_tlv_put_header(fci, 0x62, 2 + aid.len);
		ifpp_tlv_put_span(fci, 0x84, aid);
	}
	return answer(chip, &chip->channels[ch], cmd, fci, out);
}

static guint16 drop_run(ChipChannel *channel, guint16 sw)
{
	g_clear_pointer(&channel->run, ifpp_secret_free);
	channel->next_block = 0;
	return sw;
}

/* SGP.22 5.7.2: blocks of one ES10 command, numbered from 0; P1 91 on the last. */
static guint16 store_data(Chip *chip, guint ch, const Command *cmd, GByteArray *out)
{
	ChipChannel *channel = &chip->channels[ch];
	g_autoptr(GByteArray) run = NULL;
	GByteArray *response;
	guint16 sw;

	if (channel->app != APP_ISDR)
		return SW_CONDITIONS;
	if (cmd->p1 != 0x11 && cmd->p1 != 0x91)
		return drop_run(channel, SW_WRONG_P1P2);
	/* Block 0 begins anew whatever was there: the host gave up on the last command. */
	if (cmd->p2 == 0)
		drop_run(channel, SW_OK);
	if (cmd->p2 != (channel->next_block & 0xFF))
		return drop_run(channel, SW_WRONG_P1P2);
	if (cmd->data.len == 0)
		return drop_run(channel, SW_WRONG_DATA);
	if (!channel->run)
		channel->run = g_byte_array_new();
	if (channel->run->len + cmd->data.len > CHIP_RUN_MAX)
		return drop_run(channel, SW_NO_MEMORY);
	g_byte_array_append(channel->run, cmd->data.data, cmd->data.len);
	channel->next_block++;
	if (cmd->p1 == 0x11)
		return SW_OK;

	run = g_steal_pointer(&channel->run);
	channel->next_block = 0;
	response = g_byte_array_new();
	sw = chip_es10(chip, ch, chip_span(run), response);
	if (sw == SW_OK)
		return answer(chip, channel, cmd, response, out);
	ifpp_secret_free(response);
	return sw;
}

/* TS 102 223 6.6.13: REFRESH, UICC reset; command details, device identities UICC to terminal. */
static const guint8 refresh_command[] = { 0xD0, 0x09, 0x81, 0x03, 0x01, 0x01,
					  0x04, 0x82, 0x02, 0x81, 0x82 };

/* TS 102 223 6.6.14: POLL INTERVAL, 30 s. */
static const guint8 poll_command[] = { 0xD0, 0x0D, 0x81, 0x03, 0x01, 0x03, 0x00, 0x82,
				       0x02, 0x81, 0x82, 0x84, 0x02, 0x01, 0x1E };

/* What waits to be fetched; nothing: an empty span. */
static IfppSpan proactive(const Chip *chip)
{
	if (chip->refresh)
		return IFPP_SPAN(refresh_command);
	return chip->poll ? IFPP_SPAN(poll_command) : (IfppSpan){ NULL, 0 };
}

static guint16 fetch(Chip *chip, const Command *cmd, GByteArray *out)
{
	IfppSpan command = proactive(chip);

	if (!command.len)
		return SW_CONDITIONS;
	if (cmd->le != (int)command.len)
		return 0x6C00 | command.len;
	g_byte_array_append(out, command.data, command.len);
	return SW_OK;
}

static void terminal_response(Chip *chip)
{
	if (chip->refresh)
		chip->refresh = FALSE;
	else
		chip->poll = FALSE;
}

/* A good answer, as it leaves the card: with a proactive command waiting it is 91xx. */
static guint16 good_sw(Chip *chip, const Command *cmd, gsize response_len)
{
	gboolean ours = cmd->ins == 0x12 || cmd->ins == 0x14;

	if (chip->quirks.proactive_every && !ours && (response_len || !chip->quirks.proactive_data) &&
	    ++chip->good_answers >= chip->quirks.proactive_every) {
		chip->good_answers = 0;
		chip->poll = TRUE;
	}
	return proactive(chip).len && cmd->ins != 0x12 ? SW_PROACTIVE | proactive(chip).len : SW_OK;
}

/* TS 102 221 10.1.1, GPCS 11.1.4: interindustry commands and GlobalPlatform's have classes of their own. */
static guint16 check_cla(const Command *cmd, guint ch)
{
	gboolean interindustry = cmd->ins == 0xC0 || cmd->ins == 0x70 || cmd->ins == 0xA4;

	if (((cmd->cla & 0x80) == 0) != interindustry)
		return SW_WRONG_CLA;
	return cla_channel(cmd->cla) == (int)ch ? SW_OK : SW_NO_CHANNEL;
}

static guint16 dispatch(Chip *chip, guint ch, const Command *cmd, GByteArray *out)
{
	ChipChannel *channel = &chip->channels[ch];
	gboolean proprietary = cmd->cla & 0x80;
	guint16 sw = chip->quirks.strict_cla ? check_cla(cmd, ch) : SW_OK;

	if (sw != SW_OK)
		return sw;
	if (cmd->ins == 0xC0)	/* GET RESPONSE, in whatever class unless the chip is strict */
		return get_response(chip, channel, cmd, out);
	/* Data not fetched at once is gone. */
	g_clear_pointer(&channel->response, ifpp_secret_free);
	if (!proprietary) {
		switch (cmd->ins) {
		case 0x70:
			return manage_channel(chip, cmd, out);
		case 0xA4:
			return select_aid(chip, ch, cmd, out);
		}
		return SW_WRONG_INS;
	}
	switch (cmd->ins) {
	case 0xE2:
		return store_data(chip, ch, cmd, out);
	case 0x12:
		return fetch(chip, cmd, out);
	case 0x14:		/* TERMINAL RESPONSE, whatever it says */
		terminal_response(chip);
		return SW_OK;
	case 0xAA:		/* TERMINAL CAPABILITY */
	case 0xF2:		/* STATUS */
		return SW_OK;
	}
	return SW_WRONG_INS;
}

GByteArray *chip_transmit(Chip *chip, int channel, IfppSpan apdu)
{
	GByteArray *out;
	Command cmd;
	guint16 sw;

	if (!chip->mem)
		return NULL;
	chip->stats.apdus++;
	chip->stats.bytes += apdu.len;
	chip_test_check(chip);
	out = g_byte_array_new();
	if (!parse_command(apdu, &cmd)) {
		add_sw(out, SW_WRONG_LENGTH);
		return out;
	}
	if (channel < 0)
		channel = cla_channel(cmd.cla);
	if (channel < 0)
		sw = SW_WRONG_CLA;
	else if (channel >= CHIP_CHANNELS || !chip->channels[channel].open)
		sw = SW_NO_CHANNEL;
	else
		sw = dispatch(chip, channel, &cmd, out);

	if (chip->cut) {
		chip_power_off(chip);
		g_byte_array_unref(out);
		return NULL;
	}
	if (chip->broken) {
		/* Only what is in the file is true: start over from there. */
		g_byte_array_set_size(out, 0);
		sw = SW_MEMORY_FAILURE;
		if (!chip_power_on(chip, NULL)) {
			g_byte_array_unref(out);
			return NULL;
		}
	}
	if (sw == SW_OK)
		sw = good_sw(chip, &cmd, out->len);
	add_sw(out, sw);
	chip->stats.response_bytes += out->len;
	return out;
}
