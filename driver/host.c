// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine's state, for all who ask; lock.c alone decides what it is. And what keeps the module
 * loaded: a lock that an rmmod undoes is none.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/module.h>

#include "ifpp.h"

/* As userspace sees them. */
const char * const ifpp_state_names[] = {
	[IFPP_STATE_FACTORY]	= "FACTORY",
	[IFPP_STATE_DRAINED]	= "DRAINED",
	[IFPP_STATE_LOCKING]	= "LOCKING",
	[IFPP_STATE_LOCKED]	= "LOCKED",
	[IFPP_STATE_CLOSED]	= "CLOSED",
};

const char * const ifpp_anchor_names[] = {
	[IFPP_ANCHOR_NONE]		= "none",
	[IFPP_ANCHOR_CLEAN]		= "clean",
	[IFPP_ANCHOR_BURNT]		= "burnt",
	[IFPP_ANCHOR_UNREADABLE]	= "unreadable",
	[IFPP_ANCHOR_CMDLINE]		= "cmdline",
	[IFPP_ANCHOR_UNUSABLE]		= "unusable",
	[IFPP_ANCHOR_PARAMETER]		= "parameter",
};

/*
 * @state:	enum ifpp_state: FACTORY, CLOSED, LOCKING or LOCKED
 * @anchor:	enum ifpp_anchor
 * @stale:	the machine sleeps, or has just woken: the anchor is to be read first
 * @sweep:	chips are sent LOCK: on request, or because the anchor proves that it was requested
 */
static struct {
	u32 state;
	u32 anchor;
	bool stale;
	bool sweep;
} ifpp_host;

atomic_t ifpp_chips_known;		/* chips on record, attached or not */
atomic_t ifpp_chips_locked;		/* of these, LOCKED */

/**
 * ifpp_host_state() - is this machine locked
 *
 * Return: enum ifpp_state: FACTORY, CLOSED, LOCKING or LOCKED.
 */
u32 ifpp_host_state(void)
{
	u32 state = READ_ONCE(ifpp_host.state);

	if (state == IFPP_STATE_FACTORY && READ_ONCE(ifpp_host.stale))
		return IFPP_STATE_CLOSED;
	return state;
}

/**
 * ifpp_host_anchor() - what keeps the lock across a reboot
 *
 * Return: enum ifpp_anchor.
 */
u32 ifpp_host_anchor(void)
{
	return READ_ONCE(ifpp_host.anchor);
}

/**
 * ifpp_host_sweeps() - is every chip of this machine to be locked
 *
 * Return: false as well on a machine that is locked, but without proof that somebody asked for it.
 */
bool ifpp_host_sweeps(void)
{
	return READ_ONCE(ifpp_host.state) == IFPP_STATE_LOCKED && READ_ONCE(ifpp_host.sweep);
}

/**
 * ifpp_host_set() - what the machine is now
 * @state: enum ifpp_state
 * @anchor: enum ifpp_anchor
 * @sweep: it was asked for; stays once set
 *
 * Return: true if that is news.
 */
bool ifpp_host_set(u32 state, u32 anchor, bool sweep)
{
	bool swept = ifpp_host_sweeps();

	if (sweep)
		WRITE_ONCE(ifpp_host.sweep, true);
	if (state == ifpp_host.state && anchor == ifpp_host.anchor)
		return swept != ifpp_host_sweeps();
	WRITE_ONCE(ifpp_host.state, state);
	WRITE_ONCE(ifpp_host.anchor, anchor);
	pr_info("this machine is %s, its anchor %s\n", ifpp_state_names[state],
		ifpp_anchor_names[anchor]);
	return true;
}

/**
 * ifpp_host_stale() - may the anchor have changed unseen
 * @stale: true: no load is accepted, until false: it has been read since
 */
void ifpp_host_stale(bool stale)
{
	WRITE_ONCE(ifpp_host.stale, stale);
}

/**
 * ifpp_host_pin() - keep the module for ever: the machine is being locked, or is
 *
 * The caller serialises this.
 *
 * Return: false if the module is on its way out already.
 */
bool ifpp_host_pin(void)
{
	static bool pinned;

	pinned = pinned || try_module_get(THIS_MODULE);
	return pinned;
}

/**
 * ifpp_host_track() - a chip's state may have changed
 * @chip: the chip, its lock held
 *
 * A chip keeps the module while it is LOCKING, since then nobody else knows that it is to be
 * locked. Once it is LOCKED it says so itself, to whoever loads the module next.
 */
void ifpp_host_track(struct ifpp_chip *chip)
{
	bool locking = chip->rec.state == IFPP_STATE_LOCKING;

	if (chip->rec.state == IFPP_STATE_LOCKED && !chip->counted) {
		chip->counted = true;
		atomic_inc(&ifpp_chips_locked);
	}
	if (locking == chip->pins)
		return;
	/* Whoever is here came through an open file, so the module is not on its way out. */
	if (locking)
		chip->pins = try_module_get(THIS_MODULE);
	else
		module_put(THIS_MODULE);
	chip->pins = locking && chip->pins;
}
