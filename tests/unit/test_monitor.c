/* monitor and ask: what is looked at every 30 s, and what may hang. */
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"
#include "conf/blueprint.h"
#include "proc/ask.h"
#include "proc/history.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/spin.h"
#include "workspace/monitor.h"

/* -- ask ------------------------------------------------------------------- */

struct answer {
	struct spin	*spin;
	struct ask	 ask;
	bool		 done, again;
	int		 r;
	size_t		 n;
	char		 text[64];
};

static void
on_done(void *arg, int r, const void *p, size_t n)
{
	struct answer	*a = arg;

	assert_false(a->done);
	a->done = true;
	a->r = r;
	a->n = n;
	if (n > 0)
		memcpy(a->text, p, n < sizeof a->text ? n : sizeof a->text);
	if (a->again)
		assert_int_equal(ask_start(&a->ask, NULL, NULL, 1), -EBUSY);
	spin_wake(a->spin);
}

static bool
is_collected(void *arg)
{
	return !((struct answer *)arg)->ask.running;
}

static void
answer_init(struct answer *a, struct spin *s, size_t max)
{
	spin_init(s, false);
	*a = (struct answer){ .spin = s };
	ask_init(&a->ask, s->loop, s->reap, max, on_done, a);
}

static void
answer_finish(struct answer *a)
{
	ask_finish(&a->ask);
	spin_finish(a->spin);
}

static void
say(void *arg, int fd)
{
	ask_write(fd, arg, strlen(arg));
}

static void
say_twice(void *arg, int fd)
{
	say(arg, fd);
	usleep(1000);
	say(arg, fd);
}

static void
say_what_is_open(void *arg, int fd)
{
	char	text[16];
	int	i, n = 0;

	(void)arg;
	for (i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) != -1;
	snprintf(text, sizeof text, "%d", n);
	ask_write(fd, text, strlen(text));
}

static void
hang(void *arg, int fd)
{
	(void)arg;
	ask_write(fd, "part", 4);
	for (;;)
		pause();
}

static void
die(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	_exit(1);
}

static void
answers_come_whole_and_children_are_collected(void **state)
{
	struct answer	a;
	struct spin	s;
	int		i;

	(void)state;
	answer_init(&a, &s, 10);
	for (i = 0; i < 3; i++) {
		a.done = false;
		assert_int_equal(ask_start(&a.ask, i == 1 ? say_twice : say,
		    (void *)(uintptr_t)"hello", 5000), 0);
		assert_int_equal(ask_start(&a.ask, say, NULL, 1), -EBUSY);
		spin_until(&s, &a.done);
		assert_int_equal(a.r, 0);
		assert_int_equal(a.n, i == 1 ? 10 : 5);
		assert_memory_equal(a.text, "hellohello", a.n);
		spin_poll(&s, is_collected, &a);
	}
	answer_finish(&a);
}

static void
the_child_keeps_four_descriptors(void **state)
{
	struct answer	a;
	struct spin	s;

	(void)state;
	answer_init(&a, &s, 10);
	assert_int_equal(ask_start(&a.ask, say_what_is_open, NULL, 5000), 0);
	spin_until(&s, &a.done);
	assert_memory_equal(a.text, "4", 2);
	spin_poll(&s, is_collected, &a);
	answer_finish(&a);
}

static void
a_child_that_fails_gives_nothing(void **state)
{
	struct answer	a;
	struct spin	s;

	(void)state;
	answer_init(&a, &s, 10);
	assert_int_equal(ask_start(&a.ask, die, NULL, 5000), 0);
	spin_until(&s, &a.done);
	assert_int_equal(a.r, 0);
	assert_int_equal(a.n, 0);
	spin_poll(&s, is_collected, &a);
	answer_finish(&a);
}

