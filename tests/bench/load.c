/*
 * load - our own client as a load generator, on lib/rpc.
 *
 *   load output TARGET TOKEN-FILE FILE
 *	a shell with a terminal cats FILE; prints MB/s and our CPU seconds
 *   load exec TARGET TOKEN-FILE COUNT PARALLEL COMMAND
 *	runs COMMAND COUNT times on one connection; prints runs per second
 *
 * TARGET: port on 127.0.0.1 (plaintext), or path of a Unix socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gen/ssh.pb-c.h"
#include "loop/loop.h"
#include "net/listen.h"
#include "rpc/client.h"

#define READY		"READY"
#define SHELL_DATA	3u	/* field of ShellRequest */
#define START_MAX	65536u	/* what a shell may print before READY */
#define TOKEN_MAX	8192

struct load {
	struct loop		*loop;
	struct grpc_client	*client;
	char			*bearer;
	bool			 exec;
	double			 start, took;
	int			 status;
	/* output */
	const char		*file;
	struct grpc_out_call	*call;
	char			 head[START_MAX];
	size_t			 head_len;
	bool			 running;
	uint64_t		 want, got;
	/* exec */
	char			*command;
	uint64_t		 count, started, finished, ids;
	uint64_t		 parallel;
};

static double
seconds(clockid_t clock)
{
	struct timespec	t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
fail(struct load *l, const char *what, const char *why)
{
	if (l->status == 0)
		fprintf(stderr, "load: %s: %s\n", what, why);
	l->status = 1;
	loop_stop(l->loop);
}

static void
stop_clock(struct load *l)
{
	l->took = seconds(CLOCK_MONOTONIC) - l->start;
	loop_stop(l->loop);
}

static int
start_call(struct load *l, struct grpc_out_call **c, const char *path,
    const char *id_key, const struct grpc_out_ops *ops)
{
	char			id[64];
	struct hpack_field	f[2] = {
		{ .name = id_key, .name_len = strlen(id_key), .value = id },
		{ .name = "authorization", .value = l->bearer,
		    .name_len = sizeof "authorization" - 1 },
	};
	struct grpc_request	req = {
		.path = path, .metadata = f, .nmetadata = 1,
		.response = l->exec ? &k8shelld__exec_response__descriptor :
		    &k8shelld__shell_response__descriptor,
	};

	snprintf(id, sizeof id, "%s-bench-%llu-aa1", l->exec ? "ex" : "sh",
	    (unsigned long long)++l->ids);
	f[0].value_len = strlen(id);
	if (l->bearer != NULL) {
		f[1].value_len = strlen(l->bearer);
		req.nmetadata = 2;
	}
	return grpc_start(l->client, c, &req, ops, l);
}

/* -- terminal output ------------------------------------------------------ */

static void
count_output(struct load *l, size_t n)
{
	l->got += n;
	if (l->got >= l->want && l->took == 0)
		stop_clock(l);
}

/* The shell is ready to cat: start the clock and let it. */
static void
look_for_ready(struct load *l, const uint8_t *p, size_t n)
{
	char	*at;

	if (n >= sizeof l->head - l->head_len) {
		fail(l, "shell", "no " READY);
		return;
	}
	memcpy(l->head + l->head_len, p, n);
	l->head_len += n;
	l->head[l->head_len] = '\0';
	if ((at = strstr(l->head, READY "\n")) == NULL)
		return;
	l->running = true;
	l->got = l->head_len - (size_t)(at + sizeof READY - l->head);
	l->start = seconds(CLOCK_MONOTONIC);
	if (grpc_out_send_bytes(l->call, SHELL_DATA, "\n", 1) < 0)
		fail(l, "shell", "cannot send");
}

static void
type_command(struct load *l)
{
	char	line[4096];
	int	n;

	/* Quotes keep the echo of the line from looking like its output. */
	n = snprintf(line, sizeof line, "stty raw -echo; echo REA''DY; "
	    "read -r x; exec cat '%s'\n", l->file);
	if (grpc_out_send_bytes(l->call, SHELL_DATA, line, (size_t)n) < 0)
		fail(l, "shell", "cannot send");
}

static void
shell_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ShellResponse	*resp = (const void *)m;
	struct load			*l = arg;

	if (resp->response_case ==
	    K8SHELLD__SHELL_RESPONSE__RESPONSE_START_RESPONSE)
		type_command(l);
	if (resp->response_case != K8SHELLD__SHELL_RESPONSE__RESPONSE_DATA)
		return;
	if (l->running)
		count_output(l, resp->data.len);
	else
		look_for_ready(l, resp->data.data, resp->data.len);
}

static void
shell_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct load	*l = arg;

	l->call = NULL;
	if (l->took == 0)
		fail(l, "shell ended early", text[0] != '\0' ? text :
		    grpc_status_name(status));
}

static const struct grpc_out_ops shell_ops = {
	.message = shell_on_message, .done = shell_on_done,
};

static int
start_output(struct load *l)
{
	K8shelld__ShellStartRequest	start;
	K8shelld__ShellRequest		req;
	int				r;

	r = start_call(l, &l->call, "/k8shelld.SshService/Shell",
	    "session-id", &shell_ops);
	if (r < 0)
		return r;
	k8shelld__shell_start_request__init(&start);
	k8shelld__shell_request__init(&req);
	start.usepty = 1;
	start.width = 80;
	start.height = 24;
	req.request_case = K8SHELLD__SHELL_REQUEST__REQUEST_START_REQUEST;
	req.start_request = &start;
	return grpc_out_send(l->call, &req.base);
}

