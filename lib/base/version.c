#include <stdio.h>

#include "base/version.h"
#include "gen/version.h"

const char *
version_string(void)
{
	return K8SHELL_VERSION;
}

const char *
version_commit(void)
{
	return K8SHELL_COMMIT;
}

const char *
version_full(void)
{
	return K8SHELL_VERSION "-" K8SHELL_COMMIT;
}

void
version_print(const char *name)
{
	printf("%s version: %s (commit: %s)\n", name, K8SHELL_VERSION,
	    K8SHELL_COMMIT);
}
