/* SPDX-License-Identifier: Apache-2.0 */
/* What a million known names are kept in: packed entity tags and objects, listings, the arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cachefs/arena.h"
#include "cachefs/etag.h"
#include "cachefs/listing.h"

static void every_tag_comes_back(void **state)
{
	static const struct {
		const char *tag;
		size_t bytes;
	} cases[] = {
		{"", 0},
		{"\"", 1},
		{"\"\"", 2},
		{"\"d41d8cd98f00b204e9800998ecf8427e\"", 16},
		{"\"d41d8cd98f00b204e9800998ecf8427e-12\"", 22},
		{"\"5f3-1c\"", 4},
		{"\"a\"", 1},
		{"\"-\"", 1},
		{"\"ABC\"", 5},
		{"W/\"1234\"", 8},
		{"\"12\" ", 5},
		{"1234", 4},
	};
	char packed[ETAG_MAX], back[ETAG_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t code = etag_code(cases[i].tag);

		assert_true(etag_code_valid(code));
		assert_int_equal(etag_packed(code), cases[i].bytes);
		etag_pack(cases[i].tag, code, packed);
		etag_unpack(packed, code, back);
		assert_string_equal(back, cases[i].tag);
	}
}

static void tags_of_every_length_come_back(void **state)
{
	static const char *const alphabets[] = {"f", "9-", "x"};
	char packed[ETAG_MAX], back[ETAG_MAX], tag[ETAG_MAX];

	for (size_t a = 0; a < 3; a++)
		for (size_t len = 2; len < ETAG_MAX; len++) {
			for (size_t i = 0; i < len; i++)
				tag[i] = alphabets[a][i % strlen(alphabets[a])];
			tag[0] = tag[len - 1] = '"';
			tag[len] = '\0';
			uint8_t code = etag_code(tag);

			assert_true(etag_code_valid(code) && etag_packed(code) < ETAG_MAX);
			etag_pack(tag, code, packed);
			etag_unpack(packed, code, back);
			assert_string_equal(back, tag);
		}
}

static struct listing *made(int n)
{
	struct listing *l = listing_new();
	char name[32];

	for (int i = 0; i < n; i++) {
		struct object obj = {.name = name, .version = (uint64_t)i + 1, .size = 5};

		snprintf(name, sizeof(name), "f%d", i);
		snprintf(obj.etag, sizeof(obj.etag), "\"%x\"", i);
		assert_int_equal(listing_add(l, &obj), 0);
	}
	assert_int_equal(listing_finish(l), 0);
	return l;
}

static void listing_finds_and_lists(void **state)
{
	for (int n = 0; n < 200; n += 1 + n / 7) {
		struct listing *l = made(n);
		struct object obj;
		char name[32];

		assert_int_equal(listing_entries(l), n);
		for (int i = 0; i < n; i++) {
			size_t at = listing_seek(l, (size_t)i);

			snprintf(name, sizeof(name), "f%d", i);
			assert_true(listing_next(l, &at, &obj));
			assert_string_equal(obj.name, name);
			assert_true(listing_find(l, name, &obj));
			assert_int_equal(obj.version, i + 1);
		}
		size_t at = listing_seek(l, (size_t)n);

		assert_false(listing_next(l, &at, &obj));
		at = listing_seek(l, 1000000);
		assert_false(listing_next(l, &at, &obj));
		assert_false(listing_find(l, "g", &obj));
		listing_put(l);
	}
}

static void listing_comes_back_from_its_bytes(void **state)
{
	struct listing *l = made(100), *back;
	struct object obj;
	size_t bytes;
	const void *packed = listing_packed(l, &bytes);
	void *copy = malloc(bytes);

	memcpy(copy, packed, bytes);
	back = listing_from(copy, bytes);
	assert_non_null(back);
	assert_int_equal(listing_entries(back), 100);
	assert_true(listing_find(back, "f77", &obj));
	assert_string_equal(obj.etag, "\"4d\"");
	listing_put(back);
	for (size_t cut = 1; cut < 16; cut++) { /* within the last entry */
		copy = malloc(bytes - cut);
		memcpy(copy, packed, bytes - cut);
		assert_null(listing_from(copy, bytes - cut));
	}
	listing_put(l);
}

static void listing_takes_no_bad_bytes(void **state)
{
	struct listing *l = made(1);
	struct packed *p;
	size_t bytes;
	const void *packed = listing_packed(l, &bytes);

	for (int i = 0; i < 7; i++) {
		p = malloc(bytes);
		memcpy(p, packed, bytes);
		p->name_len = i == 0 ? 200 : p->name_len;
		p->etag_code = i == 1 ? 255 : p->etag_code;
		p->is_dir = i == 2 ? 7 : i == 3 ? 1 : p->is_dir; /* a folder with a size */
		p->version = i == 4 ? 0 : p->version;
		p->text[0] = i == 5 ? '/' : p->text[0];
		p->size = i == 6 ? 1ull << 63 : p->size; /* no file has so many bytes */
		assert_null(listing_from(p, bytes));
	}
	listing_put(l);
}

/* 1,300 names like ImageNet's with an MD5 as tag: what the daemon's memory is reckoned by. */
static void listing_is_small(void **state)
{
	struct listing *l = listing_new();
	struct object obj = {.version = 1, .etag = "\"d41d8cd98f00b204e9800998ecf8427e\""};
	char name[32];

	obj.name = name;
	for (int i = 0; i < 1300; i++) {
		snprintf(name, sizeof(name), "n01440764_%05d.JPEG", i);
		listing_add(l, &obj);
	}
	listing_finish(l);
	assert_in_range(listing_memory(l) / 1300, 50, 75);
	listing_put(l);
}

static void arena_gives_each_piece_its_own(void **state)
{
	enum { N = 20000 };
	static uint32_t *piece[N];
	struct arena a;

	arena_init(&a);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < N; i++) {
			size_t words = 2 + i % 90;

			piece[i] = arena_alloc(&a, words * sizeof(uint32_t));
			piece[i][0] = piece[i][words - 1] = i;
			assert_ptr_equal(arena_at(&a, arena_ref(piece[i])), piece[i]);
			assert_int_not_equal(arena_ref(piece[i]), 0);
		}
		for (uint32_t i = 0; i < N; i++)
			assert_true(piece[i][0] == i && piece[i][1 + i % 90] == i);
		for (uint32_t i = 0; i < N; i += 2)
			arena_free(&a, piece[i]);
		for (uint32_t i = 0; i < N; i += 2)
			piece[i] = arena_alloc(&a, (2 + i % 90) * sizeof(uint32_t));
		for (uint32_t i = 1; i < N; i += 2)
			assert_true(piece[i][0] == i);
		for (uint32_t i = 0; i < N; i++)
			arena_free(&a, piece[i]);
		for (size_t i = 0; i < a.chunks; i++)
			assert_null(a.chunk[i]); /* all went back to the system */
	}
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_tag_comes_back),
		cmocka_unit_test(tags_of_every_length_come_back),
		cmocka_unit_test(listing_finds_and_lists),
		cmocka_unit_test(listing_comes_back_from_its_bytes),
		cmocka_unit_test(listing_takes_no_bad_bytes),
		cmocka_unit_test(listing_is_small),
		cmocka_unit_test(arena_gives_each_piece_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
