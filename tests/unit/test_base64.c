#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* RFC 4648 section 10. */
static const struct {
	const char	*plain, *padded;
} vectors[] = {
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

static size_t
without_padding(const char *s)
{
	return strcspn(s, "=");
}

static void
vectors_of_the_standard(void **state)
{
	char	text[16];
	uint8_t	out[16];
	size_t	i, n, bare, len;

	(void)state;
	for (i = 0; i < ARRAY_LEN(vectors); i++) {
		const char	*plain = vectors[i].plain;
		const char	*padded = vectors[i].padded;

		n = strlen(plain);
		bare = without_padding(padded);
		assert_int_equal(base64_encode((const uint8_t *)plain, n,
		    text), bare);
		assert_memory_equal(text, padded, bare);
		assert_int_equal(text[bare], '\0');

		len = sizeof out;
		assert_int_equal(base64url_decode(padded, bare, out, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(out, plain, n);
		len = sizeof out;
		assert_int_equal(base64_decode(padded, strlen(padded), false,
		    out, &len), 0);
		assert_int_equal(len, n);
		len = sizeof out;
		assert_int_equal(base64_decode(padded, strlen(padded), true,
		    out, &len), 0);
		assert_int_equal(len, n);
		len = sizeof out;
		assert_int_equal(base64_decode(padded, bare, true, out, &len),
		    0);
		assert_int_equal(len, n);
		len = sizeof out;
		assert_int_equal(base64_decode(padded, bare, false, out,
		    &len), bare % 4 == 0 ? 0 : -EINVAL);
	}
}

static void
all_bytes_survive(void **state)
{
	uint8_t	in[256], out[256];
	char	text[352];
	size_t	i, n, len;

	(void)state;
	for (i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)(i * 167 + 13);
	for (n = 0; n <= sizeof in; n++) {
		i = base64_encode(in, n, text);
		len = n;
		assert_int_equal(base64_decode(text, i, true, out, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(out, in, n);
	}
}

static void
room_is_checked_before_writing(void **state)
{
	uint8_t	out[4] = { 9, 9, 9, 9 };
	size_t	len;

	(void)state;
	for (len = 0; len < 4; len++) {
		size_t	room = len;

		assert_int_equal(base64url_decode("Zm9vYg", 6, out, &room),
		    -ENOBUFS);
		assert_int_equal(room, len);
		assert_int_equal(out[0], 9);
	}
	assert_int_equal(base64url_decode("Zm9vYg", 6, out, &len), 0);
	assert_memory_equal(out, "foob", 4);
}

static void
only_the_alphabet_is_taken(void **state)
{
	static const char	url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	char			s[4] = "AAAA";
	uint8_t			out[3];
	size_t			len, at;
	int			c, want;

	(void)state;
	for (c = 0; c < 256; c++)
		for (at = 0; at < 4; at++) {
			memcpy(s, "AAAA", 4);
			s[at] = (char)c;
			want = c != 0 && strchr(url, c) ? 0 : -EINVAL;
			len = sizeof out;
			assert_int_equal(base64url_decode(s, 4, out, &len),
			    want);
			if (c == '-' || c == '_' || c == '+' || c == '/')
				want = want == 0 ? -EINVAL : 0;
			if (c == '=' && at == 3)
				want = 0;
			len = sizeof out;
			assert_int_equal(base64_decode(s, 4, true, out, &len),
			    want);
		}
}

static void
one_value_has_one_text(void **state)
{
	static const char	*bad[] = {
		"A", "AAAAA",			/* no such length */
		"AB", "Zh", "Z_", "Zm9", "Zm-",	/* last bits not zero */
		"AAAAAB", "AAAAAAB",
		"Zg==", "Zg=", "Zm8=", "=", "==", "====",
		"Zm 9v", " Zm9v", "Zm9v ", "Zm9v\n", "Zm9v\r\n", "Zm\t9v",
	};
	uint8_t			out[16];
	size_t			i, len;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		len = sizeof out;
		if (base64url_decode(bad[i], strlen(bad[i]), out, &len) !=
		    -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(len, sizeof out);
	}
	len = sizeof out;
	assert_int_equal(base64url_decode("AA\0A", 4, out, &len), -EINVAL);
}

static void
padding_is_what_the_length_demands(void **state)
{
	static const char	*bad[] = {
		"=", "==", "===", "====", "A===", "A=", "AA=", "AAA==",
		"AA=A", "AAAA=", "AAAA==", "AAAA====", "=AAA", "AA==AAAA",
		"Zh==", "Zm9=", "AAAAA===",
	};
	uint8_t			out[16];
	size_t			i, k, len;

	(void)state;
	for (i = 0; i < ARRAY_LEN(bad); i++)
		for (k = 0; k < 2; k++) {
			len = sizeof out;
			if (base64_decode(bad[i], strlen(bad[i]), k == 1, out,
			    &len) != -EINVAL)
				fail_msg("\"%s\" was taken", bad[i]);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_the_standard),
		cmocka_unit_test(all_bytes_survive),
		cmocka_unit_test(room_is_checked_before_writing),
		cmocka_unit_test(only_the_alphabet_is_taken),
		cmocka_unit_test(one_value_has_one_text),
		cmocka_unit_test(padding_is_what_the_length_demands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
