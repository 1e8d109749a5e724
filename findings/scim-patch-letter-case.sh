#!/usr/bin/env bash
# Package: scim-patch 0.8.3 (npm), which applies SCIM PATCH operations for many Node.js servers.
#
# Behaviour: an attribute that is named in other letter case than the stored one is added beside it. `replace` of
# `Active` with false leaves `active: true` and adds `Active: false`; `name.GivenName` leaves the old given name.
# Inside a value filter (`emails[Type eq "work"]`) the same package does ignore the letter case of names.
#
# Expected: RFC 7643, section 2.1: "Attribute names are case insensitive". RFC 7644, section 3.5.2.3: `replace`
# changes the value of the target. As the package ignores the letter case of `op` and of names in filters, one would
# guess that it does so here, or refuses an unknown name (400 `invalidPath`).
#
# Seen: no error; both members stand in the resource that the server then stores.
#
# What it means: a client of PascalCase habits (C# serializers write `Active`, `UserName`) suspends a leaver, gets
# 200, and the leaver stays active. Send names exactly as the schema spells them, and read `active` back before a
# removal counts as done.
#
# Needs: bash, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts scim-patch@0.8.3 >/dev/null
cat >"$work/see.mjs" <<'JS'
import { scimPatch } from "scim-patch";

const urn = "urn:ietf:params:scim:schemas:core:2.0:User";
const stored = () => ({
  schemas: [urn],
  userName: "ann@corp.example",
  active: true,
  name: { givenName: "Ann", familyName: "Example" },
  emails: [{ type: "work", value: "ann@corp.example" }],
  meta: { resourceType: "User" },
});
const cases = [
  // operation, what to look at, what is stated above
  [{ op: "Replace", path: "active", value: false }, (u) => [u.active, u.Active], '[false,null]'],
  [{ op: "replace", path: `${urn}:active`, value: false }, (u) => [u.active, u.Active], '[false,null]'],
  [{ op: "replace", path: 'emails[Type eq "work"].value', value: "a@b.example" }, (u) => [u.emails.length, u.emails[0].value], '[1,"a@b.example"]'],
  [{ op: "replace", path: "Active", value: false }, (u) => [u.active, u.Active], '[true,false]'],
  [{ op: "replace", value: { Active: false } }, (u) => [u.active, u.Active], '[true,false]'],
  [{ op: "replace", path: "name.GivenName", value: "Bea" }, (u) => [u.name.givenName, u.name.GivenName], '["Ann","Bea"]'],
];
let changed = false;
for (const [operation, look, stated] of cases) {
  let seen;
  try {
    seen = JSON.stringify(look(scimPatch(stored(), [operation])));
  } catch (error) {
    seen = `error: ${error.message}`;
  }
  changed ||= seen !== stated;
  console.log(`${JSON.stringify(operation)}\n    [schema's name, other name] = ${seen}${seen === stated ? "" : `   CHANGED, was ${stated}`}`);
}
process.exit(changed ? 1 : 0);
JS
node "$work/see.mjs"
