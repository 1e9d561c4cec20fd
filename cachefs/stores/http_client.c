/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over libcurl: see http_client.h.
 *
 * Each handle has a multi handle of its own, driven by one thread: that gives deadlines in
 * milliseconds and a wait that another thread can end, where curl_easy_perform() gives seconds. */
#include "cachefs/stores/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/http_fields.h"
#include "cachefs/stores/s3_error.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/units.h"
#include "version.h"

#define BUFFER_BYTES (128 << 10) /* stays in a core's cache until it is handed up */
#define BACKOFF_MAX_NS (5 * NSEC_PER_SEC)
#define REDIRECTS_MAX 3
#define SKIP_MAX (64 << 10) /* of an error's body, to keep its connection */
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SAID_MAX 4096 /* of it, to understand it */

/* A failure that another attempt may mend; no errno, so that no sink returns it. */
#define TRY_AGAIN 4096

struct handle {
	struct handle *next, *next_idle;
	CURL *easy;
	CURLM *multi;
	unsigned generation;        /* of the keys it signs with */
	struct curl_slist *headers; /* that go with them */
	char error[CURL_ERROR_SIZE];
};

struct http_client {
	struct counter_set *counters;
	int64_t timeout_ns, backoff_ns, retries;
	enum http_version version;
	bool verify;
	char *ca;                    /* NULL: the system's */
	struct s3_credentials *keys; /* NULL: unsigned */
	char *sigv4;                 /* provider, region, service, as libcurl takes them */
	pthread_mutex_t lock;        /* below */
	pthread_cond_t stopped;
	struct handle *all, *idle;
	_Atomic bool stopping; /* set with the lock held */
};

/* One request with all its attempts. */
struct transfer {
	struct http_client *c;
	const struct http_request *req;
	struct http_answer *answer;
	struct handle *h;
	int64_t deadline_ns;
	int64_t last_ns;       /* when something arrived */
	int64_t retry_ns;      /* the server asked for so much patience */
	uint64_t len;          /* of the range, as far as there are bytes; 0: no range */
	uint64_t done;         /* bytes of it handed up */
	uint64_t skipped;      /* bytes of this attempt that nobody wants */
	char etag[ETAG_MAX];   /* of the first attempt that gave bytes */
	bool judged, complete; /* of this attempt */
	int verdict;           /* 0: the body is wanted */
	size_t said_len;
	char said[SAID_MAX]; /* the body of a refusal */
};

static int fail(struct transfer *t, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Notes the cause and returns -code. */
static int fail(struct transfer *t, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->answer->cause, sizeof(t->answer->cause), fmt, ap);
	va_end(ap);
	return -code;
}

/* ---- handles ---- */

static size_t on_body(char *data, size_t unit, size_t len, void *arg);

static int on_connected(void *arg, char *server, char *own, int server_port, int own_port)
{
	struct transfer *t = arg;

	t->last_ns = clock_now_ns();
	return CURL_PREREQFUNC_OK;
}

static void drop_headers(struct handle *h)
{
	for (struct curl_slist *s = h->headers; s; s = s->next)
		explicit_bzero(s->data, strlen(s->data));
	curl_slist_free_all(h->headers);
	h->headers = NULL;
}

static void handle_free(struct handle *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->easy);
	curl_multi_cleanup(h->multi);
	drop_headers(h);
	free(h);
}

