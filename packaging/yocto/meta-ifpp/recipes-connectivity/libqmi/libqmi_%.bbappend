# SPDX-License-Identifier: GPL-2.0-or-later
# UIM Send APDU and the logical channels are in the full collection only.
EXTRA_OEMESON:append = " -Dcollection=full"
