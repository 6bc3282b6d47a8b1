// SPDX-License-Identifier: GPL-2.0-only
/*
 * The anchors: what keeps the host lock across a reboot. Every one that is configured counts, and
 * what is burnt once stays burnt.
 *
 * A cell that the device tree names is a fuse: any bit that is set is burnt. Memory that a
 * parameter names may be anybody's: all zeroes is clean, burnt is a pattern that is not there by
 * chance, and anything else is not ours to read or to write.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/moduleparam.h>
#include <linux/nvmem-consumer.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "ifpp.h"

#define IFPP_WORD	4U	/* controllers of fuses write words, or nothing */

/* Parameters that name hardware: a locked down kernel refuses them. */
static char *ifpp_anchor_nvmem;
module_param_hw_named(anchor_nvmem, ifpp_anchor_nvmem, charp, other, 0444);
MODULE_PARM_DESC(anchor_nvmem, "nvmem device that holds an anchor, beside those of the device tree");

static unsigned int ifpp_anchor_offset;
module_param_hw_named(anchor_offset, ifpp_anchor_offset, uint, other, 0444);
MODULE_PARM_DESC(anchor_offset, "Offset of the anchor there, a multiple of 4");

static unsigned int ifpp_anchor_len = IFPP_WORD;
module_param_hw_named(anchor_len, ifpp_anchor_len, uint, other, 0444);
MODULE_PARM_DESC(anchor_len, "Bytes of the anchor there, a multiple of 4, at most 32");

static const u8 ifpp_pattern[IFPP_WORD] = { 'I', 'F', (u8)~'I', (u8)~'F' };

static LIST_HEAD(ifpp_fuses);
static DEFINE_MUTEX(ifpp_fuse_mutex);	/* the list, and the cells, which go with their provider */
static void (*ifpp_fuse_changed)(void);

/* The nvmem core does not check raw accesses against the device's size. */
static int ifpp_named(const struct ifpp_fuse *fuse, u8 *buf, bool write)
{
	struct nvmem_device *nvmem;
	int ret;

	nvmem = nvmem_device_find((void *)fuse->provider, device_match_name);
	/* -EPROBE_DEFER is no answer for userspace. */
	if (IS_ERR(nvmem))
		return -ENODEV;
	if (fuse->offset > nvmem_dev_size(nvmem) ||
	    fuse->len > nvmem_dev_size(nvmem) - fuse->offset)
		ret = -ERANGE;
	else if (write)
		ret = nvmem_device_write(nvmem, fuse->offset, fuse->len, buf);
	else
		ret = nvmem_device_read(nvmem, fuse->offset, fuse->len, buf);
	nvmem_device_put(nvmem);
	if (ret < 0)
		return ret;
	return ret == fuse->len ? ret : -EIO;
}

/* Bytes at @buf, or an error. */
static int ifpp_fuse_read(const struct ifpp_fuse *fuse, u8 *buf)
{
	size_t len;
	u8 *cell;

	if (fuse->provider)
		return ifpp_named(fuse, buf, false);
	if (!fuse->cell)
		return -ENODEV;
	cell = nvmem_cell_read(fuse->cell, &len);
	if (IS_ERR(cell))
		return PTR_ERR(cell);
	if (len && len <= IFPP_FUSE_MAX)
		memcpy(buf, cell, len);
	kfree(cell);
	return len && len <= IFPP_FUSE_MAX ? len : -EMSGSIZE;
}

/* How much of the pattern @buf has: 1 all of it, 0 a part and nothing else, -1 other bits. */
static int ifpp_pattern_in(const u8 *buf, int len)
{
	int i, all = 1;

	for (i = 0; i < len; i++) {
		if (buf[i] & ~ifpp_pattern[i % IFPP_WORD])
			return -1;
		all &= buf[i] == ifpp_pattern[i % IFPP_WORD];
	}
	return all;
}

static bool ifpp_fuse_whole(const struct ifpp_fuse *fuse, int len)
{
	return !(len % IFPP_WORD) && !(fuse->provider && fuse->offset % IFPP_WORD);
}

static u32 ifpp_fuse_state(struct ifpp_fuse *fuse, const u8 *buf, int len)
{
	if (len < 0)
		return IFPP_ANCHOR_UNREADABLE;
	if (!memchr_inv(buf, 0, len))
		return ifpp_fuse_whole(fuse, len) ? IFPP_ANCHOR_CLEAN : IFPP_ANCHOR_UNUSABLE;
	if (!fuse->provider)
		return IFPP_ANCHOR_BURNT;
	fuse->proven = len >= IFPP_WORD && ifpp_pattern_in(buf, len) == 1;
	/* Version 1 burnt a byte of 1, which proves nothing. */
	if (fuse->proven || (buf[0] == 1 && !memchr_inv(buf + 1, 0, len - 1)))
		return IFPP_ANCHOR_BURNT;
	return IFPP_ANCHOR_UNUSABLE;
}

