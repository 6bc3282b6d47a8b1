/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A systemd that speaks D-Bus from a thread of the test: this program's system bus. */
#ifndef TESTS_FAKE_SYSTEMD_H
#define TESTS_FAKE_SYSTEMD_H

#include <gio/gio.h>

#define FAKE_SYSTEMD_NAME ":1.0"

typedef struct _FakeSystemd FakeSystemd;

/* The body of the answer to a call; NULL: an empty one. In the bus's thread. */
typedef GVariant *(*FakeSystemdAnswer)(GDBusConnection *bus, const char *member);

/**
 * fake_systemd_new() - be the system bus
 * @dir: for its socket
 * @answer: to calls other than those of the bus itself; one fake at a time
 */
FakeSystemd *fake_systemd_new(const char *dir, FakeSystemdAnswer answer);
void fake_systemd_free(FakeSystemd *systemd);

#endif
