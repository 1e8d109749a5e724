#!/usr/bin/env bash
# Packages: scim2-parse-filter 0.2.10, scimmy 1.3.5, scim-query-filter-parser 2.0.4 (npm); scim2-filter-parser 0.7.0
# with sly 0.5, scim2-models 0.12.3 (PyPI). All of them read SCIM filters for a server.
#
# Behaviour: the value in a filter is a JSON string, but three of the five only cut it out between its quotes.
# `userName eq "b\u00e9la@corp.example"`, as Python's json.dumps writes it, and `"CORP\\ann"`, the one way to write a
# backslash, find nobody. The other two find them.
#
# Expected: RFC 7644, section 3.4.2.2, ABNF: `compValue = false / null / true / number / string`, "rules from JSON
# (RFC 7159)". In JSON "\u00e9" and "é" are the same string, and a backslash is always written as two.
#
# Seen: see the table that this prints. No error anywhere: the answer is an empty list.
#
# What it means: a client that quotes a username with a JSON serializer that escapes non-ASCII letters (the default
# in Python and PHP) is told that béla does not exist, on some servers, and creates him again. Send
# non-ASCII letters as they are, in UTF-8, percent-encoded in the URL. For a backslash there is no form that works
# everywhere; compare the usernames of the whole list instead.
#
# Needs: bash, Node.js 18 or newer with npm, python3 (3.10 or newer) with venv.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts scim2-parse-filter@0.2.10 scimmy@1.3.5 scim-query-filter-parser@2.0.4 >/dev/null
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    scim2-filter-parser==0.7.0 sly==0.5 scim2-models==0.12.3

cat >"$work/see.mjs" <<'JS'
import parseFilter from "scim2-parse-filter";
import queryFilter from "scim-query-filter-parser";
import SCIMMY from "scimmy";

const { users, filters } = JSON.parse(process.argv[2]);
const libraries = {
  "scim2-parse-filter": (text) => users.filter(parseFilter.filter(parseFilter.parse(text))),
  scimmy: (text) => new SCIMMY.Types.Filter(text).match(users),
  "scim-query-filter-parser": (text) => users.filter(queryFilter.compileFilter(text)),
};
const seen = {};
for (const [name, find] of Object.entries(libraries)) seen[name] = filters.map((text) => find(text).length);
console.log(JSON.stringify(seen));
JS
cat >"$work/see.py" <<'PY'
import json
import sqlite3
import subprocess
import sys

from scim2_filter_parser.queries import SQLQuery
from scim2_models import ScimFilter, User

names = ["béla@corp.example", "CORP\\ann"]
filters = [
    f'userName eq "{names[0]}"',
    f"userName eq {json.dumps(names[0])}",
    f"userName eq {json.dumps(names[1])}",
]
stated = {
    "scim2-models": [1, 1, 1],
    "scim-query-filter-parser": [1, 1, 1],
    "scim2-parse-filter": [1, 0, 0],
    "scimmy": [1, 0, 0],
    "scim2-filter-parser": [1, 0, 0],
}

db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE people (username TEXT)")
db.executemany("INSERT INTO people VALUES (?)", [(name,) for name in names])


def by_sql(text):
    query = SQLQuery(text, "people", {("userName", None, None): "people.username"})
    return len(db.execute(query.sql.replace("%s", "?"), list(query.params_dict.values())).fetchall())


def by_models(text):
    return sum(ScimFilter[User](text).match(User(user_name=name)) for name in names)


task = json.dumps({"users": [{"userName": name} for name in names], "filters": filters})
seen = json.loads(subprocess.run(["node", sys.argv[1], task], check=True, capture_output=True, text=True).stdout)
seen["scim2-filter-parser"] = [by_sql(text) for text in filters]
seen["scim2-models"] = [by_models(text) for text in filters]

print(f"{'users found by':26}", *(f"{text[12:]:24}" for text in filters))
for name, counts in stated.items():
    change = "" if seen[name] == counts else f"CHANGED, was {counts}"
    print(f"{name:26}", *(f"{count:<24}" for count in seen[name]), change)
sys.exit(seen != stated)
PY
PYTHONIOENCODING=utf-8 "$work/venv/bin/python" "$work/see.py" "$work/see.mjs"
