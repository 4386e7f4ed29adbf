/*
 * quantity - Kubernetes quantities: "10Gi", "500m", "1.5e3".
 *
 * A sign, a decimal number, and one suffix: n u m (nothing) k M G T P E, Ki to
 * Ei, or an exponent.  The value is rounded up to a whole number, as
 * Kubernetes does (spec/grpc.md 6).
 */
#ifndef CONF_QUANTITY_H
#define CONF_QUANTITY_H

#include <stdint.h>

/* Negative values are 0, too large ones UINT64_MAX.  0 or -EINVAL. */
int	 quantity_parse(const char *s, uint64_t *v);

#endif
