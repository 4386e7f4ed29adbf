/* SystemService over an in-memory connection, also without memory. */
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/logring.h"
#include "base/str.h"
#include "conf/blueprint.h"
#include "gen/system.pb-c.h"
#include "rpc/client.h"
#include "svc/svc.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/spin.h"
#include "workspace/monitor.h"
#include "workspace/session.h"
#include "workspace/stream.h"

#define LINES	400

struct world {
	struct spin	 spin;
	struct svc	 svc;
	struct blueprint bp;
	struct blueprint_storage root;
	struct grpc_server *server;
	struct grpc_client *client;
	bool		 ready, lost;
};

struct call {
	struct world	*w;
	struct grpc_out_call *out;
	bool		 done;
	enum grpc_status status;
	char		 text[128];
	unsigned	 messages;
	size_t		 points, mounts, entries;
	int64_t		 last_id;
	bool		 more, has_system;
};

static int
no_statfs(const char *path, struct mount_usage *u)
{
	(void)path;
	(void)u;
	return -ENOSYS;
}

static void
on_lost(void *arg, const char *reason)
{
	struct world	*w = arg;

	(void)reason;
	w->lost = true;
	spin_wake(&w->spin);
}

static void
on_ready(void *arg)
{
	struct world	*w = arg;

	w->ready = true;
	spin_wake(&w->spin);
}

static const struct grpc_client_ops client_ops = { on_lost, on_ready };

static void
connect_client(struct world *w)
{
	int	sv[2];

	w->lost = w->ready = false;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, sv), 0);
	grpc_server_accept(w->server, sv[0], NULL);
	assert_int_equal(grpc_client_create(&w->client, w->spin.loop, sv[1],
	    false, NULL, "test", &client_ops, w), 0);
	spin_until(&w->spin, &w->ready);
}

static void
world_init(struct world *w)
{
	static const struct grpc_service *const	list[] = { &svc_system };
	static const struct session_rules	rules;
	struct monitor_options			m = { .statfs = no_statfs };
	struct grpc_options			o = { .services = list,
	    .nservices = 1, .user = &w->svc };
	char					text[64];
	int					i;

	*w = (struct world){ 0 };
	log_setup(LOG_FATAL, -1);
	spin_init(&w->spin, false);
	w->root = (struct blueprint_storage){ (char *)(uintptr_t)"/", 7 };
	w->bp.storages.item = &w->root;
	w->bp.storages.n = 1;
	w->bp.text = (char *)(uintptr_t)"raw: text";
	w->bp.len = 9;
	m.blueprint = w->svc.blueprint = &w->bp;
	w->svc.loop = w->spin.loop;
	w->svc.reap = w->spin.reap;
	w->svc.logs = logring_create();
	w->svc.streams = streams_create(w->spin.loop);
	w->svc.sessions = sessions_create(w->spin.loop, w->spin.reap,
	    w->svc.streams, NULL, &rules);
	w->svc.monitor = monitor_create(w->spin.loop, w->spin.reap, &m);
	w->server = grpc_server_create(w->spin.loop, &o);
	assert_non_null(w->server);
	for (i = 1; i <= LINES; i++) {
		snprintf(text, sizeof text, "line %d", i);
		logring_add(w->svc.logs, 1000, LOG_INFO, "unit", text);
	}
	connect_client(w);
}

static bool
none_left(void *arg)
{
	return reap_watched(((struct world *)arg)->spin.reap) == 0;
}

static void
world_finish(struct world *w)
{
	grpc_client_abort(w->client);
	grpc_server_destroy(w->server);
	sessions_destroy(w->svc.sessions);
	streams_destroy(w->svc.streams);
	monitor_destroy(w->svc.monitor);
	logring_destroy(w->svc.logs);
	spin_poll(&w->spin, none_left, w);
	spin_finish(&w->spin);
}

