#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/unit/failmalloc.h"
#include "tests/unit/spin.h"

#define STORM		10000

struct kid {
	struct reap_entry entry;
	struct reap_exit exit;
	unsigned	 calls;
	bool		 was_zombie;	/* while the owner was called */
	struct kid	*forgets;	/* this one does so to that one */
};

static char
state_of(pid_t pid)
{
	char	 path[32], line[256] = "", *p;
	FILE	*f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if ((f = fopen(path, "r")) == NULL)
		return '-';
	p = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
	fclose(f);
	return p != NULL ? p[2] : '-';
}

static void
on_exit_of(void *arg, const struct reap_exit *e)
{
	struct kid	*k = arg;

	k->exit = *e;
	k->calls++;
	k->was_zombie = state_of(e->pid) == 'Z';
	if (k->forgets != NULL)
		reap_forget(&k->forgets->entry);
}

/* A child that waits for the pipe to be closed, or not if gate is -1. */
static pid_t
fork_kid(int status, int gate)
{
	char	c;
	pid_t	pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	if (gate != -1)
		while (read(gate, &c, 1) == -1 && errno == EINTR)
			continue;
	if (status >= 0)
		_exit(status);
	raise(-status);
	_exit(99);
}

static void
watch_kid(struct reap *r, struct kid *k, pid_t pid)
{
	*k = (struct kid){ .entry = { .pid = pid, .fn = on_exit_of,
	    .arg = k } };
	reap_watch(r, &k->entry);
}

/* Blocks until the child is a zombie, without collecting it. */
static void
await_zombie(pid_t pid)
{
	siginfo_t	si;

	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
}

static void
the_owner_is_told_while_the_child_is_still_a_zombie(void **state)
{
	struct reap	*r = reap_create(true);
	struct kid	 k;
	pid_t		 pid = fork_kid(7, -1);

	(void)state;
	watch_kid(r, &k, pid);
	await_zombie(pid);
	assert_int_equal(reap_run(r), 1);
	assert_int_equal(k.calls, 1);
	assert_true(k.was_zombie);
	assert_int_equal(k.exit.pid, pid);
	assert_false(k.exit.signaled);
	assert_int_equal(k.exit.value, 7);
	assert_int_equal(state_of(pid), '-');
	assert_null(k.entry.reap);
	assert_int_equal(reap_run(r), 0);
	assert_int_equal(reap_adopted(r), 0);
	reap_destroy(r);
}

static void
EX_03_death_by_a_signal_is_128_and_the_signal(void **state)
{
	struct reap	*r = reap_create(true);
	struct kid	 k;
	pid_t		 pid = fork_kid(-SIGKILL, -1);

	(void)state;
	watch_kid(r, &k, pid);
	await_zombie(pid);
	assert_int_equal(reap_run(r), 1);
	assert_true(k.exit.signaled);
	assert_int_equal(reap_exit_code(&k.exit), 128 + SIGKILL);
	k.exit = (struct reap_exit){ .value = 3 };
	assert_int_equal(reap_exit_code(&k.exit), 3);
	reap_destroy(r);
}

static void
with_adoption_strangers_are_collected_and_counted(void **state)
{
	struct reap	*r = reap_create(true);
	pid_t		 pid = fork_kid(1, -1);

	(void)state;
	await_zombie(pid);
	assert_int_equal(reap_run(r), 1);
	assert_int_equal(reap_adopted(r), 1);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	reap_destroy(r);
}

static void
T21_without_adoption_only_our_own_are_collected(void **state)
{
	struct reap	*r = reap_create(false);
	struct kid	 k[2];
	pid_t		 strangers[2], pid;
	int		 status, i;

	(void)state;
	strangers[0] = fork_kid(11, -1);
	watch_kid(r, &k[0], fork_kid(1, -1));
	watch_kid(r, &k[1], fork_kid(2, -1));
	strangers[1] = fork_kid(12, -1);
	for (i = 0; i < 2; i++) {
		await_zombie(strangers[i]);
		await_zombie(k[i].entry.pid);
	}
	assert_int_equal(reap_run(r), 2);
	assert_int_equal(k[0].exit.value, 1);
	assert_int_equal(k[1].exit.value, 2);
	for (i = 0; i < 2; i++) {
		pid = waitpid(strangers[i], &status, 0);
		assert_int_equal(pid, strangers[i]);
		assert_int_equal(WEXITSTATUS(status), 11 + i);
	}
	reap_destroy(r);
}

