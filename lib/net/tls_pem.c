/* tls_pem - files of PEM objects, into memory and apart. */
#include <sys/stat.h>

#include <bearssl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/tls_impl.h"

static int
read_all(int fd, struct buf *out)
{
	uint8_t	*p;
	ssize_t	 n;
	size_t	 room;
	int	 r;

	for (;;) {
		/* One byte more than fits tells a file that is too big. */
		room = buf_room(out) < 4096 ? buf_room(out) : 4096;
		if (room == 0)
			return -EFBIG;
		if ((r = buf_reserve(out, room, &p)) < 0)
			return r;
		if ((n = read(fd, p, room)) == -1)
			return -errno;
		if (n == 0)
			return 0;
		buf_commit(out, (size_t)n);
	}
}

int
tls_file_read(const char *path, struct buf *out)
{
	struct stat	st;
	int		fd, r;

	/* Not to hang on a FIFO that somebody put there. */
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		return -errno;
	if (fstat(fd, &st) == -1)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = read_all(fd, out);
	close(fd);
	return r;
}

/* Decoded bytes of the object being read. */
struct object {
	struct buf	 der;
	int		 error;		/* sticky */
	bool		 open;
};

static void
on_decoded(void *arg, const void *p, size_t n)
{
	struct object	*o = arg;

	if (o->error == 0)
		o->error = buf_put(&o->der, p, n);
}

static int
on_event(br_pem_decoder_context *pem, struct object *o, tls_pem_fn *fn,
    void *arg)
{
	switch (br_pem_decoder_event(pem)) {
	case BR_PEM_BEGIN_OBJ:
		buf_clear(&o->der);
		br_pem_decoder_setdest(pem, on_decoded, o);
		o->open = true;
		return 0;
	case BR_PEM_END_OBJ:
		o->open = false;
		if (o->error != 0)
			return o->error;
		return fn(arg, br_pem_decoder_name(pem), buf_head(&o->der),
		    o->der.len);
	case 0:
		return 0;
	default:
		return -EINVAL;
	}
}

int
tls_pem_each(const struct buf *text, tls_pem_fn *fn, void *arg)
{
	br_pem_decoder_context	pem;
	struct object		o = { .error = 0 };
	const uint8_t		*p = buf_head(text);
	size_t			left = text->len;
	int			r = 0;

	br_pem_decoder_init(&pem);
	buf_init(&o.der, TLS_FILE_MAX);
	while (r == 0 && left > 0) {
		size_t	n = br_pem_decoder_push(&pem, p, left);

		p += n;
		left -= n;
		r = on_event(&pem, &o, fn, arg);
	}
	if (r == 0 && o.open) {
		/* The decoder waits for the end of the last line. */
		br_pem_decoder_push(&pem, "\n", 1);
		r = on_event(&pem, &o, fn, arg);
	}
	if (r == 0 && o.open)
		r = -EINVAL;
	buf_wipe(&o.der);
	return r;
}
