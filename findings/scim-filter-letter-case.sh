#!/usr/bin/env bash
# Packages: scim2-parse-filter 0.2.10, scimmy 1.3.5, scim-query-filter-parser 2.0.4 (npm); scim2-filter-parser 0.7.0
# with sly 0.5, scim2-models 0.12.3 (PyPI). All of them read SCIM filters for a server.
#
# Behaviour: for the user Ann@corp.example, `userName eq "ann@corp.example"` finds her in three of the five, and
# nobody in the other two. In scim-query-filter-parser `eq` finds her but `sw` and `co` do not.
#
# Expected: RFC 7643, section 4.1.1: userName is case insensitive; RFC 7644, section 3.4.2.2: for such attributes a
# filter compares without regard to case. All five do so with the attribute's own name, as they should.
#
# Seen: see the table that this prints. No error anywhere: the answer is an empty list.
#
# What it means: the way to ask whether a user exists before creating one depends on the letters of somebody's first
# import. The directory says ann@, the service holds Ann@, the answer is "nobody", and she is created a second time,
# with a second key; a service that does compare properly on a create answers 409, and the search still finds nobody
# to adopt. Read the whole list and compare the usernames yourself, without regard to case.
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

name = "Ann@corp.example"
filters = [
    'userName eq "Ann@corp.example"',
    'USERNAME eq "Ann@corp.example"',
    'userName eq "ann@corp.example"',
    'userName sw "ann@"',
    'userName co "@CORP."',
]
stated = {
    "scim2-models": [1, 1, 1, 1, 1],
    "scim2-filter-parser": [1, 1, 1, 1, 1],
    "scim-query-filter-parser": [1, 1, 1, 0, 0],
    "scim2-parse-filter": [1, 1, 0, 0, 0],
    "scimmy": [1, 1, 0, 0, 0],
}

db = sqlite3.connect(":memory:")
db.execute("PRAGMA case_sensitive_like = ON")  # as LIKE is in PostgreSQL
db.execute("CREATE TABLE people (username TEXT)")
db.execute("INSERT INTO people VALUES (?)", (name,))


def by_sql(text):
    query = SQLQuery(text, "people", {("userName", None, None): "people.username"})
    return len(db.execute(query.sql.replace("%s", "?"), list(query.params_dict.values())).fetchall())


task = json.dumps({"users": [{"userName": name}], "filters": filters})
seen = json.loads(subprocess.run(["node", sys.argv[1], task], check=True, capture_output=True, text=True).stdout)
seen["scim2-filter-parser"] = [by_sql(text) for text in filters]
seen["scim2-models"] = [int(ScimFilter[User](text).match(User(user_name=name))) for text in filters]

print(f"{'users found by':26}", *(f"{text:32}" for text in filters))
for library, counts in stated.items():
    change = "" if seen[library] == counts else f"CHANGED, was {counts}"
    print(f"{library:26}", *(f"{count:<32}" for count in seen[library]), change)
sys.exit(seen != stated)
PY
"$work/venv/bin/python" "$work/see.py" "$work/see.mjs"
