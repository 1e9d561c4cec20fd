/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of origins: see http_place.h. */
#include "cachefs/stores/http_place.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/stores/http_fields.h"
#include "common/cleanup.h"

#define BUCKET_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define BUCKET_MAX 255

AUTO_FREE(curlu, CURLU, curl_url_cleanup);

void place_done(struct http_place *p)
{
	free(p->url);
	free(p->prefix);
	*p = (struct http_place){0};
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

/* The URL as curl writes it, without '/' at its end; NULL and err. */
static char *checked_url(const char *url, struct err *err)
{
	AUTO(curlu) CURLU *u = curl_url();
	char *text = NULL, *ret;

	if (!u)
		goto no_memory;
	if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
		curl_url_set(u, CURLUPART_URL, url, CURLU_URLENCODE | CURLU_PATH_AS_IS)) {
		err_set(err, EINVAL, "%s: no URL; give http(s)://HOST[:PORT][/PATH]", url);
		return NULL;
	}
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD)) {
		err_set(err, EINVAL,
			"a URL with a user in it would show in logs and process lists; leave it out");
		return NULL;
	}
	if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT)) {
		err_set(err, EINVAL, "%s: an origin has no '?' or '#' part; leave it out", url);
		return NULL;
	}
	if (curl_url_get(u, CURLUPART_URL, &text, 0))
		goto no_memory;
	ret = strdup(text);
	curl_free(text);
	if (!ret)
		goto no_memory;
	for (size_t len = strlen(ret); len && ret[len - 1] == '/';)
		ret[--len] = '\0';
	return ret;
no_memory:
	err_set(err, ENOMEM, "not enough memory for the origin");
	return NULL;
}

int place_from_url(const char *url, struct http_place *ret, struct err *err)
{
	struct http_place p = {.url = checked_url(url, err), .guessed = true};

	if (!p.url)
		return -EINVAL;
	p.bucket_len = strlen(p.url);
	p.prefix = strdup("");
	if (!p.prefix) {
		place_done(&p);
		return err_set(err, ENOMEM, "not enough memory for the origin");
	}
	*ret = p;
	return 0;
}

/* ---- buckets ---- */

