/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of ifpp-depot, as ifpp_options_main() calls them. */
#ifndef IFPP_DEPOT_COMMANDS_H
#define IFPP_DEPOT_COMMANDS_H

#include "args.h"

gboolean cmd_init(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_import(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_chips(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_keys(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_status(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_list(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_history(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_doubts(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_claim(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_release(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_export(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_collect(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_burn(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_unburn(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_station(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_token(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_reject(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_backup(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_restore(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_check(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_report(int argc, char **argv, int *exit_code, GError **error);
gboolean cmd_serve(int argc, char **argv, int *exit_code, GError **error);

#endif