static void
on_message(void *arg, const ProtobufCMessage *m)
{
	struct call	*c = arg;

	c->messages++;
	if (m->descriptor == &k8shelld__system_info_response__descriptor) {
		const K8shelld__SystemInfoResponse *r = (const void *)m;

		c->has_system = r->system != NULL;
		c->mounts = r->n_mounts;
	} else if (m->descriptor ==
	    &k8shelld__system_info_history_response__descriptor) {
		const K8shelld__SystemInfoHistoryResponse *r = (const void *)m;

		c->points = r->n_system;
		c->mounts = r->n_mounts;
	} else if (m->descriptor ==
	    &k8shelld__get_logs_page_response__descriptor) {
		const K8shelld__GetLogsPageResponse *r = (const void *)m;

		c->entries = r->n_entries;
		c->more = r->has_more;
	} else if (m->descriptor ==
	    &k8shelld__system_logs_stream_response__descriptor) {
		const K8shelld__SystemLogsStreamResponse *r = (const void *)m;

		assert_true(r->id > c->last_id);
		c->last_id = r->id;
	}
	spin_wake(&c->w->spin);
}

static void
on_done(void *arg, enum grpc_status status, const char *text)
{
	struct call	*c = arg;

	c->done = true;
	c->status = status;
	snprintf(c->text, sizeof c->text, "%s", text);
	spin_wake(&c->w->spin);
}

static const struct grpc_out_ops out_ops = { on_message, on_done, NULL };

/* False: could not even be asked. */
static bool
begin(struct world *w, struct call *c, const char *method,
    const ProtobufCMessage *m, const ProtobufCMessageDescriptor *response)
{
	char			path[128];
	struct grpc_request	r = { .path = path, .response = response };

	*c = (struct call){ .w = w };
	snprintf(path, sizeof path, "/k8shelld.SystemService/%s", method);
	if (grpc_start(w->client, &c->out, &r, &out_ops, c) < 0)
		return false;
	if (grpc_out_send(c->out, m) < 0) {
		if (!c->done)
			grpc_out_cancel(c->out);
		return false;
	}
	if (!c->done)
		grpc_out_end(c->out);
	return true;
}

static bool
is_over(void *arg)
{
	struct call	*c = arg;

	return c->done || c->w->lost;
}

static bool
has_all_lines(void *arg)
{
	struct call	*c = arg;

	return is_over(c) || c->last_id >= logring_newest(c->w->svc.logs);
}

/* -- the calls ------------------------------------------------------------- */

static void
call_info(struct world *w, struct call *c)
{
	K8shelld__SystemInfoRequest	m;

	k8shelld__system_info_request__init(&m);
	if (begin(w, c, "SystemInfo", &m.base,
	    &k8shelld__system_info_response__descriptor))
		spin_poll(&w->spin, is_over, c);
}

static void
call_history(struct world *w, struct call *c)
{
	K8shelld__SystemInfoHistoryRequest	m;

	k8shelld__system_info_history_request__init(&m);
	if (begin(w, c, "SystemInfoHistory", &m.base,
	    &k8shelld__system_info_history_response__descriptor))
		spin_poll(&w->spin, is_over, c);
}

static void
call_blueprint(struct world *w, struct call *c)
{
	K8shelld__GetBlueprintRequest	m;

	k8shelld__get_blueprint_request__init(&m);
	if (begin(w, c, "GetBlueprint", &m.base,
	    &k8shelld__get_blueprint_response__descriptor))
		spin_poll(&w->spin, is_over, c);
}

static void
call_page(struct world *w, struct call *c)
{
	K8shelld__GetLogsPageRequest	m;

	k8shelld__get_logs_page_request__init(&m);
	m.limit = 300;
	if (begin(w, c, "GetLogsPage", &m.base,
	    &k8shelld__get_logs_page_response__descriptor))
		spin_poll(&w->spin, is_over, c);
}

static void
call_stream(struct world *w, struct call *c)
{
	K8shelld__SystemLogsStreamRequest	m;

	k8shelld__system_logs_stream_request__init(&m);
	if (begin(w, c, "GetLogsStream", &m.base,
	    &k8shelld__system_logs_stream_response__descriptor))
		spin_poll(&w->spin, is_over, c);
}

static void
call_follow(struct world *w, struct call *c)
{
	K8shelld__SystemLogsStreamRequest	m;

	k8shelld__system_logs_stream_request__init(&m);
	m.follow = 1;
	m.last_n = 3;
	if (!begin(w, c, "GetLogsStream", &m.base,
	    &k8shelld__system_logs_stream_response__descriptor))
		return;
	spin_poll(&w->spin, has_all_lines, c);
	logring_add(w->svc.logs, 0, LOG_WARN, "unit", "another");
	spin_poll(&w->spin, has_all_lines, c);
	logring_end(w->svc.logs);
	spin_poll(&w->spin, is_over, c);
}