static void
a_forgotten_child_is_collected_and_nobody_is_told(void **state)
{
	bool		 adopt = *(bool *)*state;
	struct reap	*r = reap_create(adopt);
	struct kid	 k, *heap;
	pid_t		 a = fork_kid(1, -1), b = fork_kid(2, -1);

	watch_kid(r, &k, a);
	heap = calloc(1, sizeof *heap);
	assert_non_null(heap);
	watch_kid(r, heap, b);
	reap_forget(&k.entry);
	reap_forget(&k.entry);			/* twice is fine */
	reap_forget_owned(&heap->entry);	/* reap's now; first member */
	await_zombie(a);
	await_zombie(b);
	assert_int_equal(reap_run(r), 2);
	assert_int_equal(k.calls, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	reap_destroy(r);
}

static void
an_owner_may_forget_another_from_its_callback(void **state)
{
	bool		 adopt = *(bool *)*state;
	struct reap	*r = reap_create(adopt);
	struct kid	 k[2];
	pid_t		 stranger = fork_kid(0, -1);

	watch_kid(r, &k[0], fork_kid(1, -1));
	watch_kid(r, &k[1], fork_kid(2, -1));
	k[0].forgets = &k[1];
	k[1].forgets = &k[0];
	await_zombie(stranger);
	await_zombie(k[0].entry.pid);
	await_zombie(k[1].entry.pid);
	reap_run(r);
	reap_run(r);
	assert_int_equal(k[0].calls + k[1].calls, 1);
	if (!adopt)
		assert_int_equal(waitpid(stranger, NULL, 0), stranger);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	reap_destroy(r);
}

static void
destroying_the_registry_unregisters_what_is_left(void **state)
{
	struct reap	*r = reap_create(false);
	struct kid	 k, *heap = calloc(1, sizeof *heap);

	(void)state;
	assert_non_null(heap);
	watch_kid(r, &k, fork_kid(0, -1));
	watch_kid(r, heap, fork_kid(0, -1));
	reap_forget_owned(&heap->entry);
	reap_destroy(r);
	reap_forget(&k.entry);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	assert_int_equal(k.calls, 0);
	reap_destroy(NULL);
}

static void
no_memory_to_grow_only_makes_it_slower(void **state)
{
	struct reap	*r;
	struct kid	 k[200];
	int		 i, n;

	(void)state;
	for (n = 1; ; n++) {
		failmalloc_arm((unsigned)n);
		r = reap_create(false);
		if (!failmalloc_disarm())
			break;
		assert_null(r);
	}
	failmalloc_arm_all(1);
	for (i = 0; i < 200; i++) {		/* nobody's pids */
		k[i] = (struct kid){ .entry = { .pid = 1000000 + i,
		    .fn = on_exit_of, .arg = &k[i] } };
		reap_watch(r, &k[i].entry);
	}
	assert_true(failmalloc_disarm());
	assert_int_equal(reap_run(r), 0);
	for (i = 0; i < 200; i += 2)
		reap_forget(&k[i].entry);
	reap_destroy(r);
}

struct storm {
	struct spin	*spin;
	struct reap_entry entry;
	unsigned	*told;		/* how often, in all */
	unsigned	 calls;
	int		 want;
};

static void
on_storm(void *arg, const struct reap_exit *e)
{
	struct storm	*s = arg;

	assert_int_equal(e->pid, s->entry.pid);
	assert_int_equal(reap_exit_code(e), s->want);
	s->calls++;
	++*s->told;
}

#define STORM_STACK	16384

/* Children that wait for a gate to open; they share our memory. */
struct batch {
	unsigned n;
	size_t	 bytes;
	char	*stacks;
	int	 gate[2];
};

/* In another's memory: system calls, and nothing else. */
__attribute__((no_sanitize_address, no_sanitize("undefined")))
static int
wait_at_gate(void *arg)
{
	const struct batch	*b = arg;
	char			 c;

	syscall(SYS_close, b->gate[1]);
	syscall(SYS_read, b->gate[0], &c, 1);
	syscall(SYS_exit, syscall(SYS_getpid) % 120);
	return 0;
}

/*
 * All of a batch end together, as the gate opens: as many as limits allow.
 * With memory of their own ten thousand would be too much.
 */
static void
storm_batch(struct batch *b, struct spin *spin, struct storm *s, unsigned n,
    unsigned *told)
{
	pid_t	pid;

	*b = (struct batch){ .bytes = (size_t)n * STORM_STACK };
	assert_int_equal(pipe(b->gate), 0);
	b->stacks = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(b->stacks != MAP_FAILED);
	for (; b->n < n; b->n++, s++) {
		pid = clone(wait_at_gate, b->stacks + (b->n + 1) * STORM_STACK,
		    CLONE_VM | SIGCHLD, b);
		if (pid == -1)
			break;
		*s = (struct storm){ .spin = spin, .told = told,
		    .want = pid % 120 };
		s->entry = (struct reap_entry){ .pid = pid, .fn = on_storm,
		    .arg = s };
		reap_watch(spin->reap, &s->entry);
	}
	assert_true(b->n > 0);
	close(b->gate[0]);
	close(b->gate[1]);
}

/* Nobody of it is left. */
static void
batch_finish(struct batch *b)
{
	munmap(b->stacks, b->bytes);
}

static bool
no_children_left(void *arg)
{
	siginfo_t	si;

	(void)arg;
	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == -1 &&
	    errno == ECHILD;
}

static void
T21_ten_thousand_ends_are_told_once_each(void **state)
{
	struct storm	*s = calloc(STORM, sizeof *s);
	unsigned	 done, told = 0, i;
	struct batch	 b;
	struct spin	 spin;

	(void)state;
	assert_non_null(s);
	spin_init(&spin, true);
	for (done = 0; done < STORM; done += b.n) {
		storm_batch(&b, &spin, s, STORM - done, &told);
		if (b.n < STORM && done == 0)
			print_message("the limits allow %u at once\n", b.n);
		spin_poll(&spin, no_children_left, NULL);
		for (i = 0; i < b.n; i++)
			assert_int_equal(s[i].calls, 1);
		batch_finish(&b);
	}
	assert_int_equal(told, STORM);
	assert_int_equal(reap_adopted(spin.reap), 0);
	spin_finish(&spin);
	free(s);
}

static void
a_full_batch_comes_back_by_itself(void **state)
{
	unsigned	 n = REAP_BATCH + 10, told = 0, i;
	struct storm	*s = calloc(n, sizeof *s);
	struct batch	 b;
	struct timespec	 now = { 0, 0 };
	struct rlimit	 rl;
	struct spin	 spin;
	sigset_t	 chld;

	(void)state;
	assert_non_null(s);
	getrlimit(RLIMIT_NPROC, &rl);
	if (rl.rlim_cur != RLIM_INFINITY && rl.rlim_cur < 2 * n) {
		print_message("skipped: RLIMIT_NPROC is too low\n");
		free(s);
		skip();
	}
	spin_init(&spin, true);
	storm_batch(&b, &spin, s, n, &told);
	assert_int_equal(b.n, n);
	for (i = 0; i < n; i++)
		await_zombie(s[i].entry.pid);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	while (sigtimedwait(&chld, NULL, &now) == SIGCHLD)
		continue;		/* what the kernel sent is used up */
	assert_in_range(reap_run(spin.reap), 1, REAP_BATCH);
	assert_in_range(told, 1, REAP_BATCH);
	assert_true(reap_left_some(spin.reap));
	spin_poll(&spin, no_children_left, NULL);
	assert_int_equal(told, n);
	assert_false(reap_left_some(spin.reap));
	batch_finish(&b);
	spin_finish(&spin);
	free(s);
}

/* A status somebody waits for does not stand behind ten thousand orphans. */
static void
who_is_waited_for_comes_before_the_rest(void **state)
{
	struct reap	*r = reap_create(true);
	struct kid	 k;
	pid_t		 pids[4 * REAP_BATCH];
	size_t		 i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(pids); i++)
		pids[i] = fork_kid(0, -1);
	watch_kid(r, &k, fork_kid(7, -1));
	for (i = 0; i < ARRAY_LEN(pids); i++)
		await_zombie(pids[i]);
	await_zombie(k.entry.pid);
	reap_run(r);
	assert_true(reap_left_some(r));
	assert_int_equal(k.calls, 0);
	reap_run(r);
	assert_int_equal(k.calls, 1);
	assert_int_equal(k.exit.value, 7);
	while (reap_run(r) > 0)
		continue;
	assert_int_equal(reap_adopted(r), ARRAY_LEN(pids));
	reap_destroy(r);
}

