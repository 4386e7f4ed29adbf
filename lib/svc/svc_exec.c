/*
 * SshService.Exec: one stream, one command.  Order on the wire: pty (only if
 * asked for), stdout and stderr as they come, exactly one exit_code, then OK
 * (EX-01..EX-05).  A program that can't be run is told on stderr with an exit
 * code, as a shell does; a start that is refused, or fails before there is a
 * child to say so, on stderr and with a status.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gen/ssh.pb-c.h"
#include "loop/loop.h"
#include "svc/svc.h"
#include "workspace/account.h"
#include "workspace/command.h"
#include "workspace/stream.h"
#include "workspace/task.h"

#define FIELD_STDOUT	1u		/* ExecResponse */
#define FIELD_STDERR	2u
#define COLS_DEFAULT	80u
#define ROWS_DEFAULT	24u
#define CELLS_MAX	65535u

/* As a shell reports them. */
#define EXIT_NOT_EXECUTABLE	126
#define EXIT_NOT_FOUND		127

struct exec {
	struct svc	*svc;
	struct grpc_call *call;		/* NULL: it is over, or lost */
	struct grpc_work *work;
	struct task	*task;
	struct stream	 stream;
	bool		 starting;	/* counted in svc->starting */
	bool		 pty;
	bool		 no_shell;	/* in this image */
	bool		 over;		/* exit_code waits for room */
	char		 notice[160];	/* waits for room */
	int		 exit_code;
	struct loop_task end;		/* say_end() from a clean stack */
};

static void
left_start(struct exec *ex)
{
	if (ex->starting)
		ex->svc->starting--;
	ex->starting = false;
}

static void
exec_free(struct exec *ex)
{
	left_start(ex);
	loop_later_cancel(ex->svc->loop, &ex->end);
	stream_end(&ex->stream);
	free(ex);
}

static int
send_exit(struct grpc_call *c, int code)
{
	K8shelld__ExecResponse	resp;

	k8shelld__exec_response__init(&resp);
	resp.response_case = K8SHELLD__EXEC_RESPONSE__RESPONSE_EXIT_CODE;
	resp.exit_code = code;
	return grpc_send(c, &resp.base);
}

static int
send_error(struct grpc_call *c, const char *text, const char *eol)
{
	char	line[512];
	int	n = snprintf(line, sizeof line, "k8shell: %s%s", text, eol);

	return n > 0 && (size_t)n < sizeof line ?
	    grpc_send_bytes(c, FIELD_STDERR, line, (size_t)n) : 0;
}

/* False: no room yet, writable() comes back. */
static bool
say_notice(struct exec *ex)
{
	if (ex->notice[0] == '\0')
		return true;
	if (send_error(ex->call, ex->notice, ex->pty ? "\r\n" : "\n") ==
	    -ENOBUFS)
		return false;
	ex->notice[0] = '\0';
	return true;
}

/*
 * The exit code, if there is room; without it the status can't be OK, or the
 * client would report success.
 */
static void
say_end(struct exec *ex)
{
	int	r;

	if (!say_notice(ex) ||
	    (r = send_exit(ex->call, ex->exit_code)) == -ENOBUFS)
		return;
	if (r == 0)
		grpc_finish(ex->call, GRPC_OK, "%s", "");
	else
		grpc_finish(ex->call, GRPC_RESOURCE_EXHAUSTED,
		    "exit code %d not sent: %s", ex->exit_code, strerror(-r));
	task_destroy(ex->task);
	exec_free(ex);
}

static void
on_gone(void *arg)
{
	struct exec	*ex = arg;

	grpc_work_done(ex->work);
	exec_free(ex);
}

/* The slot stays taken until the processes are gone. */
static void
hang_up(struct exec *ex)
{
	ex->work = grpc_work_begin(ex->call);
	ex->call = NULL;
	left_start(ex);
	task_hangup(ex->task, on_gone, ex);
}

/* Bytes were lost: nothing true can be said any more. */
static void
give_up(struct exec *ex, const char *what, int err)
{
	struct grpc_call	*c = ex->call;

	log_warn("grpc-exec", "%s: %s lost: %s", ex->stream.id, what,
	    strerror(-err));
	hang_up(ex);
	grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "%s lost: %s", what,
	    strerror(-err));
}

static int
code_of_failure(enum child_stage stage, int err)
{
	if (stage != CHILD_EXEC)
		return 1;
	return err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND :
	    EXIT_NOT_EXECUTABLE;
}

static void
send_pty(struct grpc_call *c, const char *tty)
{
	K8shelld__ExecResponse	resp;

	k8shelld__exec_response__init(&resp);
	resp.response_case = K8SHELLD__EXEC_RESPONSE__RESPONSE_PTY;
	resp.pty = (char *)(uintptr_t)tty;
	grpc_send(c, &resp.base);
}

