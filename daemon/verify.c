// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "error.h"
#include "verify.h"

IfppPackage *verify_package(GBytes *file, IfppTrust *trust, const guint8 eid[16], IfppFactoryInfo *full,
			    IfppFactoryInfo *now, gboolean *offered, GError **error)
{
	g_autoptr(IfppPackage) package = ifpp_package_open(file, trust, error);
	const IfppHeader *header;
	const IfppOtk *otk;

	if (!package)
		return NULL;
	header = ifpp_package_header(package);
	otk = ifpp_factory_info_find(full, header->key_id);
	*offered = otk && ifpp_factory_info_find(now, header->key_id);
	if (!otk && !memcmp(header->eid, eid, sizeof(header->eid)))
		return g_steal_pointer(&package);
	if (!ifpp_package_check_chip(package, eid, otk ? otk->point : NULL, error))
		return NULL;
	return g_steal_pointer(&package);
}

IfppPir *verify_pir(GBytes *bytes, GBytes *cert_euicc, IfppSpan transaction, GError **error)
{
	g_autoptr(IfppPir) pir = ifpp_pir_parse(bytes, error);

	if (!pir || !ifpp_pir_verify(pir, ifpp_span_bytes(cert_euicc), error))
		return NULL;
	if (transaction.len && !ifpp_span_equal(pir->transaction_id, transaction)) {
		g_set_error(error, IFPP_ERROR, IFPP_ERROR_PIR_MISMATCH,
			    "installation result: of another package");
		return NULL;
	}
	return g_steal_pointer(&pir);
}

static gboolean odd(GError **error, const char *what)
{
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_CHIP, "GetFactoryInfo: %s", what);
	return FALSE;
}

gboolean verify_progress(IfppFactoryInfo *before, IfppFactoryInfo *after, GError **error)
{
	guint gone, spent;

	if ((after->state == 0) != (after->keys->len > 0))
		return odd(error, "state and keys disagree");
	if (!before)
		return TRUE;
	if (after->state < before->state)
		return odd(error, "the state went backwards");
	for (guint i = 0; i < after->keys->len; i++) {
		if (!ifpp_factory_info_find(before, g_array_index(after->keys, IfppOtk, i).key_id))
			return odd(error, "a key appeared");
	}
	if (after->spent < before->spent || after->keys->len > before->keys->len)
		return odd(error, "fewer keys are spent than before");
	gone = before->keys->len - after->keys->len;
	spent = after->spent - before->spent;
	if (spent > gone || (after->keys->len && spent != gone))
		return odd(error, "keys and spent count disagree");
	return TRUE;
}

int verify_errno(const GError *error)
{
	if (!error || error->domain != IFPP_ERROR)
		return EREMOTEIO;
	switch (error->code) {
	case IFPP_ERROR_TOO_LARGE:
		return EMSGSIZE;
	case IFPP_ERROR_WRONG_EID:
		return EXDEV;
	case IFPP_ERROR_SPENT_KEY:
		return EKEYEXPIRED;
	case IFPP_ERROR_UNKNOWN_KEY:
	case IFPP_ERROR_ATTESTATION:
	case IFPP_ERROR_CHAIN:
	case IFPP_ERROR_CERTIFICATE:
	case IFPP_ERROR_KEY_MAKER:
	case IFPP_ERROR_EXPIRED:
	case IFPP_ERROR_NOT_YET_VALID:
	case IFPP_ERROR_TIME_UNKNOWN:
	case IFPP_ERROR_REVOKED:
	case IFPP_ERROR_ROLE:
	case IFPP_ERROR_KEY_USAGE:
	case IFPP_ERROR_CONSTRAINT:
		return EKEYREJECTED;
	case IFPP_ERROR_NO_SPACE:
		return ENOSPC;
	case IFPP_ERROR_ACCESS:
	case IFPP_ERROR_CONFINED:
		return EACCES;
	case IFPP_ERROR_IO:
	case IFPP_ERROR_DISK:
	case IFPP_ERROR_CRL:
		return EIO;
	case IFPP_ERROR_LOCKED:
		return EPERM;
	case IFPP_ERROR_NO_REWORK:
		return EOPNOTSUPP;
	case IFPP_ERROR_TIMEOUT:
		return ETIMEDOUT;
	case IFPP_ERROR_MODEM:
	case IFPP_ERROR_CHIP:
	case IFPP_ERROR_NO_DEVICE:
	case IFPP_ERROR_NO_EUICC:
	case IFPP_ERROR_PIR:
	case IFPP_ERROR_PIR_SIGNATURE:
	case IFPP_ERROR_PIR_MISMATCH:
	case IFPP_ERROR_RECEIPT:
	case IFPP_ERROR_INTERNAL:
		return EREMOTEIO;
	default:
		return EBADMSG;
	}
}
