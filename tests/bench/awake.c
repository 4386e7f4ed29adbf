/*
 * awake - keeps a core from falling asleep, for as long as our parent lives.
 *
 * Waking a virtual core that halted takes longer than all the work of an echo,
 * and whether it halts depends on chance.  To run where it takes time from
 * nobody: see Awake in peers.py.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

int
main(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		perror("awake");
		return 1;
	}
	for (;;)
		__asm__ volatile("" ::: "memory");
}