static void
on_started(void *arg, enum child_stage stage, int err, const char *path,
    int cwd_err)
{
	struct exec	*ex = arg;
	char		 text[400];

	left_start(ex);
	if (stage != CHILD_OK) {
		snprintf(text, sizeof text, "%s: %.256s: %s",
		    child_stage_name(stage), path != NULL ? path : "?",
		    strerror(err));
		if (ex->no_shell)
			snprintf(strchr(text, '\0'), sizeof text -
			    strlen(text), " (no shell here to run it)");
		log_info("grpc-exec", "%s: %s", ex->stream.id, text);
		send_error(ex->call, text, "\n");
		ex->exit_code = code_of_failure(stage, err);
		return;
	}
	if (ex->pty)
		send_pty(ex->call, task_tty(ex->task));
	if (cwd_err != 0) {
		snprintf(ex->notice, sizeof ex->notice, "no home directory "
		    "(%s), running in /", strerror(cwd_err));
		log_warn("grpc-exec", "%s: %s", ex->stream.id, ex->notice);
	}
}

/* Asked before anything is read, so the notice comes first. */
static size_t
on_room(void *arg)
{
	struct exec	*ex = arg;

	return say_notice(ex) ? grpc_room(ex->call) : 0;
}

static void
on_output(void *arg, enum task_stream s, const void *p, size_t n)
{
	struct exec	*ex = arg;
	int		 r;

	ex->stream.bytes_out += n;
	r = grpc_send_bytes(ex->call,
	    s == TASK_STDOUT ? FIELD_STDOUT : FIELD_STDERR, p, n);
	if (r < 0)
		give_up(ex, "output", r);
}

static void
on_writable(void *arg)
{
	struct exec	*ex = arg;

	grpc_resume(ex->call);
}

static void
exec_end(void *arg)
{
	say_end(arg);
}

static void
on_finished(void *arg, const struct reap_exit *e)
{
	struct exec	*ex = arg;

	if (ex->exit_code == 0)
		ex->exit_code = reap_exit_code(e);
	log_info("grpc-exec", "%s: ended, status %d", ex->stream.id,
	    ex->exit_code);
	ex->over = true;
	grpc_resume(ex->call);		/* what still comes is dropped */
	loop_later(ex->svc->loop, &ex->end);
}

static const struct task_ops exec_task = {
	.started = on_started,
	.room = on_room,
	.output = on_output,
	.writable = on_writable,
	.finished = on_finished,
};

static uint16_t
cells(uint32_t v, uint16_t dflt)
{
	return v == 0 ? dflt : (uint16_t)(v > CELLS_MAX ? CELLS_MAX : v);
}

/* The shell that will run, for SHELL: the login shell if there is one. */
static const char *
shell_of(const struct account *a, const struct command *cmd)
{
	return a->login_shell[0] != '\0' ? a->login_shell : cmd->paths[0];
}

static int
exec_spawn(struct exec *ex, const K8shelld__CommandDetails *req,
    const struct account *a, const struct command *cmd)
{
	char			 id_env[32 + STREAM_ID_MAX];
	const char		*extra[] = { id_env, NULL };
	struct child_spec	 cs = {
		.paths = (const char *const *)cmd->paths,
		.argv = (const char *const *)cmd->argv, .cwd = a->home,
		.user = { .uid = a->uid, .gid = a->gid, .groups = a->groups,
		    .ngroups = a->ngroups, .change = geteuid() == 0,
		    .may_gain = account_may_gain(a) },
		.nofile = &ex->svc->nofile,
		.io = req->use_pty ? CHILD_PTY : CHILD_STREAMS,
		.cols = cells(req->width, COLS_DEFAULT),
		.rows = cells(req->height, ROWS_DEFAULT),
	};
	char			**env;
	int			 r;

	/* For the orphan scanner, should something of it lose its parent. */
	snprintf(id_env, sizeof id_env, "K8SHELL_EXEC_ID=%s", ex->stream.id);
	env = account_environment(a, req->env_vars, req->n_env_vars,
	    shell_of(a, cmd), req->use_pty, extra);
	if (env == NULL)
		return -ENOMEM;
	cs.envp = (const char *const *)env;
	ex->pty = req->use_pty;
	r = task_create(&ex->task, ex->svc->loop, ex->svc->reap, &cs,
	    &exec_task, ex);
	free(env);
	if (r == 0)
		task_share_input(ex->task, streams_input(ex->svc->streams));
	return r;
}

