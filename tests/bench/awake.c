/*
 * awake - keeps a core from falling asleep, for as long as our parent lives.
 *
 * Waking a virtual core that halted takes longer than all the work of an echo,
 * and whether it halts depends on chance.  Below every other task, so it
 * takes time from nobody.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

int
main(void)
{
	const struct sched_param	none = { 0 };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    sched_setscheduler(0, SCHED_IDLE, &none) < 0) {
		perror("awake");
		return 1;
	}
	for (;;)
		__asm__ volatile("" ::: "memory");
}
