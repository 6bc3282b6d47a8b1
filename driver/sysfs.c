// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/class/ifpp, see Documentation/ABI/testing/sysfs-class-ifpp. Read only: no
 * file here can change anything, and none tells an EID: the node does, to those who may open it.
 */
#include <linux/sysfs.h>

#include "ifpp.h"

static struct ifpp_chip *ifpp_chip_of(struct device *d)
{
	return container_of(d, struct ifpp_dev, dev)->chip;
}

static ssize_t state_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct ifpp_chip *chip = ifpp_chip_of(d);
	u32 state;

	mutex_lock(&chip->lock);
	state = chip->rec.state;
	mutex_unlock(&chip->lock);
	return sysfs_emit(buf, "%s\n", ifpp_state_names[state]);
}
static DEVICE_ATTR_RO(state);

/* A number in struct ifpp_chip: those of the record are u32, those behind it u64. */
static ssize_t count_show(struct device *d, struct device_attribute *attr, char *buf)
{
	size_t offset = (size_t)container_of(attr, struct dev_ext_attribute, attr)->var;
	struct ifpp_chip *chip = ifpp_chip_of(d);
	void *p = (void *)chip + offset;
	u64 val;

	mutex_lock(&chip->lock);
	val = offset < offsetof(struct ifpp_chip, loads) ? *(u32 *)p : *(u64 *)p;
	mutex_unlock(&chip->lock);
	return sysfs_emit(buf, "%llu\n", val);
}

#define IFPP_COUNT_ATTR(_name, _field)				\
static struct dev_ext_attribute ifpp_attr_##_name = {		\
	.attr	= __ATTR(_name, 0444, count_show, NULL),	\
	.var	= (void *)offsetof(struct ifpp_chip, _field),	\
}

IFPP_COUNT_ATTR(keys_unspent, rec.unspent);
IFPP_COUNT_ATTR(keys_unknown, rec.unknown);
IFPP_COUNT_ATTR(keys_spent, rec.spent);
IFPP_COUNT_ATTR(loads, loads);
IFPP_COUNT_ATTR(installed, installed);
IFPP_COUNT_ATTR(failed, failed);
IFPP_COUNT_ATTR(refused, refused);

static struct attribute *ifpp_dev_attrs[] = {
	&dev_attr_state.attr,
	&ifpp_attr_keys_unspent.attr.attr,
	&ifpp_attr_keys_unknown.attr.attr,
	&ifpp_attr_keys_spent.attr.attr,
	&ifpp_attr_loads.attr.attr,
	&ifpp_attr_installed.attr.attr,
	&ifpp_attr_failed.attr.attr,
	&ifpp_attr_refused.attr.attr,
	NULL
};

static const struct attribute_group ifpp_dev_group = { .attrs = ifpp_dev_attrs };

static const struct attribute_group *ifpp_dev_groups[] = { &ifpp_dev_group, NULL };

static ssize_t host_state_show(const struct class *class, const struct class_attribute *attr,
			       char *buf)
{
	return sysfs_emit(buf, "%s\n", ifpp_state_names[ifpp_host_state()]);
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

static const struct attribute_group *ifpp_class_groups[] = { &ifpp_class_group, NULL };

static char *ifpp_devnode(const struct device *d, umode_t *mode)
{
	if (mode)
		*mode = 0660;
	return NULL;
}

/* May run with chip->lock held, so it reads what was announced last. */
static int ifpp_dev_uevent(const struct device *d, struct kobj_uevent_env *env)
{
	const struct ifpp_dev *dev = container_of(d, struct ifpp_dev, dev);

	return add_uevent_var(env, "IFPP_STATE=%s", ifpp_state_names[READ_ONCE(dev->ev_state)]) ?:
	       add_uevent_var(env, "IFPP_KEYS=%u", READ_ONCE(dev->ev_unspent));
}

const struct class ifpp_class = {
	.name		= "ifpp",
	.class_groups	= ifpp_class_groups,
	.dev_groups	= ifpp_dev_groups,
	.dev_uevent	= ifpp_dev_uevent,
	.devnode	= ifpp_devnode,
};
