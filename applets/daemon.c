#include "applets/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "applets/daemon_impl.h"
#include "applets/rundir.h"
#include "applets/stop.h"
#include "auth/gate.h"
#include "auth/identity.h"
#include "auth/oidc.h"
#include "base/log.h"
#include "base/logring.h"
#include "base/str.h"
#include "base/version.h"
#include "conf/blueprint.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "loop/sig.h"
#include "net/certwatch.h"
#include "net/conn.h"
#include "net/h2.h"
#include "net/listen.h"
#include "net/tls.h"
#include "proc/orphan.h"
#include "proc/reap.h"
#include "rpc/server.h"
#include "svc/rest.h"
#include "svc/svc.h"
#include "workspace/job.h"
#include "workspace/monitor.h"
#include "workspace/session.h"
#include "workspace/stream.h"

#define CONFIG_PATH	"/etc/k8shell/config.yaml"
#define BLUEPRINT_PATH	"/etc/k8shell/blueprint.yaml"
#define OWN_PROGRAM	"/proc/self/exe"
#define SA_DIR		"/var/run/secrets/kubernetes.io/serviceaccount"
#define REAP_PAUSE_MS	2
#define NOFILE_WANTED	65536u	/* sockets, PTYs and pipes of all sessions */

static const struct grpc_service *const services[] = {
	&svc_system, &svc_ssh, &svc_app, &svc_command,
};

static int __attribute__((format(printf, 2, 3)))
fail(const char *what, const char *fmt, ...)
{
	char	why[1024];
	va_list	ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	log_at(LOG_FATAL, COMPONENT, "%s: %s", what, why);
	return -1;
}

/* ---- configuration ---- */

static int
load_conf(struct daemon *d)
{
	const struct daemon_options *opt = d->opt;
	const char	*path = opt->config;

	if (path == NULL && !opt->standalone)
		path = CONFIG_PATH;
	if (opt->standalone) {
		d->conf.log_level = LOG_INFO;
		d->conf.shells.allow_session_detach = true;
		d->conf.shells.allow_unlimited_ttl = true;
	}
	if (path != NULL &&
	    conf_load(&d->conf, path, d->err, sizeof d->err) < 0)
		return fail("configuration", "%s", d->err);
	if (opt->has_port)
		d->conf.grpc.port = opt->port;
	log_set_level(d->conf.log_level);
	return 0;
}

/* Not worth failing for: the workspace is there without it. */
static void
load_blueprint(struct daemon *d)
{
	int	r;

	if (d->opt->standalone)
		return;
	if ((r = blueprint_load(&d->blueprint, BLUEPRINT_PATH)) < 0)
		log_error(COMPONENT, BLUEPRINT_PATH ": %s", strerror(-r));
}

static void
set_if(uint32_t *target, uint32_t value)
{
	if (value != 0)
		*target = value;
}

static void
fill_limits(struct daemon *d)
{
	const struct conf_h2	*c = &d->conf.limits.h2;
	struct h2_limits	*l = &d->limits;

	h2_limits_default(l);
	set_if(&l->max_streams, c->max_streams);
	set_if(&l->reset_burst, c->reset_burst);
	set_if(&l->reset_per_s, c->reset_per_second);
	set_if(&l->keepalive_ms, c->keepalive_ms);
	set_if(&l->keepalive_wait_ms, c->keepalive_wait_ms);
	set_if(&l->settings_ack_ms, c->settings_ack_ms);
	set_if(&l->preface_ms, c->handshake_ms);
}

static int
load_identity(struct daemon *d)
{
	if (identity_load(&d->identity, &d->conf, NULL,
	    d->opt->standalone || d->opt->test, d->err, sizeof d->err) < 0)
		return fail("identity", "%s", d->err);
	log_info(COMPONENT, "workspace user %s, uid %u, gid %u%s",
	    d->identity->username, d->identity->uid, d->identity->gid,
	    d->identity->sudo ? ", may sudo" : "");
	return 0;
}

/* ---- process ---- */

/*
 * When thousands end at once, the dead can wait: one batch, and then we look
 * away for a while, from those who tell us that there are more, too.
 */
static void
reap_turn(void *arg)
{
	struct daemon	*d = arg;
	bool		 more;

	reap_run(d->reap);
	more = reap_left_some(d->reap);
	if (d->sig != NULL)
		sig_hold(d->sig, SIGCHLD, more);
	if (more)
		loop_timer_set(d->loop, &d->reap_again,
		    loop_now(d->loop) + REAP_PAUSE_MS);
}

