// SPDX-License-Identifier: GPL-2.0-or-later
#include "gadget.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

#define CONFIGFS "/sys/kernel/config"
#define GADGETS CONFIGFS "/usb_gadget"
#define UDCS "/sys/class/udc"

static gboolean fail(GError **error, const char *path, const char *what)
{
	int err = errno;
	int code = err == EACCES || err == EPERM ? IFPP_ERROR_ACCESS :
		   err == ENODEV || err == ENOENT || err == EBUSY ? IFPP_ERROR_NO_DEVICE : IFPP_ERROR_IO;

	g_set_error(error, IFPP_ERROR, code, "%s: %s: %s", path, what, g_strerror(err));
	return FALSE;
}

static gboolean put(const char *gadget, const char *attribute, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(GADGETS, gadget, attribute, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	gboolean ok;

	if (fd < 0)
		return fail(error, path, "cannot open");
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (!ok)
		fail(error, path, "cannot write");
	close(fd);
	return ok;
}

static gboolean make_dir(const char *gadget, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(GADGETS, gadget, name, NULL);

	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return TRUE;
	return fail(error, path, "cannot make");
}

static gboolean check_name(const char *name, GError **error)
{
	/* FunctionFS instance names are at most 40 characters long. */
	if (*name && strlen(name) <= 32 && !strpbrk(name, "/ \t\n") && name[0] != '.')
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_USAGE, "%s: not a name for a gadget", name);
	return FALSE;
}

static gboolean have_gadgets(GError **error)
{
	if (access(GADGETS, F_OK) == 0)
		return TRUE;
	if (access(CONFIGFS, F_OK) == 0 && mount("none", CONFIGFS, "configfs", 0, NULL) == 0 &&
	    access(GADGETS, F_OK) == 0)
		return TRUE;
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE,
		    "%s: the kernel has no USB gadgets; modprobe usb_f_fs and dummy_hcd", GADGETS);
	return FALSE;
}

static gboolean link_function(const char *name, GError **error)
{
	g_autofree char *target = g_strdup_printf(GADGETS "/%s/functions/ffs.%s", name, name);
	g_autofree char *link = g_strdup_printf(GADGETS "/%s/configs/c.1/ffs.%s", name, name);

	if (symlink(target, link) == 0 || errno == EEXIST)
		return TRUE;
	return fail(error, link, "cannot link");
}

static gboolean mount_functionfs(const char *name, const char *dir, GError **error)
{
	g_autofree char *ep0 = g_build_filename(dir, "ep0", NULL);

	if (access(ep0, F_OK) == 0)
		return TRUE;
	if (g_mkdir_with_parents(dir, 0755) < 0)
		return fail(error, dir, "cannot make");
	if (mount(name, dir, "functionfs", 0, NULL) < 0)
		return fail(error, dir, "cannot mount functionfs");
	return TRUE;
}

gboolean gadget_up(const char *name, const char *dir, GError **error)
{
	g_autofree char *function = g_strconcat("functions/ffs.", name, NULL);
	g_autofree char *linked = g_strdup_printf(GADGETS "/%s/configs/c.1/ffs.%s", name, name);

	if (!check_name(name, error) || !have_gadgets(error))
		return FALSE;
	if (access(linked, F_OK) == 0)
		return mount_functionfs(name, dir, error);
	return make_dir(name, "", error) && put(name, "idVendor", "0x2c7c", error) &&
	       put(name, "idProduct", "0x0125", error) && put(name, "bcdDevice", "0x0318", error) &&
	       put(name, "bcdUSB", "0x0200", error) && make_dir(name, "strings/0x409", error) &&
	       put(name, "strings/0x409/manufacturer", "IFPP project", error) &&
	       put(name, "strings/0x409/product", "Virtual EC25", error) &&
	       make_dir(name, "configs/c.1", error) && put(name, "configs/c.1/MaxPower", "500", error) &&
	       make_dir(name, function, error) && link_function(name, error) &&
	       mount_functionfs(name, dir, error);
}

gboolean gadget_unbind(const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(GADGETS, name, "UDC", NULL);
	g_autofree char *bound = NULL;

	if (!check_name(name, error))
		return FALSE;
	if (!g_file_get_contents(path, &bound, NULL, NULL) || !*g_strstrip(bound))
		return TRUE;
	return put(name, "UDC", "\n", error);
}

/* In dependency order; ENOENT: was never made. */
gboolean gadget_down(const char *name, const char *dir, GError **error)
{
	static const struct {
		const char *part;
		gboolean named;		/* ends with our name */
	} parts[] = {
		{ "configs/c.1/ffs.", TRUE }, { "configs/c.1/strings/0x409", FALSE },
		{ "configs/c.1", FALSE }, { "functions/ffs.", TRUE }, { "strings/0x409", FALSE }, { "", FALSE },
	};

	if (!gadget_unbind(name, error))
		return FALSE;
	if (umount2(dir, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
		return fail(error, dir, "cannot unmount");
	for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
		g_autofree char *path = g_strdup_printf(GADGETS "/%s/%s%s", name, parts[i].part,
							parts[i].named ? name : "");

		/* the first one is the link between configuration and function */
		if ((i == 0 ? unlink(path) : rmdir(path)) < 0 && errno != ENOENT)
			return fail(error, path, "cannot remove");
	}
	return TRUE;
}

gboolean gadget_bind(const char *name, const char *udc, GError **error)
{
	g_autoptr(GDir) dir = NULL;
	const char *entry;

	if (!check_name(name, error) || !gadget_unbind(name, error))
		return FALSE;
	if (udc)
		return put(name, "UDC", udc, error);
	dir = g_dir_open(UDCS, 0, NULL);
	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(UDCS, entry, "function", NULL);
		g_autofree char *user = NULL;

		/* Another gadget may come first between the look and the bind: then try the next one. */
		if (g_file_get_contents(path, &user, NULL, NULL) && !*g_strstrip(user) &&
		    put(name, "UDC", entry, NULL))
			return TRUE;
	}
	g_set_error(error, IFPP_ERROR, IFPP_ERROR_NO_DEVICE,
		    "%s: no free USB device controller; modprobe dummy_hcd num=N gives N virtual ones", UDCS);
	return FALSE;
}
