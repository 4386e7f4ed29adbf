/*
 * fuzz_grpc - message cutter, wire check and decoder, as a call uses them.
 *
 * The first byte picks the schema, the second the size of the pieces.  What
 * passes the wire check and the decoder is encoded and must pass both again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gen/ssh.pb-c.h"
#include "rpc/grpc.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
again(const ProtobufCMessageDescriptor *d, const ProtobufCMessage *m,
    struct arena *a)
{
	const char	*why;
	uint8_t		*p = malloc(protobuf_c_message_get_packed_size(m) + 1);
	size_t		 n;

	if (p == NULL)
		return;
	n = protobuf_c_message_pack(m, p);
	if (n < GRPC_MESSAGE_MAX && grpc_decode(d, p, n, a, &why) == NULL)
		abort();
	free(p);
}

static void
message(const ProtobufCMessageDescriptor *d, const struct grpc_cut *cut,
    struct arena *a)
{
	const ProtobufCMessage	*m;
	const char		*why;

	if ((m = grpc_decode(d, cut->p, cut->n, a, &why)) != NULL)
		again(d, m, a);
	arena_reset(a);
}

static void
feed(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n,
    size_t step)
{
	struct grpc_cutter	c;
	struct grpc_cut		cut;
	struct arena		a;
	struct buf		part;
	size_t			take, used;
	int			r = 0;

	buf_init(&part, GRPC_MESSAGE_MAX + GRPC_PREFIX_LEN);
	arena_init(&a, 16u << 20);
	c.part = &part;
	for (; n > 0 && r >= 0; p += used, n -= used) {
		take = n < step ? n : step;
		if ((r = grpc_cut(&c, p, take, &used, &cut)) == 1)
			message(d, &cut, &a);
	}
	arena_finish(&a);
	buf_finish(&part);
}

static void
text(const uint8_t *p, size_t n)
{
	char		s[64], enc[256], dec[256];
	uint64_t	ms;
	size_t		i;

	if (n > sizeof s - 1)
		n = sizeof s - 1;
	for (i = 0; i < n && p[i] != '\0'; i++)
		s[i] = (char)p[i];
	s[i] = '\0';
	(void)grpc_timeout_parse(s, &ms);
	grpc_percent_decode(s, dec, sizeof dec);
	if (grpc_percent_encode(s, enc, sizeof enc) != 0)
		abort();
	grpc_percent_decode(enc, dec, sizeof dec);
	for (i = 0; s[i] != '\0'; i++)
		if (s[i] != dec[i])
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const ProtobufCMessageDescriptor *const schemas[] = {
		&k8shelld__shell_request__descriptor,
		&k8shelld__exec_request__descriptor,
		&k8shelld__list_sessions_response__descriptor,
	};
	const ProtobufCMessageDescriptor *d;
	struct grpc_cut			  whole;
	struct arena			  a;

	if (n < 2)
		return 0;
	d = schemas[data[0] % (sizeof schemas / sizeof schemas[0])];
	feed(d, data + 2, n - 2, 1 + data[1]);
	arena_init(&a, 16u << 20);
	whole = (struct grpc_cut){ .p = data + 2, .n = n - 2 };
	message(d, &whole, &a);
	arena_finish(&a);
	text(data + 2, n - 2);
	return 0;
}
