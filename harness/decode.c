/* SPDX-License-Identifier: Apache-2.0 */
/* CPU work after a read: see decode.h. The only file of the harness that includes libjpeg. */
#include "harness/decode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <jpeglib.h>

#include "common/cleanup.h"
#include "common/clock.h"

struct decoder {
	struct jpeg_error_mgr err; /* first: libjpeg hands it back */
	jmp_buf failed;
	struct jpeg_decompress_struct jpeg;
	JSAMPLE *row;
	size_t row_size;
	char why[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr info)
{
	struct decoder *d = (struct decoder *)info->err;

	info->err->format_message(info, d->why);
	longjmp(d->failed, 1);
}

static void on_warning(j_common_ptr info, int level)
{
	/* Counted by libjpeg; a truncated picture is a warning to it. */
}

/* Its own function, because nothing may live across setjmp in one that has changed it. */
static int create_decompress(struct decoder *d)
{
	if (setjmp(d->failed))
		return -ENOMEM;
	jpeg_create_decompress(&d->jpeg);
	return 0;
}

struct decoder *decoder_new(void)
{
	struct decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->jpeg.err = jpeg_std_error(&d->err);
	d->err.error_exit = on_error;
	d->err.emit_message = on_warning;
	if (!create_decompress(d))
		return d;
	free(d);
	return NULL;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	jpeg_destroy_decompress(&d->jpeg);
	free(d->row);
	free(d);
}

const char *decoder_why(const struct decoder *d)
{
	return d->why;
}

static int make_row(struct decoder *d)
{
	size_t need = (size_t)d->jpeg.output_width * (size_t)d->jpeg.output_components;
	JSAMPLE *row;

	if (need <= d->row_size)
		return 0;
	row = realloc(d->row, need);
	if (!row)
		return -ENOMEM;
	d->row = row;
	d->row_size = need;
	return 0;
}

int decoder_jpeg(struct decoder *d, const uint8_t *data, size_t len)
{
	d->why[0] = 0;
	if (setjmp(d->failed)) {
		jpeg_abort_decompress(&d->jpeg);
		return -EBADMSG;
	}
	jpeg_mem_src(&d->jpeg, data, (unsigned long)len);
	jpeg_read_header(&d->jpeg, TRUE);
	jpeg_start_decompress(&d->jpeg);
	if (make_row(d) < 0) {
		jpeg_abort_decompress(&d->jpeg);
		return -ENOMEM;
	}
	while (d->jpeg.output_scanline < d->jpeg.output_height)
		jpeg_read_scanlines(&d->jpeg, &d->row, 1);
	jpeg_finish_decompress(&d->jpeg);
	return 0;
}

void decode_spin(int64_t ns)
{
	int64_t until = clock_thread_cpu_ns() + ns;

	while (clock_thread_cpu_ns() < until)
		;
}

#define PICTURE 500 /* pixels a side: ImageNet's are about 500 x 400 */

/* A picture whose bytes come near ImageNet's mean: smooth shades under fine noise. */
static unsigned long encode_picture(unsigned seed, unsigned char **ret)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr err;
	JSAMPLE row[PICTURE * 3];
	JSAMPROW rows = row;
	unsigned long size = 0;
	uint32_t noise = seed * 2654435761u + 1;

	jpeg.err = jpeg_std_error(&err);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, ret, &size);
	jpeg.image_width = jpeg.image_height = PICTURE;
	jpeg.input_components = 3;
	jpeg.in_color_space = JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 90, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	while (jpeg.next_scanline < PICTURE) {
		for (unsigned x = 0; x < PICTURE * 3; x++) {
			noise = noise * 1664525u + 1013904223u;
			row[x] = (JSAMPLE)((x / 9 + jpeg.next_scanline / 3 + seed + (noise >> 26)) &
					   0xff);
		}
		jpeg_write_scanlines(&jpeg, &rows, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	return size;
}

#define TEMPLATES 16 /* encoded once; the pool repeats them */

int decode_make_pool(uint8_t *mem, size_t size, size_t **ret_starts, size_t *ret_n)
{
	unsigned char *picture[TEMPLATES] = {NULL};
	unsigned long len[TEMPLATES];
	size_t n = 0, used = 0, smallest = SIZE_MAX;
	size_t *starts;

	for (unsigned i = 0; i < TEMPLATES; i++) {
		len[i] = encode_picture(i, &picture[i]);
		smallest = len[i] < smallest ? len[i] : smallest;
	}
	starts = calloc(size / smallest + 2, sizeof(*starts));
	while (starts && used + len[n % TEMPLATES] <= size) {
		memcpy(mem + used, picture[n % TEMPLATES], len[n % TEMPLATES]);
		starts[n] = used;
		used += len[n % TEMPLATES];
		n++;
	}
	for (int i = 0; i < TEMPLATES; i++)
		free(picture[i]);
	if (!starts)
		return -ENOMEM;
	starts[n] = used;
	memset(mem + used, 0, size - used);
	*ret_starts = starts;
	*ret_n = n;
	return 0;
}
