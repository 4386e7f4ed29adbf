#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/h2_priv.h"

#define SLOTS_MIN	16u
#define RESETS_MIN	16u
/* As many as a busy connection has at a time; the rest is freed. */
#define POOL_MAX	64u
/* A queue this large stays with a pooled stream: an answer fits. */
#define POOL_QUEUE_MAX	1024u

/* -- queues --------------------------------------------------------------- */

void
h2_queue_push(struct h2_queue *q, struct h2_stream *s)
{
	assert(s->in == NULL);
	s->in = q;
	s->next = NULL;
	s->prev = q->tail;
	if (q->tail != NULL)
		q->tail->next = s;
	else
		q->head = s;
	q->tail = s;
}

void
h2_queue_remove(struct h2_stream *s)
{
	struct h2_queue	*q = s->in;

	if (q == NULL)
		return;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		q->head = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	else
		q->tail = s->prev;
	s->in = NULL;
	s->next = s->prev = NULL;
}

/* -- the table: ids of one side are consecutive, so id / 2 hashes well ----- */

static uint32_t
slot_of(const struct h2 *h, uint32_t id)
{
	return (id >> 1) & (h->slot_cap - 1);
}

struct h2_stream *
h2_find(const struct h2 *h, uint32_t id)
{
	uint32_t	i;

	if (h->count == 0)
		return NULL;
	for (i = slot_of(h, id); h->slots[i] != NULL;
	    i = (i + 1) & (h->slot_cap - 1))
		if (h->slots[i]->id == id)
			return h->slots[i];
	return NULL;
}

static void
slot_put(struct h2 *h, struct h2_stream *s)
{
	uint32_t	i = slot_of(h, s->id);

	while (h->slots[i] != NULL)
		i = (i + 1) & (h->slot_cap - 1);
	h->slots[i] = s;
}

/* At most half full, so that searches end soon. */
static int
slots_grow(struct h2 *h)
{
	struct h2_stream	**old = h->slots, **slots;
	uint32_t		  old_cap = h->slot_cap, cap, i;

	if ((h->count + 1) * 2 <= old_cap)
		return 0;
	cap = old_cap > 0 ? old_cap * 2 : SLOTS_MIN;
	if ((slots = calloc(cap, sizeof(*slots))) == NULL)
		return -ENOMEM;
	h->slots = slots;
	h->slot_cap = cap;
	for (i = 0; i < old_cap; i++)
		if (old[i] != NULL)
			slot_put(h, old[i]);
	free(old);
	return 0;
}

/* Whoever was pushed past the freed slot moves back. */
static void
slot_remove(struct h2 *h, const struct h2_stream *s)
{
	const uint32_t	 mask = h->slot_cap - 1;
	uint32_t	 hole = slot_of(h, s->id), i;

	while (h->slots[hole] != s)
		hole = (hole + 1) & mask;
	for (i = (hole + 1) & mask; h->slots[i] != NULL; i = (i + 1) & mask) {
		uint32_t	home = slot_of(h, h->slots[i]->id);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			h->slots[hole] = h->slots[i];
			hole = i;
		}
	}
	h->slots[hole] = NULL;
}

/* -- which ids were there -------------------------------------------------- */

void
h2_note_id(struct h2 *h, uint32_t id)
{
	uint32_t	steps = (id - h->last_id + 1) / 2;

	h->recent = steps < 64 ? h->recent << steps : 0;
	h->recent |= 1;
	h->last_id = id;
	h->opened++;
}

/* Ids can be skipped, and then count as closed; old ones are believed. */
bool
h2_was_opened(const struct h2 *h, uint32_t id)
{
	uint32_t	steps;

	if (h2_is_idle(h, id))
		return false;
	steps = (h->last_id - id) / 2;
	return steps >= 64 || (h->recent >> steps & 1) != 0;
}

/* Only clients open streams, and their ids are odd. */
bool
h2_is_idle(const struct h2 *h, uint32_t id)
{
	return id > h->last_id || id % 2 == 0;
}

