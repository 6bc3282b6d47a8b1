/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other half of the attack table: what the programs do with an attack. A package goes through the
 * driver's own rules to a real ifppd, on a virtual modem with a chip that the same test PKI certified,
 * and what comes of it is measured; eUICC data goes to ifpp-smdpf seal, results and receipts to
 * ifpp-smdpf verify-report.
 */
#ifndef ATTACK_TABLE_H
#define ATTACK_TABLE_H

#include "testpki.h"

typedef struct _AttackTable AttackTable;

/* @keys of the chip whose data is @factory_info; all of its keys are there, in this order. */
AttackTable *attack_table_new(TestPki *pki, const guint8 eid[16], TestId **keys, guint n_keys, GBytes *factory_info);
void attack_table_free(AttackTable *table);

/*
 * Each writes one line of the table. @code is what the library said: whoever is behind the driver must
 * say the same, and so must the Key Maker.
 */

/* To the driver's rules, and if these refuse it, also past them to the daemon. @crl is in the daemon's trust. */
void attack_table_package(AttackTable *table, const char *name, GBytes *file, GBytes *crl, int code);
/* One that driver and daemon must let through, and the chip refuse with @reason (0: install). */
void attack_table_chip(AttackTable *table, const char *name, GBytes *file, guint reason);
/* Collected, and seen by the program in attack_table_seal() and attack_table_report(). */
void attack_table_euicc(AttackTable *table, const char *name, GBytes *ff21, const GError *why);
void attack_table_pir(AttackTable *table, const char *name, GBytes *pir, const GError *why);
void attack_table_receipt(AttackTable *table, const char *name, GBytes *receipt, const guint8 challenge[16],
			  const GError *why);
void attack_table_seal(AttackTable *table);
void attack_table_report(AttackTable *table);
/* Lock the chip and offer it @file once more. */
void attack_table_locked(AttackTable *table, const char *name, GBytes *file);

/* The table so far, one line for each attack. */
char *attack_table_text(AttackTable *table);

#endif
