// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The modem on USB. QMI travels on the control endpoint (CDC WDM, SEND_ and GET_ENCAPSULATED_*);
 * the interrupt endpoint says that an answer waits. That endpoint is polled by the host only while
 * somebody has /dev/cdc-wdm open, so writing to it must not block: Linux AIO with an eventfd.
 */
#include "gadget.h"
#include "transport-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/usb/cdc.h>
#include <linux/usb/functionfs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib-unix.h>

#include "error.h"

#define QMI_INTERFACE 4
#define FRAMES_MAX 64		/* answers nobody fetches */
#define REPLUG_MS 500

typedef struct {
	Transport base;
	Modem *modem;
	char *dir, *gadget, *udc;
	gboolean made;		/* we made the gadget, we take it apart */
	int ep0, interrupt;
	guint ep0_source, event_source, replug_source;
	gboolean enabled;	/* the host has the interface configured */
	ModemLink *link;	/* while enabled and plugged */
	GQueue frames;		/* of GByteArray, to be fetched */
	guint unannounced;	/* of them */
	aio_context_t aio;
	int eventfd;
	gboolean notifying;	/* one write is on its way */
	struct iocb iocb;
	guint8 notification[8];
} UsbTransport;

/* ------------------------------------------------------------------ descriptors */

struct interfaces {
	struct usb_interface_descriptor idle[QMI_INTERFACE];
	struct usb_interface_descriptor qmi;
	struct usb_endpoint_descriptor_no_audio interrupt, bulk_in, bulk_out;
} __attribute__((packed));

static const struct {
	struct usb_functionfs_descs_head_v2 head;
	__le32 fs_count, hs_count;
	struct interfaces fs, hs;
} __attribute__((packed)) descriptors = {
#define IDLE(n) { .bLength = USB_DT_INTERFACE_SIZE, .bDescriptorType = USB_DT_INTERFACE, \
		  .bInterfaceNumber = n, .bInterfaceClass = 0xFF }
#define ENDPOINT(address, type, size, interval) { .bLength = USB_DT_ENDPOINT_SIZE, \
		  .bDescriptorType = USB_DT_ENDPOINT, .bEndpointAddress = address, .bmAttributes = type, \
		  .wMaxPacketSize = GUINT16_TO_LE(size), .bInterval = interval }
#define INTERFACES(bulk, interval) { \
		  .idle = { IDLE(0), IDLE(1), IDLE(2), IDLE(3) }, \
		  .qmi = { .bLength = USB_DT_INTERFACE_SIZE, .bDescriptorType = USB_DT_INTERFACE, \
			   .bInterfaceNumber = QMI_INTERFACE, .bNumEndpoints = 3, .bInterfaceClass = 0xFF, \
			   .bInterfaceSubClass = 0xFF, .bInterfaceProtocol = 0xFF }, \
		  .interrupt = ENDPOINT(0x81, USB_ENDPOINT_XFER_INT, 8, interval), \
		  .bulk_in = ENDPOINT(0x82, USB_ENDPOINT_XFER_BULK, bulk, 0), \
		  .bulk_out = ENDPOINT(0x03, USB_ENDPOINT_XFER_BULK, bulk, 0) }
	.head = { .magic = GUINT32_TO_LE(FUNCTIONFS_DESCRIPTORS_MAGIC_V2),
		  .length = GUINT32_TO_LE(sizeof(descriptors)),
		  .flags = GUINT32_TO_LE(FUNCTIONFS_HAS_FS_DESC | FUNCTIONFS_HAS_HS_DESC) },
	.fs_count = GUINT32_TO_LE(QMI_INTERFACE + 4),
	.hs_count = GUINT32_TO_LE(QMI_INTERFACE + 4),
	.fs = INTERFACES(64, 2),
	.hs = INTERFACES(512, 5),
};

static const struct usb_functionfs_strings_head strings = {
	.magic = GUINT32_TO_LE(FUNCTIONFS_STRINGS_MAGIC),
	.length = GUINT32_TO_LE(sizeof(strings)),
};

/* ------------------------------------------------------------------ interrupt endpoint */

/* ResponseAvailable, once per waiting answer. */
static void notify(UsbTransport *t)
{
	struct iocb *list = &t->iocb;

	if (t->notifying || !t->unannounced)
		return;
	t->iocb = (struct iocb){
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = t->interrupt,
		.aio_buf = (guintptr)t->notification,
		.aio_nbytes = sizeof(t->notification),
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = t->eventfd,
	};
	if (syscall(SYS_io_submit, t->aio, 1, &list) == 1)
		t->notifying = TRUE;
	else
		g_info("interrupt endpoint: %s", g_strerror(errno));
}

