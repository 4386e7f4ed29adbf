#include "base/buf.h"
#include "net/h2_frame.h"

void
h2_head_read(struct h2_head *head, const uint8_t *p)
{
	head->length = be24_read(p);
	head->type = p[3];
	head->flags = p[4];
	head->stream = be32_read(p + 5) & H2_ID_MAX;
}

void
h2_head_write(uint8_t *p, const struct h2_head *head)
{
	be24_write(p, head->length);
	p[3] = head->type;
	p[4] = head->flags;
	be32_write(p + 5, head->stream);
}
