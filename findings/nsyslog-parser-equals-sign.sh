#!/usr/bin/env bash
# Package: nsyslog-parser 0.10.1 (npm), a parser for RFC 5424, RFC 3164 and CEF.
#
# Behaviour: a value that holds a space and, later, an equals sign is torn in two, although it is quoted (structured
# data) or the equals sign is escaped (CEF). The text before the space stays, the rest becomes a field of its own.
#
# Expected: RFC 5424, section 6.3.3: within the quotes only `"`, `\` and `]` are special, so a space and `=` are text.
# CEF: an equals sign in a value is written `\=` just so that it does not start a new key.
#
# Seen: dn="cn=Ann Example,ou=Sales" arrives as dn `cn=Ann` and a field called `Example,ou` with the value `Sales`. A
# note "moved, site=HQ door=7" leaves fields called site and door that nobody sent. In CEF, `cs1=cn\=Ann
# Example,ou\=Sales` leaves cs1 as `cn\`. Nothing says that anything went wrong.
#
# What it means: every LDAP directory names people by a DN. In the SIEM two people called Ann become one, an alert
# for "removed from ou=Sales" never fires, and the index grows a field for every odd name. If a receiver uses this
# parser, send the event as JSON in the message, or keep DNs and free text out of parameters.
#
# Needs: bash, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts nsyslog-parser@0.10.1 >/dev/null
cat >"$work/see.cjs" <<'JS'
const parse = require("nsyslog-parser");

const head = "<134>1 2026-03-01T10:00:00Z host.corp.example sync 12 user_remove ";
const raw = String.raw;
const structured = (text) => parse(`${head}[e@32473 ${text}] removed`).structuredData[0];
const cef = (text) => parse(`${head}- CEF:0|Vendor|sync|1|user_remove|removed|5|${text}`).fields;
const cases = [
  // how it is read, what is sent, what it should be, what is stated above
  [structured, 'dn="cn=Ann,ou=Sales"', { dn: "cn=Ann,ou=Sales" }, { dn: "cn=Ann,ou=Sales" }],
  [structured, 'name="Ann Example"', { name: "Ann Example" }, { name: "Ann Example" }],
  [structured, 'dn="cn=Ann Example,ou=Sales"', { dn: "cn=Ann Example,ou=Sales" }, { dn: "cn=Ann", "Example,ou": "Sales" }],
  [
    structured,
    'user="ann" note="moved, site=HQ door=7"',
    { user: "ann", note: "moved, site=HQ door=7" },
    { user: "ann", note: "moved,", site: "HQ", door: "7" },
  ],
  [
    cef,
    raw`duser=ann cs1=cn\=Ann Example,ou\=Sales outcome=removed`,
    { duser: "ann", cs1: "cn=Ann Example,ou=Sales", outcome: "removed" },
    { duser: "ann", cs1: "cn\\", "Example,ou\\": "Sales", outcome: "removed" },
  ],
];
let changed = false;
for (const [read, sent, should, stated] of cases) {
  const { $id, ...fields } = read(sent) ?? {};
  const seen = JSON.stringify(fields);
  const same = seen === JSON.stringify(stated);
  changed ||= !same;
  console.log(`${sent}\n    should be: ${JSON.stringify(should)}\n    seen:      ${seen}`);
  if (!same) console.log(`    CHANGED, was ${JSON.stringify(stated)}`);
}
process.exit(changed ? 1 : 0);
JS
node "$work/see.cjs"