static gboolean on_notified(int fd, GIOCondition condition, gpointer user)
{
	UsbTransport *t = user;
	struct timespec now = { 0 };
	struct io_event event;
	guint64 count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return G_SOURCE_CONTINUE;
	while (syscall(SYS_io_getevents, t->aio, 0, 1, &event, &now) == 1) {
		t->notifying = FALSE;
		/* A failed write (the host went away) is not tried again: ENABLE begins anew. */
		if (event.res > 0 && t->unannounced)
			t->unannounced--;
		if (event.res > 0)
			notify(t);
	}
	return G_SOURCE_CONTINUE;
}

static void frame_free(gpointer frame)
{
	g_byte_array_unref(frame);
}

static void send_frame(const guint8 *frame, gsize len, gpointer user)
{
	UsbTransport *t = user;

	if (t->frames.length == FRAMES_MAX) {
		frame_free(g_queue_pop_head(&t->frames));
		t->unannounced = MIN(t->unannounced, t->frames.length);
	}
	g_queue_push_tail(&t->frames, g_byte_array_append(g_byte_array_new(), frame, len));
	t->unannounced++;
	notify(t);
}

/* ------------------------------------------------------------------ control endpoint */

static void disconnect(UsbTransport *t)
{
	/* A notification on its way is for answers that are no more; the host then finds nothing. */
	g_clear_pointer(&t->link, modem_link_free);
	g_queue_clear_full(&t->frames, frame_free);
	t->unannounced = 0;
}

static void reconnect(UsbTransport *t)
{
	disconnect(t);
	if (t->enabled && modem_plugged(t->modem))
		t->link = modem_link_new(t->modem, send_frame, t);
}

static void setup(UsbTransport *t, const struct usb_ctrlrequest *request)
{
	guint16 kind = request->bRequestType << 8 | request->bRequest,
		len = GUINT16_FROM_LE(request->wLength);
	g_autofree guint8 *data = g_malloc(len + 1);
	GByteArray *frame;
	ssize_t n;

	switch (kind) {
	case 0x2100:	/* SEND_ENCAPSULATED_COMMAND: one whole QMUX message */
		n = read(t->ep0, data, len);
		if (n > 0 && t->link && !modem_link_receive(t->link, data, n))
			g_info("a control message is not QMUX");
		return;
	case 0xA101:	/* GET_ENCAPSULATED_RESPONSE */
		frame = g_queue_pop_head(&t->frames);
		n = write(t->ep0, frame ? frame->data : data, frame ? MIN(frame->len, len) : 0);
		if (n < 0)
			g_info("control endpoint: %s", g_strerror(errno));
		if (frame)
			frame_free(frame);
		return;
	case 0x2122:	/* SET_CONTROL_LINE_STATE: acknowledge the status stage */
		n = read(t->ep0, data, 0);
		return;
	}
	/* I/O in the wrong direction stalls. */
	if (request->bRequestType & USB_DIR_IN)
		n = read(t->ep0, data, 0);
	else
		n = write(t->ep0, data, 0);
}

static gboolean on_ep0(int fd, GIOCondition condition, gpointer user)
{
	UsbTransport *t = user;
	struct usb_functionfs_event events[4];
	ssize_t n = read(fd, events, sizeof(events));

	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIDRM) {
		g_warning("%s/ep0: %s", t->dir, g_strerror(errno));
		t->ep0_source = 0;
		return G_SOURCE_REMOVE;
	}
	for (gsize i = 0; n > 0 && i < n / sizeof(events[0]); i++) {
		switch (events[i].type) {
		case FUNCTIONFS_ENABLE:
			t->enabled = TRUE;
			reconnect(t);
			break;
		case FUNCTIONFS_DISABLE:
		case FUNCTIONFS_UNBIND:
			t->enabled = FALSE;
			disconnect(t);
			break;
		case FUNCTIONFS_SETUP:
			setup(t, &events[i].u.setup);
			break;
		}
	}
	return G_SOURCE_CONTINUE;
}

/* ------------------------------------------------------------------ life */

static void plug(UsbTransport *t)
{
	g_autoptr(GError) error = NULL;

	if (!gadget_bind(t->gadget, t->udc, &error))
		g_warning("%s", error->message);
}

