#!/usr/bin/env bash
# Packages: glossy 0.1.7, nsyslog-parser 0.10.1 (npm), syslog-rfc5424-parser 0.3.2 with lark-parser 0.6.7 (PyPI),
# three parsers for RFC 5424.
#
# Behaviour: each of them reads ordinary structured data, and each loses some of what the RFC allows beside it:
# 1. A parameter that is given twice, group="Sales" group="Doors": all three keep only the last.
# 2. An element without parameters, [dry-run@32473]: glossy drops it and nsyslog-parser makes it part of the message;
#    if another follows, both read one element called `dry-run@32473][user@32473`.
# 3. A quote inside a value, written \": nsyslog-parser then finds no structured data at all, and
#    syslog-rfc5424-parser keeps the backslash, as it does for \] and \\.
#
# Expected: RFC 5424, section 6.3.3: "An SD-PARAM MAY be repeated multiple times inside an SD-ELEMENT", and `"`, `\`
# and `]` in a value are escaped. ABNF: `SD-ELEMENT = "[" SD-ID *(SP SD-PARAM) "]"`, so it may have no parameters.
#
# Seen: see the output. The message and the header are always there; no error or warning from any of them.
#
# What it means: an audit of who got into which group shows one group of two, a dry run looks like a real removal,
# and nobody called `Ann "Annie" Example` is found by name. Send each value of a list under a name of its own
# (group.0, group.1), give every element at least one parameter, and do not count on the receiver to undo escapes.
#
# Needs: bash, Node.js 18 or newer with npm, python3 (3.10 or newer) with venv.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts glossy@0.1.7 nsyslog-parser@0.10.1 >/dev/null
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    syslog-rfc5424-parser==0.3.2 lark-parser==0.6.7

cat >"$work/see.cjs" <<'JS'
const glossy = require("glossy").Parse;
const nsyslog = require("nsyslog-parser");

const elements = (list) => Object.fromEntries(list.map(({ $id, ...parameters }) => [$id, parameters]));
const seen = JSON.parse(process.argv[2]).map((line) => {
  const one = glossy.parse(line);
  const two = nsyslog(line);
  return { glossy: one.structuredData ?? {}, "nsyslog-parser": elements(two.structuredData) };
});
console.log(JSON.stringify(seen));
JS
cat >"$work/see.py" <<'PY'
import json
import subprocess
import sys

from syslog_rfc5424_parser import SyslogMessage

user = "user@32473"
dry = "dry-run@32473"
libraries = ["glossy", "nsyslog-parser", "syslog-rfc5424-parser"]
# what is sent, what the RFC says, what is stated above for each library
cases = [
    (
        f'[{user} name="ann" group="Doors"]',
        {user: {"name": "ann", "group": "Doors"}},
        [{user: {"name": "ann", "group": "Doors"}}] * 3,
    ),
    (
        f'[{user} name="ann" group="Sales" group="Doors"]',
        {user: {"name": "ann", "group": ["Sales", "Doors"]}},
        [{user: {"name": "ann", "group": "Doors"}}] * 3,
    ),
    (f"[{dry}]", {dry: {}}, [{}, {}, {dry: {}}]),
    (
        f'[{dry}][{user} name="ann"]',
        {dry: {}, user: {"name": "ann"}},
        [{f"{dry}][{user}": {"name": "ann"}}] * 2 + [{dry: {}, user: {"name": "ann"}}],
    ),
    (
        f'[{user} id="7" name="Ann \\"Annie\\" Example"]',
        {user: {"id": "7", "name": 'Ann "Annie" Example'}},
        [
            {user: {"id": "7", "name": 'Ann "Annie" Example'}},
            {},
            {user: {"id": "7", "name": 'Ann \\"Annie\\" Example'}},
        ],
    ),
]
lines = [f"<134>1 2026-03-01T10:00:00Z host.corp.example sync 12 removed {sent} removed" for sent, _, _ in cases]
seen = json.loads(subprocess.run(["node", sys.argv[1], json.dumps(lines)], check=True, capture_output=True, text=True).stdout)
for line, found in zip(lines, seen):
    found["syslog-rfc5424-parser"] = SyslogMessage.parse(line).sd

changed = False
for (sent, rfc, stated), found in zip(cases, seen):
    print(f"{sent}\n    {'RFC 5424':22}{json.dumps(rfc)}")
    for library, was in zip(libraries, stated):
        same = found[library] == was
        changed |= not same
        print(f"    {library:22}{json.dumps(found[library])}", "" if same else f"  CHANGED, was {json.dumps(was)}")
sys.exit(changed)
PY
"$work/venv/bin/python" "$work/see.py" "$work/see.cjs"
