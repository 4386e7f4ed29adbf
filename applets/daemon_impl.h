/*
 * daemon_impl - what the files of the daemon share.
 */
#ifndef APPLETS_DAEMON_IMPL_H
#define APPLETS_DAEMON_IMPL_H

#include "applets/daemon.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "net/h2.h"
#include "svc/svc.h"

#define COMPONENT	"k8shelld"
#define PATH_LEN	4096

struct daemon {
	const struct daemon_options *opt;	/* borrowed */
	struct conf		 conf;
	struct h2_limits	 limits;
	struct loop		*loop;
	struct sig		*sig;
	struct reap		*reap;
	struct loop_timer	 reap_again;
	struct identity		*identity;
	struct oidc		*oidc;
	struct gate		*gate;
	struct streams		*streams;
	struct sessions		*sessions;
	struct jobs		*jobs;
	struct logring		*logs;		/* NULL: no memory */
	struct blueprint	*blueprint;	/* NULL: none */
	struct monitor		*monitor;
	struct svc		 svc;
	struct grpc_server	*server;
	struct rest		*rest;
	struct tls_identity	*tls;		/* NULL: plaintext */
	struct certwatch	*certwatch;
	struct listener		*tcp, *local;
	char			 run_dir[PATH_LEN], token_file[PATH_LEN];
	char			 rest_path[PATH_LEN];
	char			 own_namespace[64];
	char			 auth[64];	/* ways in, svc.h */
	struct orphans		*orphans;	/* NULL: off */
	enum { RUNNING, DRAINING, ENDING } state;
	struct loop_timer	 stop_timer;
	struct loop_task	 stop_asked;
	uint64_t		 stop_deadline, stop_say;
	uint32_t		 stop_grace_ms;	/* of the last part */
	struct stop		*stop;
	char			 err[CONF_ERROR_MAX];
};

/* daemon_stop.c: from the first signal to the end of the loop. */
void	 daemon_stop_init(struct daemon *d);
/* Twice: without waiting any longer. */
void	 daemon_stop(struct daemon *d, const char *why);
/* Soon; arg is the daemon.  Whoever asks for it still gets his answer. */
void	 daemon_stop_request(void *arg);

#endif
