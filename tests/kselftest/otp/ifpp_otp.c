// SPDX-License-Identifier: GPL-2.0-only
/*
 * A write-once nvmem provider for tests of the anchor: fuses that can be made to
 * fail. By name ("ifpp_otp0"), or as a platform device from a device tree.
 */
#include <linux/module.h>
#include <linux/nvmem-provider.h>
#include <linux/of.h>
#include <linux/platform_device.h>

#define OTP_SIZE	16

static u8 fuses[OTP_SIZE];
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

static int otp_read(void *priv, unsigned int offset, void *val, size_t bytes)
{
	if (read_fails)
		return -EIO;
	if (words && (offset | bytes) % 4)
		return -EINVAL;
	memcpy(val, fuses + offset, bytes);
	return 0;
}

static int otp_write(void *priv, unsigned int offset, void *val, size_t bytes)
{
	size_t i;

	if (write_fails || offset == write_fails_at)
		return -EIO;
	if (words && (offset | bytes) % 4)
		return -EINVAL;
	for (i = 0; i < bytes && !deaf; i++)
		fuses[offset + i] |= ((u8 *)val)[i];
	return 0;
}

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
	return 0;
}

static void __exit otp_exit(void)
{
	platform_device_unregister(otp_device);
	platform_driver_unregister(&otp_driver);
}

module_init(otp_init);
module_exit(otp_exit);
MODULE_DESCRIPTION("Write-once nvmem for tests");
MODULE_LICENSE("GPL");