static struct handle *handle_new(struct http_client *c)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->easy = curl_easy_init();
	h->multi = curl_multi_init();
	if (!h->easy || !h->multi) {
		handle_free(h);
		return NULL;
	}
	curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->error);
	curl_easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h->easy, CURLOPT_FOLLOWLOCATION, c->keys ? 0L : 1L);
	curl_easy_setopt(h->easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	/* Newer libcurls do not sign such paths, and names with dots for folders are refused anyway. */
	curl_easy_setopt(h->easy, CURLOPT_PATH_AS_IS, c->keys ? 0L : 1L);
	/* Not as a header of our own: those are signed, and proxies change this one. */
	curl_easy_setopt(h->easy, CURLOPT_ACCEPT_ENCODING, "identity");
	curl_easy_setopt(h->easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	curl_easy_setopt(h->easy, CURLOPT_AWS_SIGV4, c->sigv4);
	curl_easy_setopt(h->easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	curl_easy_setopt(h->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS,
		(long)((c->timeout_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
	curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYPEER, (long)c->verify);
	curl_easy_setopt(h->easy, CURLOPT_SSL_VERIFYHOST, c->verify ? 2L : 0L);
	if (c->ca)
		curl_easy_setopt(h->easy, CURLOPT_CAINFO, c->ca);
	curl_easy_setopt(h->easy, CURLOPT_HTTP_VERSION,
		c->version == HTTP_VERSION_1_1 ? (long)CURL_HTTP_VERSION_1_1
					       : (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(h->easy, CURLOPT_USERAGENT, "cachefs/" FEEDRATE_VERSION);
	curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h->easy, CURLOPT_PREREQFUNCTION, on_connected);
	return h;
}

static struct handle *take_handle(struct http_client *c)
{
	struct handle *h;

	pthread_mutex_lock(&c->lock);
	h = c->idle;
	if (h)
		c->idle = h->next_idle;
	pthread_mutex_unlock(&c->lock);
	if (h)
		return h;
	h = handle_new(c);
	if (!h)
		return NULL;
	HOLD(&c->lock);
	h->next = c->all;
	c->all = h;
	return h;
}

static void put_handle(struct http_client *c, struct handle *h)
{
	HOLD(&c->lock);
	h->next_idle = c->idle;
	c->idle = h;
}

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct http_client *http_client_new(const struct config *cfg, struct counter_set *count)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	pthread_once(&once, init_curl);
	c->counters = count;
	c->timeout_ns = cfg->http.timeout;
	c->backoff_ns = cfg->http.backoff;
	c->retries = cfg->http.retries;
	c->version = (enum http_version)cfg->http.version;
	c->verify = cfg->http.verify;
	c->ca = *cfg->http.ca ? strdup(cfg->http.ca) : NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->stopped, NULL);
	if (c->ca || !*cfg->http.ca)
		return c;
	http_client_free(c);
	return NULL;
}

int http_client_sign(struct http_client *c, struct s3_credentials *keys, const char *region)
{
	c->keys = keys;
	if (!keys || asprintf(&c->sigv4, "aws:amz:%s:s3", region) >= 0)
		return 0;
	c->sigv4 = NULL;
	return -ENOMEM;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	for (struct handle *h = c->all, *next; h; h = next) {
		next = h->next;
		handle_free(h);
	}
	s3_credentials_free(c->keys);
	free(c->sigv4);
	free(c->ca);
	pthread_cond_destroy(&c->stopped);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void http_client_interrupt(struct http_client *c)
{
	HOLD(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->stopped);
	for (struct handle *h = c->all; h; h = h->next)
		curl_multi_wakeup(h->multi);
}

/* ---- answers ---- */

static const char *header(const struct transfer *t, const char *name)
{
	struct curl_header *found;

	if (curl_easy_header(t->h->easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
		return NULL;
	return found->value;
}

/* "; this machine's is 17m 3s ahead", by the time the answer was sent. */
static void tell_skew(struct transfer *t, char *text, size_t size)
{
	const char *date = header(t, "Date");
	int64_t sent_ns = date ? field_date(date) : 0, ahead_ns = clock_wall_ns() - sent_ns;
	char human[UNITS_MAX];

	units_human_duration((double)llabs(ahead_ns) / NSEC_PER_SEC, human);
	if (sent_ns && llabs(ahead_ns) > 60 * NSEC_PER_SEC)
		snprintf(text, size, "; this machine's is %s %s", human,
			ahead_ns > 0 ? "ahead" : "behind");
}

/* What body and headers of a refusal say beyond its status goes into the cause, and decides. */
static int explain(struct transfer *t)
{
	const char *region = header(t, "x-amz-bucket-region");
	const struct s3_trouble *trouble = NULL;
	struct s3_error error;
	char place[80] = "", clock[64] = "";

	if (!s3_error_parse(t->said, t->said_len, &error))
		trouble = s3_trouble_find(error.code);
	if (!*error.region && region && strlen(region) < sizeof(error.region))
		strcpy(error.region, region);
	if (*error.region)
		snprintf(place, sizeof(place), ", the bucket lies in region %s", error.region);
	if (!strcmp(error.code, "RequestTimeTooSkewed"))
		tell_skew(t, clock, sizeof(clock));
	if (*error.code || *place)
		fail(t, 0, "answered %ld%s%s%s%s%s%s", t->answer->status, *error.code ? " " : "",
			error.code, place, trouble ? ": " : "", trouble ? trouble->text : "",
			clock);
	return trouble ? -trouble->result : t->verdict;
}

static int refuse_status(struct transfer *t, long status)
{
	const char *patience = header(t, "Retry-After");
	int code = EIO;

	if (status == 404 || status == 410)
		code = ENOENT;
	else if (status == 401 || status == 403 || (status == 400 && t->c->keys && t->req->head))
		code = EACCES;
	else if (status == 412 || status == 416)
		code = ESTALE;
	else if (status == 408 || status == 429 || status >= 500)
		code = TRY_AGAIN;
	if (code == TRY_AGAIN && patience)
		field_retry_after(patience, clock_wall_ns() / NSEC_PER_SEC, &t->retry_ns);
	return fail(t, code, "answered %ld", status);
}

/* What the headers say of the resource, into the answer. */
static void read_object(struct transfer *t, const struct content_range *range)
{
	struct http_answer *a = t->answer;
	const char *mtime = header(t, "Last-Modified");
	curl_off_t length = -1;
	char *url = NULL;

	curl_easy_getinfo(t->h->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	a->sized = range || length >= 0;
	field_object(&a->obj, header(t, "ETag"),
		range ? range->total : (uint64_t)(length >= 0 ? length : 0),
		mtime ? field_date(mtime) : 0);
	if (!curl_easy_getinfo(t->h->easy, CURLINFO_EFFECTIVE_URL, &url) && url)
		a->slash = url[strcspn(url, "?#")] ? false : url[strlen(url) - 1] == '/';
}

/* A part that is not the one that is missing would put wrong bytes into a file. */
static int judge_range(struct transfer *t, long status, const struct content_range *range)
{
	const struct http_request *req = t->req;
	uint64_t total = t->answer->obj.size, left = total > req->off ? total - req->off : 0;

	if (req->may_end && t->answer->sized && left < t->len) {
		if (t->done)
			return fail(t, ESTALE, "shrank while it was read");
		t->len = left;
		t->complete = !left;
	}
	uint64_t first = req->off + t->done, last = req->off + t->len - 1;

	if (status == 200 && first)
		return fail(t, EIO, "answered a range from %" PRIu64 " with the whole (%s)", first,
			"the server ignores Range; files over cache.block_size need it");
	if (status == 206 && (range->first != first || range->last != last))
		return fail(t, EIO,
			"answered bytes %" PRIu64 "-%" PRIu64 " where %" PRIu64 "-%" PRIu64
			" were asked for",
			range->first, range->last, first, last);
	return 0;
}

/* Looks at status and headers: 0, and the body may be handed up, or why not. -TRY_AGAIN: another
 * attempt may do. */
static int judge(struct transfer *t)
{
	const struct http_request *req = t->req;
	const char *text = header(t, "Content-Range");
	struct content_range range;
	long status = 0, version = 0;
	int r;

	curl_easy_getinfo(t->h->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->h->easy, CURLINFO_HTTP_VERSION, &version);
	t->answer->status = status;
	if (status != 200 && status != 206)
		return refuse_status(t, status);
	if (t->c->version == HTTP_VERSION_2 && version != CURL_HTTP_VERSION_2_0)
		return fail(t, EIO, "answered by HTTP/1 where http.version=2");
	if (status == 206 && (!req->len || !text || field_content_range(text, &range) < 0))
		return fail(t, EIO, "answered 206 with Content-Range '%.64s'", text ? text : "");
	read_object(t, status == 206 ? &range : NULL);
	r = req->accept ? req->accept(req->accept_arg, t->answer) : 0;
	if (!r && req->len)
		r = judge_range(t, status, &range);
	if (!r && t->done && strcmp(t->etag, t->answer->obj.etag) != 0)
		r = fail(t, ESTALE, "changed while it was read");
	if (!r)
		strcpy(t->etag, t->answer->obj.etag);
	return r;
}

static void judge_once(struct transfer *t)
{
	if (t->judged)
		return;
	t->judged = true;
	t->verdict = judge(t);
}

/* Hands bytes up: not one more than were asked for. */
static int hand_up(struct transfer *t, const char *data, size_t len)
{
	const struct http_request *req = t->req;

	if (!req->len)
		return req->each(req->arg, data, len);
	uint64_t left = t->len - t->done;
	size_t n = len < left ? len : (size_t)left;
	int r = req->each(req->arg, data, n);

	if (r)
		return r;
	t->done += n;
	t->complete = n == left;
	return 0;
}

/* curl's way to say "stop" is to take less than there is. */
static size_t on_body(char *data, size_t unit, size_t len, void *arg)
{
	struct transfer *t = arg;

	t->last_ns = clock_now_ns();
	judge_once(t);
	if (t->verdict || !t->req->each) {
		size_t n = SAID_MAX - t->said_len < len ? SAID_MAX - t->said_len : len;

		memcpy(t->said + t->said_len, data, n);
		t->said_len += n;
		t->skipped += len;
		return t->skipped > SKIP_MAX ? 0 : len;
	}
	if (t->complete) /* the whole where a part was asked for, or more than it was said to be */
		return 0;
	t->verdict = hand_up(t, data, len);
	return t->verdict ? 0 : len;
}

/* ---- attempts ---- */

static int64_t min_ns(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int late(struct transfer *t, int64_t now_ns)
{
	char text[UNITS_MAX];

	if (now_ns >= t->deadline_ns)
		return fail(t, EIO, "not done within %s, twice http.timeout",
			units_format_duration(2 * t->c->timeout_ns, text));
	return fail(t, TRY_AGAIN, "no byte for %s", units_format_duration(t->c->timeout_ns, text));
}

/* Drives the transfer until curl or the clock ends it. */
static int drive(struct transfer *t)
{
	struct http_client *c = t->c;
	int running = 1;

	for (;;) {
		if (curl_multi_perform(t->h->multi, &running) != CURLM_OK)
			return fail(t, EIO, "libcurl failed");
		if (!running)
			return 0;
		int64_t now_ns = clock_now_ns();
		int64_t until_ns = min_ns(t->last_ns + c->timeout_ns, t->deadline_ns);

		if (c->stopping)
			return fail(t, ESHUTDOWN, "shutting down");
		if (now_ns >= until_ns)
			return t->complete ? 0 : late(t, now_ns);
		int64_t wait_ms = (until_ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;

		curl_multi_poll(t->h->multi, NULL, 0, (int)min_ns(wait_ms, 60000), NULL);
	}
}

/* What curl made of a transfer that it ended itself. */
static int curl_result(struct transfer *t)
{
	CURLMsg *msg;
	int left;
	CURLcode code = CURLE_OK;

	while ((msg = curl_multi_info_read(t->h->multi, &left)))
		if (msg->msg == CURLMSG_DONE)
			code = msg->data.result;
	if (code == CURLE_OK)
		judge_once(t);
	if (t->verdict && t->answer->status >= 300)
		return explain(t);
	if (t->verdict || t->complete)
		return t->verdict;
	switch (code) {
	case CURLE_OK:
		if (t->req->len && t->req->each)
			return fail(
				t, TRY_AGAIN, "ended %" PRIu64 " bytes early", t->len - t->done);
		return 0;
	case CURLE_WRITE_ERROR: /* more than was wanted */
		return t->req->each ? fail(t, EIO, "ended by libcurl") : 0;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_TOO_MANY_REDIRECTS:
	case CURLE_URL_MALFORMAT:
		return fail(t, EIO, "%s", *t->h->error ? t->h->error : curl_easy_strerror(code));
	default:
		return fail(
			t, TRY_AGAIN, "%s", *t->h->error ? t->h->error : curl_easy_strerror(code));
	}
}

static void count_attempt(struct transfer *t)
{
	struct counter_set *count = t->c->counters;
	curl_off_t bytes = 0;
	long connections = 0;

	curl_easy_getinfo(t->h->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
	curl_easy_getinfo(t->h->easy, CURLINFO_NUM_CONNECTS, &connections);
	counter_add(count, ORIGIN_requests, 1);
	counter_add(count, ORIGIN_bytes, bytes);
	counter_add(count, ORIGIN_connections, connections);
}

static int add_header(struct curl_slist **list, const char *text)
{
	struct curl_slist *more = curl_slist_append(*list, text);

	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

/* libcurl signs and sends x-amz-date and host by itself; 7.88 forgets the hash of the (empty) body, which
 * S3 asks for. */
static int set_keys(struct handle *h, const struct s3_keys *keys)
{
	char text[sizeof(keys->token) + 32];

	curl_easy_setopt(h->easy, CURLOPT_USERNAME, keys->id);
	curl_easy_setopt(h->easy, CURLOPT_PASSWORD, keys->secret);
	drop_headers(h);
	int r = add_header(&h->headers, "x-amz-content-sha256: " EMPTY_SHA256);

	if (r < 0 || !*keys->token)
		return r;
	snprintf(text, sizeof(text), "x-amz-security-token: %s", keys->token);
	r = add_header(&h->headers, text);
	explicit_bzero(text, sizeof(text));
	return r;
}

/* Gives the handle the keys of now, where it has older ones. */
static int renew_keys(struct http_client *c, struct handle *h)
{
	struct s3_keys keys;

	if (h->generation == s3_credentials_generation(c->keys))
		return 0;
	unsigned generation = s3_credentials_get(c->keys, &keys);
	int r = set_keys(h, &keys);

	s3_keys_wipe(&keys);
	h->generation = r ? 0 : generation;
	return r;
}

/* Options of this attempt; own: the request's own headers, the caller's to free. */
static int prepare(struct transfer *t, struct curl_slist **ret_own)
{
	const struct http_request *req = t->req;
	CURL *easy = t->h->easy;
	bool tls = !strncmp(req->url, "https:", 6);
	char range[48], match[ETAG_MAX + 16];
	int r = t->c->keys ? renew_keys(t->c, t->h) : 0;

	if (r < 0)
		return r;
	curl_easy_setopt(easy, CURLOPT_URL, req->url);
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(easy, CURLOPT_NOBODY, (long)req->head);
	if (!req->head)
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, req->off + t->done,
		req->off + req->len - 1);
	curl_easy_setopt(easy, CURLOPT_RANGE, req->len ? range : NULL);
	if (req->if_match && *req->if_match) {
		snprintf(match, sizeof(match), "If-Match: %s", req->if_match);
		r = add_header(ret_own, match);
		if (r < 0)
			return r;
		(*ret_own)->next = t->h->headers; /* unlinked before it is freed */
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *ret_own ? *ret_own : t->h->headers);
	return 0;
}

/* Once through. -TRY_AGAIN: worth another. */
static int attempt(struct transfer *t)
{
	struct curl_slist *own = NULL;
	int r = t->c->stopping ? fail(t, ESHUTDOWN, "shutting down") : prepare(t, &own);

	if (r < 0)
		return r;
	t->judged = t->complete = false;
	t->verdict = 0;
	t->skipped = t->said_len = 0;
	t->retry_ns = 0;
	t->answer->status = 0;
	t->last_ns = clock_now_ns();
	*t->h->error = '\0';
	curl_multi_add_handle(t->h->multi, t->h->easy);
	r = drive(t);
	if (!r)
		r = curl_result(t);
	count_attempt(t);
	curl_multi_remove_handle(t->h->multi, t->h->easy);
	if (own) {
		own->next = NULL;
		curl_slist_free_all(own);
	}
	return r;
}

/* Sleeps before attempt n+1; false: there is no time for it. */
static bool wait_to_retry(struct transfer *t, int64_t n)
{
	struct http_client *c = t->c;
	int64_t wait_ns = n < 20 ? min_ns(c->backoff_ns << n, BACKOFF_MAX_NS) : BACKOFF_MAX_NS;
	int64_t now_ns = clock_now_ns();

	/* Between half of it and all, so that those who failed together do not come back together. */
	wait_ns -= (int64_t)(store_version(NULL, (uint64_t)now_ns, n) %
			     (uint64_t)(wait_ns / 2 + 1));
	if (wait_ns < t->retry_ns)
		wait_ns = t->retry_ns;
	if (wait_ns >= t->deadline_ns - now_ns)
		return false;
	int64_t until_ns = now_ns + wait_ns;
	struct timespec until = {until_ns / NSEC_PER_SEC, until_ns % NSEC_PER_SEC};

	HOLD(&c->lock);
	while (!c->stopping && clock_now_ns() < until_ns)
		pthread_cond_clockwait(&c->stopped, &c->lock, CLOCK_MONOTONIC, &until);
	return true;
}

int http_ask(struct http_client *c, const struct http_request *req, struct http_answer *ret)
{
	struct transfer t = {.c = c, .req = req, .answer = ret, .len = req->len};
	int r;

	*ret = (struct http_answer){0};
	t.deadline_ns = clock_now_ns() + 2 * c->timeout_ns;
	t.h = take_handle(c);
	if (!t.h)
		return fail(&t, ENOMEM, "not enough memory");
	r = attempt(&t);
	if (r == -EACCES && c->keys && s3_credentials_reload(c->keys, t.h->generation))
		r = attempt(&t);
	for (int64_t n = 0; r == -TRY_AGAIN && n < c->retries && wait_to_retry(&t, n); n++) {
		counter_add(c->counters, ORIGIN_retries, 1);
		r = attempt(&t);
	}
	put_handle(c, t.h);
	if (r == -TRY_AGAIN)
		r = -EIO;
	if (r == -EIO || r == -EACCES)
		counter_add(c->counters, ORIGIN_errors, 1);
	return r;
}