/* -- tests ----------------------------------------------------------------- */

static void
every_method_answers(void **state)
{
	struct world	w;
	struct call	c;

	(void)state;
	world_init(&w);
	call_info(&w, &c);
	assert_int_equal(c.status, GRPC_OK);
	call_info(&w, &c);
	assert_true(c.has_system);
	assert_int_equal(c.mounts, 1);
	call_history(&w, &c);
	assert_int_equal(c.points, 120);
	assert_int_equal(c.mounts, 1);
	call_blueprint(&w, &c);
	assert_int_equal(c.messages, 1);
	call_page(&w, &c);
	assert_int_equal(c.entries, 300);
	assert_true(c.more);
	call_stream(&w, &c);
	assert_int_equal(c.messages, LINES);
	assert_int_equal(c.status, GRPC_OK);
	call_follow(&w, &c);
	assert_int_equal(c.messages, 4);
	assert_int_equal(c.status, GRPC_UNAVAILABLE);
	assert_string_equal(c.text, "the daemon is stopping");
	world_finish(&w);
}

static void
without_blueprint_or_ring_calls_are_refused(void **state)
{
	struct logring	*ring;
	struct world	 w;
	struct call	 c;

	(void)state;
	world_init(&w);
	ring = w.svc.logs;
	w.svc.logs = NULL;
	w.svc.blueprint = NULL;
	call_blueprint(&w, &c);
	assert_int_equal(c.status, GRPC_NOT_FOUND);
	call_page(&w, &c);
	assert_int_equal(c.status, GRPC_RESOURCE_EXHAUSTED);
	call_stream(&w, &c);
	assert_int_equal(c.status, GRPC_RESOURCE_EXHAUSTED);
	w.svc.logs = ring;
	world_finish(&w);
}

static void
a_follower_that_is_cancelled_is_forgotten(void **state)
{
	K8shelld__SystemLogsStreamRequest	m;
	struct world				w;
	struct call				c, other;
	int					i;

	(void)state;
	world_init(&w);
	k8shelld__system_logs_stream_request__init(&m);
	m.follow = 1;
	for (i = 0; i < 20; i++) {
		assert_true(begin(&w, &c, "GetLogsStream", &m.base,
		    &k8shelld__system_logs_stream_response__descriptor));
		spin_poll(&w.spin, has_all_lines, &c);
		grpc_out_cancel(c.out);
		call_info(&w, &other);
		logring_add(w.svc.logs, 0, LOG_INFO, "unit", "to nobody");
	}
	/* And one that the end of the world cancels. */
	assert_true(begin(&w, &c, "GetLogsStream", &m.base,
	    &k8shelld__system_logs_stream_response__descriptor));
	spin_poll(&w.spin, has_all_lines, &c);
	logring_add(w.svc.logs, 0, LOG_INFO, "unit", "not read");
	world_finish(&w);
}

static void
no_allocation_that_fails_does_harm(void **state)
{
	static void (*const	calls[])(struct world *w, struct call *c) = {
		call_info, call_history, call_blueprint, call_page,
		call_stream, call_follow,
	};
	struct world	w;
	struct call	c;
	unsigned	n;
	size_t		i;

	(void)state;
	world_init(&w);
	call_info(&w, &c);
	for (i = 0; i < ARRAY_LEN(calls); i++)
		for (n = 1; ; n++) {
			failmalloc_arm(n);
			calls[i](&w, &c);
			if (!failmalloc_disarm())
				break;
			if (c.done && c.status != GRPC_OK)
				assert_true(c.text[0] != '\0');
			grpc_client_abort(w.client);
			connect_client(&w);
		}
	call_info(&w, &c);
	assert_int_equal(c.status, GRPC_OK);
	world_finish(&w);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(every_method_answers),
		cmocka_unit_test(without_blueprint_or_ring_calls_are_refused),
		cmocka_unit_test(a_follower_that_is_cancelled_is_forgotten),
		cmocka_unit_test(no_allocation_that_fails_does_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
