#!/usr/bin/env bash
# Package: scim2-filter-parser 0.7.0 (PyPI), which turns SCIM filters into SQL; django-scim2 builds on it.
# sly 0.5 (PyPI) is the parser generator below it. scim2-models 0.12.3 (PyPI) is run beside it as a control.
#
# Behaviour: `and` and `or` bind equally and are taken from left to right. `A or B and C` becomes
# `(A OR B) AND C`. Written as `C and B or A`, the same question is answered rightly.
#
# Expected: RFC 7644, section 3.4.2.2: "not" takes precedence over "and", which takes precedence over "or". The
# package's own source quotes that rule, so one would guess that it keeps it.
#
# Seen: `userName eq "root@corp.example" or userName sw "svc-" and active eq true` does not return the inactive
# root; it comes back as soon as the two sides are swapped or parentheses are added. No error in either case.
#
# What it means: the answer depends on the order in which a client writes its conditions, and an account that is
# not in the answer looks as if it did not exist: the next step is a second account, or a leaver nobody removes.
# Write every parenthesis, or ask one comparison at a time.
#
# Needs: bash, python3 (3.10 or newer) with venv.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    scim2-filter-parser==0.7.0 sly==0.5 scim2-models==0.12.3
cat >"$work/see.py" <<'PY'
import sqlite3
import sys

from scim2_filter_parser.queries import SQLQuery
from scim2_models import ScimFilter, User

rows = [("root@corp.example", 0), ("svc-mail@corp.example", 1), ("svc-old@corp.example", 0)]
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE people (username TEXT, active TEXT)")
# the package binds true as the text TRUE
db.executemany("INSERT INTO people VALUES (?, ?)", [(name, "TRUE" if active else "FALSE") for name, active in rows])
columns = {("userName", None, None): "people.username", ("active", None, None): "people.active"}

root, svc, active = 'userName eq "root@corp.example"', 'userName sw "svc-"', "active eq true"
everybody = ["root@corp.example", "svc-mail@corp.example"]
cases = [
    (f"{root} or {svc} and {active}", ["svc-mail@corp.example"]),
    (f"{svc} and {active} or {root}", everybody),
    (f"{root} or ({svc} and {active})", everybody),
]
changed = False
for text, stated in cases:
    query = SQLQuery(text, "people", columns)
    found = db.execute(query.sql.replace("%s", "?"), list(query.params_dict.values())).fetchall()
    seen = sorted(row[0] for row in found)
    rfc = [name for name, on in rows if ScimFilter[User](text).match(User(user_name=name, active=bool(on)))]
    changed |= seen != stated or rfc != everybody
    print(text)
    print("    SQL:      ", " ".join(query.sql.split("WHERE")[1].split()))
    print("    RFC 7644: ", ", ".join(rfc))
    print("    seen:     ", ", ".join(seen), "" if seen == stated else f"  CHANGED, was {stated}")
sys.exit(changed)
PY
"$work/venv/bin/python" "$work/see.py"
