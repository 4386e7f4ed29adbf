/* The end of the daemon, in order. */
#include "applets/daemon_impl.h"
#include "applets/stop.h"
#include "base/log.h"
#include "base/logring.h"
#include "net/listen.h"
#include "proc/cgjob.h"
#include "proc/orphan.h"
#include "proc/reap.h"
#include "rpc/server.h"
#include "svc/rest.h"
#include "workspace/job.h"
#include "workspace/jobfile.h"
#include "workspace/monitor.h"
#include "workspace/session.h"
#include "workspace/stream.h"

#define STOP_POLL_MS	50
#define STOP_SAY_MS	2000

static uint32_t
grace_ms(const struct daemon *d)
{
	return (uint32_t)(d->conf.shutdown_grace_ns / 1000000);
}

/* Everybody below us is gone, or can't be killed. */
static void
on_all_gone(void *arg)
{
	struct daemon	*d = arg;

	do
		reap_run(d->reap);
	while (reap_left_some(d->reap));
	cgjob_sweep("");
	loop_stop(d->loop);
}

/* Then everybody below us, whoever started him. */
static void
sweep(struct daemon *d)
{
	loop_timer_clear(&d->stop_timer);
	jobs_destroy(d->jobs);
	d->jobs = NULL;
	if (stop_start(&d->stop, d->loop, d->stop_grace_ms, on_all_gone,
	    d) < 0)
		on_all_gone(d);
}

/* What jobs said goes to its writer, which then ends by itself. */
static void
on_flush_timer(void *arg)
{
	struct daemon	*d = arg;
	uint64_t	 now = loop_now(d->loop);

	if (!jobs_writing(d->jobs) || now >= d->stop_deadline)
		sweep(d);
	else
		loop_timer_set(d->loop, &d->stop_timer, now + STOP_POLL_MS);
}

/*
 * Shells are hung up at once: nobody types into a pod that stops.  Commands
 * may finish within the grace (DRAINING); then every call is ended, and who is
 * still there, behind a call or not, is asked and then made to end (ENDING).
 */
static void
end_calls(struct daemon *d, uint32_t grace)
{
	d->state = ENDING;
	grpc_server_destroy(d->server);
	d->server = NULL;
	rest_destroy(d->rest);
	d->rest = NULL;
	monitor_destroy(d->monitor);
	d->monitor = NULL;
	sessions_destroy(d->sessions);
	d->sessions = NULL;
	jobs_abandon(d->jobs);
	d->stop_grace_ms = grace;
	d->stop_deadline = grace > 0 ? loop_now(d->loop) + JOBFILE_STALL_MS :
	    0;
	d->stop_timer.fn = on_flush_timer;
	on_flush_timer(d);
}

static bool
nothing_is_left(const struct daemon *d)
{
	return grpc_server_drained(d->server) && rest_drained(d->rest) &&
	    jobs_count(d->jobs) == 0 && !jobs_writing(d->jobs);
}

static void
say_what_runs(struct daemon *d, uint64_t now)
{
	struct stream_totals	t[4];
	int			i;

	for (i = 0; i < 4; i++)
		streams_totals(d->streams, (enum stream_kind)i, &t[i]);
	log_info(COMPONENT, "stopping: %u commands, %u shells, %u jobs, %u "
	    "tunnels left, %u ms for them", (unsigned)t[STREAM_EXEC].live,
	    (unsigned)t[STREAM_SHELL].live, (unsigned)jobs_count(d->jobs),
	    (unsigned)(t[STREAM_PORT_FORWARD].live +
	    t[STREAM_UNIX_SOCKET].live), d->stop_deadline > now ?
	    (unsigned)(d->stop_deadline - now) : 0);
	d->stop_say = now + STOP_SAY_MS;
}

static void
on_stop_timer(void *arg)
{
	struct daemon	*d = arg;
	uint64_t	 now = loop_now(d->loop);

	if (nothing_is_left(d) || now >= d->stop_deadline) {
		end_calls(d, grace_ms(d));
		return;
	}
	if (now >= d->stop_say)
		say_what_runs(d, now);
	loop_timer_set(d->loop, &d->stop_timer, now + STOP_POLL_MS);
}

static void
hasten(struct daemon *d, const char *why)
{
	log_info(COMPONENT, "%s again: not waiting any longer", why);
	if (d->state == DRAINING) {
		end_calls(d, 0);
	} else if (d->stop != NULL) {
		stop_hasten(d->stop);
	} else if (d->jobs != NULL) {
		d->stop_grace_ms = 0;
		d->stop_deadline = 0;
		on_flush_timer(d);
	}
}

void
daemon_stop(struct daemon *d, const char *why)
{
	if (d->state != RUNNING) {
		hasten(d, why);
		return;
	}
	log_info(COMPONENT, "%s: stopping, %u ms for running calls", why,
	    grace_ms(d));
	d->state = DRAINING;
	listener_destroy(d->tcp);
	listener_destroy(d->local);
	d->tcp = d->local = NULL;
	orphans_destroy(d->orphans);
	d->orphans = NULL;
	rest_stop(d->rest);
	grpc_server_shutdown(d->server);
	if (d->logs != NULL)
		logring_end(d->logs);
	sessions_hangup(d->sessions);
	jobs_stop(d->jobs, grace_ms(d));
	d->stop_deadline = loop_now(d->loop) + grace_ms(d);
	d->stop_say = loop_now(d->loop) + STOP_SAY_MS / 2;
	on_stop_timer(d);
}

/* After this turn: the asker is to get his answer. */
static void
on_stop_asked(void *arg)
{
	daemon_stop(arg, "a request");
}

void
daemon_stop_request(void *arg)
{
	struct daemon	*d = arg;

	loop_later(d->loop, &d->stop_asked);
}

void
daemon_stop_init(struct daemon *d)
{
	d->stop_timer.fn = on_stop_timer;
	d->stop_timer.arg = d;
	d->stop_asked.fn = on_stop_asked;
	d->stop_asked.arg = d;
}
