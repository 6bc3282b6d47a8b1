// SPDX-License-Identifier: GPL-2.0-only
/*
 * The anchor: what keeps the host lock across a reboot. Clean is all zeroes; any
 * bit set is burnt, so that a fuse that reads badly fails closed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/nvmem-consumer.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "ifpp.h"

static char *ifpp_anchor_nvmem;
module_param_named(anchor_nvmem, ifpp_anchor_nvmem, charp, 0444);
MODULE_PARM_DESC(anchor_nvmem, "nvmem device that holds the anchor, where no device tree names one");

static unsigned int ifpp_anchor_offset;
module_param_named(anchor_offset, ifpp_anchor_offset, uint, 0444);
MODULE_PARM_DESC(anchor_offset, "Offset of the anchor's byte there");

static struct ifpp_fuse ifpp_fuse;

/* A cell goes when its provider is unbound. */
static DEFINE_MUTEX(ifpp_cell_mutex);

static struct nvmem_device *ifpp_provider(const struct ifpp_fuse *fuse)
{
	return nvmem_device_find((void *)fuse->provider, device_match_name);
}

/* The nvmem core does not check raw accesses against the device's size. */
static int ifpp_byte(const struct ifpp_fuse *fuse, u8 *byte, bool write)
{
	struct nvmem_device *nvmem;
	int ret;

	/* By device tree, see ifpp_cell_gone(). */
	if (!fuse->provider)
		return -ENODEV;
	nvmem = ifpp_provider(fuse);
	/* -EPROBE_DEFER is no answer for userspace. */
	if (IS_ERR(nvmem))
		return -ENODEV;
	if (fuse->offset >= nvmem_dev_size(nvmem))
		ret = -ERANGE;
	else if (write)
		ret = nvmem_device_write(nvmem, fuse->offset, 1, byte);
	else
		ret = nvmem_device_read(nvmem, fuse->offset, 1, byte);
	nvmem_device_put(nvmem);
	if (ret < 0)
		return ret;
	return ret == 1 ? 0 : -EIO;
}

static int ifpp_cell_read(struct nvmem_cell *cell)
{
	size_t len;
	u8 *buf;
	int ret;

	buf = nvmem_cell_read(cell, &len);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = !len || memchr_inv(buf, 0, len);
	kfree(buf);
	return ret;
}

static int ifpp_cell_burn(struct nvmem_cell *cell)
{
	size_t len;
	u8 *buf;
	int ret;

	/* The first bit, so that a cell of one bit will do. */
	buf = nvmem_cell_read(cell, &len);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	buf[0] |= 1;
	ret = nvmem_cell_write(cell, buf, len);
	kfree(buf);
	return ret < 0 ? ret : 0;
}

/**
 * ifpp_fuse_read() - read the anchor
 * @fuse: where it is
 *
 * Return: 0 if it is clean, 1 if it is burnt, or an error, which counts as burnt.
 */
int ifpp_fuse_read(const struct ifpp_fuse *fuse)
{
	u8 byte;
	int ret;

	mutex_lock(&ifpp_cell_mutex);
	if (fuse->cell)
		ret = ifpp_cell_read(fuse->cell);
	else
		ret = ifpp_byte(fuse, &byte, false) ?: !!byte;
	mutex_unlock(&ifpp_cell_mutex);
	return ret;
}

/**
 * ifpp_fuse_burn() - burn the anchor and read it back
 * @fuse: where it is
 *
 * Return: 0 only if it reads as burnt.
 */
int ifpp_fuse_burn(const struct ifpp_fuse *fuse)
{
	u8 burnt = 1;
	int ret;

	if (ifpp_fuse_read(fuse) == 1)
		return 0;
	mutex_lock(&ifpp_cell_mutex);
	ret = fuse->cell ? ifpp_cell_burn(fuse->cell) : ifpp_byte(fuse, &burnt, true);
	mutex_unlock(&ifpp_cell_mutex);
	if (ret)
		return ret;
	ret = ifpp_fuse_read(fuse);
	if (ret < 0)
		return ret;
	return ret ? 0 : -EIO;
}

/* ---- by module parameters: the provider may come later than this module */

