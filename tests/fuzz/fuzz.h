/*
 * fuzz - what targets share: libFuzzer's entry, and a check that stops it.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline void
check(bool ok)
{
	if (!ok)
		abort();
}

#endif