/**
 * ifpp_fuse_look() - read one anchor
 * @fuse: the anchor; its state is updated
 *
 * Return: enum ifpp_anchor: CLEAN, BURNT, UNREADABLE or UNUSABLE.
 */
u32 ifpp_fuse_look(struct ifpp_fuse *fuse)
{
	u8 buf[IFPP_FUSE_MAX];
	u32 was = fuse->state;
	int len = -EINVAL;

	if (was == IFPP_ANCHOR_BURNT)
		return was;
	if (!fuse->provider || (fuse->len && fuse->len <= IFPP_FUSE_MAX))
		len = ifpp_fuse_read(fuse, buf);
	fuse->err = min(len, 0);
	fuse->state = ifpp_fuse_state(fuse, buf, len);
	if (fuse->state == was)
		return was;
	if (fuse->state == IFPP_ANCHOR_UNREADABLE)
		pr_err("anchor %s cannot be read (%d): loads are refused until it can. Is its driver there, its name, offset and length (both multiples of 4) right?\n",
		       fuse->name, len);
	else if (fuse->state == IFPP_ANCHOR_UNUSABLE && !ifpp_fuse_whole(fuse, len))
		pr_err("anchor %s is not of whole words, so that it may not burn: loads are refused. Give it 4 bytes, or a multiple, at a multiple of 4\n",
		       fuse->name);
	else if (fuse->state == IFPP_ANCHOR_UNUSABLE)
		pr_err("anchor %s holds %*ph, which is neither clean nor our lock: loads are refused. Clear it if the place is yours, else name another\n",
		       fuse->name, min(len, 8), buf);
	return fuse->state;
}

static int ifpp_fuse_write(const struct ifpp_fuse *fuse, u8 *buf, int len)
{
	int i;

	if (!fuse->provider) {
		buf[0] |= 1;
		return nvmem_cell_write(fuse->cell, buf, len);
	}
	for (i = 0; i < len; i++)
		buf[i] = ifpp_pattern[i % IFPP_WORD];
	return ifpp_named(fuse, buf, true);
}

/**
 * ifpp_fuse_burn() - burn one anchor and read it back
 * @fuse: the anchor; its state is updated
 *
 * Return: 0 only if it reads as burnt; -EADDRINUSE if somebody else's bits are there.
 */
int ifpp_fuse_burn(struct ifpp_fuse *fuse)
{
	u8 buf[IFPP_FUSE_MAX];
	int len, err;

	if (ifpp_fuse_look(fuse) == IFPP_ANCHOR_BURNT)
		return 0;
	if (fuse->err)
		return fuse->err;
	if (fuse->provider && !ifpp_fuse_whole(fuse, fuse->len))
		return -EINVAL;
	len = ifpp_fuse_read(fuse, buf);
	if (len < 0)
		return len;
	/* A pattern that was begun may be finished. */
	if (fuse->provider && ifpp_pattern_in(buf, len) < 0)
		return -EADDRINUSE;
	err = ifpp_fuse_write(fuse, buf, len);
	if (err < 0)
		return err;
	if (ifpp_fuse_look(fuse) == IFPP_ANCHOR_BURNT)
		return 0;
	return fuse->err ?: -EIO;
}

/**
 * ifpp_anchor_look() - read every anchor
 * @proven: set if one of them proves that a host lock was asked for
 *
 * Return: enum ifpp_anchor: BURNT if any is; else the worst of UNUSABLE, UNREADABLE and CLEAN, or
 * NONE without anchor.
 */
u32 ifpp_anchor_look(bool *proven)
{
	u32 all = IFPP_ANCHOR_NONE;
	struct ifpp_fuse *fuse;

	mutex_lock(&ifpp_fuse_mutex);
	list_for_each_entry(fuse, &ifpp_fuses, node) {
		u32 state = ifpp_fuse_look(fuse);

		*proven |= fuse->proven;
		if (state == IFPP_ANCHOR_BURNT || all == IFPP_ANCHOR_BURNT)
			all = IFPP_ANCHOR_BURNT;
		else
			all = max(all, state);
	}
	mutex_unlock(&ifpp_fuse_mutex);
	return all;
}

/**
 * ifpp_anchor_burn() - burn every anchor
 * @name: the first that cannot be burnt; valid for as long as the module
 *
 * Return: 0 if all of them are burnt now.
 */
int ifpp_anchor_burn(const char **name)
{
	struct ifpp_fuse *fuse;
	int err, ret = 0;

	mutex_lock(&ifpp_fuse_mutex);
	list_for_each_entry(fuse, &ifpp_fuses, node) {
		err = ifpp_fuse_burn(fuse);
		if (!err)
			continue;
		pr_err("anchor %s could not be burnt (%d): repeat the host lock when it can\n",
		       fuse->name, err);
		if (!ret)
			*name = fuse->name;
		ret = ret ?: err;
	}
	mutex_unlock(&ifpp_fuse_mutex);
	return ret;
}

