/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of every policy of the registry, under random calls; and lru against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cachefs/policy.h"
#include "common/knob.h"

#define SLOTS 50
#define STEPS 20000

static uint64_t state = 88172645463325252ull;

static uint32_t pick(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state % n);
}

/* What the policy must know: slots in use, oldest first. */
struct model {
	uint32_t order[SLOTS], n;
	bool held[SLOTS], pinned[SLOTS];
};

static void model_remove(struct model *m, uint32_t slot)
{
	uint32_t i = 0;

	while (m->order[i] != slot)
		i++;
	memmove(&m->order[i], &m->order[i + 1], (--m->n - i) * sizeof(*m->order));
	m->held[slot] = false;
}

static void model_insert(struct model *m, uint32_t slot)
{
	m->order[m->n++] = slot;
	m->held[slot] = true;
}

static bool may(uint32_t slot, void *arg)
{
	struct model *m = arg;

	assert_true(m->held[slot]);
	return !m->pinned[slot];
}

static uint32_t oldest_unpinned(const struct model *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!m->pinned[m->order[i]])
			return m->order[i];
	return SLOT_NONE;
}

static void step(struct policy *p, struct model *m, bool lru)
{
	uint32_t slot = pick(SLOTS), want, got;

	switch (pick(5)) {
	case 0:
	case 1:
		if (m->held[slot]) {
			p->ops->hit(p, slot);
			model_remove(m, slot);
		} else {
			p->ops->insert(p, slot, slot * 77);
		}
		model_insert(m, slot);
		break;
	case 2:
		if (!m->held[slot])
			break;
		p->ops->remove(p, slot);
		model_remove(m, slot);
		break;
	case 3:
		m->pinned[slot] = !m->pinned[slot];
		break;
	default:
		want = oldest_unpinned(m);
		got = p->ops->evict(p, may, m);
		if (lru)
			assert_int_equal(got, want);
		if (got == SLOT_NONE)
			break;
		assert_true(m->held[got] && !m->pinned[got]);
		model_remove(m, got);
	}
}

static void test_every_policy(void **unused)
{
	for (size_t i = 0; policy_registry[i]; i++) {
		const struct policy_ops *ops = policy_registry[i];
		struct policy *p = ops->new (SLOTS);
		struct model m = {0};

		assert_non_null(p);
		assert_non_null(ops->summary);
		assert_true(ops->admit(p, 1, false)); /* an empty tier takes what comes */
		for (int k = 0; k < STEPS; k++)
			step(p, &m, !strcmp(ops->name, "lru"));
		ops->free(p);
	}
}

static void test_none_never_evicts(void **unused)
{
	const struct policy_ops *ops = policy_registry[1];
	struct policy *p = ops->new (SLOTS);
	struct model m = {0};

	assert_string_equal(ops->name, "none");
	ops->insert(p, 3, 3);
	model_insert(&m, 3);
	assert_int_equal(ops->evict(p, may, &m), SLOT_NONE);
	assert_false(ops->admit(p, 1, true));
	ops->free(p);
}

static void test_registry_has_the_words_of_the_knob(void **unused)
{
	const struct knob *k = knob_find("cache.policy", NULL);
	char words[256] = "";

	for (size_t i = 0; policy_registry[i]; i++) {
		if (i)
			strcat(words, ",");
		strcat(words, policy_registry[i]->name);
	}
	assert_string_equal(words, k->words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_policy),
		cmocka_unit_test(test_none_never_evicts),
		cmocka_unit_test(test_registry_has_the_words_of_the_knob),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
