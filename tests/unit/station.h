/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole station in one directory, made of the project's own programs: a test PKI, a Key Maker
 * with its token, virtual chips and modems, ifppd, and a relay that plays the driver.
 */
#ifndef STATION_H
#define STATION_H

#include <glib.h>
#include "relay-sim.h"

/* What all tests of a process share: PKI and Key Maker. */
typedef struct {
	char *dir;
	char *pki;
	char *trust;
	char *home;	/* of the Key Maker */
	char *pin;
	char *conf;	/* of its token */
	guint chips;	/* made so far */
	gboolean iot;	/* chips made from now on are IoT eUICCs (SGP.32) */
	const char *protocol;	/* that modems speak from now on, as ifpp-vmodem names it; NULL: qmi */
} World;

World *world_new(void);
World *world_of(const char *variant);	/* of SGP.26: see ifpp-eum(1) */
void world_free(World *world);

#define STATION_WAIT_MS 120000	/* longest wait of a step, on a busy machine */
#define STATION_LATE "delay 60000"	/* a fault: whoever waits for that answer is killed before it comes */

/* One chip in one modem, and a daemon on it. */
typedef struct {
	World *world;
	char *dir;
	char *chip;
	char *data;		/* eUICC data */
	char *packages;
	char *state;
	char *socket;
	char *control;
	char *relay;
	char *log;
	char eid[33];
	GPid modem;
	GPid daemon;
	RelaySim *sim;
	const char *trust;	/* for the daemon; the world's unless set */
	const char *policy;	/* for the daemon, NULL: none */
	const char *timeout;	/* seconds for one QMI message */
	const char *modem_options;	/* more of them, separated by blanks; NULL: none */
	const char *protocol;	/* of the modem: the world's when this was made */
	char *options;		/* owned, for modem_options */
	gboolean quiet;		/* never show the log */
	gboolean proxy;		/* the daemon reaches the modem through qmi-proxy */
	const char *ifppd;	/* another daemon than the build's, NULL: that one */
	GArray *exits;		/* int: how each daemon of this station ended, as station_daemon_wait() says it */
} Station;

Station *station_new(World *world, guint keys);
/* Without a chip: its memory and its data are the caller's to make. */
Station *station_bare(World *world, const char *name, const char *eid);
/* The same chip as it was born, in another place. One per process. */
Station *station_clone(Station *from);
void station_free(Station *station);
/* Seal for the first keys of the chip; the packages in the order of their names. GPtrArray of GBytes. */
GPtrArray *station_seal(Station *station, guint count);

void station_modem_start(Station *station);
void station_modem_stop(Station *station);	/* SIGKILL: the chip loses power */
int station_modem_quit(Station *station);	/* SIGTERM; its exit code */
void station_daemon_start(Station *station);
/* Started, and attached to the relay. */
void station_daemon_up(Station *station);
/* Its exit code; -1 if it does not end in time, 256 + signal if it was killed. */
int station_daemon_wait(Station *station, guint timeout_ms);
int station_daemon_stop(Station *station);	/* SIGTERM */
void station_daemon_kill(Station *station);	/* SIGKILL */

/* One line to the modem's control socket; its answer. */
char *station_control(Station *station, const char *line);
gint64 station_stat(Station *station, const char *name);
/* Messages that the modem has had of its hosts, of the outermost protocol: the count, and the place for faults. */
const char *station_messages(Station *station);
const char *station_place(Station *station);

/* Files in the chip's outbox whose name ends so. */
guint station_outbox(Station *station, const char *suffix);

/* Its report, which the Key Maker takes. */
char *station_report(Station *station);

/* Request and reply in one. Returns what the client would see. */
int station_request(Station *station, guint32 type, GBytes *data, RelaySimResult *result);

/* Seal @n_packages, if any, and start modem and daemon. */
void station_up(Station *station, guint n_packages, GPtrArray **packages);
Station *station_begin(World *world, guint keys, guint n_packages, GPtrArray **packages);
/* The modem's "fault" command, which it must take. */
void station_fault(Station *station, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Submit a load, and wait for its status; what is not wanted may be NULL. */
int station_load(Station *station, GBytes *package, guint *reason, guint *apdus);
/* Submit it, and leave it be. */
void station_submit(Station *station, GBytes *package);
/* Wait until a count has come to @value. */
void station_until(Station *station, const char *stat, gint64 value);

/* Run a program of the project and return its exit code. */
int station_run(const char *program, ...) G_GNUC_NULL_TERMINATED;
char *station_program(const char *name);
/* Its path, the arguments up to NULL, and NULL. */
GPtrArray *station_argv(const char *program, va_list args);
void station_remove(const char *path);
void station_copy(const char *from, const char *to);

#endif