/*
 * The peer cannot have more streams open than we allow, so of the streams we
 * reset no more than that can still get frames that were on their way.
 */
void
h2_remember_reset(struct h2 *h, uint32_t id)
{
	uint32_t	 cap = h->reset_cap, *ring;

	if (h->reset_at == cap && cap < h->limits.max_streams) {
		cap = cap > 0 ? cap * 2 : RESETS_MIN;
		if (cap > h->limits.max_streams)
			cap = h->limits.max_streams;
		ring = realloc(h->resets, cap * sizeof *ring);
		if (ring != NULL) {
			memset(ring + h->reset_cap, 0,
			    (cap - h->reset_cap) * sizeof *ring);
			h->resets = ring;
			h->reset_cap = cap;
		}
	}
	if (h->reset_cap == 0)
		return;
	if (h->reset_at >= h->reset_cap)
		h->reset_at = 0;
	h->resets[h->reset_at++] = id;
}

bool
h2_was_reset(const struct h2 *h, uint32_t id)
{
	uint32_t	i;

	for (i = 0; i < h->reset_cap; i++)
		if (h->resets[i] == id)
			return true;
	return false;
}

/*
 * A client that cancels every call it is through with sends its RST_STREAM
 * while our END_STREAM is on the way (TR-16).  The id stays in its slot until
 * that comes, or another stream that completes needs the slot.
 */
static uint32_t *
completed_slot(const struct h2 *h, uint32_t id)
{
	return &h->completed[(id >> 1) % H2_COMPLETED_MAX];
}

void
h2_stream_complete(struct h2_stream *s)
{
	struct h2	*h = s->h;

	if (h->completed == NULL)
		h->completed = calloc(H2_COMPLETED_MAX, sizeof *h->completed);
	if (h->completed != NULL)	/* else its reset counts */
		*completed_slot(h, s->id) = s->id;
	h2_stream_close(s, H2_NO_ERROR);
}

bool
h2_take_completed(struct h2 *h, uint32_t id)
{
	if (h->completed == NULL || *completed_slot(h, id) != id)
		return false;
	*completed_slot(h, id) = 0;
	return true;
}

/* -- life ------------------------------------------------------------------ */

static struct h2_stream *
pool_get(struct h2 *h)
{
	struct h2_stream	*s = h->pool;
	struct buf		 queue;

	if (s == NULL) {
		if ((s = calloc(1, sizeof *s)) != NULL)
			buf_init(&s->queue, H2_PIECE_MAX * 2);
		return s;
	}
	h->pool = s->next;
	h->pool_len--;
	queue = s->queue;
	*s = (struct h2_stream){ .queue = queue };
	return s;
}

static void
stream_free(struct h2_stream *s)
{
	buf_finish(&s->queue);
	free(s);
}

static void
pool_put(struct h2 *h, struct h2_stream *s)
{
	if (h->pool_len == POOL_MAX) {
		stream_free(s);
		return;
	}
	buf_clear(&s->queue);
	if (s->queue.cap > POOL_QUEUE_MAX)
		buf_finish(&s->queue);
	s->next = h->pool;
	h->pool = s;
	h->pool_len++;
}

struct h2_stream *
h2_stream_new(struct h2 *h, uint32_t id)
{
	struct h2_stream	*s;

	if (slots_grow(h) < 0 || (s = pool_get(h)) == NULL)
		return NULL;
	s->h = h;
	s->id = id;
	s->send_window = h->peer_window;
	s->window = h->limits.stream_window;
	/* Until it has seen our SETTINGS the peer counts from the default. */
	s->recv_window = h->settings_acked ? s->window : H2_WINDOW_DEFAULT;
	s->content_length = H2_NO_LENGTH;
	slot_put(h, s);
	h->count++;
	h->trim_due = false;
	return s;
}

static void
stream_remove(struct h2_stream *s)
{
	struct h2	*h = s->h;

	slot_remove(h, s);
	h->queued -= s->data_len;
	s->data_len = 0;
	h2_queue_remove(s);
	if (--h->count == 0) {
		h->trim_due = true;
		h->trim_ms = h->now + H2_TRIM_MS;
	}
}

