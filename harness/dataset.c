/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.txt, as synth-data writes it:
 *
 *   feedrate-manifest/1 format=tfrecord seed=1 samples=N bytes=B shards=128 classes=1000
 *   F<TAB>path<TAB>size<TAB>first_sample<TAB>samples          a file, followed by its samples:
 *   S<TAB>offset<TAB>len<TAB>crc32c-hex8<TAB>label
 *
 * Read as a stranger's file: every number is checked against what came before, paths stay inside
 * the folder, and memory follows the lines that are there, not the counts that are promised. */
#include "harness/dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "harness/tfrecord.h"

#define MEAN_SAMPLE 114660 /* bytes: ImageNet's mean, by DLIO's ResNet-50 configuration */

struct parser {
	const char *name;
	struct dataset *d;
	struct err *err;
	uint64_t line;
	uint32_t promised; /* samples= of line 1 */
	uint32_t wanted;   /* samples to keep */
	uint32_t files_cap, samples_cap;
	uint32_t left; /* samples of the current file still to come */
	uint64_t next; /* first byte that the next sample may use */
};

static int bad(struct parser *p, const char *what)
{
	return err_set(p->err, EBADMSG, "%s:%" PRIu64 ": %s; generate the data set again", p->name,
		p->line, what);
}

/* Decimal without sign or spaces, up to max; moves *s to the character behind it. */
static bool parse_u64(char **s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	char *c = *s;

	for (; *c >= '0' && *c <= '9'; c++) {
		if (v > (max - (uint64_t)(*c - '0')) / 10)
			return false;
		v = v * 10 + (uint64_t)(*c - '0');
	}
	if (c == *s)
		return false;
	*s = c;
	*ret = v;
	return true;
}

static bool parse_field(char **s, uint64_t max, uint64_t *ret)
{
	if (**s != '\t')
		return false;
	(*s)++;
	return parse_u64(s, max, ret);
}