static gboolean replug(gpointer user)
{
	UsbTransport *t = user;

	t->replug_source = 0;
	plug(t);
	return G_SOURCE_REMOVE;
}

static void usb_event(Transport *base, ModemEvent event)
{
	UsbTransport *t = (UsbTransport *)base;
	g_autoptr(GError) error = NULL;

	g_clear_handle_id(&t->replug_source, g_source_remove);
	if (!t->gadget) {	/* the plug is in somebody else's hand: only our side goes and comes */
		reconnect(t);
		return;
	}
	disconnect(t);
	if (event == MODEM_PLUG) {
		plug(t);
		return;
	}
	if (!gadget_unbind(t->gadget, &error))
		g_warning("%s", error->message);
	/* The host must have seen it go before it comes back. */
	if (event == MODEM_RESET)
		t->replug_source = g_timeout_add(REPLUG_MS, replug, t);
}

static void usb_free(Transport *base)
{
	UsbTransport *t = (UsbTransport *)base;

	g_clear_handle_id(&t->replug_source, g_source_remove);
	g_clear_handle_id(&t->ep0_source, g_source_remove);
	g_clear_handle_id(&t->event_source, g_source_remove);
	disconnect(t);
	if (t->gadget)
		gadget_unbind(t->gadget, NULL);
	if (t->aio)
		syscall(SYS_io_destroy, t->aio);
	if (t->eventfd >= 0)
		close(t->eventfd);
	if (t->interrupt >= 0)
		close(t->interrupt);
	if (t->ep0 >= 0)
		close(t->ep0);
	if (t->made)
		gadget_down(t->gadget, t->dir, NULL);
	g_free(t->dir);
	g_free(t->gadget);
	g_free(t->udc);
	g_free(t);
}

static gboolean fail(GError **error, const char *path, const char *what)
{
	int err = errno;

	g_set_error(error, IFPP_ERROR,
		    err == EACCES || err == EPERM ? IFPP_ERROR_ACCESS :
		    err == ENOENT || err == ENODEV ? IFPP_ERROR_NO_DEVICE : IFPP_ERROR_IO,
		    "%s: %s: %s", path, what, g_strerror(err));
	return FALSE;
}

static gboolean open_endpoints(UsbTransport *t, GError **error)
{
	g_autofree char *ep0 = g_build_filename(t->dir, "ep0", NULL);
	g_autofree char *ep1 = g_build_filename(t->dir, "ep1", NULL);

	t->ep0 = open(ep0, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->ep0 < 0)
		return fail(error, ep0, "cannot open");
	if (write(t->ep0, &descriptors, sizeof(descriptors)) < 0 ||
	    write(t->ep0, &strings, sizeof(strings)) < 0)
		return fail(error, ep0, "cannot write the descriptors");
	t->interrupt = open(ep1, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (t->interrupt < 0)
		return fail(error, ep1, "cannot open");
	t->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->eventfd < 0 || syscall(SYS_io_setup, 4, &t->aio) < 0)
		return fail(error, ep1, "cannot set up asynchronous output");
	t->ep0_source = g_unix_fd_add(t->ep0, G_IO_IN, on_ep0, t);
	t->event_source = g_unix_fd_add(t->eventfd, G_IO_IN, on_notified, t);
	return TRUE;
}

Transport *transport_new_functionfs(Modem *modem, const char *dir, const char *gadget, const char *udc,
				    GError **error)
{
	UsbTransport *t = g_new0(UsbTransport, 1);
	const struct usb_cdc_notification available = {
		.bmRequestType = 0xA1,
		.bNotificationType = USB_CDC_NOTIFY_RESPONSE_AVAILABLE,
		.wIndex = GUINT16_TO_LE(QMI_INTERFACE),
	};

	t->base.event = usb_event;
	t->base.free = usb_free;
	t->modem = modem;
	t->dir = g_strdup(dir);
	t->udc = g_strdup(udc);
	t->ep0 = t->interrupt = t->eventfd = -1;
	memcpy(t->notification, &available, sizeof(t->notification));
	if (gadget) {
		t->made = gadget_up(gadget, dir, error);
		if (!t->made)
			goto fail;
	}
	if (!open_endpoints(t, error))
		goto fail;
	t->gadget = g_strdup(gadget);
	if (gadget && !gadget_bind(gadget, udc, error))
		goto fail;
	transport_follow(&t->base, modem);
	return &t->base;
fail:
	if (!t->gadget)
		t->gadget = g_strdup(gadget);
	usb_free(&t->base);
	return NULL;
}
