#!/usr/bin/env bash
# Packages: elasticsearch 9.5.1 with elastic-transport 9.4.2 (PyPI), and its helpers.bulk().
#
# Behaviour: helpers.bulk(..., max_retries=2) makes one request, or three, or twelve, for the same "try again later".
# 1. 200 with a 429 for one document, all else by default: one request. The helper raises BulkIndexError before it
#    looks at max_retries; only raise_on_error=False makes it retry (three requests).
# 2. 429 for the whole request, with `Retry-After: 1`: twelve requests. The transport below repeats each of the
#    helper's three tries three more times, at once, and neither of the two reads Retry-After.
#
# Expected: its documentation: max_retries is the maximum number of times that a document is retried after a 429,
# with a back-off in between. So three requests in either case. RFC 6585, section 4, and RFC 9110, section 10.2.3:
# Retry-After tells how long to wait before the next one.
#
# Seen: 1 request, and 12; in each group of four the last follows the first within the second asked for.
#
# What it means: a shipper that relies on max_retries gives up at the first full queue and loses the event unless
# its own code keeps it, while a receiver that refuses whole requests gets four times the load when it asks for less.
# Pass raise_on_error=False and read the errors, give the client max_retries=0, and wait for Retry-After yourself;
# send `create` with an id and count 409 as delivered, for some of the twelve may have arrived.
#
# Needs: bash, python3 (3.10 or newer) with venv.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    elasticsearch==9.5.1 elastic-transport==9.4.2
cat >"$work/see.py" <<'PY'
import http.server
import json
import sys
import threading
import time

from elasticsearch import ApiError, Elasticsearch, helpers

arrivals = []
answer = (429, {})


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        arrivals.append(time.monotonic())
        status, document = answer
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Elastic-Product", "Elasticsearch")
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
events = [{"_op_type": "create", "_index": "audit", "_id": "e1", "event.action": "user_create"}]


def ship(client, options):
    arrivals.clear()
    try:
        # the helper waits 0.1 s and 0.2 s instead of 2 s and 4 s, so that this ends soon
        helpers.bulk(client, events, max_retries=2, initial_backoff=0.1, **options)
    except (ApiError, helpers.BulkIndexError):
        pass
    return list(arrivals)


one_full = (200, {"errors": True, "items": [{"create": {"_id": "e1", "status": 429, "error": {"type": "busy"}}}]})
whole_full = (429, {"status": 429, "error": {"type": "busy"}})
cases = [
    ("429 for one document", one_full, Elasticsearch(url), {}, 1),
    ("the same, raise_on_error=False", one_full, Elasticsearch(url), {"raise_on_error": False}, 3),
    ("429 for the whole request", whole_full, Elasticsearch(url), {}, 12),
    ("the same, client with max_retries=0", whole_full, Elasticsearch(url, max_retries=0), {}, 3),
]
changed = False
for what, answer, client, options, stated in cases:
    times = ship(client, options)
    as_stated = len(times) == stated
    if stated == 12 and as_stated:
        # well under the second that the server asked for
        as_stated = all(times[first + 3] - times[first] < 0.9 for first in (0, 4, 8))
    changed |= not as_stated
    spread = f"in {times[-1] - times[0]:.2f} s" if times else ""
    print(f"{what:37} {len(times):2} requests {spread}", "" if as_stated else f"  CHANGED, was {stated}")
sys.exit(changed)
PY
"$work/venv/bin/python" "$work/see.py"
