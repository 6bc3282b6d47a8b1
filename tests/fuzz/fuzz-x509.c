// SPDX-License-Identifier: GPL-2.0-or-later
/* One input as a leaf, as a sub-CA, as a root and as a CRL. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	IfppSpan in = { data, len };
	g_autoptr(GBytes) bytes = g_bytes_new(data, len);
	g_autoptr(GPtrArray) others = g_ptr_array_new();
	g_autoptr(IfppTrust) trust = ifpp_trust_new();
	g_autoptr(GBytes) rid = ifpp_cert_registered_id(in);
	guint8 point[65], eid[16], ski[20];
	IfppSpan issuer, serial;

	g_ptr_array_add(others, fuzz_eum);
	if (ifpp_trust_verify(fuzz_trust, in, NULL, IFPP_ROLE_DP_PB, NULL) ||
	    ifpp_trust_verify(fuzz_trust, in, others, IFPP_ROLE_EUICC, NULL))
		fuzz_must_be_seed("x509", in);
	others->pdata[0] = bytes;
	if (ifpp_trust_verify(fuzz_trust, ifpp_span_bytes(fuzz_euicc), others, IFPP_ROLE_EUICC, NULL))
		fuzz_must_be_seed("x509", in);

	ifpp_cert_point(in, point, NULL);
	ifpp_cert_eid(in, eid, NULL);
	ifpp_cert_ski(in, ski, NULL);
	ifpp_cert_issuer_serial(in, &issuer, &serial, NULL);
	/* Anybody can make a root or a CRL of his own: here it is only parsed. */
	if (ifpp_trust_add_crl(trust, in, NULL) && ifpp_trust_add_root(trust, ifpp_span_bytes(fuzz_ci), NULL))
		ifpp_trust_verify(trust, ifpp_span_bytes(fuzz_dppb), NULL, IFPP_ROLE_DP_PB, NULL);
	ifpp_trust_add_root(trust, in, NULL);
	return 0;
}