static void
a_subreaper_inherits_orphans(void **state)
{
	struct spin	spin;
	pid_t		pid;

	(void)state;
	spin_init(&spin, true);
	assert_int_equal(reap_become_subreaper(), 0);
	if ((pid = fork()) == 0) {
		if (fork() == 0)
			_exit(0);
		_exit(0);
	}
	assert_true(pid > 0);
	spin_poll(&spin, no_children_left, NULL);
	assert_int_equal(reap_adopted(spin.reap), 2);
	spin_finish(&spin);
}

int
main(void)
{
	static bool	yes = true, no = false;
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(
		    the_owner_is_told_while_the_child_is_still_a_zombie),
		cmocka_unit_test(EX_03_death_by_a_signal_is_128_and_the_signal),
		cmocka_unit_test(
		    with_adoption_strangers_are_collected_and_counted),
		cmocka_unit_test(
		    T21_without_adoption_only_our_own_are_collected),
		cmocka_unit_test_prestate(
		    a_forgotten_child_is_collected_and_nobody_is_told, &yes),
		cmocka_unit_test_prestate(
		    a_forgotten_child_is_collected_and_nobody_is_told, &no),
		cmocka_unit_test_prestate(
		    an_owner_may_forget_another_from_its_callback, &yes),
		cmocka_unit_test_prestate(
		    an_owner_may_forget_another_from_its_callback, &no),
		cmocka_unit_test(
		    destroying_the_registry_unregisters_what_is_left),
		cmocka_unit_test(no_memory_to_grow_only_makes_it_slower),
		cmocka_unit_test(T21_ten_thousand_ends_are_told_once_each),
		cmocka_unit_test(a_full_batch_comes_back_by_itself),
		cmocka_unit_test(who_is_waited_for_comes_before_the_rest),
		cmocka_unit_test(a_subreaper_inherits_orphans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
