// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write-once nvmem provider for tests of the anchor: fuses that can be made to
 * fail, or to take their time. By name ("ifpp_otp0"), or as a platform device from a device tree.
 * Where the device tree gives it registers, these are a bank of NOR flash (two chips of 16 bits side by side,
 * Intel's commands): a bit that was programmed there stays so when the power goes, and is a burnt fuse.
 * And a gate on the way into sleep and out of it, see pm_step.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/nvmem-provider.h>
#include <linux/of.h>
#include <linux/platform_device.h>
#include <linux/suspend.h>

#define OTP_SIZE	16

static u8 fuses[OTP_SIZE] __aligned(4);
module_param_array(fuses, byte, NULL, 0644);
MODULE_PARM_DESC(fuses, "What is burnt already");

static bool read_fails;
module_param(read_fails, bool, 0644);

static bool write_fails;
module_param(write_fails, bool, 0644);

static int write_fails_at = -1;
module_param(write_fails_at, int, 0644);
MODULE_PARM_DESC(write_fails_at, "Only there");

static bool words;
module_param(words, bool, 0444);
MODULE_PARM_DESC(words, "Reads and writes of whole words only, as most controllers of fuses want them");

static bool deaf;
module_param(deaf, bool, 0644);
MODULE_PARM_DESC(deaf, "Writes succeed and burn nothing");

static bool hold;
module_param(hold, bool, 0644);
MODULE_PARM_DESC(hold, "Whoever reads or writes waits until it is 0 again");

static int pm_step;
module_param(pm_step, int, 0444);
MODULE_PARM_DESC(pm_step, "1: all other drivers know of the sleep to come; 2: it is over, none knows");

static int pm_go = 2;
module_param(pm_go, int, 0644);
MODULE_PARM_DESC(pm_go, "It goes on from there when this is as much");

static void __iomem *flash;

/* The commands for both chips at once */
#define NOR_PROGRAM	0x00400040
#define NOR_READ	0x00ff00ff
#define NOR_READY	0x00800080
#define NOR_FAILED	0x001a001a	/* to program, its voltage, locked */

static void otp_hold(void)
{
	while (READ_ONCE(hold))
		msleep(20);
}

static int otp_read(void *priv, unsigned int offset, void *val, size_t bytes)
{
	otp_hold();
	if (read_fails)
		return -EIO;
	if (words && (offset | bytes) % 4)
		return -EINVAL;
	memcpy(val, fuses + offset, bytes);
	return 0;
}

static void flash_read(void)
{
	u32 *word = (u32 *)fuses;
	int i;

	/* Erased flash reads as ones. */
	for (i = 0; i < OTP_SIZE / 4; i++)
		word[i] = ~readl(flash + 4 * i);
}

static int flash_program(unsigned int offset)
{
	void __iomem *at = flash + offset;
	u32 status;
	int err;

	writel(NOR_PROGRAM, at);
	writel(~*(u32 *)(fuses + offset), at);
	err = readl_poll_timeout(at, status, (status & NOR_READY) == NOR_READY, 10, 1000000);
	if (!err && (status & NOR_FAILED))
		err = -EIO;
	writel(NOR_READ, at);
	return err;
}

static int otp_write(void *priv, unsigned int offset, void *val, size_t bytes)
{
	size_t i;
	int err = 0;

	otp_hold();
	if (write_fails || offset == write_fails_at)
		return -EIO;
	if ((words || flash) && (offset | bytes) % 4)
		return -EINVAL;
	for (i = 0; i < bytes && !deaf; i++)
		fuses[offset + i] |= ((u8 *)val)[i];
	for (i = 0; i < bytes && flash && !deaf && !err; i += 4)
		err = flash_program(offset + i);
	/* What it really holds now. */
	if (flash)
		flash_read();
	return err;
}

static int otp_step(int step)
{
	WRITE_ONCE(pm_step, step);
	while (READ_ONCE(pm_go) < step)
		msleep(20);
	return NOTIFY_OK;
}

static int otp_sleeps(struct notifier_block *nb, unsigned long event, void *data)
{
	return event == PM_SUSPEND_PREPARE ? otp_step(1) : NOTIFY_DONE;
}

static int otp_woke(struct notifier_block *nb, unsigned long event, void *data)
{
	return event == PM_POST_SUSPEND ? otp_step(2) : NOTIFY_DONE;
}

/* After all others, and before them. */
static struct notifier_block otp_last = { .notifier_call = otp_sleeps, .priority = -1 };
static struct notifier_block otp_first = { .notifier_call = otp_woke, .priority = 1 };

static int otp_probe(struct platform_device *pdev)
{
	struct nvmem_config config = {
		.dev		= &pdev->dev,
		.name		= "ifpp_otp",
		.id		= 0,
		.size		= OTP_SIZE,
		.word_size	= 1,
		.stride		= 1,
		.root_only	= true,
		.add_legacy_fixed_of_cells = true,
		.reg_read	= otp_read,
		.reg_write	= otp_write,
	};

	if (platform_get_resource(pdev, IORESOURCE_MEM, 0)) {
		flash = devm_platform_ioremap_resource(pdev, 0);
		if (IS_ERR(flash))
			return PTR_ERR(flash);
		flash_read();
	}
	return PTR_ERR_OR_ZERO(devm_nvmem_register(&pdev->dev, &config));
}

static const struct of_device_id otp_ids[] = {
	{ .compatible = "ifpp,test-otp" },
	{ }
};
MODULE_DEVICE_TABLE(of, otp_ids);

static struct platform_driver otp_driver = {
	.probe	= otp_probe,
	.driver	= {
		.name		= "ifpp-otp",
		.of_match_table	= otp_ids,
	},
};

static struct platform_device *otp_device;

static int __init otp_init(void)
{
	int err;

	err = platform_driver_register(&otp_driver);
	if (err)
		return err;
	/* On a machine whose device tree has none. */
	if (!of_find_matching_node(NULL, otp_ids)) {
		otp_device = platform_device_register_simple("ifpp-otp", -1, NULL, 0);
		if (IS_ERR(otp_device)) {
			platform_driver_unregister(&otp_driver);
			return PTR_ERR(otp_device);
		}
	}
	register_pm_notifier(&otp_last);
	register_pm_notifier(&otp_first);
	return 0;
}

static void __exit otp_exit(void)
{
	unregister_pm_notifier(&otp_first);
	unregister_pm_notifier(&otp_last);
	platform_device_unregister(otp_device);
	platform_driver_unregister(&otp_driver);
}

module_init(otp_init);
module_exit(otp_exit);
MODULE_DESCRIPTION("Write-once nvmem for tests");
MODULE_LICENSE("GPL");
