#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""synth-remote over the wire: what it answers, what it refuses, how fast it lets bytes go, how it ends."""
import configparser
import contextlib
import email.utils
import http.client
import json
import math
import os
import random
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import xml.etree.ElementTree as ET

PROGRAM = os.path.join(os.environ["FEEDRATE_BIN"], "synth-remote")
PRESETS = os.path.join(os.environ["FEEDRATE_SOURCE"], "profiles", "remotes.ini")
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
DATA = random.Random(1).randbytes(3_000_000)
ODD = ["sp ace", "plus+", "per%cent", "amp&<>", "quo'te\"", "q?m#h", "ünï", "semi;colon", "=", "~tilde", "back\\slash", "*", "100%25"]
UNPRINTABLE = [b"new\nline", b"tab\t", b"\x01", b"bad \xff utf8"]  # no XML can hold these


class Server:
    """A synth-remote over `folder`; as a context it must end cleanly and say nothing."""
    def __init__(self, folder, *args):
        self.child = subprocess.Popen([PROGRAM, folder, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ready, _, _ = select.select([self.child.stdout], [], [], 20)
        line = self.child.stdout.readline() if ready else ""
        assert re.fullmatch(r"http://\S+:\d+/\n", line), line + self.child.stderr.read()
        self.at = urllib.parse.urlsplit(line.strip())

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(10)
        finally:
            self.child.kill()
        text = self.child.stdout.read() + self.child.stderr.read()
        self.child.stdout.close()
        self.child.stderr.close()
        if not kind:
            assert (code, text) == (0, ""), (code, text)

    def connect(self):
        return http.client.HTTPConnection(self.at.hostname, self.at.port, timeout=20)

    def get(self, path, method="GET", connection=None, **headers):
        """Status, headers (names in lower case), body. Keyword if_match stands for If-Match."""
        c = connection or self.connect()
        c.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = c.getresponse()
        body = answer.read()
        if not connection:
            c.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def raw(self, text):
        """All that comes back for these bytes until the server closes or says no more."""
        with socket.create_connection((self.at.hostname, self.at.port), timeout=5) as s:
            s.sendall(text if isinstance(text, bytes) else text.encode())
            got = b""
            with contextlib.suppress(OSError):  # it may have closed or reset the connection at any point
                s.shutdown(socket.SHUT_WR)
                while more := s.recv(65536):
                    got += more
        return got

    def stats(self):
        return json.loads(self.get("/-/stats")[2])

    def count(self, what):
        return len(os.listdir(f"/proc/{self.child.pid}/{what}"))


def make_bucket(parent):
    bucket = os.path.join(parent, "bucket")
    files = {"data.bin": DATA, "empty": b"", "a/b/c.txt": b"c", "a/x": b"xx", "a.b": b"dot", "a-b": b"minus", "a0": b"zero",
             "aa/y": b"y", "deep/1/2/3/4/z": b"z"}
    files.update({f"odd/{name}": name.encode() for name in ODD})
    files.update({f"many/{i % 7}/{i:05}": str(i).encode() for i in range(2500)})
    for name, data in files.items():
        path = os.path.join(bucket, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    os.mkdir(os.path.join(bucket.encode(), b"unprintable"))
    for name in UNPRINTABLE:
        with open(os.path.join(bucket.encode(), b"unprintable", name), "wb") as file:
            file.write(b"u")
    os.makedirs(os.path.join(bucket, "hollow/inside"))
    with open(os.path.join(parent, "secret"), "w", encoding="utf-8") as file:
        file.write("secret")
    for name, target in (("link", "a/x"), ("evil", "../secret"), ("absolute", os.path.join(parent, "secret")), ("up", ".."),
                         ("circle", "circle"), ("dangling", "nothing"), ("folder-link", "a")):
        os.symlink(target, os.path.join(bucket, name))
    os.mkfifo(os.path.join(bucket, "fifo"))
    files["link"] = b"xx"
    return bucket, files


class Shared(unittest.TestCase):
    """One server without limits over one bucket, for all tests of a class."""
    ARGS = ()

    @classmethod
    def setUpClass(cls):
        cls.parent = tempfile.mkdtemp(prefix="feedrate-remote-")
        cls.addClassCleanup(shutil.rmtree, cls.parent, ignore_errors=True)
        cls.bucket, cls.files = make_bucket(cls.parent)
        cls.server = cls.enterClassContext(Server(cls.bucket, *cls.ARGS))


class Objects(Shared):
    def test_whole(self):
        for prefix in ("/", "/bucket/"):
            status, headers, body = self.server.get(prefix + "data.bin")
            self.assertEqual((status, body), (200, DATA))
            self.assertEqual((headers["content-length"], headers["accept-ranges"], headers["content-type"]),
                             (str(len(DATA)), "bytes", "application/octet-stream"))
            self.assertRegex(headers["etag"], r'^"[0-9a-f-]+"$')
            self.assertEqual(email.utils.parsedate_to_datetime(headers["last-modified"]).timestamp(),
                             int(os.stat(os.path.join(self.bucket, "data.bin")).st_mtime))

    def test_every_name(self):
        for name, data in self.files.items():
            if not name.startswith("many/"):
                self.assertEqual(self.server.get("/" + urllib.parse.quote(name))[::2], (200, data), name)
        for name in UNPRINTABLE:
            self.assertEqual(self.server.get("/unprintable/" + urllib.parse.quote(name))[::2], (200, b"u"), name)

    def test_head(self):
        for name in ("data.bin", "empty"):
            status, headers, body = self.server.get("/" + name, "HEAD", Range="bytes=0-4")
            got, get_headers, _ = self.server.get("/" + name)
            headers.pop("date"), get_headers.pop("date")
            self.assertEqual((status, headers, body), (got, get_headers, b""))
        self.assertEqual(self.server.get("/nothing", "HEAD")[0], 404)
        self.assertEqual(self.server.get("/bucket", "HEAD")[0], 200)

    def test_ranges(self):
        size = len(DATA)
        for text, first, end in (("0-0", 0, 1), ("0-99", 0, 100), ("100-199", 100, 200), (f"{size - 1}-{size - 1}", size - 1, size),
                                 ("0-", 0, size), ("1000000-", 1000000, size), ("-1", size - 1, size), ("-5000", size - 5000, size),
                                 (f"-{size + 9}", 0, size), (f"10-{size + 9}", 10, size), (f"0-{2 ** 63}", 0, size)):
            status, headers, body = self.server.get("/data.bin", Range=f"bytes={text}")
            self.assertEqual((status, headers["content-range"], headers["content-length"]),
                             (206, f"bytes {first}-{end - 1}/{size}", str(end - first)), text)
            self.assertEqual(body, DATA[first:end], text)

    def test_ranges_that_cannot_be(self):
        for name, text in (("data.bin", f"{len(DATA)}-"), ("data.bin", "9999999-10000000"), ("data.bin", "-0"), ("empty", "0-"),
                           ("empty", "-1"), ("data.bin", f"{2 ** 64 - 1}-")):
            status, headers, _ = self.server.get("/" + name, Range=f"bytes={text}")
            self.assertEqual((status, headers["content-range"]), (416, f"bytes */{len(self.files[name])}"), text)

    def test_ranges_that_are_none(self):
        """Several, malformed ones and other units get the whole, as RFC 9110 allows."""
        for text in ("bytes=0-9,20-29", "bytes=5-2", "bytes=x", "bytes", "items=0-9", "bytes=0-9-", f"bytes={2 ** 64}-"):
            status, headers, body = self.server.get("/data.bin", Range=text)
            self.assertEqual((status, len(body), "content-range" in headers), (200, len(DATA), False), text)

    def test_curl(self):
        url = self.server.at.geturl() + "data.bin"
        for args, want in ((["-r", "500-999"], DATA[500:1000]), (["-r", "-7"], DATA[-7:]), (["-r", "0-9,20-29"], DATA),
                           (["-H", "Connection: close"], DATA), (["-0"], DATA)):
            done = subprocess.run(["curl", "-sSf", "-m", "20", *args, url], capture_output=True, timeout=30, check=True)
            self.assertEqual(done.stdout, want)

    def test_conditions(self):
        tag = self.server.get("/a/x")[1]["etag"]
        for status, headers in (
                (200, {"if_match": tag}), (200, {"if_match": f'"no", {tag}'}), (200, {"if_match": "*"}), (412, {"if_match": '"no"'}),
                (412, {"if_match": f"W/{tag}"}), (304, {"if_none_match": tag}), (304, {"if_none_match": f"W/{tag}"}),
                (304, {"if_none_match": "*"}), (200, {"if_none_match": '"no"'}), (412, {"if_match": '"no"', "if_none_match": tag}),
                (206, {"if_match": tag, "range": "bytes=0-0"}), (412, {"if_match": '"no"', "range": "bytes=0-0"})):
            for method in ("GET", "HEAD"):
                got, answer, body = self.server.get("/a/x", method, **headers)
                want = 200 if method == "HEAD" and status == 206 else status
                self.assertEqual(got, want, headers)
                if got == 304:
                    self.assertEqual((body, answer["etag"]), (b"", tag))

    def test_if_range(self):
        _, headers, _ = self.server.get("/a/x")
        for value, status in ((headers["etag"], 206), (headers["last-modified"], 206), ('"no"', 200),
                              ("Thu, 01 Jan 1970 00:00:00 GMT", 200), ("W/" + headers["etag"], 200)):
            self.assertEqual(self.server.get("/a/x", range="bytes=1-1", if_range=value)[0], status, value)

    def test_a_changed_object_has_another_tag(self):
        path = os.path.join(self.bucket, "changing")
        tags = set()
        for data in (b"one", b"two", b"one"):
            with open(path + ".new", "wb") as file:
                file.write(data)
            os.rename(path + ".new", path)
            _, headers, body = self.server.get("/changing")
            self.assertEqual(body, data)
            tags.add(headers["etag"])
        self.assertEqual(len(tags), 3)
        for tag in tags:
            self.assertEqual(self.server.get("/changing", if_match=tag)[0], 200 if tag == headers["etag"] else 412)
        os.unlink(path)
        self.assertEqual(self.server.get("/changing")[0], 404)

    def test_versions_1_0_and_pipelines(self):
        self.assertRegex(self.server.raw("GET /a/x HTTP/1.0\r\n\r\n"), rb"(?s)^HTTP/1.[01] 200 .*\r\n\r\nxx$")
        get = "GET /a/x HTTP/1.1\r\nHost: a\r\n\r\n"
        self.assertEqual(self.server.raw(get * 3).count(b"\r\n\r\nxx"), 3)


class Refused(Shared):
    def test_traversal(self):
        for path in ("/../secret", "/a/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/a/..%2f..%2fsecret", "//secret", "/./a/x",
                     "/a//x", "/a/./x", "/evil", "/absolute", "/up/secret", "/circle", "/dangling", "/fifo", "/a", "/a/", "/hollow",
                     "/%2fetc/passwd", "/bucket/../secret", "/bucket/%2e%2e/secret", "/a/x%00", "/%00", "/data.bin/x", "/" + "n" * 300,
                     "/" + "d/" * 2100, "/..", "/.", "/%"):
            answer = self.server.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertRegex(answer, rb"^HTTP/1.1 (403|404) ", path)
            self.assertNotIn(b"secret", answer)

    def test_folder_that_changes_into_a_link(self):
        """Swapped to and fro while asked for: never a byte from outside."""
        outside = os.path.join(self.parent, "outside")
        os.makedirs(outside)
        with open(os.path.join(outside, "x"), "w", encoding="utf-8") as file:
            file.write("secret")
        swap, stop = os.path.join(self.bucket, "swap"), threading.Event()

        def swapping():
            while not stop.is_set():
                os.symlink(outside, swap)
                os.unlink(swap)
                os.symlink("a", swap)
                os.unlink(swap)
        thread = threading.Thread(target=swapping)
        thread.start()
        seen, c = set(), self.server.connect()
        for _ in range(1500):
            seen.add(self.server.get("/swap/x", connection=c)[2])
        stop.set()
        thread.join()
        c.close()
        self.assertFalse([body for body in seen if b"secret" in body])
        self.assertIn(b"xx", seen)

    def test_methods(self):
        c = self.server.connect()
        for method in ("PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"):
            body = b"x" * 100000 if method in ("PUT", "POST") else None
            c.request(method, "/a/x", body=body)
            answer = c.getresponse()
            answer.read()
            self.assertEqual((answer.status, answer.getheader("Allow")), (405, "GET, HEAD"), method)
        self.assertEqual(self.server.get("/a/x", connection=c)[2], b"xx")
        c.close()

    def test_garbage(self):
        rng = random.Random(3)
        for text in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET /a/x\r\n\r\n", b"GET /a/x HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                     b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET /a/x HTTP/1.1\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
                     b"GET /a/x HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n", rng.randbytes(5000)):
            answer = self.server.raw(text)
            self.assertNotRegex(answer, rb"^HTTP/1.. 2..", text[:40])
        self.assertEqual(self.server.get("/a/x")[2], b"xx")

    def test_not_found_says_so_in_xml(self):
        status, headers, body = self.server.get("/nothing")
        self.assertEqual((status, headers["content-type"]), (404, "application/xml"))
        self.assertEqual(ET.fromstring(body).findtext("Code"), "NoSuchKey")


class Listing(Shared):
    """Pages are compared with a model: the keys sorted by their bytes."""
    def setUp(self):
        keys = [os.fsencode(name) for name in self.files] + [b"unprintable/" + name for name in UNPRINTABLE]
        self.keys = sorted(keys)

    def page(self, **args):
        query = urllib.parse.urlencode({"list-type": 2, "encoding-type": "url", **args}, quote_via=urllib.parse.quote)
        status, headers, body = self.server.get("/bucket?" + query)
        self.assertEqual((status, headers["content-type"]), (200, "application/xml"), body)
        return ET.fromstring(body)

    @staticmethod
    def shown(page):
        """Keys and prefixes of a page, in the order of the document."""
        names = [e.findtext(f"{S3}Key") or e.findtext(f"{S3}Prefix") for e in page if e.tag in (f"{S3}Contents", f"{S3}CommonPrefixes")]
        return [urllib.parse.unquote_to_bytes(name) for name in names]

    def model(self, prefix=b"", delimiter=b"", start_after=b""):
        seen = []
        for key in self.keys:
            if not key.startswith(prefix) or key <= start_after:
                continue
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key[:end + 1] if end >= 0 else key
            if not seen or seen[-1] != name:
                seen.append(name)
        return seen

    def all_pages(self, **args):
        names, pages = [], 0
        page = self.page(**args)
        while True:
            shown = self.shown(page)
            self.assertEqual(int(page.findtext(f"{S3}KeyCount")), len(shown))
            self.assertLessEqual(len(shown), int(page.findtext(f"{S3}MaxKeys")))
            names += shown
            pages += 1
            if page.findtext(f"{S3}IsTruncated") == "false":
                self.assertIsNone(page.find(f"{S3}NextContinuationToken"))
                return names, pages
            args["continuation-token"] = page.findtext(f"{S3}NextContinuationToken")
            page = self.page(**args)
            self.assertEqual(page.findtext(f"{S3}ContinuationToken"), args["continuation-token"])

    def test_everything(self):
        self.assertEqual(self.all_pages(), (self.keys, 3))

    def test_what_is_told_of_an_object(self):
        item = self.page(prefix="data.bin").find(f"{S3}Contents")
        _, headers, _ = self.server.get("/data.bin")
        self.assertEqual((item.findtext(f"{S3}Size"), item.findtext(f"{S3}ETag"), item.findtext(f"{S3}StorageClass")),
                         (headers["content-length"], headers["etag"], "STANDARD"))
        self.assertRegex(item.findtext(f"{S3}LastModified"), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        page = self.page(prefix="a/", delimiter="/", **{"start-after": "a/b/"})
        self.assertEqual([page.findtext(S3 + name) for name in ("Name", "Prefix", "Delimiter", "StartAfter", "EncodingType", "MaxKeys")],
                         ["bucket", "a/", "/", "a/b/", "url", "1000"])

    def test_queries(self):
        rng = random.Random(2)
        starts = [b"", b"a", b"a/", b"a/b", b"a0", b"many/3", b"many/3/00", b"odd/", b"odd/p", b"zzz", b"deep/1/", b"nothing/", b"hollow/",
                  b"unprintable/", "odd/ü".encode(), b"../", b"a//", b"/"]
        for _ in range(120):
            prefix, after = rng.choice(starts), rng.choice(starts + rng.sample(self.keys, 3))
            args = {"prefix": prefix, "max-keys": rng.choice([1000, 1000, 400, 17])}
            if rng.random() < .6:
                args["delimiter"] = "/"
            if rng.random() < .4 and "delimiter" not in args:
                args["start-after"] = after
            want = self.model(prefix, args.get("delimiter", "").encode(), args.get("start-after", b""))
            if len(want) / args["max-keys"] < 20:
                names, pages = self.all_pages(**args)
                self.assertEqual(names, want, args)
                self.assertEqual(pages, max(1, math.ceil(len(want) / args["max-keys"])), args)

    def test_plain_xml(self):
        """Without encoding-type=url, names that XML can hold come through."""
        page = ET.fromstring(self.server.get("/bucket?list-type=2&prefix=odd/")[2])
        self.assertEqual([e.findtext(f"{S3}Key") for e in page.iter(f"{S3}Contents")], sorted((f"odd/{name}" for name in ODD), key=os.fsencode))

    def test_no_keys_asked(self):
        page = self.page(**{"max-keys": 0})
        self.assertEqual((self.shown(page), page.findtext(f"{S3}IsTruncated")), ([], "false"))

    def test_forms_of_the_address(self):
        for path in ("/?list-type=2&prefix=a/", "/bucket?list-type=2&prefix=a/", "/bucket/?list-type=2&prefix=a/"):
            self.assertIn(b"<Key>a/x</Key>", self.server.get(path)[2], path)

    def test_bad_queries(self):
        for status, query in ((400, "list-type=2&max-keys=x"), (400, "list-type=2&max-keys=-1"), (400, "list-type=2&continuation-token=zz"),
                              (400, "list-type=2&continuation-token=abc"), (501, "list-type=2&delimiter=-"), (400, "list-type=1"),
                              (400, "list-type=2&encoding-type=base64"), (400, ""), (400, "list-type=2&continuation-token=" + "61" * 5000)):
            self.assertEqual(self.server.get("/bucket?" + query)[0], status, query)

    def test_changes_between_pages(self):
        """A token is a place, not a snapshot: what is removed is gone, nothing else is lost or doubled."""
        page = self.page(prefix="many/", **{"max-keys": 900})
        first = self.shown(page)
        gone = os.path.join(self.bucket, first[-1].decode())
        os.rename(gone, os.path.join(self.parent, "kept"))
        args = {"prefix": "many/", "continuation-token": page.findtext(f"{S3}NextContinuationToken")}
        rest, _ = self.all_pages(**args)
        os.rename(os.path.join(self.parent, "kept"), gone)
        self.assertEqual(first + rest, self.model(b"many/"))


class Load(Shared):
    def test_thousands_on_one_connection(self):
        c = self.server.connect()
        self.server.get("/a/x", connection=c)
        port, before = c.sock.getsockname(), self.server.count("fd")
        for i in range(3000):
            first = i * 900
            status, _, body = self.server.get("/data.bin", connection=c, range=f"bytes={first}-{first + 99}")
            self.assertEqual((status, body), (206, DATA[first:first + 100]))
        self.assertEqual(c.sock.getsockname(), port)
        self.assertEqual(self.server.count("fd"), before)
        c.close()

    def wait_for(self, server, what, most):
        end = time.monotonic() + 10
        while server.count(what) > most and time.monotonic() < end:
            time.sleep(.02)
        self.assertLessEqual(server.count(what), most, what)

    def leave_in_the_middle(self, server, clients):
        fds, threads = server.count("fd"), server.count("task")
        for _ in range(3):
            connections = [server.connect() for _ in range(clients)]
            for c in connections:
                c.request("GET", "/data.bin", headers={"Range": "bytes=0-2000000"})
            for c in connections[::2]:
                c.getresponse().read(1000)
            for c in connections:
                c.close()
        for path in ("/nothing", "/evil", "/a", "/fifo", "/?list-type=2&prefix=many/", "/data.bin"):
            server.get(path)
            server.get(path, "HEAD")
        self.wait_for(server, "fd", fds)
        self.wait_for(server, "task", threads)

    def test_nothing_leaks(self):
        self.leave_in_the_middle(self.server, 150)
        with Server(self.bucket, "--remote.bandwidth=100MB/s") as slower:  # other code sends the bodies
            self.leave_in_the_middle(slower, 20)

    def test_a_slow_client_holds_up_nobody(self):
        slow = []
        for _ in range(8):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect((self.server.at.hostname, self.server.at.port))
            s.sendall(b"GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.append(s)
        half = socket.create_connection((self.server.at.hostname, self.server.at.port))
        half.sendall(b"GET /data.b")
        slowest = 0
        for _ in range(50):
            start = time.monotonic()
            self.assertEqual(self.server.get("/a/x")[2], b"xx")
            slowest = max(slowest, time.monotonic() - start)
        self.assertLess(slowest, 1)
        half.sendall(b"in HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = 0
        while more := half.recv(1 << 20):
            got += len(more)
        self.assertGreater(got, len(DATA))
        for s in slow + [half]:
            s.close()

    def test_stats(self):
        with Server(self.bucket) as server:
            c = server.connect()
            for _ in range(3):
                server.get("/data.bin", connection=c, range="bytes=0-999")
            server.get("/data.bin", "HEAD", connection=c)
            server.get("/nothing")
            listed = len(server.get("/?list-type=2&prefix=a/")[2])
            want = {"requests": 6, "bytes": 3000 + listed, "connections": 3, "lists": 1}
            for _ in range(2):  # asking changes nothing
                self.assertEqual(server.stats(), want)
            c.close()


def fetch(server, connections, requests, size):
    """Seconds that each of so many clients takes for so many ranges, one after another."""
    took, start = [0] * connections, time.monotonic()

    def client(i):
        c = server.connect()
        for _ in range(requests):
            assert len(server.get("/data.bin", connection=c, range=f"bytes=0-{size - 1}")[2]) == size
        c.close()
        took[i] = time.monotonic() - start
    threads = [threading.Thread(target=client, args=(i,)) for i in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


class Shaping(Shared):
    """What must never be too fast is so in every try; a busy machine may make it too slow, so that has
    three tries."""
    def assert_slows(self, least, most, measure):
        """measure() gives a time, or whatever else is larger on a busy machine."""
        tries = []
        while len(tries) < 3:
            tries.append(measure())
            self.assertGreater(tries[-1], least)
            if tries[-1] < most:
                return
        if os.getloadavg()[0] > 2 * os.cpu_count():
            self.skipTest(f"{tries}: a machine as busy as this proves nothing")
        self.fail(f"{tries}: always more than {most}")

    def test_bandwidth(self):
        """One bucket for all connections: short bodies and long ones, together the rate asked for."""
        for how in ((1, 8, 2_000_000), (8, 1, 2_000_000), (8, 33, 60_000)):
            def measure():
                with Server(self.bucket, "--remote.bandwidth=20MB/s") as server:
                    took = fetch(server, *how)
                self.assertGreater(min(took), max(took) / 2, "all get their share")
                return max(took)
            wanted = math.prod(how) / 20e6
            self.assert_slows(wanted * .98, wanted * 1.03, measure)

    def test_burst(self):
        """An idle link has 10 ms of credit, not more."""
        with Server(self.bucket, "--remote.bandwidth=10MB/s") as server:
            for size in (40_000, 2_000_000):
                time.sleep(.3)
                start = time.monotonic()
                self.assertEqual(len(server.get("/data.bin", range=f"bytes=0-{size - 1}")[2]), size)
                self.assertGreater(time.monotonic() - start, size / 10e6 - .050)

    def latencies(self, server, n, connections):
        took = []

        def client():
            c = server.connect()
            for _ in range(n // connections):
                start = time.monotonic()
                server.get("/a/x", connection=c)
                took.append(time.monotonic() - start)
            c.close()
        threads = [threading.Thread(target=client) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return took

    def test_latency(self):
        with Server(self.bucket, "--remote.latency=20ms") as server:
            self.assertGreaterEqual(min(self.latencies(server, 40, 4)), .020)
            self.assert_slows(.020, .022, lambda: statistics.median(self.latencies(server, 40, 4)))

    def test_latency_varies(self):
        with Server(self.bucket, "--remote.latency=30ms", "--remote.jitter=0.4") as server:
            self.assert_slows(.027, .033, lambda: statistics.median(self.latencies(server, 400, 20)))
            low, _, high = statistics.quantiles(map(math.log, self.latencies(server, 400, 20)))
        self.assertTrue(.33 < (high - low) / 1.349 < .47, "sigma by quartiles, which a few late threads do not move")

    def test_iops(self):
        with Server(self.bucket, "--remote.iops=250") as server:
            def measure():
                start = time.monotonic()
                self.latencies(server, 240, 8)
                return time.monotonic() - start
            self.assert_slows(240 / 250 - .050, 240 / 250 * 1.05, measure)

    def test_connections(self):
        with Server(self.bucket, "--remote.connections=2") as server:
            kept = [server.connect() for _ in range(2)]
            for c in kept:
                self.assertEqual(server.get("/a/x", connection=c)[0], 200)
            status, headers, body = server.get("/a/x")
            self.assertEqual((status, headers["connection"].lower()), (503, "close"))
            self.assertEqual(ET.fromstring(body).findtext("Code"), "SlowDown")
            self.assertEqual(server.get("/a/x", connection=kept[0])[0], 200)
            kept[1].close()
            end = time.monotonic() + 5
            while (status := server.get("/a/x")[0]) != 200 and time.monotonic() < end:
                time.sleep(.01)
            self.assertEqual(status, 200)
            kept[0].close()

    def test_page_size(self):
        with Server(self.bucket, "--remote.page_size=10") as server:
            for asked, keys in (("", 10), ("&max-keys=500", 10), ("&max-keys=3", 3)):
                page = ET.fromstring(server.get("/?list-type=2&prefix=many/" + asked)[2])
                self.assertEqual(len(page.findall(f"{S3}Contents")), keys)

    def test_presets(self):
        ini = configparser.ConfigParser(comment_prefixes="#", interpolation=None)
        ini.read(PRESETS)
        names = [name for name in ini.sections() if name.startswith("remote.")]
        self.assertEqual({"remote.lan-nas", "remote.oss", "remote.wan", "remote.cloud-ssd"} - set(names), set())
        for name in names:
            self.assertGreater(len(ini[name]["source"]), 40, f"{name}: where are its figures from?")
            latency = float(re.fullmatch(r"([\d.]+)ms", ini[name]["latency"])[1]) / 1000
            jitter = float(ini[name].get("jitter", 0))
            with Server(self.bucket, "--preset", name.split(".")[1]) as server:
                spread = math.exp(4 * jitter / math.sqrt(32))
                self.assert_slows(latency / spread, latency * spread + .003, lambda: statistics.median(self.latencies(server, 32, 16)))

    def test_an_option_wins_over_its_preset(self):
        with Server(self.bucket, "--preset", "oss", "--remote.latency=1ms", "--remote.jitter=0") as server:
            self.assertLess(statistics.median(self.latencies(server, 20, 2)), .020)

    def test_file_that_shrinks_under_a_slow_body(self):
        path = os.path.join(self.bucket, "shrinking")
        with open(path, "wb") as file:
            file.write(DATA)
        with Server(self.bucket, "--remote.bandwidth=5MB/s") as server:
            c = server.connect()
            c.request("GET", "/shrinking")
            answer = c.getresponse()
            answer.read(100_000)
            os.truncate(path, 50_000)
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
            c.close()
            self.assertEqual(server.get("/a/x")[2], b"xx")
        os.unlink(path)


class Ends(Shared):
    def told(self, code, pattern, *args):
        done = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertRegex(done.stderr, rf"\Asynth-remote: [^\n]*{pattern}[^\n]*\n\Z")

    def test_bad_input(self):
        for pattern, *args in (
                ("give one folder to serve",), ("give one folder to serve", self.bucket, self.bucket),
                ("No such file or directory; give a folder", self.bucket + "/none"), ("Not a directory; give", self.bucket + "/a/x"),
                ("not an address; write ADDRESS:PORT", self.bucket, "--listen", "8080"),
                ("not an address", self.bucket, "--listen", "127.0.0.1:70000"), ("not an address", self.bucket, "--listen", ":80"),
                ("give an address of this host", self.bucket, "--listen", "no.such.host.invalid:80"),
                ("did you mean oss", self.bucket, "--preset", "oos"), ("is not a rate", self.bucket, "--remote.bandwidth=5x"),
                ("out of range; give 0 to 2", self.bucket, "--remote.jitter=3"), ("out of range", self.bucket, "--remote.latency=2m"),
                ("did you mean --remote.iops", self.bucket, "--remote.iop=3"), ("a knob of", self.bucket, "--data.seed=3")):
            with self.subTest(args):
                self.told(2, pattern, *args)

    def test_port_in_use(self):
        at = f"127.0.0.1:{self.server.at.port}"
        self.told(1, "another program listens there; take another port", self.bucket, "--listen", at)

    def test_address_of_another_host(self):
        self.told(1, "cannot listen there", self.bucket, "--listen", "192.0.2.1:0")

    def test_listens_where_told(self):
        with Server(self.bucket, "--listen", "localhost:0") as server:
            self.assertEqual(server.get("/a/x")[2], b"xx")
        if os.path.exists("/proc/net/if_inet6"):
            with Server(self.bucket, "--listen", "[::1]:0") as server:
                self.assertEqual(server.get("/a/x")[2], b"xx")

    def test_ends_at_once(self):
        """Whatever it is doing: idle clients, one that does not read, one that waits a minute for its first
        byte, one whose body would take minutes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            busy = Server(self.bucket, "--remote.bandwidth=10kB/s", "--remote.latency=1m")
            idle = Server(self.bucket)
            clients = []
            for server, request in ((busy, b"GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n"), (busy, b""), (busy, b"GET /"),
                                    (idle, b"GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n"), (idle, b"GET /a/x HTTP/1.1\r\nHost: a\r\n\r\n")):
                clients.append(socket.create_connection((server.at.hostname, server.at.port)))
                clients[-1].sendall(request)
            time.sleep(.2)
            start = time.monotonic()
            for server in (busy, idle):
                server.child.send_signal(number)
                self.assertEqual(server.child.wait(10), 0)
                self.assertEqual(server.child.stdout.read() + server.child.stderr.read(), "")
                server.child.stdout.close()
                server.child.stderr.close()
            self.assertLess(time.monotonic() - start, 2)
            for c in clients:
                c.close()

    def test_bucket_named_like_an_entry(self):
        """Then /bucket/KEY is a key like any other, and it says so."""
        parent = os.path.join(self.parent, "twice")
        os.makedirs(os.path.join(parent, "twice"))
        with open(os.path.join(parent, "twice", "x"), "w", encoding="utf-8") as file:
            file.write("inner")
        server = Server(parent)
        self.assertEqual(server.get("/twice/x")[2], b"inner")
        server.child.terminate()
        self.assertEqual(server.child.wait(10), 0)
        self.assertRegex(server.child.stderr.read(), r"has an entry named twice")
        server.child.stdout.close()
        server.child.stderr.close()

    def test_help(self):
        done = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, timeout=20, check=True)
        for word in ("127.0.0.1:0", "lan-nas", "--remote.bandwidth=500MB/s", "bandwidth latency jitter iops connections"):
            self.assertIn(word, done.stdout)


if __name__ == "__main__":
    unittest.main()