static void ifpp_provider_came(struct work_struct *work)
{
	struct nvmem_device *nvmem = ifpp_provider(&ifpp_fuse);

	if (IS_ERR(nvmem))
		return;
	nvmem_device_put(nvmem);
	ifpp_host_settle(&ifpp_fuse);
}

static DECLARE_WORK(ifpp_provider_work, ifpp_provider_came);

static int ifpp_nvmem_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == NVMEM_ADD)
		schedule_work(&ifpp_provider_work);
	return NOTIFY_OK;
}

static struct notifier_block ifpp_nvmem_nb = { .notifier_call = ifpp_nvmem_notify };

/* ---- by device tree: the driver core waits for the provider, and may unbind us before it */

static struct device_node *ifpp_anchor_node;

static void ifpp_cell_gone(void *data)
{
	mutex_lock(&ifpp_cell_mutex);
	ifpp_fuse.cell = NULL;
	mutex_unlock(&ifpp_cell_mutex);
}

static int ifpp_anchor_probe(struct platform_device *pdev)
{
	struct nvmem_cell *cell;
	int err;

	if (pdev->dev.of_node != ifpp_anchor_node)
		return dev_err_probe(&pdev->dev, -EBUSY, "there is another anchor\n");
	cell = devm_nvmem_cell_get(&pdev->dev, "production-lock");
	if (IS_ERR(cell))
		return dev_err_probe(&pdev->dev, PTR_ERR(cell), "no anchor\n");

	mutex_lock(&ifpp_cell_mutex);
	ifpp_fuse.cell = cell;
	mutex_unlock(&ifpp_cell_mutex);
	err = devm_add_action_or_reset(&pdev->dev, ifpp_cell_gone, NULL);
	if (err)
		return err;
	ifpp_host_settle(&ifpp_fuse);
	return 0;
}

static const struct of_device_id ifpp_anchor_ids[] = {
	{ .compatible = "ifpp,production-lock" },
	{ }
};
MODULE_DEVICE_TABLE(of, ifpp_anchor_ids);

static bool ifpp_anchor_registered;

static struct platform_driver ifpp_anchor_driver = {
	.probe	= ifpp_anchor_probe,
	.driver	= {
		.name			= "ifpp-anchor",
		.of_match_table		= ifpp_anchor_ids,
		.suppress_bind_attrs	= true,
	},
};

/* The first one that is not disabled. */
static struct device_node *ifpp_find_node(void)
{
	struct device_node *np;

	for_each_matching_node(np, ifpp_anchor_ids)
		if (of_device_is_available(np))
			return np;
	return NULL;
}

/**
 * ifpp_anchor_configured() - is there to be an anchor
 *
 * Return: true if the module's parameters or the device tree name one.
 */
bool ifpp_anchor_configured(void)
{
	if (ifpp_anchor_nvmem)
		return true;
	ifpp_anchor_node = ifpp_find_node();
	return ifpp_anchor_node;
}

/**
 * ifpp_anchor_init() - look for the anchor
 *
 * ifpp_host_settle() follows once it is there.
 *
 * Return: 0 or an error.
 */
int __init ifpp_anchor_init(void)
{
	int err;

	if (!ifpp_anchor_nvmem) {
		err = platform_driver_register(&ifpp_anchor_driver);
		ifpp_anchor_registered = !err;
		return err;
	}

	ifpp_fuse.provider = ifpp_anchor_nvmem;
	ifpp_fuse.offset = ifpp_anchor_offset;
	err = nvmem_register_notifier(&ifpp_nvmem_nb);
	if (err)
		return err;
	ifpp_provider_came(&ifpp_provider_work);
	if (!ifpp_host_settled())
		pr_notice("no chip can attach before the nvmem device %s is there\n",
			  ifpp_anchor_nvmem);
	return 0;
}

void ifpp_anchor_exit(void)
{
	if (ifpp_fuse.provider) {
		nvmem_unregister_notifier(&ifpp_nvmem_nb);
		cancel_work_sync(&ifpp_provider_work);
	} else if (ifpp_anchor_registered) {
		platform_driver_unregister(&ifpp_anchor_driver);
	}
	of_node_put(ifpp_anchor_node);
}
