/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chip's base: its state, and what all of its services stand on. It knows none of them. */
#ifndef VMODEM_CHIP_BASE_H
#define VMODEM_CHIP_BASE_H

#include "chip.h"

#define CHIP_RUN_MAX 32768	/* longest ES10 command, STORE DATA blocks joined */

typedef enum {
	APP_NONE,
	APP_ISDR,
	APP_NAA,	/* of the enabled profile: USIM, ISIM, CSIM */
} ChipApp;

typedef struct {
	gboolean open;
	ChipApp app;
	GByteArray *run;	/* STORE DATA blocks so far */
	guint next_block;
	GByteArray *response;	/* waits for GET RESPONSE */
	gsize taken;
} ChipChannel;

/* Where a load stands: which segment may come next. */
typedef enum {
	LOAD_IDLE,
	LOAD_PREPARED,		/* BF36 with BF23 */
	LOAD_CONFIGURE,		/* A0 { 87 } */
	LOAD_METADATA,		/* A1 header */
	LOAD_METADATA_88,
	LOAD_KEYS_OR_PROFILE,	/* A2 { 87 }, or A3 header */
	LOAD_PROFILE,		/* A3 header */
	LOAD_PROFILE_86,
} LoadStage;

/* bppCommandId of the ProfileInstallationResult */
typedef enum {
	BPP_INITIALISE = 0,
	BPP_CONFIGURE = 1,
	BPP_METADATA = 2,
	BPP_REPLACE_KEYS = 4,
	BPP_ELEMENTS = 5,
} BppCommand;

/* errorReason of the ProfileInstallationResult; 0: installed */
typedef enum {
	PIR_OK = 0,
	PIR_INPUT = 1,
	PIR_SIGNATURE = 2,
	PIR_TRANSACTION = 3,
	PIR_CRT = 4,
	PIR_OPERATION = 5,
	PIR_CLASS = 6,
	PIR_STRUCTURE = 7,
	PIR_SECURITY = 8,
	PIR_ICCID_EXISTS = 9,
	PIR_NO_MEMORY = 10,
	PIR_INTERRUPTED = 11,
	PIR_ELEMENT = 12,
	PIR_DATA_MISMATCH = 13,		/* of metadata and profile */
	PIR_TEST_KEY = 14,		/* a test profile with a key that is not a published one */
	PIR_POLICY_RULE = 15,		/* a rule without an owner, or that GetRAT does not grant */
	PIR_SECURITY_LEVEL = 31,	/* SGP.22 v3: the profile wants a more secure chip */
	PIR_ALLOW_LIST = 32,		/* SGP.22 v3: the server's address is not one that the chip allows */
} PirReason;

/* One BoundProfilePackage on its way in; lives in RAM. */
typedef struct {
	LoadStage stage;
	guint channel;
	/* set by who prepared it */
	gboolean factory;		/* by FF22: the key is one of the memory's; else the one for a retry */
	guint8 otpk[65];
	guint8 dp_point[65];		/* of CERT.DPpb */
	GBytes *oid;			/* smdpOid, DER value */
	GBytes *want_transaction;	/* NULL: any */
	char *address;			/* NULL: out of the metadata */
	/* running */
	IfppEcKey *otsk;		/* until the keys are agreed */
	GBytes *transaction;
	gsize total_left;		/* bytes of BF36 to come */
	gsize part_left;		/* bytes of the A1 or A3 to come */
	IfppBsp bsp;
	GByteArray *metadata;		/* BF25 */
	GBytes *proprietary;		/* B8 of ConfigureISDP, or NULL */
	GByteArray *upp;
	gboolean has_iccid;
	guint8 iccid[10];
	guint profile_class;
} ChipLoad;

/* ES10b mutual authentication, for an ordinary download. */
typedef struct {
	gboolean has_challenge;
	guint8 challenge[16];
	GBytes *transaction;		/* NULL: not authenticated */
	char *address;
	GBytes *oid;			/* of CERT.DPauth */
	guint8 signature[64];		/* euiccSignature1 */
} ChipSession;

struct _Chip {
	char *path;
	IfppChipMem *mem;		/* NULL: no power */
	ChipChannel channels[CHIP_CHANNELS];
	guint max_channels;
	ChipLoad load;
	ChipSession session;
	Quirks quirks;
	gboolean has_last;		/* a profile was installed since power-up: ImmediateEnable may enable it */
	guint8 last[10];		/* its ICCID */
	struct {
		gint64 until;		/* monotonic microseconds; 0: none runs */
		guint8 iccid[10];
	} test;				/* of connectivity: a profile is enabled, and no memory knows of it */
	gboolean refresh;		/* a proactive command waits for FETCH and TERMINAL RESPONSE */
	gboolean poll;			/* another one, of no consequence */
	guint good_answers;		/* since the last proactive command that a quirk has made */
	gboolean broken;		/* a write failed: RAM is ahead of the file */
	gboolean cut;			/* power is gone, as the hook wanted */
	IfppChipMemHook hook;
	gpointer hook_user;
	ChipStats stats;
};

/* Make RAM durable. FALSE: answer SW_MEMORY_FAILURE and touch nothing more. */
gboolean chip_commit(Chip *chip);
gboolean chip_sign(Chip *chip, const IfppSpan *parts, gsize n_parts, guint8 sig[64]);
gboolean chip_verify(Chip *chip, const guint8 point[65], const IfppSpan *parts, gsize n_parts, IfppSpan sig);
/* A constructed TLV around @members, which is freed. */
void chip_put(GByteArray *out, guint32 tag, GByteArray *members);
static inline IfppSpan chip_span(const GByteArray *array)
{
	return (IfppSpan){ array->data, array->len };
}

/* The test of connectivity ends, now or because its time is up: the card asks to be read again. */
void chip_test_end(Chip *chip);
void chip_test_check(Chip *chip);
/* What a service keeps in RAM is gone. */
void chip_load_clear(Chip *chip);
void chip_session_clear(Chip *chip);
gboolean chip_load_running(const Chip *chip);

/* The codes of ES10b AuthenticateServer, which PrepareFactoryLoad shares. */
enum {
	CHAIN_OK = 0,
	CHAIN_INVALID_CERTIFICATE = 1,
	CHAIN_UNSUPPORTED_CURVE = 3,
	CHAIN_INVALID_OID = 5,
};

/* Leaf first, then its sub-CAs. On success: the leaf's key and registeredID. */
guint8 chip_check_chain(Chip *chip, IfppSpan certs, IfppRole role, guint8 point[65], GBytes **oid);

/* Profile policy rules that GetRAT grants every operator, as a BIT STRING byte. */
#define CHIP_RAT_RULES 0x60

/* First byte of a BIT STRING, 0 when it is empty. */
guint8 chip_bits(const IfppTlv *tlv);
/* Calls for every notificationAddress of a profile whose events include @event, until @func has enough. */
void chip_for_each_address(IfppSpan metadata, guint8 event,
			   gboolean (*func)(IfppSpan address, gpointer user), gpointer user);
/* The first of them; NULL if nobody wants to know. */
char *chip_notify_address(IfppSpan metadata, guint8 event);

#endif
