/* See tree_impl.h. */
#include "proc/tree.h"
#include "proc/tree_impl.h"

/*
 * Members from `first` on stand as they were found, parents in front.  Each
 * gets the last place of the stretch that it fills with all below it.
 */
static void
set_places(struct tree *t, size_t first)
{
	struct tree_member	*m = t->member, *up;
	uint32_t		 free_slot = (uint32_t)first, *next;
	size_t			 i;

	for (i = first; i < t->n; i++) {
		m[i].size = 1;
		if (m[i].up < first)
			m[i].up = TREE_NOBODY;	/* somebody known before */
	}
	for (i = t->n; i-- > first; )
		if (m[i].up != TREE_NOBODY)
			m[m[i].up].size += m[i].size;
	for (i = first; i < t->n; i++) {
		up = m[i].up != TREE_NOBODY ? &m[m[i].up] : NULL;
		next = up != NULL ? &up->slot : &free_slot;
		m[i].slot = *next;
		*next += m[i].size;
	}
	/* By now a slot has moved on by all its children. */
	for (i = first; i < t->n; i++)
		m[i].up = m[i].slot;
}

void
tree_order(struct tree *t, size_t first)
{
	struct tree_member	m;
	size_t			i;

	set_places(t, first);
	for (i = first; i < t->n; i++)
		while (t->member[i].up != i) {
			m = t->member[t->member[i].up];
			t->member[t->member[i].up] = t->member[i];
			t->member[i] = m;
		}
}