/* ---- the providers, which come and go */

static void ifpp_provider_came(struct work_struct *work)
{
	ifpp_fuse_changed();
}

static DECLARE_WORK(ifpp_provider_work, ifpp_provider_came);

static int ifpp_nvmem_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	/* Not from here: the provider may be in the middle of its own probe. */
	if (event == NVMEM_ADD)
		schedule_work(&ifpp_provider_work);
	return NOTIFY_OK;
}

static struct notifier_block ifpp_nvmem_nb = { .notifier_call = ifpp_nvmem_notify };

static struct ifpp_fuse *ifpp_fuse_of(struct device_node *np)
{
	struct ifpp_fuse *fuse;

	list_for_each_entry(fuse, &ifpp_fuses, node)
		if (np && fuse->np == np)
			return fuse;
	return NULL;
}

static struct ifpp_fuse *ifpp_fuse_add(const char *provider, struct device_node *np)
{
	struct ifpp_fuse *fuse = ifpp_fuse_of(np);

	if (fuse)
		return fuse;
	fuse = kzalloc(sizeof(*fuse), GFP_KERNEL);
	if (!fuse)
		return NULL;
	fuse->np = of_node_get(np);
	fuse->name = provider ?: of_node_full_name(np);
	fuse->provider = provider;
	fuse->offset = ifpp_anchor_offset;
	fuse->len = ifpp_anchor_len;
	list_add_tail(&fuse->node, &ifpp_fuses);
	return fuse;
}

static void ifpp_cell_gone(void *data)
{
	struct ifpp_fuse *fuse = data;

	mutex_lock(&ifpp_fuse_mutex);
	fuse->cell = NULL;
	mutex_unlock(&ifpp_fuse_mutex);
}

/* The driver core waits for the cell's provider, and unbinds us before it goes. */
static int ifpp_anchor_probe(struct platform_device *pdev)
{
	struct nvmem_cell *cell;
	struct ifpp_fuse *fuse;
	int err;

	cell = devm_nvmem_cell_get(&pdev->dev, "production-lock");
	if (IS_ERR(cell))
		return dev_err_probe(&pdev->dev, PTR_ERR(cell), "no anchor\n");

	mutex_lock(&ifpp_fuse_mutex);
	fuse = ifpp_fuse_add(NULL, pdev->dev.of_node);
	if (fuse)
		fuse->cell = cell;
	mutex_unlock(&ifpp_fuse_mutex);
	if (!fuse)
		return -ENOMEM;
	err = devm_add_action_or_reset(&pdev->dev, ifpp_cell_gone, fuse);
	if (err)
		return err;
	ifpp_fuse_changed();
	return 0;
}

static const struct of_device_id ifpp_anchor_ids[] = {
	{ .compatible = "ifpp,production-lock" },
	{ }
};
MODULE_DEVICE_TABLE(of, ifpp_anchor_ids);

static struct platform_driver ifpp_anchor_driver = {
	.probe	= ifpp_anchor_probe,
	.driver	= {
		.name			= "ifpp-anchor",
		.of_match_table		= ifpp_anchor_ids,
		.suppress_bind_attrs	= true,
	},
};

static void ifpp_fuses_free(void)
{
	struct ifpp_fuse *fuse, *next;

	cancel_work_sync(&ifpp_provider_work);
	list_for_each_entry_safe(fuse, next, &ifpp_fuses, node) {
		of_node_put(fuse->np);
		kfree(fuse);
	}
	INIT_LIST_HEAD(&ifpp_fuses);
}

/**
 * ifpp_anchor_init() - gather the anchors
 * @changed: called when one of them may read differently
 *
 * Return: 0 or an error.
 */
int __init ifpp_anchor_init(void (*changed)(void))
{
	struct device_node *np;
	int err = 0;

	ifpp_fuse_changed = changed;
	if (ifpp_anchor_nvmem && !ifpp_fuse_add(ifpp_anchor_nvmem, NULL))
		return -ENOMEM;
	for_each_matching_node(np, ifpp_anchor_ids)
		if (of_device_is_available(np) && !ifpp_fuse_add(NULL, np))
			err = -ENOMEM;
	if (!err)
		err = nvmem_register_notifier(&ifpp_nvmem_nb);
	if (err)
		goto free;
	err = platform_driver_register(&ifpp_anchor_driver);
	if (!err)
		return 0;
	nvmem_unregister_notifier(&ifpp_nvmem_nb);
free:
	ifpp_fuses_free();
	return err;
}

void ifpp_anchor_exit(void)
{
	platform_driver_unregister(&ifpp_anchor_driver);
	nvmem_unregister_notifier(&ifpp_nvmem_nb);
	ifpp_fuses_free();
}
