/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the subcommands share: options, and the chip they are about. */
#ifndef IFPPCTL_CTL_H
#define IFPPCTL_CTL_H

#include "device.h"
#include "output.h"
#include "packages.h"

typedef struct {
	CtlOutput out;
	char *device;		/* -d: node, path or EID; NULL: the only one */
	gboolean yes;		/* do not ask before what cannot be undone */
} Ctl;

/* A chip's node, open, and what to call it. */
typedef struct {
	CtlDevice *device;
	char *node;		/* "ifpp0" */
	struct ifpp_info info;	/* as of the opening */
} CtlChip;

void ctl_chip_free(CtlChip *chip);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlChip, ctl_chip_free)

/* Open what -d names. NULL and @error set: CTL_ERROR, IFPP_ERROR_NO_DEVICE, USAGE */
CtlChip *ctl_chip_open(Ctl *ctl, GError **error);

/**
 * ctl_parse() - parse a subcommand's options
 * @ctl: takes the common ones
 * @argc, @argv: in: from the subcommand's name on; out: what is left
 * @entries: of the subcommand, or NULL
 * @usage: what follows the options
 * @summary: what the subcommand does
 * @error: G_OPTION_ERROR
 */
gboolean ctl_parse(Ctl *ctl, int *argc, char ***argv, const GOptionEntry *entries, const char *usage,
		   const char *summary, GError **error);

/**
 * ctl_confirm() - ask before what cannot be undone
 * @ctl: --yes is the answer
 * @what: what will be done and to what, in whole sentences
 * @error: CTL_ERROR: the answer was no, or standard input or output is no terminal and nobody can be asked
 */
gboolean ctl_confirm(Ctl *ctl, const char *what, GError **error);

/* The subcommands return an IfppExit, or anything with @error set. */
int ctl_cmd_list(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_info(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_keys(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_load(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_provision(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_rework(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_lock(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_handover(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_retry(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_monitor(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_request(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_import(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_check(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_fetch(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_deliver(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_report(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_hook(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_metrics(Ctl *ctl, int argc, char **argv, GError **error);
int ctl_cmd_selftest(Ctl *ctl, int argc, char **argv, GError **error);

#endif