static int
exec_start(struct exec *ex, const K8shelld__CommandDetails *req,
    const char *id, const struct account *a)
{
	struct command	 cmd;
	int		 r;

	if ((r = command_build(&cmd, a, id, req->command,
	    req->shell_binary)) < 0)
		return r;
	ex->no_shell = cmd.no_shell;
	snprintf(ex->stream.id, sizeof ex->stream.id, "%s", id);
	if ((r = exec_spawn(ex, req, a, &cmd)) == 0) {
		ex->starting = true;
		ex->svc->starting++;
		ex->stream.kind = STREAM_EXEC;
		snprintf(ex->stream.params, sizeof ex->stream.params,
		    "cmd=%.240s", req->command);
		stream_add(ex->svc->streams, &ex->stream);
		log_info("grpc-exec", "%s: for %s as uid %u", id,
		    svc_caller(ex->call), a->uid);
	}
	command_finish(&cmd);
	return r;
}

static void
exec_begin(struct grpc_call *c, const K8shelld__CommandDetails *req,
    const char *id)
{
	struct svc	*svc = grpc_call_user(c);
	struct account	*a = NULL;
	struct exec	*ex = NULL;
	const char	*why = NULL;
	enum grpc_status status;
	int		 r;

	if (!svc_may_start(svc))
		why = "too many starts at once", r = -EAGAIN;
	else if ((r = account_resolve(&a, svc->identity, req->as_user,
	    &account_files_system, &why)) == 0)
		r = (ex = calloc(1, sizeof *ex)) == NULL ? -ENOMEM : 0;
	if (r == 0) {
		ex->svc = svc;
		ex->call = c;
		ex->end.fn = exec_end;
		ex->end.arg = ex;
		if ((r = exec_start(ex, req, id, a)) == -EINVAL)
			why = "the command is blank or its quotes are "
			    "unbalanced";
	}
	account_destroy(a);
	if (r < 0) {
		free(ex);
		status = svc_refusal(r, &why);
		log_info("grpc-exec", "%s: refused: %s", id, why);
		send_error(c, why, "\n");
		grpc_finish(c, status, "%s", why);
		return;
	}
	grpc_call_set_arg(c, ex);
}

static void
exec_input(struct exec *ex, const ProtobufCBinaryData *data)
{
	int	r;

	if ((r = task_input(ex->task, data->data, data->len)) == 0)
		ex->stream.bytes_in += data->len;
	else if (r != -EPIPE) {		/* that is the program's own wish */
		give_up(ex, "input", r);
		return;
	}
	if (task_input_full(ex->task))
		grpc_pause(ex->call);
}

static void
exec_control(struct exec *ex, const K8shelld__ExecRequest *req)
{
	int	signo;

	switch (req->request_case) {
	case K8SHELLD__EXEC_REQUEST__REQUEST_INPUT:
		exec_input(ex, &req->input);
		break;
	case K8SHELLD__EXEC_REQUEST__REQUEST_SIGNAL:
		if ((signo = command_signal(req->signal)) != 0)
			task_signal(ex->task, signo);
		break;
	case K8SHELLD__EXEC_REQUEST__REQUEST_RESIZE:
		if (ex->pty)
			task_resize(ex->task, req->resize->width,
			    req->resize->height);
		break;
	default:
		/* A second command_details, or a member we don't know. */
		break;
	}
}

void
svc_exec_message(struct grpc_call *c, const ProtobufCMessage *m)
{
	const K8shelld__ExecRequest	*req = (const void *)m;
	struct exec			*ex = grpc_call_arg(c);
	const char			*id;

	if (ex != NULL) {
		if (!ex->over)
			exec_control(ex, req);
		return;
	}
	if ((id = svc_stream_id(c, "exec-id")) == NULL)
		return;
	if (req->request_case !=
	    K8SHELLD__EXEC_REQUEST__REQUEST_COMMAND_DETAILS)
		grpc_finish(c, GRPC_INVALID_ARGUMENT,
		    "the first message is not command_details");
	else
		exec_begin(c, req->command_details, id);
}

void
svc_exec_ended(struct grpc_call *c)
{
	struct exec	*ex = grpc_call_arg(c);

	if (ex == NULL)
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "no command_details");
	else if (!ex->over)
		task_input_end(ex->task);
}

void
svc_exec_writable(struct grpc_call *c)
{
	struct exec	*ex = grpc_call_arg(c);

	if (ex == NULL)
		return;
	if (ex->over)
		say_end(ex);
	else
		task_resume(ex->task);
}

void
svc_exec_gone(struct grpc_call *c)
{
	struct exec	*ex = grpc_call_arg(c);

	if (ex == NULL)
		return;
	if (ex->over) {
		task_destroy(ex->task);
		exec_free(ex);
		return;
	}
	log_info("grpc-exec", "%s: client gone, hanging up", ex->stream.id);
	hang_up(ex);
}