void
h2_stream_discard(struct h2_stream *s)
{
	stream_remove(s);
	pool_put(s->h, s);
}

void
h2_stream_close(struct h2_stream *s, uint32_t code)
{
	struct h2	*h = s->h;

	if (s->dead)
		return;
	s->dead = true;
	s->code = code;
	stream_remove(s);
	h2_queue_push(&h->dead, s);
}

/* Closing moves others about in the table, but never forward past i. */
void
h2_close_all(struct h2 *h, uint32_t code, uint32_t above)
{
	uint32_t	i = 0;

	while (h->count > 0 && i < h->slot_cap) {
		if (h->slots[i] != NULL && h->slots[i]->id > above)
			h2_stream_close(h->slots[i], code);
		else
			i++;
	}
}

void
h2_reap(struct h2 *h)
{
	struct h2_stream	*s;

	if (h->depth > 0)
		return;
	while ((s = h->dead.head) != NULL) {
		h->depth++;
		h->ops.closed(h->arg, s, s->code);
		h->depth--;
		h2_queue_remove(s);
		pool_put(h, s);
	}
}

void
h2_trim(struct h2 *h)
{
	struct h2_stream	*s;
	uint32_t		 i;

	while ((s = h->pool) != NULL) {
		h->pool = s->next;
		stream_free(s);
	}
	h->pool_len = 0;
	for (i = 0; i < h->slot_cap; i++)
		if (h->slots[i] != NULL)
			buf_trim(&h->slots[i]->queue);
	if (h->count == 0) {
		free(h->slots);
		h->slots = NULL;
		h->slot_cap = 0;
	}
	free(h->completed);
	h->completed = NULL;
	buf_trim(&h->ctl);
	buf_trim(&h->block);
	arena_finish(&h->arena);
	h->trim_due = false;
}

/* -- windows --------------------------------------------------------------- */

void
h2_stream_wake(struct h2_stream *s)
{
	if (s->dead || s->in != NULL)
		return;
	if (s->data_len > 0 && s->send_window <= 0)
		return;
	h2_queue_push(&s->h->ready, s);
}

int
h2_shift_send_windows(struct h2 *h, int64_t delta)
{
	struct h2_stream	*s;
	uint32_t		 i;

	for (i = 0; i < h->slot_cap; i++) {
		if ((s = h->slots[i]) == NULL)
			continue;
		s->send_window += delta;
		if (s->send_window > (int64_t)H2_WINDOW_MAX)
			return -EOVERFLOW;
		if (s->data_len > 0)
			h2_stream_wake(s);
	}
	return 0;
}

void
h2_shift_recv_windows(struct h2 *h, int64_t delta)
{
	uint32_t	i;

	for (i = 0; i < h->slot_cap; i++)
		if (h->slots[i] != NULL)
			h->slots[i]->recv_window += delta;
}

/*
 * The stream window opens in steps of half its size.  A stream whose reader
 * keeps up, so that nothing is unread when a step is due, gets twice as much,
 * up to the limit.
 */
void
h2_consume(struct h2_stream *s, size_t n)
{
	struct h2	*h = s->h;
	uint32_t	 wider = s->window;

	if (n > s->unread)
		n = s->unread;
	s->unread -= n;
	s->credit += (uint32_t)n;
	if (s->dead || s->remote_ended || s->finish || h->failed < 0 ||
	    s->credit == 0 || s->credit < s->window / 2)
		return;
	if (s->unread == 0 && s->window < h->limits.stream_window_max) {
		wider = s->window * 2 < h->limits.stream_window_max ?
		    s->window * 2 : h->limits.stream_window_max;
	}
	n = (size_t)s->credit + (wider - s->window);
	if (h2_send_update(h, s->id, (uint32_t)n) < 0)
		return;
	s->recv_window += (int64_t)n;
	s->window = wider;
	s->credit = 0;
}