static void
an_answer_over_the_limit_is_refused(void **state)
{
	struct answer	a;
	struct spin	s;

	(void)state;
	answer_init(&a, &s, 4);
	assert_int_equal(ask_start(&a.ask, say, (void *)(uintptr_t)"hello",
	    5000), 0);
	spin_until(&s, &a.done);
	assert_int_equal(a.r, -EFBIG);
	spin_poll(&s, is_collected, &a);
	answer_finish(&a);
}

static void
L16_a_child_that_hangs_costs_its_answer_only(void **state)
{
	struct answer	a;
	struct spin	s;

	(void)state;
	answer_init(&a, &s, 10);
	a.again = true;
	assert_int_equal(ask_start(&a.ask, hang, NULL, 20), 0);
	spin_until(&s, &a.done);
	assert_int_equal(a.r, -ETIMEDOUT);
	spin_poll(&s, is_collected, &a);
	/* And it can be asked again. */
	a.done = a.again = false;
	assert_int_equal(ask_start(&a.ask, say, (void *)(uintptr_t)"x",
	    5000), 0);
	spin_until(&s, &a.done);
	assert_int_equal(a.n, 1);
	spin_poll(&s, is_collected, &a);
	answer_finish(&a);
}

static void
finishing_kills_the_child(void **state)
{
	struct answer	a;
	struct spin	s;
	pid_t		pid;

	(void)state;
	answer_init(&a, &s, 10);
	assert_int_equal(ask_start(&a.ask, hang, NULL, 20000), 0);
	pid = a.ask.child.pid;
	ask_finish(&a.ask);
	while (kill(pid, 0) == 0)
		reap_run(s.reap);
	assert_false(a.done);
	answer_finish(&a);
}

static void
ask_needs_memory_for_the_answer(void **state)
{
	struct answer	a;
	struct spin	s;

	(void)state;
	answer_init(&a, &s, 10);
	assert_int_equal(ask_start(&a.ask, say, (void *)(uintptr_t)"x",
	    5000), 0);
	failmalloc_arm(1);
	spin_until(&s, &a.done);
	assert_true(failmalloc_disarm());
	assert_int_equal(a.r, -ENOMEM);
	spin_poll(&s, is_collected, &a);
	answer_finish(&a);
}

/* -- monitor --------------------------------------------------------------- */

#define MOUNTINFO \
	"1 2 3:4 / / rw - ext4 /dev/a rw\n" \
	"1 2 3:4 / /data rw,relatime - tmpfs hidden rw\n" \
	"1 2 3:4 / /home/al\\040ice rw - nfs4 srv:/h\\303 rw\n" \
	"1 2 3:4 / /other rw - ext4 /dev/b rw\n" \
	"1 2 3:4 / /data ro,nosuid - overlay top rw\n"

struct world {
	struct spin	 spin;
	struct blueprint bp;
	struct blueprint_storage items[6];
	struct monitor_options opt;
	struct monitor	*m;
	int		 rounds, stop_at;
	bool		 enough;
	char		 root[64];
};

static void
on_collected(void *arg)
{
	struct world	*w = arg;

	if (++w->rounds == w->stop_at)
		w->enough = true;
	spin_wake(&w->spin);
}