/* -- commands ------------------------------------------------------------- */

static int	start_exec(struct load *l);

static void
exec_on_message(void *arg, const ProtobufCMessage *m)
{
	const K8shelld__ExecResponse	*resp = (const void *)m;
	struct load			*l = arg;

	if (resp->response_case != K8SHELLD__EXEC_RESPONSE__RESPONSE_EXIT_CODE)
		return;
	if (resp->exit_code != 0)
		fail(l, l->command, "exit status is not 0");
	else
		l->finished++;
}

static void
exec_on_done(void *arg, enum grpc_status status, const char *text)
{
	struct load	*l = arg;
	int		 r;

	if (status != GRPC_OK)
		fail(l, "exec", text[0] != '\0' ? text :
		    grpc_status_name(status));
	else if (l->finished == l->count)
		stop_clock(l);
	else if (l->started < l->count && (r = start_exec(l)) < 0)
		fail(l, "exec", strerror(-r));
}

static const struct grpc_out_ops exec_ops = {
	.message = exec_on_message, .done = exec_on_done,
};

static int
start_exec(struct load *l)
{
	K8shelld__CommandDetails	details;
	K8shelld__ExecRequest		req;
	struct grpc_out_call		*c;
	int				r;

	l->started++;
	r = start_call(l, &c, "/k8shelld.SshService/Exec", "exec-id",
	    &exec_ops);
	if (r < 0)
		return r;
	k8shelld__command_details__init(&details);
	k8shelld__exec_request__init(&req);
	details.command = l->command;
	req.request_case = K8SHELLD__EXEC_REQUEST__REQUEST_COMMAND_DETAILS;
	req.command_details = &details;
	if ((r = grpc_out_send(c, &req.base)) == 0)
		grpc_out_end(c);
	return r;
}

static int
start_execs(struct load *l)
{
	uint64_t	i;
	int		r = 0;

	l->start = seconds(CLOCK_MONOTONIC);
	for (i = 0; r == 0 && i < l->parallel && i < l->count; i++)
		r = start_exec(l);
	return r;
}

/* -- set-up --------------------------------------------------------------- */

static void
client_on_ready(void *arg)
{
	struct load	*l = arg;
	int		 r;

	if ((r = l->exec ? start_execs(l) : start_output(l)) < 0)
		fail(l, "cannot start", strerror(-r));
}

static void
client_on_lost(void *arg, const char *reason)
{
	fail(arg, "connection lost", reason);
}

static const struct grpc_client_ops client_ops = {
	.ready = client_on_ready, .lost = client_on_lost,
};

static void
read_token(struct load *l, const char *path)
{
	char	text[TOKEN_MAX];
	ssize_t	n;
	int	fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	if ((n = read(fd, text, sizeof text - 1)) > 0) {
		text[n] = '\0';
		l->bearer = xasprintf("Bearer %s", str_trim(text));
	}
	close(fd);
}

static int
dial(struct load *l, const char *target)
{
	uint32_t	port;
	int		fd;

	if (str_to_u32(target, UINT16_MAX, &port) == 0)
		fd = connect_tcp_literal("127.0.0.1", (uint16_t)port);
	else
		fd = connect_unix(target);
	if (fd < 0)
		return fd;
	return grpc_client_create(&l->client, l->loop, fd, true, NULL,
	    "localhost", &client_ops, l);
}

static int
options(struct load *l, int argc, char **argv)
{
	struct stat	st;

	if (argc == 5 && strcmp(argv[1], "output") == 0 &&
	    stat(argv[4], &st) == 0) {
		l->file = argv[4];
		l->want = (uint64_t)st.st_size;
	} else if (argc == 7 && strcmp(argv[1], "exec") == 0 &&
	    str_to_u64(argv[4], 1000000, &l->count) == 0 &&
	    str_to_u64(argv[5], 64, &l->parallel) == 0 &&
	    l->count > 0 && l->parallel > 0) {
		l->exec = true;
		l->command = argv[6];
	} else {
		fprintf(stderr, "usage: see the top of load.c\n");
		return -1;
	}
	read_token(l, argv[3]);
	return 0;
}

int
main(int argc, char **argv)
{
	struct load	*l = xcalloc(1, sizeof *l);
	int		 r;

	if (options(l, argc, argv) < 0)
		return 2;
	log_setup(LOG_ERROR, STDERR_FILENO);
	if ((l->loop = loop_create()) == NULL) {
		fprintf(stderr, "load: out of memory\n");
		return 1;
	}
	if ((r = dial(l, argv[2])) < 0)
		fail(l, argv[2], strerror(-r));
	if (l->status == 0)
		loop_run(l->loop);
	grpc_client_destroy(l->client);
	loop_destroy(l->loop);
	if (l->status != 0)
		return 1;
	if (l->exec)
		printf("%.2f\n", (double)l->count / l->took);
	else
		printf("%.3f %.2f\n", (double)l->want / l->took / 1e6,
		    seconds(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
