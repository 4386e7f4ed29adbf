/*
 * rest_peer - an HTTP/1.1 server on a Unix socket that does nothing but
 * answer: libmicrohttpd, one thread, epoll, a body of a given size from memory.
 *
 *   rest_peer SOCKET BYTES	until it is killed
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct body {
	char	*text;
	size_t	 n;
};

static enum MHD_Result
answer(void *arg, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *upload,
    size_t *upload_len, void **state)
{
	struct body		*b = arg;
	struct MHD_Response	*r;
	enum MHD_Result		 result;

	(void)url;
	(void)method;
	(void)version;
	(void)upload;
	(void)upload_len;
	(void)state;
	r = MHD_create_response_from_buffer(b->n, b->text,
	    MHD_RESPMEM_PERSISTENT);
	if (r == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(r, "Content-Type", "application/json");
	result = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}

static int
listen_on(const char *path)
{
	struct sockaddr_un	sa = { .sun_family = AF_UNIX };
	int			fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd == -1 || strlen(path) >= sizeof sa.sun_path)
		return -1;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa) == -1 ||
	    listen(fd, 128) == -1)
		return -1;
	return fd;
}

int
main(int argc, char **argv)
{
	struct body	b;
	int		fd;

	if (argc != 3) {
		fprintf(stderr, "usage: rest_peer SOCKET BYTES\n");
		return 2;
	}
	b.n = strtoul(argv[2], NULL, 10);
	if ((b.text = malloc(b.n + 1)) == NULL)
		return 1;
	memset(b.text, 'x', b.n);
	if ((fd = listen_on(argv[1])) == -1 || MHD_start_daemon(MHD_USE_EPOLL |
	    MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, &b,
	    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END) == NULL) {
		perror("rest_peer");
		return 1;
	}
	for (;;)
		pause();
}