static bool parse_crc(char **s, uint32_t *ret)
{
	uint32_t v = 0;

	if (**s != '\t')
		return false;
	for (int i = 1; i <= 8; i++) {
		char c = (*s)[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	*s += 9;
	*ret = v;
	return true;
}

bool dataset_path_ok(const char *path)
{
	if (!*path || *path == '/')
		return false;
	for (const char *part = path; part; part = strchr(part, '/')) {
		part += *part == '/';
		size_t n = strcspn(part, "/");

		if (!n || (n <= 2 && !strncmp(part, "..", n)))
			return false;
	}
	return true;
}

static int parse_header(struct parser *p, char *line)
{
	char *word, *rest = line;
	uint64_t samples = 0;
	bool format = false;

	word = strsep(&rest, " ");
	if (strcmp(word, DATASET_MAGIC) != 0)
		return bad(p, "not a manifest of this version (\"" DATASET_MAGIC "\" expected)");
	while ((word = strsep(&rest, " "))) {
		char *value = strchr(word, '=');

		if (!value)
			return bad(p, "KEY=VALUE expected");
		*value++ = 0;
		if (!strcmp(word, "format")) {
			format = !strcmp(value, "tfrecord") || !strcmp(value, "imagefolder");
			p->d->format = *value == 't' ? FORMAT_TFRECORD : FORMAT_IMAGEFOLDER;
		} else if (!strcmp(word, "samples") &&
			   !parse_u64(&value, UINT32_MAX - 1, &samples)) {
			return bad(p, "samples=: not a number");
		}
	}
	if (!format || !samples)
		return bad(p, "format=tfrecord or imagefolder and samples= expected");
	p->promised = (uint32_t)samples;
	p->wanted = p->wanted && p->wanted < samples ? p->wanted : (uint32_t)samples;
	return 0;
}

int dataset_grow(void *arrayp, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t want = *cap + *cap / 2 + 256;
	void *more;

	if (n < *cap)
		return 0;
	more = reallocarray(*(void **)arrayp, want, size);
	if (!more)
		return -ENOMEM;
	*(void **)arrayp = more;
	*cap = want;
	return 0;
}

static int parse_file(struct parser *p, char *s)
{
	struct dataset *d = p->d;
	uint64_t size, first, n;
	char *path = s + 1, *end;

	if (p->left)
		return bad(p, "the file before has fewer samples than it says");
	end = s = path + strcspn(path, "\t");
	if (!parse_field(&s, INT64_MAX, &size) || !parse_field(&s, UINT32_MAX, &first) ||
		!parse_field(&s, UINT32_MAX, &n) || *s)
		return bad(p, "F<TAB>path<TAB>size<TAB>first<TAB>samples expected");
	if (first != d->n_samples || n > p->promised - first)
		return bad(p, "sample numbers do not follow those of the file before");
	*end = 0;
	if (!dataset_path_ok(path))
		return bad(p, "the path leaves the folder");
	if (dataset_grow(&d->files, d->n_files, &p->files_cap, sizeof(*d->files)) < 0)
		return -ENOMEM;
	path = strdup(path);
	if (!path)
		return -ENOMEM;
	d->files[d->n_files++] = (struct data_file){path, size, (uint32_t)first, 0};
	p->left = (uint32_t)n;
	p->next = 0;
	return 0;
}

static bool sample_fits(const struct parser *p, uint64_t off, uint64_t len)
{
	const struct data_file *f = &p->d->files[p->d->n_files - 1];

	if (p->d->format == FORMAT_IMAGEFOLDER)
		return off == 0 && len == f->size && f->n == 0;
	return off == p->next && off <= f->size && len + TFRECORD_FRAME <= f->size - off;
}

static int parse_sample(struct parser *p, char *s)
{
	struct dataset *d = p->d;
	uint64_t off, len, label;
	uint32_t crc;

	if (!p->left)
		return bad(p, "a sample without a file, or more than its file says");
	if (!parse_field(&s, INT64_MAX, &off) || !parse_field(&s, UINT32_MAX, &len) ||
		!parse_crc(&s, &crc) || !parse_field(&s, UINT32_MAX, &label) || *s)
		return bad(p, "S<TAB>offset<TAB>length<TAB>crc32c<TAB>label expected");
	if (!sample_fits(p, off, len))
		return bad(p, "the sample does not fit into its file");
	if (dataset_grow(&d->samples, d->n_samples, &p->samples_cap, sizeof(*d->samples)) < 0)
		return -ENOMEM;
	d->samples[d->n_samples++] = (struct data_sample){d->n_files - 1, (uint32_t)len, off, crc};
	d->files[d->n_files - 1].n++;
	d->bytes += len;
	p->next = off + len + TFRECORD_FRAME;
	p->left--;
	return 0;
}

static int parse_line(struct parser *p, char *line)
{
	if (p->line == 1)
		return parse_header(p, line);
	if (line[0] == 'F' && line[1] == '\t')
		return parse_file(p, line + 1);
	if (line[0] == 'S' && line[1] == '\t')
		return parse_sample(p, line + 1);
	return bad(p, "a line starts with F or S and a tab");
}

int dataset_parse(
	FILE *in, const char *name, uint32_t max_samples, struct dataset *ret, struct err *err)
{
	struct dataset d = {.manifest = true};
	struct parser p = {.name = name, .d = &d, .err = err, .wanted = max_samples};
	AUTO(free) char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int r = 0;

	while (!r && (p.line == 0 || d.n_samples < p.wanted) &&
		(n = getline(&line, &cap, in)) > 0) {
		p.line++;
		if (strlen(line) != (size_t)n || line[n - 1] != '\n') {
			r = bad(&p, "the line is cut short or holds a NUL");
			break;
		}
		line[n - 1] = 0;
		r = parse_line(&p, line);
	}
	if (!r && (!p.line || d.n_samples < p.wanted))
		r = bad(&p, "ends before its last sample");
	if (r == -ENOMEM)
		err_set(err, ENOMEM, "%s: no memory for %u samples", name, d.n_samples);
	if (r < 0)
		dataset_done(&d);
	else
		*ret = d;
	return r;
}

int dataset_load(const char *dir, uint32_t max_samples, struct dataset *ret, struct err *err)
{
	AUTO(free) char *path = NULL;
	AUTO(fclose) FILE *in = NULL;

	if (asprintf(&path, "%s/manifest.txt", dir) < 0)
		return -ENOMEM;
	in = fopen(path, "re");
	if (!in)
		return err_set(err, errno, "%s: %s; make the data set with synth-data", path,
			strerror(errno));
	return dataset_parse(in, path, max_samples, ret, err);
}

void dataset_done(struct dataset *d)
{
	for (uint32_t i = 0; i < d->n_files; i++)
		free(d->files[i].path);
	free(d->files);
	free(d->samples);
	*d = (struct dataset){.format = d->format};
}

uint32_t dataset_mean_bytes(const struct dataset *d)
{
	if (d && d->mean_bytes)
		return d->mean_bytes;
	if (d && d->n_samples && d->bytes / d->n_samples)
		return (uint32_t)(d->bytes / d->n_samples);
	return MEAN_SAMPLE;
}
