#!/usr/bin/env bash
# Package: scimmy 1.3.5 (npm), the SCIM layer of many Node.js services.
#
# Behaviour: a startIndex greater than the number of users is ignored. The answer holds the first page once more,
# labelled with the startIndex that was asked for. Only a startIndex within the list moves the page.
#
# Expected: RFC 7644, section 3.4.2.4: startIndex is the 1-based index of the first result, so a page after the last
# result is empty, and totalResults says how many there are.
#
# Seen: a service of 45 users whose handler returns all of them and leaves the paging to scimmy. Pages of 20 from 1,
# 21 and 41 are right. 46 and 61 answer u1 to u20, with `startIndex` 46 and 61 and `totalResults` 45. Five users
# removed between the second page and the third do it too: the page from 41, of 40 users, is u1 to u20.
#
# What it means: a client that reads until a page is empty never gets an empty one, and one that appends pages has
# twenty people twice, who look like duplicates to merge or remove. Stop as soon as totalResults is reached, count an
# id that comes twice as one user, and read the list again if totalResults changed on the way.
#
# Needs: bash, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts scimmy@1.3.5 >/dev/null
cat >"$work/see.mjs" <<'JS'
import SCIMMY from "scimmy";

let people = [];
const hire = (count) => {
  people = Array.from({ length: count }, (_, at) => ({ id: `${at + 1}`, userName: `u${at + 1}` }));
};
SCIMMY.Resources.declare(SCIMMY.Resources.User).egress(() => people);

// users there are, startIndex asked for, what is stated above: first and last user, startIndex, totalResults
const cases = [
  [45, 1, "u1 to u20, startIndex 1, totalResults 45"],
  [45, 21, "u21 to u40, startIndex 21, totalResults 45"],
  [45, 41, "u41 to u45, startIndex 41, totalResults 45"],
  [45, 46, "u1 to u20, startIndex 46, totalResults 45"],
  [45, 61, "u1 to u20, startIndex 61, totalResults 45"],
  [40, 41, "u1 to u20, startIndex 41, totalResults 40"],
];
let changed = false;
for (const [count, startIndex, stated] of cases) {
  hire(count);
  const page = await new SCIMMY.Resources.User({ startIndex, count: 20 }).read();
  const users = page.Resources.map((user) => user.userName);
  const range = users.length ? `${users[0]} to ${users.at(-1)}` : "nobody";
  const seen = `${range}, startIndex ${page.startIndex}, totalResults ${page.totalResults}`;
  changed ||= seen !== stated;
  console.log(`${count} users, asked from ${startIndex}: ${seen}${seen === stated ? "" : `   CHANGED, was ${stated}`}`);
}
process.exit(changed ? 1 : 0);
JS
node "$work/see.mjs"