static void
put(const struct world *w, const char *name, const char *text)
{
	char	path[256];
	int	fd;

	snprintf(path, sizeof path, "%s/proc/self/%s", w->root, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int
fake_statfs(const char *path, struct mount_usage *u)
{
	if (strcmp(path, "/home/al ice") == 0)
		for (;;)
			pause();
	*u = (struct mount_usage){ 1000, 600, 400, 300, 50, 20 };
	return 0;
}

static void
set_item(struct world *w, const char *path, uint64_t declared)
{
	struct blueprint_storage	*s = &w->items[w->bp.storages.n++];

	s->path = (char *)(uintptr_t)path;
	s->declared = declared;
}

static void
world_init(struct world *w)
{
	char	path[128];

	*w = (struct world){ .stop_at = 2 };
	spin_init(&w->spin, false);
	log_setup(LOG_FATAL, -1);
	snprintf(w->root, sizeof w->root, "/tmp/test_monitor." "XX" "XX" "XX");
	assert_non_null(mkdtemp(w->root));
	snprintf(path, sizeof path, "%s/proc", w->root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/proc/self", w->root);
	assert_int_equal(mkdir(path, 0700), 0);
	put(w, "mountinfo", MOUNTINFO);
	w->bp.storages.item = w->items;
	w->opt = (struct monitor_options){ .blueprint = &w->bp,
	    .root = w->root, .first_ms = 30, .interval_ms = 30,
	    .statfs_ms = 10, .statfs = fake_statfs,
	    .collected = on_collected, .arg = w };
}

static void
world_start(struct world *w)
{
	w->m = monitor_create(w->spin.loop, w->spin.reap, &w->opt);
	assert_non_null(w->m);
}

static bool
none_left(void *arg)
{
	return reap_watched(((struct world *)arg)->spin.reap) == 0;
}

static void
world_finish(struct world *w)
{
	static const char *const	names[] = {
		"/proc/self/mountinfo", "/proc/self/cgroup", "/proc/self/stat",
		"/proc/self", "/proc/stat", "/proc/uptime", "/proc", ""
	};
	char	path[128];
	size_t	i;

	monitor_destroy(w->m);
	spin_poll(&w->spin, none_left, w);
	for (i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof path, "%s%s", w->root, names[i]);
		remove(path);
	}
	assert_int_equal(access(w->root, F_OK), -1);
	spin_finish(&w->spin);
}

static bool
knows_data(void *arg)
{
	struct monitor_mount	mm;
	struct world		*w = arg;

	return monitor_mount(w->m, 0, &mm) && mm.usage.total == 1000;
}

static void
L16_mounts_of_the_blueprint_topmost_first_hung_ones_empty(void **state)
{
	struct monitor_mount	mm;
	struct world		w;

	(void)state;
	world_init(&w);
	set_item(&w, "/not/mounted", 1);
	set_item(&w, "/home/al ice", 5);
	set_item(&w, "/data", 7);
	set_item(&w, "/data", 8);
	w.stop_at = 4;
	world_start(&w);
	assert_false(monitor_mount(w.m, 0, &mm));
	spin_until(&w.spin, &w.enough);
	spin_poll(&w.spin, knows_data, &w);
	assert_true(monitor_mount(w.m, 0, &mm));
	assert_string_equal(mm.point, "/data");
	assert_string_equal(mm.source, "top");
	assert_string_equal(mm.type, "overlay");
	assert_string_equal(mm.options, "ro,nosuid");
	assert_true(mm.read_only);
	assert_true(mm.temporary);
	assert_int_equal(mm.usage.used, 600);
	assert_int_equal(mm.usage.free_inodes, 20);
	assert_int_equal(mm.declared, 7);
	assert_true(mm.history->len >= 1);
	assert_true(monitor_mount(w.m, 1, &mm));
	assert_string_equal(mm.point, "/home/al ice");
	assert_string_equal(mm.source, "srv:/h\xef\xbf\xbd");	/* TR-21 */
	assert_int_equal(mm.usage.total, 0);
	assert_int_equal(mm.history->len, 0);
	assert_false(mm.read_only || mm.temporary);
	assert_false(monitor_mount(w.m, 2, &mm));
	/* Unmounted: gone from the answer. */
	put(&w, "mountinfo", "1 2 3:4 / /data rw - ext4 /dev/x rw\n");
	w.stop_at = w.rounds + 1;
	w.enough = false;
	spin_until(&w.spin, &w.enough);
	assert_true(monitor_mount(w.m, 0, &mm));
	assert_string_equal(mm.source, "/dev/x");
	assert_false(monitor_mount(w.m, 1, &mm));
	world_finish(&w);
}

static void
SY_05_without_an_engine_there_is_no_docker(void **state)
{
	static const char *const	none[] = { "/nonexistent/s", NULL };
	struct world			w;

	(void)state;
	world_init(&w);
	w.bp.podman.enabled = true;
	w.opt.sockets = none;
	world_start(&w);
	spin_until(&w.spin, &w.enough);
	assert_null(monitor_engine(w.m));
	assert_int_equal(monitor_engine_declared(w.m), 0);
	assert_int_equal(monitor_engine_history(w.m)->len, 0);
	world_finish(&w);
}

static void
SY_05_the_second_look_tells_cpu_usage(void **state)
{
	const struct monitor_system	*sys;
	struct history_window		 win;
	double				 mean[720];
	const char			*why;
	struct world			 w;

	(void)state;
	world_init(&w);
	w.opt.blueprint = NULL;
	w.opt.root = "";
	w.stop_at = 1;
	world_start(&w);
	sys = monitor_system(w.m);
	assert_true(sys->cpu_limit < 0);
	assert_int_equal(sys->started, 0);
	spin_until(&w.spin, &w.enough);
	assert_true(sys->started > 0);
	assert_false(sys->cpu > 0);
	assert_true(sys->memory > 0);
	assert_int_equal(history_window(&win, &(struct history_request){ 0 },
	    (loop_wall() + 5) * 1000000000, &why), 0);
	history_floats(monitor_system_history(w.m), &win, 0, mean);
	assert_true(isnan(mean[win.n - 1]));
	history_floats(monitor_system_history(w.m), &win, 2, mean);
	assert_true(!isnan(mean[win.n - 1]));
	w.stop_at = 4;
	w.enough = false;
	spin_until(&w.spin, &w.enough);
	history_floats(monitor_system_history(w.m), &win, 0, mean);
	assert_true(!isnan(mean[win.n - 1]));
	world_finish(&w);
}

static void
creating_without_memory_is_refused(void **state)
{
	struct monitor	*m;
	struct world	 w;
	unsigned	 n;

	(void)state;
	world_init(&w);
	set_item(&w, "/data", 7);
	for (n = 1; ; n++) {
		failmalloc_arm(n);
		m = monitor_create(w.spin.loop, w.spin.reap, &w.opt);
		if (!failmalloc_disarm())
			break;
		assert_null(m);
	}
	assert_int_equal(n, 3);
	w.m = m;
	/* While it runs, a failure costs a sample. */
	failmalloc_arm_all(1);
	w.stop_at = 1;
	spin_until(&w.spin, &w.enough);
	assert_true(failmalloc_disarm());
	w.stop_at = 3;
	w.enough = false;
	spin_until(&w.spin, &w.enough);
	spin_poll(&w.spin, knows_data, &w);
	world_finish(&w);
}

/* -- engine ---------------------------------------------------------------- */

static const char	version_json[] =
    "{\"Platform\":{\"Name\":\"x\",\"Version\":\"9\"},\"Components\":[{"
    "\"Version\":\"8\",\"Details\":{\"ApiVersion\":\"7\"}}],"
    "\"Version\":\"4.3.1\",\"ApiVersion\":\"1.41\"}";
static const char	libpod_json[] =
    "{\"host\":{\"arch\":\"amd64\"},\"store\":{\"graphRoot\":"
    "\"/home/u/.local\\u002fshare\",\"graphRootUsed\":12345,"
    "\"graphDriverName\":\"overlay\",\"runRoot\":\"/run/u\","
    "\"containerStore\":{\"number\":5,\"paused\":1,\"running\":2,"
    "\"stopped\":2}},\"version\":{\"Version\":\"4.3.1\"}}";
static const char	df_json[] =
    "{\"LayersSize\":1,\"Images\":[{\"Id\":\"a\",\"Size\":100,"
    "\"VirtualSize\":7},{\"VirtualSize\":11},{\"Size\":-1},{\"Size\":1.5}],"
    "\"Containers\":[{\"SizeRw\":3,\"SizeRootFs\":20},{\"SizeRw\":-5}],"
    "\"Volumes\":[{\"Name\":\"v\",\"UsageData\":{\"Size\":40,"
    "\"RefCount\":1}},{\"UsageData\":null}],\"BuildCache\":[{\"Size\":6}]}";

static void
assert_df(const struct engine_usage *u)
{
	assert_int_equal(u->images, 111);
	assert_int_equal(u->containers, 3);
	assert_int_equal(u->containers_rootfs, 20);
	assert_int_equal(u->volumes, 40);
	assert_int_equal(u->build_cache, 6);
}

static void
answers_of_the_engine_are_read(void **state)
{
	struct engine_usage	u = { 0 };

	(void)state;
	assert_int_equal(engine_read_version(&u, version_json,
	    sizeof version_json - 1), 0);
	assert_string_equal(u.version, "4.3.1");
	assert_string_equal(u.api_version, "1.41");
	assert_int_equal(engine_read_libpod(&u, libpod_json,
	    sizeof libpod_json - 1), 0);
	assert_true(u.podman);
	assert_string_equal(u.root_dir, "/home/u/.local/share");
	assert_string_equal(u.driver, "overlay");
	assert_string_equal(u.run_root, "/run/u");
	assert_int_equal(u.total, 12345);
	assert_int_equal(u.all, 5);
	assert_int_equal(u.running + u.paused + u.stopped, 5);
	assert_int_equal(engine_read_df(&u, df_json, sizeof df_json - 1), 0);
	assert_df(&u);
	assert_int_equal(engine_read_info(&u, "{\"DockerRootDir\":\"/v\"}",
	    22), 0);
	assert_string_equal(u.root_dir, "/v");
}

static void
answers_cut_short_change_nothing(void **state)
{
	static const struct engine_usage	zero;
	struct engine_usage			u = { 0 };
	size_t					n;

	(void)state;
	for (n = 0; n < sizeof df_json - 1; n++)
		assert_int_equal(engine_read_df(&u, df_json, n), -EINVAL);
	for (n = 0; n < sizeof libpod_json - 1; n++)
		assert_int_equal(engine_read_libpod(&u, libpod_json, n),
		    -EINVAL);
	assert_memory_equal(&u, &zero, sizeof u);
	/* Odd but well-formed: nothing is found. */
	assert_int_equal(engine_read_df(&u, "[[[{\"Images\":[]}]]]", 19), 0);
	assert_int_equal(engine_read_df(&u, "{\"Images\":{\"Size\":3}}", 21),
	    0);
	assert_int_equal(u.images, 0);
	assert_int_equal(engine_read_df(&u, "{} {}", 5), -EINVAL);
}

/* An engine in a child: answers each connection with what its path says. */
static void
answer_one(int fd)
{
	char		 request[2048];
	const char	*body = NULL;
	ssize_t		 n;

	if ((n = read(fd, request, sizeof request - 1)) <= 0)
		return;
	request[n] = '\0';
	if (str_prefix(request, "GET /version "))
		body = version_json;
	else if (str_prefix(request, "GET /libpod/info "))
		body = libpod_json;
	else if (str_prefix(request, "GET /v1.41/system/df "))
		body = df_json;
	if (body == NULL)
		dprintf(fd, "HTTP/1.1 404 Not Found\r\n"
		    "Content-Length: 2\r\n\r\n{}");
	else
		dprintf(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		    "\r\n%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);
}

struct fake {
	char	dir[64], path[80];
	pid_t	pid;
};

/* answers: how many connections are answered; later ones hang. */
static void
fake_start(struct fake *f, int answers)
{
	struct sockaddr_un	a = { .sun_family = AF_UNIX };
	int			fd, conn;

	snprintf(f->dir, sizeof f->dir, "/tmp/test_engine." "XX" "XX" "XX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	snprintf(f->path, sizeof f->path, "%s/s", f->dir);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", f->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 16), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(f->path, 34567, 34567), 0);
	assert_true((f->pid = fork()) >= 0);
	if (f->pid == 0) {
		alarm(60);
		while (answers-- > 0 && (conn = accept(fd, NULL, NULL)) >= 0) {
			answer_one(conn);
			close(conn);
		}
		for (;;)
			pause();
	}
	close(fd);
}

static void
fake_stop(struct fake *f)
{
	kill(f->pid, SIGKILL);
	unlink(f->path);
	rmdir(f->dir);
}

static bool
has_engine(void *arg)
{
	return monitor_engine(((struct world *)arg)->m) != NULL;
}

static void
SY_05_an_engine_is_asked_over_its_socket(void **state)
{
	struct blueprint_storage	 store = {
		(char *)(uintptr_t)"/home/u", 99
	};
	const struct engine_usage	*u;
	struct world			 w;
	struct fake			 f;
	const char			*sockets[] = { "/tmp", NULL, NULL };

	(void)state;
	fake_start(&f, 1000);
	world_init(&w);
	w.bp.podman.enabled = true;
	w.bp.podman.storages.item = &store;
	w.bp.podman.storages.n = 1;
	sockets[1] = f.path;
	w.opt.sockets = sockets;
	w.opt.first_ms = w.opt.interval_ms = 60000;
	world_start(&w);
	spin_poll(&w.spin, has_engine, &w);
	u = monitor_engine(w.m);
	assert_string_equal(u->socket, f.path);
	assert_string_equal(u->api_version, "1.41");
	assert_string_equal(u->root_dir, "/home/u/.local/share");
	assert_df(u);
	assert_int_equal(u->total, 12345);
	assert_int_equal(monitor_engine_declared(w.m), 99);
	assert_int_equal(monitor_engine_history(w.m)->len, 1);
	fake_stop(&f);
	world_finish(&w);
}

static void
SY_05_an_engine_that_stops_answering_gives_what_it_said(void **state)
{
	const char		*sockets[] = { NULL, NULL };
	struct world		 w;
	struct fake		 f;

	(void)state;
	fake_start(&f, 1);
	world_init(&w);
	w.bp.podman.enabled = true;
	sockets[0] = f.path;
	w.opt.sockets = sockets;
	w.opt.first_ms = w.opt.interval_ms = 60000;
	world_start(&w);
	spin_poll(&w.spin, has_engine, &w);
	assert_string_equal(monitor_engine(w.m)->version, "4.3.1");
	assert_int_equal(monitor_engine(w.m)->total, 0);
	assert_false(monitor_engine(w.m)->podman);
	fake_stop(&f);
	world_finish(&w);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(answers_come_whole_and_children_are_collected),
		cmocka_unit_test(the_child_keeps_four_descriptors),
		cmocka_unit_test(a_child_that_fails_gives_nothing),
		cmocka_unit_test(an_answer_over_the_limit_is_refused),
		cmocka_unit_test(L16_a_child_that_hangs_costs_its_answer_only),
		cmocka_unit_test(finishing_kills_the_child),
		cmocka_unit_test(ask_needs_memory_for_the_answer),
		cmocka_unit_test(
		    L16_mounts_of_the_blueprint_topmost_first_hung_ones_empty),
		cmocka_unit_test(SY_05_without_an_engine_there_is_no_docker),
		cmocka_unit_test(SY_05_the_second_look_tells_cpu_usage),
		cmocka_unit_test(creating_without_memory_is_refused),
		cmocka_unit_test(answers_of_the_engine_are_read),
		cmocka_unit_test(answers_cut_short_change_nothing),
		cmocka_unit_test(SY_05_an_engine_is_asked_over_its_socket),
		cmocka_unit_test(
		    SY_05_an_engine_that_stops_answering_gives_what_it_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
