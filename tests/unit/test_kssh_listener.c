/*
 * Whose port is that: lines of /proc/net/tcp and tcp6, and real listeners.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* An applet is in no library. */
#include "applets/kssh_listener.c"

#define PORT	2822	/* 0x0b06 */
#define US	1000
#define TAIL	" 00000000:00000000 00:00000000 00000000 "
#define REST	"        0 5406964 1 00000000e6ea3b11 100 0 0 10 0\n"

static void
lines_of_the_tables(void **state)
{
	static const struct {
		const char	*line;
		int		 is;
	} table[] = {
		{ "  sl  local_address rem_address   st tx_queue rx_queue tr "
		  "tm->when retrnsmt   uid  timeout inode      \n", 0 },
		{ "  sl  local_address                         remote_address"
		  "                        st tx_queue rx_queue tr tm->when "
		  "retrnsmt   uid  timeout inode\n", 0 },
		{ "   0: 0100007F:0B06 00000000:0000 0A" TAIL "1000" REST, 1 },
		{ "   1: 00000000:0B06 00000000:0000 0A" TAIL "1000" REST, 1 },
		{ "  12: 00000000000000000000000001000000:0B06 "
		  "00000000000000000000000000000000:0000 0A" TAIL "1000" REST,
		  1 },
		{ "   0: 0100007F:0B06 00000000:0000 0A" TAIL "0" REST, -1 },
		{ "   0: 0200007F:0B06 00000000:0000 0A" TAIL "1001" REST,
		  -1 },
		{ "   0: 0100007F:0B07 00000000:0000 0A" TAIL "1001" REST, 0 },
		/* Connections, ours or not, are no listeners. */
		{ "   0: 0100007F:0B06 0100007F:D2F0 01" TAIL "1001" REST, 0 },
		{ "   0: 0100007F:D2F0 0100007F:0B06 01" TAIL "1001" REST, 0 },
		{ "", -1 }, { "\n", -1 },
		{ "   0: 0100007F:0B06 00000000:0000 0A", -1 },
		{ "   0: 0100007F 00000000:0000 0A" TAIL "1000" REST, -1 },
		{ "   0: 0100007F:xyz 00000000:0000 0A" TAIL "1000" REST, -1 },
		{ "   0: 0100007F:0B06 00000000:0000 0A" TAIL "me" REST, -1 },
		{ "   0: 0100007F:0B06 00000000:0000 0A" TAIL "4294968296"
		  REST, -1 },
	};
	size_t	i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(table); i++)
		if (kssh_listener_line(table[i].line, PORT, US) != table[i].is)
			fail_msg("%s", table[i].line);
}

/* All of another user namespace's users have one number here. */
static void
nobody_is_never_us(void **state)
{
	(void)state;
	assert_int_equal(kssh_listener_line("   0: 0100007F:0B06 00000000:0000 "
	    "0A" TAIL "65534" REST, PORT, 65534), -1);
}

static void
a_line_that_is_too_long_is_not_trusted(void **state)
{
	char	line[LINE_LEN_MAX + 8];

	(void)state;
	memset(line, ' ', sizeof line);
	line[sizeof line - 1] = '\0';
	assert_int_equal(kssh_listener_line(line, PORT, US), -1);
}

static uint16_t
bound(int *fd, int family, bool listening)
{
	struct sockaddr_in	v4 = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6	v6 = { .sin6_family = AF_INET6,
				    .sin6_addr = in6addr_loopback };
	struct sockaddr		*sa = family == AF_INET ? (void *)&v4 :
				    (void *)&v6;
	socklen_t		 n = family == AF_INET ? sizeof v4 : sizeof v6;

	*fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0 || bind(*fd, sa, n) < 0)
		return 0;
	if (listening)
		assert_int_equal(listen(*fd, 1), 0);
	assert_int_equal(getsockname(*fd, sa, &n), 0);
	return ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
}

static void
real_listeners(void **state)
{
	static const int	families[] = { AF_INET, AF_INET6 };
	size_t			i;
	uint16_t		port;
	int			fd;

	(void)state;
	for (i = 0; i < ARRAY_LEN(families); i++) {
		if ((port = bound(&fd, families[i], true)) != 0) {
			assert_true(kssh_listener_ours("127.0.0.1", port));
			assert_true(kssh_listener_ours("::1", port));
			assert_false(kssh_listener_ours("192.0.2.1", port));
			assert_false(kssh_listener_ours("fe80::1", port));
		}
		close(fd);
		assert_false(kssh_listener_ours("127.0.0.1", port));
	}
	assert_true(bound(&fd, AF_INET, false) != 0);
	assert_false(kssh_listener_ours("127.0.0.1", 0));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest	tests[] = {
		cmocka_unit_test(lines_of_the_tables),
		cmocka_unit_test(nobody_is_never_us),
		cmocka_unit_test(a_line_that_is_too_long_is_not_trusted),
		cmocka_unit_test(real_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
