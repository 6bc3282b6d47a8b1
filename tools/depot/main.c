// SPDX-License-Identifier: GPL-2.0-or-later
/* ifpp-depot: the warehouse of sealed packages. It cannot open one, and holds nothing that could. */
#include <locale.h>
#include <signal.h>

#include "commands.h"
#include "depot-error.h"

#define PROGRAM "ifpp-depot"

static const char usage[] =
	"usage: ifpp-depot COMMAND [OPTION...]\n"
	"\n"
	"  init       make the depot\n"
	"  import     verify a Key Maker's delivery or an EUM's batch of chips, and take it in\n"
	"  chips      list the batches of EUMs, or write one again\n"
	"  keys       assign keys of chips to a Key Maker and ask him for packages\n"
	"  status     how many packages there are in each state, and whether it adds up\n"
	"  list       packages by EID, key id, ICCID, operator, batch or state\n"
	"  history    what happened to a package\n"
	"  claim      reserve the packages of a chip for a station\n"
	"  release    end a claim early\n"
	"  export     claim and write packages into a directory, for a line without a network\n"
	"  collect    take results in that such a line has written into a directory\n"
	"  doubts     what stations say and no chip has signed\n"
	"  burn       account for a unit that is broken or gone\n"
	"  unburn     a unit that was given up is good after all\n"
	"  station    name the stations that are served, list and revoke them\n"
	"  token      tokens with which other systems read units, results and figures\n"
	"  reject     have nothing more to do with a delivery that is not here whole\n"
	"  backup     copy the depot into a file, while it works\n"
	"  restore    fill an empty depot from such a file\n"
	"  check      go through all rows, bytes, hashes and histories\n"
	"  report     write the Profile Loading Report for the Key Maker\n"
	"  serve      serve stations over HTTPS\n"
	"\n"
	"ifpp-depot COMMAND --help lists the options of a command.\n"
	"--db, or IFPP_DEPOT_DB in the environment, says where the depot is: a file of SQLite, or\n"
	"postgresql://USER@HOST/NAME. Nothing in it is secret: packages are sealed, results signed.\n";


static const IfppCommand commands[] = {
	{ "init", cmd_init },
	{ "import", cmd_import },
	{ "chips", cmd_chips },
	{ "keys", cmd_keys },
	{ "status", cmd_status },
	{ "list", cmd_list },
	{ "history", cmd_history },
	{ "claim", cmd_claim },
	{ "release", cmd_release },
	{ "export", cmd_export },
	{ "collect", cmd_collect },
	{ "doubts", cmd_doubts },
	{ "burn", cmd_burn },
	{ "unburn", cmd_unburn },
	{ "station", cmd_station },
	{ "token", cmd_token },
	{ "reject", cmd_reject },
	{ "backup", cmd_backup },
	{ "restore", cmd_restore },
	{ "check", cmd_check },
	{ "report", cmd_report },
	{ "serve", cmd_serve },
	{ NULL, NULL },
};

int main(int argc, char **argv)
{
	int exit_code;

	setlocale(LC_ALL, "");
	/* Messages of the C library are part of ours. */
	setlocale(LC_MESSAGES, "C");
	signal(SIGPIPE, SIG_IGN);
	exit_code = ifpp_options_main(PROGRAM, usage, commands, depot_error_exit, argc, argv);
	g_free(args_url);
	return ifpp_stdout_exit(PROGRAM, exit_code);
}
