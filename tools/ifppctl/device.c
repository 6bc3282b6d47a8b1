// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"
#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct _CtlDevice {
	int fd;
};

static volatile sig_atomic_t interrupted;
static sigset_t wait_mask;

CtlDevice *ctl_device_open(const char *node, GError **error)
{
	CtlDevice *device;
	struct stat st;
	int fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && errno == EPERM) {
		/* Only a request's EPERM means locked. open() is refused by who confines us. */
		g_set_error(error, CTL_ERROR, IFPP_EXIT_ACCESS, "%s: opening it is forbidden here, by a device cgroup or a "
			    "security module; this says nothing about the chip's lock. Allow this container or unit the "
			    "device, as with DeviceAllow=%s rw", node, node);
		return NULL;
	}
	if (fd < 0) {
		ctl_set_errno(error, errno == EISDIR ? ENOTTY : errno, node);
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode)) {
		ctl_set_errno(error, ENOTTY, node);
		close(fd);
		return NULL;
	}
	device = g_new0(CtlDevice, 1);
	device->fd = fd;
	return device;
}

void ctl_device_free(CtlDevice *device)
{
	if (!device)
		return;
	close(device->fd);
	g_free(device);
}

int ctl_device_info(CtlDevice *device, struct ifpp_info *info)
{
	*info = (struct ifpp_info){ .size = sizeof(*info) };
	return ioctl(device->fd, IFPP_IOC_INFO, info) < 0 ? errno : 0;
}

int ctl_device_keys(CtlDevice *device, GArray **keys)
{
	g_autoptr(GArray) array = g_array_new(FALSE, TRUE, sizeof(struct ifpp_key));
	struct ifpp_keys arg = { .size = sizeof(arg), .count = IFPP_KEYS_MAX };

	g_array_set_size(array, IFPP_KEYS_MAX);
	arg.keys = (uintptr_t)array->data;
	if (ioctl(device->fd, IFPP_IOC_KEYS, &arg) < 0)
		return errno;
	g_array_set_size(array, MIN(arg.count, IFPP_KEYS_MAX));
	*keys = g_steal_pointer(&array);
	return 0;
}

int ctl_device_submit(CtlDevice *device, GBytes *package)
{
	gsize len;
	const void *data = g_bytes_get_data(package, &len);

	return write(device->fd, data, len) < 0 ? errno : 0;
}

int ctl_device_result(CtlDevice *device, struct ifpp_result *result)
{
	guint8 buf[sizeof(*result) + IFPP_PIR_MAX];
	ssize_t n = read(device->fd, buf, sizeof(buf));

	if (n < 0)
		return errno;
	if ((gsize)n < sizeof(*result))
		return EREMOTEIO;
	memcpy(result, buf, sizeof(*result));
	return 0;
}

int ctl_device_wait(CtlDevice *device, short events, int timeout_ms)
{
	struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	struct pollfd pfd = { .fd = device->fd, .events = events };
	int n;

	if (interrupted)
		return EINTR;
	/* Signals are let in only here, so that none is lost between the test above and the wait. */
	n = ppoll(&pfd, 1, &timeout, &wait_mask);
	if (n < 0)
		return errno;
	if (n == 0)
		return ETIMEDOUT;
	return pfd.revents & events ? 0 : ENODEV;
}

static int delete(CtlDevice *device, unsigned long request, guint32 *deleted)
{
	struct ifpp_delete arg = { .size = sizeof(arg) };
	int err = ioctl(device->fd, request, &arg) < 0 ? errno : 0;

	*deleted = arg.deleted;
	return err;
}

int ctl_device_delete_keys(CtlDevice *device, guint32 *deleted)
{
	return delete(device, IFPP_IOC_DELETE_KEYS, deleted);
}

int ctl_device_rework(CtlDevice *device, guint32 *deleted)
{
	return delete(device, IFPP_IOC_REWORK, deleted);
}

int ctl_device_lock(CtlDevice *device, const guint8 challenge[IFPP_CHALLENGE_LEN], GBytes **receipt)
{
	guint8 buf[IFPP_PIR_MAX];
	struct ifpp_lock arg = { .size = sizeof(arg), .receipt_len = sizeof(buf), .receipt = (uintptr_t)buf };
	int err;

	memcpy(arg.challenge, challenge, IFPP_CHALLENGE_LEN);
	err = ioctl(device->fd, IFPP_IOC_LOCK, &arg) < 0 ? errno : 0;
	if (!err)
		*receipt = g_bytes_new(buf, MIN(arg.receipt_len, sizeof(buf)));
	return err;
}

static void on_signal(int number)
{
	interrupted = number;
}

void ctl_catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t block;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &wait_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

gboolean ctl_interrupted(void)
{
	return interrupted != 0;
}