static void
harden(struct daemon *d)
{
	struct rlimit	*children = &d->svc.nofile, rl;

	/* No core file, no ptrace, no /proc/1/environ for the user (T8). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		log_warn(COMPONENT, "undumpable: %s", strerror(errno));
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		rl.rlim_cur = rl.rlim_max = NOFILE_WANTED;
	*children = rl;
	if (rl.rlim_cur < NOFILE_WANTED) {
		rl.rlim_cur = rl.rlim_max < NOFILE_WANTED ? rl.rlim_max :
		    NOFILE_WANTED;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (getpid() == 1)
		return;
	if (!d->opt->standalone)
		log_warn(COMPONENT, "not process 1: orphans of sessions reach "
		    "us as a subreaper only");
	if (d->conf.reap_zombies.enabled)
		(void)reap_become_subreaper();
}

static const char	job_variable[] = "K8SHELL_JOB_ID";
static const char	exec_variable[] = "K8SHELL_EXEC_ID";

/* Whether a process that names it in its environment is still wanted. */
static bool
owner_lives(void *arg, const char *name, const char *value)
{
	struct daemon	*d = arg;
	struct job	*job;

	if (strcmp(name, exec_variable) == 0)
		return streams_live(d->streams, STREAM_EXEC, value);
	if (strcmp(name, job_variable) != 0)
		return session_by_id(d->sessions, value) != NULL;
	job = job_find(d->jobs, value);	/* below us: its shim was killed */
	return job != NULL && !job_terminal(job);
}

/* Without it only tidiness is lost. */
static void
start_orphans(struct daemon *d)
{
	static const char *const names[] = {
		job_variable, exec_variable, "K8SHELL_SESSION_ID", NULL
	};
	const struct blueprint	*b = d->blueprint;
	struct orphan_options	 o = {
		.interval_ms = d->conf.terminate_orphans.check_interval_s *
		    1000,
		.escalate_ms = (uint32_t)
		    (d->conf.terminate_orphans.escalate_after_ns / 1000000),
		.exclude = d->conf.terminate_orphans.exclude,
		.nexclude = d->conf.terminate_orphans.nexclude,
		.exclude_more = b != NULL ? b->ignore_orphans : NULL,
		.nexclude_more = b != NULL ? b->nignore_orphans : 0,
		.names = names, .lives = owner_lives, .arg = d,
	};
	int			 r;

	if (!d->conf.terminate_orphans.enabled || o.interval_ms == 0)
		return;
	r = orphans_create(&d->orphans, d->loop, d->reap, &o);
	if (r < 0)
		log_error(COMPONENT, "orphans are not looked for: %s",
		    strerror(-r));
}

/* ---- authentication ---- */

static void
read_own_namespace(struct daemon *d)
{
	int	fd = open(SA_DIR "/namespace", O_RDONLY | O_CLOEXEC);
	ssize_t	n = -1;

	if (fd >= 0) {
		n = read(fd, d->own_namespace, sizeof d->own_namespace - 1);
		close(fd);
	}
	if (n <= 0) {
		snprintf(d->own_namespace, sizeof d->own_namespace, "default");
		return;
	}
	d->own_namespace[n] = '\0';
	memmove(d->own_namespace, str_trim(d->own_namespace),
	    strlen(str_trim(d->own_namespace)) + 1);
}

static int
start_oidc(struct daemon *d)
{
	struct conf_grpc	*c = &d->conf.grpc;
	struct oidc_options	 o = {
		.issuer_url = c->issuer_url,
		.jwks_file = c->jwks_file[0] != '\0' ? c->jwks_file : NULL,
		.ca_file = SA_DIR "/ca.crt", .token_file = SA_DIR "/token",
	};

	if (!c->auth_enabled)
		return 0;
	if (o.jwks_file == NULL && access(o.ca_file, R_OK) < 0)
		return fail("authentication", "authEnabled needs " SA_DIR
		    "/ca.crt or system.grpc.jwksFile");
	if (oidc_create(&d->oidc, d->loop, d->reap, &o) < 0)
		return fail("authentication", "%s", strerror(ENOMEM));
	return 0;
}

/* Callers of a standalone daemon's TCP port always present something. */
static int
standalone_token(struct daemon *d)
{
	const char	*given = d->opt->token_file, *why;
	int		 r;

	if (given != NULL && !d->opt->standalone)
		return fail("token file", "%s: only with --standalone", given);
	if (given == NULL && (!d->opt->standalone || !d->opt->has_port ||
	    d->identity->key != NULL))
		return 0;
	if (given != NULL)
		r = str_format(d->token_file, sizeof d->token_file, "%s",
		    given);
	else
		r = rundir_token(d->run_dir, d->token_file,
		    sizeof d->token_file);
	if (r < 0)
		return fail("token file", "%s", strerror(-r));
	if (gate_token_check(d->token_file, &why) < 0)
		return fail("token file", "%s: %s", d->token_file, why);
	log_info(COMPONENT, "TCP callers present the token in %s",
	    d->token_file);
	return 0;
}

/* What everybody in the workspace may know of it: `kbox info`. */
static void
describe_auth(struct daemon *d, bool enabled)
{
	bool	sa = d->oidc != NULL, jwt = d->identity->key != NULL;
	bool	token = d->token_file[0] != '\0';

	if (!enabled)
		snprintf(d->auth, sizeof d->auth, "none");
	else
		snprintf(d->auth, sizeof d->auth, "%s%s%s%s%s%s%s",
		    sa ? "service-account" : "",
		    sa && jwt ? ", " : "", jwt ? "identity" : "",
		    (sa || jwt) && token ? ", " : "", token ? "token" : "",
		    (sa || jwt || token) && d->opt->standalone ? ", " : "",
		    d->opt->standalone ? "peer" : "");
}

static int
start_gate(struct daemon *d)
{
	struct gate_options	o = {
		.conf = &d->conf.grpc, .own_namespace = d->own_namespace,
		.oidc = d->oidc, .identity = d->identity,
		.owner_uid = d->identity->uid,
	};

	if (standalone_token(d) < 0)
		return -1;
	if (d->token_file[0] != '\0')
		o.token_file = d->token_file;
	o.enabled = d->opt->standalone || d->conf.grpc.auth_enabled ||
	    d->identity->key != NULL;
	describe_auth(d, o.enabled);
	if (!o.enabled)
		log_warn(COMPONENT, "NOBODY IS AUTHENTICATED on the gRPC "
		    "port: system.grpc.authEnabled is not set");
	if ((d->gate = gate_create(d->loop, &o)) == NULL)
		return fail("authentication", "%s", strerror(ENOMEM));
	return 0;
}

/* ---- listening ---- */

static void
on_tcp(void *arg, int fd)
{
	struct daemon	*d = arg;
	struct tls	*tls = NULL;

	if (d->tls != NULL &&
	    (tls = tls_server_create(d->tls, "h2")) == NULL) {
		close(fd);
		return;
	}
	grpc_server_accept(d->server, fd, tls);
}

static void
on_local(void *arg, int fd)
{
	struct daemon	*d = arg;

	grpc_server_accept(d->server, fd, NULL);
}

static void
on_certificate(void *arg, struct tls_identity *id)
{
	struct daemon	*d = arg;

	log_info(COMPONENT, "new certificate (%s) for new connections",
	    tls_identity_kind(id));
	tls_identity_unref(d->tls);
	d->tls = tls_identity_ref(id);
}

static int
load_certificate(struct daemon *d)
{
	struct conf_grpc	*c = &d->conf.grpc;
	const char		*cert = c->cert_file, *key = c->key_file;
	const char		*why = NULL;
	int			 r;

	if (d->opt->cert != NULL) {
		cert = d->opt->cert;
		key = d->opt->key;
	}
	if (c->enable_tls == CONF_UNSET && !d->opt->standalone)
		return fail("certificate", "system.grpc.enableTLS is not set: "
		    "true needs certFile and keyFile, false serves plaintext");
	if (c->enable_tls != CONF_ON &&
	    !(d->opt->standalone && d->opt->cert != NULL)) {
		log_warn(COMPONENT, "gRPC is served in plaintext: "
		    "system.grpc.enableTLS is off");
		return 0;
	}
	if ((r = tls_identity_load(&d->tls, cert, key, &why)) < 0)
		return fail("certificate", "%s, %s: %s", cert, key,
		    why != NULL ? why : strerror(-r));
	log_info(COMPONENT, "TLS with %s", tls_identity_kind(d->tls));
	r = certwatch_create(&d->certwatch, d->loop, cert, key,
	    (uint64_t)(c->cert_reload_delay_ns / 1000000), on_certificate, d);
	if (r < 0)
		log_warn(COMPONENT, "certificate renewals go unnoticed: %s",
		    strerror(-r));
	return 0;
}

static int
listen_on_tcp(struct daemon *d)
{
	uint16_t	port = d->conf.grpc.port;
	int		r;

	if (d->opt->standalone && !d->opt->has_port)
		return 0;
	if (load_certificate(d) < 0)
		return -1;
	r = listen_tcp(&d->tcp, d->loop,
	    d->opt->standalone ? "127.0.0.1" : NULL, &port, on_tcp, d);
	if (r < 0)
		return fail("listen", "port %u: %s", port, strerror(-r));
	log_info(COMPONENT, "serving gRPC on port %u%s", port,
	    d->tls != NULL ? " with TLS" : "");
	return 0;
}

static int
listen_on_socket(struct daemon *d)
{
	char	path[PATH_LEN];
	int	r;

	if (!d->opt->standalone)
		return 0;
	if ((r = path_join(path, sizeof path, d->run_dir,
	    RUNDIR_GRPC_SOCKET)) < 0 ||
	    (r = listen_unix(&d->local, d->loop, path, 0600, on_local,
	    d)) < 0)
		return fail("listen", "%s: %s", path, strerror(-r));
	log_info(COMPONENT, "serving gRPC on %s", path);
	return 0;
}

/*
 * The workspace API.  Without its socket kbox has nobody to talk to, and
 * everything else works: that is no reason to stop.
 */
static int
start_rest(struct daemon *d)
{
	bool			 own = d->opt->standalone || geteuid() != 0;
	struct rest_options	 o = {
		.path = d->opt->socket, .mode = own ? 0600 : 0660,
		.set_group = !own, .gid = d->identity->gid,
		.owner_uid = d->identity->uid,
		.make_dir = !own, .svc = &d->svc, .conf = &d->conf,
		.server = &d->server,
		.stop = d->opt->standalone ? daemon_stop_request : NULL,
		.stop_arg = d,
	};
	int			 r;

	if (o.path == NULL && !d->opt->standalone)
		o.path = REST_SOCKET_PATH;
	if (o.path == NULL) {
		if ((r = path_join(d->rest_path, sizeof d->rest_path,
		    d->run_dir, REST_SOCKET_NAME)) < 0)
			return fail("workspace API", "%s", strerror(-r));
		o.path = d->rest_path;
	}
	if ((d->rest = rest_create(&o)) == NULL)
		return fail("workspace API", "%s", strerror(ENOMEM));
	return 0;
}

static int
make_run_dir(struct daemon *d)
{
	const char	*why;
	int		 r;

	if (!d->opt->standalone)
		return 0;
	if (d->opt->run_dir != NULL)
		r = str_format(d->run_dir, sizeof d->run_dir, "%s",
		    d->opt->run_dir);
	else
		r = rundir_default(d->run_dir, sizeof d->run_dir);
	if (r < 0)
		return fail("run directory", "%s", strerror(-r));
	if ((r = rundir_create(d->run_dir, &why)) < 0)
		return fail("run directory", "%s: %s (%s)", d->run_dir, why,
		    strerror(-r));
	return 0;
}

/* ---- signals ---- */

static void
on_signal(void *arg, int signo)
{
	struct daemon	*d = arg;

	switch (signo) {
	case SIGCHLD:
		reap_turn(d);
		break;
	case SIGTERM:
	case SIGINT:
		daemon_stop(d, strsignal(signo));
		break;
	default:
		log_info(COMPONENT, "%s ignored", strsignal(signo));
		break;
	}
}

/* ---- life ---- */

static void
on_session_end(void *arg, const char *id)
{
	jobs_session_ended(arg, id);
}

static int
start_core(struct daemon *d)
{
	const struct session_rules rules = {
		.may_detach = d->conf.shells.allow_session_detach,
		.may_stay = d->conf.shells.allow_unlimited_ttl,
		.ttl_ms = d->conf.shells.detached_ttl_ns / 1000000,
	};
	static const int	signals[] = {
		SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, 0
	};
	struct monitor_options	 m = { .blueprint = d->blueprint };

	if ((d->loop = loop_create()) == NULL ||
	    (d->sig = sig_create(d->loop, signals, on_signal, d)) == NULL ||
	    (d->reap = reap_create(d->conf.reap_zombies.enabled)) == NULL ||
	    (d->streams = streams_create(d->loop)) == NULL ||
	    (d->sessions = sessions_create(d->loop, d->reap, d->streams,
	    &d->svc.nofile, &rules)) == NULL ||
	    (d->jobs = jobs_create(d->loop, d->reap, &d->svc.nofile,
	    OWN_PROGRAM)) == NULL ||
	    (d->monitor = monitor_create(d->loop, d->reap, &m)) == NULL)
		return fail("start", "out of memory or descriptors");
	sessions_on_end(d->sessions, on_session_end, d->jobs);
	d->reap_again.fn = reap_turn;
	d->reap_again.arg = d;
	daemon_stop_init(d);
	return 0;
}

static int
start_server(struct daemon *d)
{
	struct grpc_options	 o = {
		.services = services, .nservices = ARRAY_LEN(services),
		.limits = &d->limits, .user = &d->svc,
		.conns_max = d->conf.limits.connections,
		.conns_unauth_max = d->conf.limits.unauthenticated,
		.first_token_ms = d->conf.limits.h2.first_token_ms,
		.idle_ms = d->conf.limits.h2.idle_ms,
		.handshake_ms = d->conf.limits.h2.handshake_ms,
		.write_stall_ms = d->conf.limits.h2.write_stall_ms,
	};

	d->svc = (struct svc){
		.may_detach = d->conf.shells.allow_session_detach,
		.auth = d->auth,
		.loop = d->loop, .reap = d->reap, .sessions = d->sessions,
		.streams = d->streams, .jobs = d->jobs, .identity = d->identity,
		.blueprint = d->blueprint, .logs = d->logs,
		.monitor = d->monitor, .nofile = d->svc.nofile,
		.rate = { .burst = d->conf.limits.fork_burst,
		    .per_s = d->conf.limits.forks_per_second },
		.starting_max = d->conf.limits.starting_max,
	};
	gate_fill(d->gate, &o.auth);
	if ((d->server = grpc_server_create(d->loop, &o)) == NULL)
		return fail("start", "%s", strerror(ENOMEM));
	return 0;
}

static int
start(struct daemon *d)
{
	if (!d->opt->standalone && !d->opt->test && geteuid() != 0)
		return fail("start", "must be root to become the workspace "
		    "user (or use --standalone)");
	conf_init(&d->conf);
	if (load_conf(d) < 0)
		return -1;
	fill_limits(d);
	load_blueprint(d);
	log_info(COMPONENT, "k8shelld %s (commit %s)", version_string(),
	    version_commit());
	if (load_identity(d) < 0 || start_core(d) < 0)
		return -1;
	harden(d);
	read_own_namespace(d);
	if (identity_watch_start(d->identity, d->loop, &d->conf) < 0)
		return fail("identity", "%s", strerror(ENOMEM));
	if (make_run_dir(d) < 0 || start_oidc(d) < 0 || start_gate(d) < 0 ||
	    start_server(d) < 0)
		return -1;
	if (start_rest(d) < 0 || listen_on_socket(d) < 0 ||
	    listen_on_tcp(d) < 0)
		return -1;
	start_orphans(d);
	reap_turn(d);		/* children from before the loop */
	return 0;
}

static void
finish(struct daemon *d)
{
	stop_destroy(d->stop);
	orphans_destroy(d->orphans);
	listener_destroy(d->tcp);
	listener_destroy(d->local);
	certwatch_destroy(d->certwatch);
	if (d->server != NULL)
		grpc_server_destroy(d->server);
	rest_destroy(d->rest);
	sessions_destroy(d->sessions);
	jobs_destroy(d->jobs);
	streams_destroy(d->streams);
	monitor_destroy(d->monitor);
	blueprint_destroy(d->blueprint);
	if (d->gate != NULL)
		gate_destroy(d->gate);
	if (d->oidc != NULL)
		oidc_destroy(d->oidc);
	identity_destroy(d->identity);
	tls_identity_unref(d->tls);
	loop_timer_clear(&d->reap_again);
	reap_destroy(d->reap);
	sig_destroy(d->sig);
	if (d->loop != NULL)
		loop_drain(d->loop);	/* hangups see that all are gone */
	loop_destroy(d->loop);
	conf_finish(&d->conf);
}

int
daemon_main(const struct daemon_options *opt)
{
	struct daemon	*d;
	int		 r;

	log_setup(LOG_INFO, STDOUT_FILENO);
	if ((d = calloc(1, sizeof *d)) == NULL)
		return 1;
	d->opt = opt;
	if ((d->logs = logring_create()) != NULL)
		log_set_sink(logring_sink, d->logs);
	if ((r = start(d)) == 0 && (r = loop_run(d->loop)) < 0)
		log_error(COMPONENT, "loop: %s", strerror(-r));
	if (r == 0)
		log_info(COMPONENT, "stopped");
	finish(d);
	log_set_sink(NULL, NULL);
	logring_destroy(d->logs);
	free(d);
	return r == 0 ? 0 : 1;
}
