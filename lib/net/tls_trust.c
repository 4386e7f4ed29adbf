/* tls_trust - the certificates a client believes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "net/tls.h"
#include "net/tls_impl.h"

#define DN_MAX	(16u * 1024)

struct name {
	struct buf	dn;
	int		error;
};

static void
on_dn(void *arg, const void *p, size_t n)
{
	struct name	*name = arg;

	if (name->error == 0)
		name->error = buf_put(&name->dn, p, n);
}

static unsigned char *
put(unsigned char **p, const unsigned char *from, size_t n)
{
	unsigned char	*to = *p;

	if (n > 0)
		memcpy(to, from, n);
	*p += n;
	return to;
}

/* DN and key of ta move to one allocation, which starts with the DN. */
static int
own(br_x509_trust_anchor *ta, const struct buf *dn, const br_x509_pkey *pk)
{
	unsigned char	*p;
	size_t		 need;

	need = pk->key_type == BR_KEYTYPE_RSA ?
	    pk->key.rsa.nlen + pk->key.rsa.elen : pk->key.ec.qlen;
	if ((p = malloc(dn->len + need + 1)) == NULL)
		return -ENOMEM;
	ta->dn.data = put(&p, buf_head(dn), dn->len);
	ta->dn.len = dn->len;
	ta->pkey = *pk;
	if (pk->key_type == BR_KEYTYPE_RSA) {
		ta->pkey.key.rsa.n = put(&p, pk->key.rsa.n, pk->key.rsa.nlen);
		ta->pkey.key.rsa.e = put(&p, pk->key.rsa.e, pk->key.rsa.elen);
	} else {
		ta->pkey.key.ec.q = put(&p, pk->key.ec.q, pk->key.ec.qlen);
	}
	return 0;
}

static int
grow(struct tls_trust *t)
{
	br_x509_trust_anchor	*a;
	size_t			 cap = t->cap > 0 ? t->cap * 2 : 4;

	if (t->count < t->cap)
		return 0;
	if ((a = realloc(t->anchors, cap * sizeof *a)) == NULL)
		return -ENOMEM;
	t->anchors = a;
	t->cap = cap;
	return 0;
}

/* What can't be decoded, a new kind of key, is left out of the bundle. */
static int
on_object(void *arg, const char *name, const uint8_t *der, size_t n)
{
	br_x509_decoder_context	 dc;
	struct tls_trust	*t = arg;
	br_x509_trust_anchor	*ta;
	br_x509_pkey		*pk;
	struct name		 subject = { .error = 0 };
	int			 r;

	if (strcmp(name, "CERTIFICATE") != 0 &&
	    strcmp(name, "X509 CERTIFICATE") != 0 &&
	    strcmp(name, "TRUSTED CERTIFICATE") != 0)
		return 0;
	if (t->count == TLS_ANCHORS_MAX)
		return -EFBIG;
	buf_init(&subject.dn, DN_MAX);
	br_x509_decoder_init(&dc, on_dn, &subject);
	br_x509_decoder_push(&dc, der, n);
	if ((pk = br_x509_decoder_get_pkey(&dc)) == NULL) {
		r = 0;
	} else if ((r = subject.error) == 0 && (r = grow(t)) == 0) {
		ta = &t->anchors[t->count];
		ta->flags = br_x509_decoder_isCA(&dc) ? BR_X509_TA_CA : 0;
		if ((r = own(ta, &subject.dn, pk)) == 0)
			t->count++;
	}
	buf_finish(&subject.dn);
	return r;
}

static int
load(struct tls_trust *t, const char *file, const char **err)
{
	struct buf	text;
	int		r;

	buf_init(&text, TLS_BUNDLE_MAX);
	if ((r = tls_file_read(file, &text)) == 0)
		r = tls_pem_each(&text, on_object, t);
	buf_finish(&text);
	if (r == 0 && t->count == 0) {
		*err = "there is no usable certificate in the CA file";
		return -EINVAL;
	}
	if (r == -ENOMEM)
		*err = "out of memory";
	else if (r == -EINVAL || r == -EFBIG)
		*err = "the CA file is not a PEM file of up to 1 MiB";
	else if (r < 0)
		*err = "cannot read the CA file";
	return r;
}

int
tls_trust_load(struct tls_trust **out, const char *ca_file, const char **err)
{
	struct tls_trust	*t;
	int			r;

	if ((t = calloc(1, sizeof *t)) == NULL) {
		*err = "out of memory";
		return -ENOMEM;
	}
	if ((r = load(t, ca_file, err)) < 0) {
		tls_trust_destroy(t);
		return r;
	}
	*out = t;
	return 0;
}

void
tls_trust_destroy(struct tls_trust *t)
{
	size_t	i;

	if (t == NULL)
		return;
	for (i = 0; i < t->count; i++)
		free(t->anchors[i].dn.data);
	free(t->anchors);
	free(t);
}
