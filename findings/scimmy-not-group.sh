#!/usr/bin/env bash
# Package: scimmy 1.3.5 (npm), the filter of many Node.js SCIM servers.
#
# Behaviour: `not` in front of a group is moved onto each comparison inside it, and the `and` or `or` between
# them stays as it was. So `not (A or B)` answers `(not A) or (not B)`, which nearly everybody matches, and
# `not (A and B)` answers `(not A) and (not B)`. In front of `emails[...]` the `not` is dropped: the answer is
# exactly the users who should have been left out.
#
# Expected: RFC 7644, section 3.4.2.2: grouping comes first and `not` negates the whole group, so `not (A or B)`
# is "neither A nor B". One would guess that a SCIM library either does that or refuses the filter.
#
# Seen: users ann, bea and cleo; `not (userName eq "ann" or userName eq "bea")` returns all three, without an
# error. `not (userName eq "ann") and not (userName eq "bea")`, which says the same, returns cleo.
#
# What it means: a client that asks such a server for "everybody but these" (to list strangers, or leavers) gets
# the protected accounts too. Ask with `and not (one comparison)`, or filter on the client's side, before
# anything is removed because of an answer.
#
# Needs: bash, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts scimmy@1.3.5 >/dev/null
cat >"$work/see.mjs" <<'JS'
import SCIMMY from "scimmy";

const users = [
  { userName: "ann", active: true, emails: [{ type: "work", value: "ann@corp.example" }] },
  { userName: "bea", active: true, emails: [{ type: "home", value: "bea@home.example" }] },
  { userName: "cleo", active: false, emails: [{ type: "work", value: "cleo@corp.example" }] },
];
const cases = [
  // filter, what the RFC says, what is stated above
  ['not (userName eq "ann")', "bea,cleo", "bea,cleo"],
  ['not (userName eq "ann") and not (userName eq "bea")', "cleo", "cleo"],
  ['not (userName eq "ann" or userName eq "bea")', "cleo", "ann,bea,cleo"],
  ['not (userName eq "ann" and active eq true)', "bea,cleo", "cleo"],
  ['not (emails[type eq "home"])', "ann,cleo", "bea"],
];
let changed = false;
for (const [filter, rfc, stated] of cases) {
  let seen;
  try {
    seen = new SCIMMY.Types.Filter(filter).match(users).map((user) => user.userName).join();
  } catch (error) {
    seen = `error: ${error.message}`;
  }
  changed ||= seen !== stated;
  console.log(`${filter}\n    RFC 7644: ${rfc}\n    seen:     ${seen}${seen === stated ? "" : `   CHANGED, was ${stated}`}`);
}
process.exit(changed ? 1 : 0);
JS
node "$work/see.mjs"
