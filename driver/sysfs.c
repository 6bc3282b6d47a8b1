// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/class/ifpp, see Documentation/ABI/testing/sysfs-class-ifpp. Read only: no
 * file here can change anything.
 */
#include <linux/hex.h>
#include <linux/sysfs.h>

#include "ifpp.h"

static const char * const ifpp_state_names[] = {
	[IFPP_STATE_FACTORY]	= "FACTORY",
	[IFPP_STATE_DRAINED]	= "DRAINED",
	[IFPP_STATE_LOCKING]	= "LOCKING",
	[IFPP_STATE_LOCKED]	= "LOCKED",
};

const char * const ifpp_anchor_names[] = {
	[IFPP_ANCHOR_NONE]		= "none",
	[IFPP_ANCHOR_CLEAN]		= "clean",
	[IFPP_ANCHOR_BURNT]		= "burnt",
	[IFPP_ANCHOR_UNREADABLE]	= "unreadable",
	[IFPP_ANCHOR_CMDLINE]		= "cmdline",
};

/**
 * ifpp_state_name() - name of a state, as userspace sees it
 * @state: enum ifpp_state
 *
 * Return: the name.
 */
const char *ifpp_state_name(u32 state)
{
	return ifpp_state_names[state];
}

/**
 * ifpp_eid_hex() - the 32 digits of an EID
 * @hex: IFPP_EID_HEX_LEN bytes
 * @eid: the EID
 */
void ifpp_eid_hex(char *hex, const u8 *eid)
{
	*bin2hex(hex, eid, IFPP_EID_LEN) = '\0';
}

static struct ifpp_chip *ifpp_chip_of(struct device *d)
{
	return container_of(d, struct ifpp_dev, dev)->chip;
}

static ssize_t eid_show(struct device *d, struct device_attribute *attr, char *buf)
{
	char hex[IFPP_EID_HEX_LEN];

	ifpp_eid_hex(hex, ifpp_chip_of(d)->rec.eid);
	return sysfs_emit(buf, "%s\n", hex);
}
static DEVICE_ATTR_RO(eid);

static ssize_t state_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct ifpp_chip *chip = ifpp_chip_of(d);
	u32 state;

	mutex_lock(&chip->lock);
	state = chip->rec.state;
	mutex_unlock(&chip->lock);
	return sysfs_emit(buf, "%s\n", ifpp_state_name(state));
}
static DEVICE_ATTR_RO(state);

#define IFPP_COUNT_ATTR(name, field)						\
static ssize_t name##_show(struct device *d, struct device_attribute *attr, char *buf) \
{										\
	struct ifpp_chip *chip = ifpp_chip_of(d);				\
	u64 val;								\
										\
	mutex_lock(&chip->lock);						\
	val = chip->field;							\
	mutex_unlock(&chip->lock);						\
	return sysfs_emit(buf, "%llu\n", val);					\
}										\
static DEVICE_ATTR_RO(name)

IFPP_COUNT_ATTR(keys_unspent, rec.unspent);
IFPP_COUNT_ATTR(keys_unknown, rec.unknown);
IFPP_COUNT_ATTR(keys_spent, rec.spent);
IFPP_COUNT_ATTR(loads, loads);
IFPP_COUNT_ATTR(installed, installed);
IFPP_COUNT_ATTR(failed, failed);
IFPP_COUNT_ATTR(refused, refused);

static struct attribute *ifpp_dev_attrs[] = {
	&dev_attr_eid.attr,
	&dev_attr_state.attr,
	&dev_attr_keys_unspent.attr,
	&dev_attr_keys_unknown.attr,
	&dev_attr_keys_spent.attr,
	&dev_attr_loads.attr,
	&dev_attr_installed.attr,
	&dev_attr_failed.attr,
	&dev_attr_refused.attr,
	NULL
};

static const struct attribute_group ifpp_dev_group = { .attrs = ifpp_dev_attrs };

const struct attribute_group *ifpp_dev_groups[] = { &ifpp_dev_group, NULL };

static ssize_t host_state_show(const struct class *class, const struct class_attribute *attr,
			       char *buf)
{
	return sysfs_emit(buf, "%s\n", ifpp_state_name(ifpp_host_state()));
}
static CLASS_ATTR_RO(host_state);

static ssize_t anchor_show(const struct class *class, const struct class_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%s\n", ifpp_anchor_names[ifpp_host_anchor()]);
}
static CLASS_ATTR_RO(anchor);

static struct attribute *ifpp_class_attrs[] = {
	&class_attr_host_state.attr,
	&class_attr_anchor.attr,
	NULL
};

static const struct attribute_group ifpp_class_group = { .attrs = ifpp_class_attrs };

const struct attribute_group *ifpp_class_groups[] = { &ifpp_class_group, NULL };
