#!/usr/bin/env bash
# Packages: ndjson 0.3.1, jsonlines 4.0.0, httpx 0.28.1, requests 2.34.2 (PyPI); split2 4.2.0 (npm).
#
# Behaviour: U+2028 or U+0085 inside a JSON string counts as the end of a line for three of these readers.
# ndjson.loads then joins the pieces with a comma, so the name "Ann<U+2028>Example" silently becomes "Ann,Example".
# httpx's iter_lines() and requests' iter_lines(decode_unicode=True) hand out two broken halves.
#
# Expected: RFC 8259, section 7: only the quotation mark, the backslash and U+0000 to U+001F must be escaped, so
# U+2028 may stand as it is, and JSON.stringify and jq write it so. The JSON Lines and NDJSON formats separate records
# by \n. A reader made for them should split there and nowhere else.
#
# Seen: see the table that this prints. Nobody types U+2028, but a name pasted from a document can hold it.
#
# What it means: one person's name changes on its way (a rename at every target), or one record of an export or of an
# audit log is torn in two and both halves are refused. Whoever writes such lines should escape U+0085, U+2028 and
# U+2029; whoever reads them should split bytes at 0x0A before decoding.
#
# Needs: bash, python3 (3.10 or newer) with venv, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    ndjson==0.3.1 jsonlines==4.0.0 httpx==0.28.1 requests==2.34.2
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts split2@4.2.0 >/dev/null

cat >"$work/split.mjs" <<'JS'
import { Readable } from "node:stream";
import split2 from "split2";

const records = [];
for await (const line of Readable.from([process.argv[2]]).pipe(split2())) records.push(JSON.parse(line).lastname);
console.log(JSON.stringify(records));
JS
cat >"$work/see.py" <<'PY'
import http.server
import io
import json
import subprocess
import sys
import threading

import httpx
import jsonlines
import ndjson
import requests


class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/users.ndjson"
direct = requests.Session()
direct.trust_env = False  # no proxy between us and loopback


def names(lines):
    return [json.loads(line)["lastname"] for line in lines if line]


def by_httpx():
    with httpx.stream("GET", url, trust_env=False) as answer:
        return names(list(answer.iter_lines()))


def by_split2():
    done = subprocess.run(["node", sys.argv[1], text], check=True, capture_output=True, text=True, encoding="utf-8")
    return json.loads(done.stdout)


readers = {
    "split2": (by_split2, "right"),
    "jsonlines": (lambda: [user["lastname"] for user in jsonlines.Reader(io.StringIO(text))], "right"),
    "requests, bytes": (lambda: names(direct.get(url).iter_lines()), "right"),
    "requests, text": (lambda: names(direct.get(url).iter_lines(decode_unicode=True)), "torn"),
    "httpx": (by_httpx, "torn"),
    "ndjson": (lambda: [user["lastname"] for user in ndjson.loads(text)], "changed to Ann,Example"),
}
changed = False
for separator in ("\u2028", "\x85"):
    wanted = [f"Ann{separator}Example", "Sample"]
    text = "".join(json.dumps({"lastname": name}, ensure_ascii=False) + "\n" for name in wanted)
    for name, (read, stated) in readers.items():
        try:
            got = read()
            seen = "right" if got == wanted else f"changed to {got[0]}"
        except json.JSONDecodeError:
            seen = "torn"
        changed |= seen != stated
        print(f"U+{ord(separator):04X} {name:16} {seen}", "" if seen == stated else f"  CHANGED, was {stated}")
sys.exit(changed)
PY
"$work/venv/bin/python" "$work/see.py" "$work/split.mjs"
