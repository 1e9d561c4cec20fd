#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The S3 server of origin_s3.sh: moto, with every request's signature checked.

  s3_server.py PORT FOLDER BUCKET    serves the folder's files as keys of the bucket

Commands are lines on standard input; each is answered by lines as they stand in a credentials file and
an empty one:

  keys      keys of a user; those that were given before are no longer known
  session   keys that need a session token
  revoke    no keys

moto computes signatures by botocore, from the request. Of that it keeps the decoded query, which is not
what was signed, so the text of the request line is put in its place; and a request without signature or
without the hash of its body makes it fail, where S3 denies access."""
import json
import os
import sys
import threading

import flask
import moto.iam.access_control
import moto.settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import s3_backends
from moto.sts.models import sts_backends
from werkzeug.serving import WSGIRequestHandler, make_server

EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
ACCOUNT = DEFAULT_ACCOUNT_ID
REGION = "us-east-1"


class Request(moto.iam.access_control.S3IAMRequest):
    def __init__(self, **request):
        headers = request["headers"]
        if "Authorization" not in headers or "X-Amz-Content-Sha256" not in headers:
            raise S3AccessDeniedError()
        request["path"] = flask.request.environ["REQUEST_URI"]
        super().__init__(**request)


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept


def fill(folder, bucket):
    s3 = s3_backends[ACCOUNT]["aws"]
    s3.create_bucket(bucket, REGION)
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            with open(path, "rb") as f:
                s3.put_object(bucket, os.path.relpath(path, folder), f.read())


class Keys:
    def __init__(self):
        self.iam = iam_backends[ACCOUNT]["aws"]
        self.iam.create_user(REGION, "reader")
        self.iam.put_user_policy("reader", "p", EVERYTHING)
        self.iam.create_role("guest", EVERYTHING, "/", None, "", [], None)
        self.iam.put_role_policy("guest", "p", EVERYTHING)

    def revoke(self):
        for old in list(self.iam.list_access_keys("reader")):
            self.iam.delete_access_key(old.access_key_id, "reader")
        sts_backends[ACCOUNT]["aws"].assumed_roles.clear()

    def keys(self):
        self.revoke()
        new = self.iam.create_access_key("reader")
        print("aws_access_key_id =", new.access_key_id)
        print("aws_secret_access_key =", new.secret_access_key)

    def session(self):
        sts = sts_backends[ACCOUNT]["aws"]
        new = sts.assume_role(REGION, "test", f"arn:aws:iam::{ACCOUNT}:role/guest", None, 3600, None)
        print("aws_access_key_id =", new.access_key_id)
        print("aws_secret_access_key =", new.secret_access_key)
        print("aws_session_token =", new.session_token)


def main():
    port, folder, bucket = sys.argv[1:]
    moto.iam.access_control.S3IAMRequest = Request
    moto.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    fill(folder, bucket)
    keys = Keys()
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", int(port), app, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        getattr(keys, line.strip())()
        print(flush=True)


main()
