/* SPDX-License-Identifier: Apache-2.0 */
/* An S3 bucket with more files than anybody wants to make: listings by arithmetic, names, sizes and
 * tags as ImageNet has them. Objects themselves are not there.
 *
 *      bench_many_files FOLDERS FILES_EACH      prints its URL; "-" in place of FOLDERS: all in the root */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/http_server.h"

#define BUCKET "/many/"

struct many {
	long folders, files; /* folders 0: files lie in the root */
};

static uint64_t mix(uint64_t n)
{
	n = (n + 1) * 0x9e3779b97f4a7c15ull;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ull;
	return n ^ n >> 31;
}

static void add_file(FILE *out, const char *prefix, long folder, long i)
{
	uint64_t seed = mix((uint64_t)folder << 32 | (uint64_t)i);

	fprintf(out,
		"<Contents><Key>%sn%08ld_%ld.JPEG</Key><LastModified>2012-07-10T06:%02d:%02d.000Z"
		"</LastModified><ETag>&quot;%016" PRIx64 "%016" PRIx64
		"&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>",
		prefix, folder, i, (int)(seed % 60), (int)(seed / 60 % 60), seed, mix(seed),
		60000 + (int)(seed % 100000));
}

static void add_folder(FILE *out, long folder)
{
	fprintf(out, "<CommonPrefixes><Prefix>n%08ld/</Prefix></CommonPrefixes>", folder);
}

static void answer_page(const struct many *m, struct http_call *call)
{
	AUTO(free) char *body = NULL;
	char prefix[64], token[32], keys[32];
	size_t len;

	http_call_argument(call, "prefix", prefix, sizeof(prefix));
	http_call_argument(call, "continuation-token", token, sizeof(token));
	http_call_argument(call, "max-keys", keys, sizeof(keys));
	bool folders = m->folders && !*prefix;
	long from = atol(token), all = folders ? m->folders : m->files;
	long to = from + (*keys ? atol(keys) : 1000);
	FILE *out = open_memstream(&body, &len);

	if (to > all)
		to = all;
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
	for (long i = from; i < to; i++) {
		if (folders)
			add_folder(out, i);
		else
			add_file(out, prefix, *prefix ? atol(prefix + 1) : 0, i);
	}
	if (to < all)
		fprintf(out,
			"<IsTruncated>true</IsTruncated><NextContinuationToken>%ld"
			"</NextContinuationToken>",
			to);
	fprintf(out, "</ListBucketResult>");
	fclose(out);
	http_answer_text(call, "200 OK", body);
}

static bool serve(void *arg, struct http_call *call)
{
	if (*call->query && !strncmp(call->path, BUCKET, strlen(BUCKET) - 1))
		answer_page(arg, call);
	else
		http_answer_text(call, "404 Not Found", "");
	return true;
}

int main(int argc, char **argv)
{
	struct many m;

	if (argc != 3) {
		fprintf(stderr, "usage: bench_many_files FOLDERS|- FILES_EACH\n");
		return 2;
	}
	m = (struct many){.folders = atol(argv[1]), .files = atol(argv[2])};
	struct http_server *s = http_server_new(serve, &m);

	printf("%s\n", http_server_url(s));
	fflush(stdout);
	pause();
	http_server_free(s);
	return 0;
}
