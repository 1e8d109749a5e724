#!/usr/bin/env bash
# Package: scim2-parse-filter 0.2.10 (npm), by downloads the most used SCIM filter library there.
#
# Behaviour: two of the filters that RFC 7644 itself gives as examples are answered wrongly, without an error.
# 1. `emails[A and B]` matches a user with one address for A and another one for B.
# 2. `emails co "x"` looks at the address object, not at its `value`, and so never matches.
#
# Expected: RFC 7644, section 3.4.2.2: the expressions in the brackets are applied to the same value of the
# multi-valued attribute, and its example `emails co "example.com"` finds users by an address. The README of the
# package shows the first form, so one would guess that it works.
#
# Seen: ann has ann@work.example (work) and ann@home.example (home). `emails[type eq "work" and value co "@home"]`
# returns ann, who has no such address; `emails co "work.example"` returns nobody.
#
# What it means: with a server of this kind, "who has this work address" names a person who has not, and a look-up
# by `emails co` or `emails eq` says that nobody has the address, so that a client goes on to create a second
# account. Look up by userName or externalId, and compare what came back before it is believed.
#
# Needs: bash, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts scim2-parse-filter@0.2.10 >/dev/null
cat >"$work/see.mjs" <<'JS'
import library from "scim2-parse-filter";

const users = [
  { userName: "ann", emails: [{ type: "work", value: "ann@work.example" }, { type: "home", value: "ann@home.example" }] },
  { userName: "bea", emails: [{ type: "work", value: "bea@work.example" }] },
];
const cases = [
  // filter, what the RFC says, what is stated above
  ['emails[type eq "home" and value co "@home"]', "ann", "ann"],
  ['emails[type eq "work" and value co "@home"]', "nobody", "ann"],
  ['emails.value co "work.example"', "ann,bea", "ann,bea"],
  ['emails co "work.example"', "ann,bea", "nobody"],
  ['emails eq "bea@work.example"', "bea", "nobody"],
];
let changed = false;
for (const [filter, rfc, stated] of cases) {
  let seen;
  try {
    seen = users.filter(library.filter(library.parse(filter))).map((user) => user.userName).join() || "nobody";
  } catch (error) {
    seen = `error: ${error.message}`;
  }
  changed ||= seen !== stated;
  console.log(`${filter}\n    RFC 7644: ${rfc}\n    seen:     ${seen}${seen === stated ? "" : `   CHANGED, was ${stated}`}`);
}
process.exit(changed ? 1 : 0);
JS
node "$work/see.mjs"
