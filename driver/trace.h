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
	{ IFPP_REQ_REFRESH,	"REFRESH" })

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

TRACE_EVENT(ifpp_submit,
	TP_PROTO(u32 index, u64 id, u32 type, u32 len),
	TP_ARGS(index, id, type, len),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, index)
		__field(u32, type)
		__field(u32, len)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->index = index;
		__entry->type = type;
		__entry->len = len;
	),
	TP_printk("ifpp%u id=%llu %s len=%u", __entry->index, __entry->id,
		  show_ifpp_type(__entry->type), __entry->len)
);

TRACE_EVENT(ifpp_dispatch,
	TP_PROTO(u32 index, u64 id, u32 type),
	TP_ARGS(index, id, type),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, index)
		__field(u32, type)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->index = index;
		__entry->type = type;
	),
	TP_printk("ifpp%u id=%llu %s", __entry->index, __entry->id,
		  show_ifpp_type(__entry->type))
);

TRACE_EVENT(ifpp_result,
	TP_PROTO(u32 index, u64 id, u32 type, const struct ifpp_result *result),
	TP_ARGS(index, id, type, result),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, total_ns)
		__field(u32, index)
		__field(u32, type)
		__field(s32, status)
		__field(u32, reason)
		__field(u32, apdus)
	),
	TP_fast_assign(
		__entry->id = id;
		__entry->total_ns = result->total_ns;
		__entry->index = index;
		__entry->type = type;
		__entry->status = result->status;
		__entry->reason = result->reason;
		__entry->apdus = result->apdus;
	),
	TP_printk("ifpp%u id=%llu %s status=%d reason=%u apdus=%u total_ns=%llu",
		  __entry->index, __entry->id, show_ifpp_type(__entry->type),
		  __entry->status, __entry->reason, __entry->apdus, __entry->total_ns)
);

TRACE_EVENT(ifpp_state,
	TP_PROTO(u32 index, u32 from, u32 to),
	TP_ARGS(index, from, to),
	TP_STRUCT__entry(
		__field(u32, index)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->index = index;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("ifpp%u %s -> %s", __entry->index, show_ifpp_state(__entry->from),
		  show_ifpp_state(__entry->to))
);

TRACE_EVENT(ifpp_tamper,
	TP_PROTO(const u8 *eid, u32 kind),
	TP_ARGS(eid, kind),
	TP_STRUCT__entry(
		__array(u8, eid, IFPP_EID_LEN)
		__field(u32, kind)
	),
	TP_fast_assign(
		memcpy(__entry->eid, eid, IFPP_EID_LEN);
		__entry->kind = kind;
	),
	TP_printk("eid=%s %s", __print_hex_str(__entry->eid, IFPP_EID_LEN),
		  show_ifpp_tamper(__entry->kind))
);

#endif /* _IFPP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
