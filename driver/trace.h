/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ifpp

#if !defined(_IFPP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _IFPP_TRACE_H

#include <linux/tracepoint.h>

/* The values behind the names, for tools that read the formats. */
TRACE_DEFINE_ENUM(IFPP_REQ_LOAD);
TRACE_DEFINE_ENUM(IFPP_REQ_DELETE_KEYS);
TRACE_DEFINE_ENUM(IFPP_REQ_LOCK);
TRACE_DEFINE_ENUM(IFPP_REQ_REFRESH);
TRACE_DEFINE_ENUM(IFPP_REQ_REWORK);
TRACE_DEFINE_ENUM(IFPP_STATE_FACTORY);
TRACE_DEFINE_ENUM(IFPP_STATE_DRAINED);
TRACE_DEFINE_ENUM(IFPP_STATE_LOCKING);
TRACE_DEFINE_ENUM(IFPP_STATE_LOCKED);
TRACE_DEFINE_ENUM(IFPP_TAMPER_KIND_STATE_LOWERED);
TRACE_DEFINE_ENUM(IFPP_TAMPER_KIND_KEY_RESURRECTED);
TRACE_DEFINE_ENUM(IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED);
TRACE_DEFINE_ENUM(IFPP_TAMPER_KIND_KEY_ADDED);
TRACE_DEFINE_ENUM(IFPP_TAMPER_KIND_KEY_LOST);

#define show_ifpp_type(type) __print_symbolic(type,		\
	{ IFPP_REQ_LOAD,	"LOAD" },			\
	{ IFPP_REQ_DELETE_KEYS,	"DELETE_KEYS" },		\
	{ IFPP_REQ_LOCK,	"LOCK" },			\
	{ IFPP_REQ_REFRESH,	"REFRESH" },			\
	{ IFPP_REQ_REWORK,	"REWORK" })

#define show_ifpp_state(state) __print_symbolic(state,		\
	{ IFPP_STATE_FACTORY,	"FACTORY" },			\
	{ IFPP_STATE_DRAINED,	"DRAINED" },			\
	{ IFPP_STATE_LOCKING,	"LOCKING" },			\
	{ IFPP_STATE_LOCKED,	"LOCKED" })

#define show_ifpp_tamper(kind) __print_symbolic(kind,					\
	{ IFPP_TAMPER_KIND_STATE_LOWERED,	"state-lowered" },		\
	{ IFPP_TAMPER_KIND_KEY_RESURRECTED,	"key-resurrected" },		\
	{ IFPP_TAMPER_KIND_SPENT_COUNT_LOWERED,	"spent-count-lowered" },	\
	{ IFPP_TAMPER_KIND_KEY_ADDED,		"key-added" },			\
	{ IFPP_TAMPER_KIND_KEY_LOST,		"key-lost" })

/* The way of a request; what is in result is 0 before its end. */
DECLARE_EVENT_CLASS(ifpp_request,
	TP_PROTO(u32 index, const struct ifpp_request *req),
	TP_ARGS(index, req),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, total_ns)
		__field(u32, index)
		__field(u32, type)
		__field(u32, len)
		__field(s32, status)
		__field(u32, reason)
		__field(u32, apdus)
	),
	TP_fast_assign(
		__entry->id = req->id;
		__entry->total_ns = req->result.total_ns;
		__entry->index = index;
		__entry->type = req->type;
		__entry->len = req->len;
		__entry->status = req->result.status;
		__entry->reason = req->result.reason;
		__entry->apdus = req->result.apdus;
	),
	TP_printk("ifpp%u id=%llu %s len=%u", __entry->index, __entry->id,
		  show_ifpp_type(__entry->type), __entry->len)
);

DEFINE_EVENT(ifpp_request, ifpp_submit,
	TP_PROTO(u32 index, const struct ifpp_request *req),
	TP_ARGS(index, req)
);

DEFINE_EVENT(ifpp_request, ifpp_dispatch,
	TP_PROTO(u32 index, const struct ifpp_request *req),
	TP_ARGS(index, req)
);

DEFINE_EVENT_PRINT(ifpp_request, ifpp_result,
	TP_PROTO(u32 index, const struct ifpp_request *req),
	TP_ARGS(index, req),
	TP_printk("ifpp%u id=%llu %s status=%d reason=%u apdus=%u total_ns=%llu",
		  __entry->index, __entry->id, show_ifpp_type(__entry->type),
		  __entry->status, __entry->reason, __entry->apdus, __entry->total_ns)
);

/* A record: its state, and what is to become of it. */
DECLARE_EVENT_CLASS(ifpp_record,
	TP_PROTO(u32 index, u32 state, u32 what),
	TP_ARGS(index, state, what),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u32, state)
		__field(u32, what)
	),
	TP_fast_assign(
		__entry->index = index;
		__entry->state = state;
		__entry->what = what;
	),
	TP_printk("ifpp%u %s -> %s", __entry->index, show_ifpp_state(__entry->state),
		  show_ifpp_state(__entry->what))
);

DEFINE_EVENT(ifpp_record, ifpp_state,
	TP_PROTO(u32 index, u32 state, u32 what),
	TP_ARGS(index, state, what)
);

DEFINE_EVENT_PRINT(ifpp_record, ifpp_tamper,
	TP_PROTO(u32 index, u32 state, u32 what),
	TP_ARGS(index, state, what),
	TP_printk("ifpp%u %s %s", __entry->index, show_ifpp_state(__entry->state),
		  show_ifpp_tamper(__entry->what))
);

#endif /* _IFPP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