const char *place_region(const struct config *cfg)
{
	const char *const found[] = {
		cfg->s3.region, getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION")};

	for (size_t i = 0; i < ARRAY_SIZE(found); i++)
		if (found[i] && *found[i])
			return found[i];
	return "us-east-1";
}

static char *aws_endpoint(const struct config *cfg, struct err *err)
{
	const char *region = place_region(cfg);
	char *ret;

	if (asprintf(&ret, "https://s3.%s.amazonaws.com%s", region,
		    strncmp(region, "cn-", 3) ? "" : ".cn") >= 0)
		return ret;
	err_set(err, ENOMEM, "not enough memory for the origin");
	return NULL;
}

/* URL of the service, without '/' at its end. *ret_aws: it is Amazon's. */
static char *service_url(const struct config *cfg, bool *ret_aws, struct err *err)
{
	const char *from_env = getenv("AWS_ENDPOINT_URL");
	const char *endpoint = *cfg->s3.endpoint ? cfg->s3.endpoint : from_env;
	char *ret;

	*ret_aws = !endpoint || !*endpoint;
	if (*ret_aws)
		return aws_endpoint(cfg, err);
	ret = checked_url(endpoint, err);
	if (!ret)
		err_prefix(err, EINVAL, "s3.endpoint");
	return ret;
}

/* URL of the bucket. By itself a name with dots goes into the path: certificates of *.s3 do not cover
 * it. */
static char *bucket_url(const struct config *cfg, const char *bucket, struct err *err)
{
	const char *region = place_region(cfg);
	bool aws, in_host = cfg->s3.style == S3_STYLE_HOST;

	if (strspn(region, BUCKET_CHARS) != strlen(region)) {
		err_set(err, EINVAL, "s3.region: '%s' is no region; give one such as us-east-1",
			region);
		return NULL;
	}
	AUTO(free) char *service = service_url(cfg, &aws, err);
	char *ret;

	if (!service)
		return NULL;
	if (cfg->s3.style == S3_STYLE_AUTO)
		in_host = aws && !strpbrk(bucket, "._");
	const char *host = strstr(service, "://") + 3;
	int r = in_host ? asprintf(&ret, "%.*s%s.%s", (int)(host - service), service, bucket, host)
			: asprintf(&ret, "%s/%s", service, bucket);

	if (r >= 0)
		return ret;
	err_set(err, ENOMEM, "not enough memory for the origin");
	return NULL;
}

static bool bucket_valid(const char *bucket)
{
	size_t len = strlen(bucket);

	return len && len <= BUCKET_MAX && strspn(bucket, BUCKET_CHARS) == len && *bucket != '.';
}

/* "a//b/" to "a/b/", so that keys and names agree. False: a part is "." or "..". */
static bool clean_prefix(char *prefix)
{
	size_t len = strlen(prefix);

	while (len && prefix[len - 1] == '/')
		prefix[--len] = '\0';
	return store_name_valid(prefix);
}

int place_from_bucket(
	const struct config *cfg, const char *text, struct http_place *ret, struct err *err)
{
	const char *rest = strncmp(text, "s3://", 5) ? text : text + 5;
	size_t len = strcspn(rest, "/");
	AUTO(free) char *bucket = strndup(rest, len);
	AUTO(free) char *folder = strdup(rest[len] ? rest + len + 1 : "");
	struct http_place p = {0};

	if (!bucket || !folder)
		return err_set(err, ENOMEM, "not enough memory for the origin");
	if (!bucket_valid(bucket) || !clean_prefix(folder))
		return err_set(err, EINVAL, "%s: no bucket; give s3://BUCKET[/PREFIX]", text);
	AUTO(free) char *base = bucket_url(cfg, bucket, err);
	AUTO(free) char *encoded = url_encode(folder, true);

	if (!base)
		return -EINVAL;
	p.bucket_len = strlen(base);
	if (!encoded || asprintf(&p.url, "%s%s%s", base, *folder ? "/" : "", encoded) < 0)
		return err_set(err, ENOMEM, "not enough memory for the origin");
	if (asprintf(&p.prefix, "%s%s", folder, *folder ? "/" : "") < 0) {
		free(p.url);
		return err_set(err, ENOMEM, "not enough memory for the origin");
	}
	*ret = p;
	return 0;
}

int place_shorten(struct http_place *p)
{
	const char *host = strstr(p->url, "://") + 3;
	size_t shortest = (size_t)(host - p->url) + strcspn(host, "/"), len = p->bucket_len;
	char *prefix;

	if (!p->guessed || len <= shortest)
		return -ENOENT;
	while (p->url[len - 1] != '/')
		len--;
	AUTO(free) char *part = strndup(p->url + len, p->bucket_len - len);

	if (!part)
		return -ENOMEM;
	url_decode(part, false);
	if (asprintf(&prefix, "%s/%s", part, p->prefix) < 0)
		return -ENOMEM;
	free(p->prefix);
	p->prefix = prefix;
	p->bucket_len = len - 1;
	return 0;
}

/* ---- URLs of requests ---- */

char *place_object_url(const struct http_place *p, const char *name, bool folder)
{
	AUTO(free) char *encoded = url_encode(name, true);
	const char *end = folder && *name ? "/" : "";
	char *ret;

	if (!encoded || asprintf(&ret, "%s/%s%s", p->url, encoded, end) < 0)
		return NULL;
	return ret;
}

char *place_list_prefix(const struct http_place *p, const char *dir)
{
	char *ret;

	return asprintf(&ret, "%s%s%s", p->prefix, dir, *dir ? "/" : "") < 0 ? NULL : ret;
}

char *place_list_url(const struct http_place *p, const char *dir, const char *token, int max)
{
	AUTO(free) char *plain = place_list_prefix(p, dir);
	AUTO(free) char *prefix = plain ? url_encode(plain, false) : NULL;
	AUTO(free) char *from = url_encode(token, false);
	char *ret;
	int r;

	if (!prefix || !from)
		return NULL;
	r = asprintf(&ret,
		"%.*s/?%s%s%sdelimiter=%%2F&encoding-type=url&list-type=2&max-keys=%d&prefix=%s",
		(int)p->bucket_len, p->url, *token ? "continuation-token=" : "", from,
		*token ? "&" : "", max, prefix);
	return r < 0 ? NULL : ret;
}
