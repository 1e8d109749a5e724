#!/usr/bin/env bash
# Packages: httpx 0.28.1, requests 2.34.2 with urllib3 2.6.3, aiohttp 3.14.5 (PyPI); Node's own fetch beside them.
#
# Behaviour: httpx reads a gzip-encoded body only to the end of its first member. What follows is dropped, with
# status 200 and no error. requests, aiohttp and fetch return the whole body.
#
# Expected: RFC 1952, section 2.2: a gzip file is a series of members, which appear one after another. RFC 9110,
# section 8.4.1.3, takes that format over. As httpx follows requests in nearly everything, one would guess that it
# returns the same bytes.
#
# Seen: a body of two members with one user each: one user by httpx, two by the other three. Content-Length is that
# of the whole body, so nothing looks cut off.
#
# What it means: exports and logs that are gzipped a part at a time (cat a.gz b.gz, log rotation, bgzip, a job that
# appends) and then served with Content-Encoding: gzip arrive short, cut at the end of a whole line. To a sync, all
# those who stand in the later members look like leavers. Ask with `Accept-Encoding: identity`, or compare a count
# or a checksum that the export carries.
#
# Needs: bash, python3 (3.10 or newer) with venv, Node.js 18 or newer.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    httpx==0.28.1 requests==2.34.2 urllib3==2.6.3 aiohttp==3.14.5
cat >"$work/see.py" <<'PY'
import asyncio
import gzip
import http.server
import subprocess
import sys
import threading

import aiohttp
import httpx
import requests

lines = [b'{"_id":"a1","username":"ann@corp.example"}\n', b'{"_id":"a2","username":"bea@corp.example"}\n']
body = b"".join(gzip.compress(line) for line in lines)
assert gzip.decompress(body) == b"".join(lines)


class Export(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.read()


def by_fetch(url):
    code = "fetch(process.argv[1]).then((a) => a.text()).then((t) => process.stdout.write(t))"
    return subprocess.run(["node", "-e", code, url], check=True, capture_output=True).stdout


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Export)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/users.ndjson"
direct = requests.Session()
direct.trust_env = False  # no proxy between us and loopback
cases = [
    ("requests", lambda: direct.get(url).content, 2),
    ("aiohttp", lambda: asyncio.run(by_aiohttp(url)), 2),
    ("fetch", lambda: by_fetch(url), 2),
    ("httpx", lambda: httpx.get(url, trust_env=False).content, 1),
]
changed = False
for name, read, stated in cases:
    seen = read()
    count = seen.count(b"\n")
    as_stated = seen == b"".join(lines[:stated])
    changed |= not as_stated
    print(f"{name:9} {count} of {len(lines)} users", "" if as_stated else f"  CHANGED, was {stated}")
sys.exit(changed)
PY
"$work/venv/bin/python" "$work/see.py"
