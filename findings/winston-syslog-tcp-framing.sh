#!/usr/bin/env bash
# Packages: winston-syslog 2.7.1 with winston 3.19.0 (npm), the syslog transport of the usual Node.js logger;
# syslog-client 1.1.1 (npm) as a control.
#
# Behaviour: with `protocol: "tcp4"` and `type: "5424"` it puts nothing between two messages, neither a count of
# bytes in front nor a line feed behind. `...created"}<133>1 2026-...` is what stands on the wire.
#
# Expected: RFC 6587, section 3.4: syslog over TCP needs a frame, by octet counting or by a trailer, which is usually
# a line feed. A transport that is asked for TCP should choose one of the two; syslog-client ends each with \n.
#
# Seen: two events, no frame. The option `eol: "\n"` adds the line feed; its default is none, for TCP too.
#
# What it means: a receiver that waits for line feeds stores nothing until the connection ends or its limit is
# reached, and then one event with all the others inside its text. Two accounts that were removed are one line in the
# SIEM, and alerts that count lines stay silent. Set `eol: "\n"`, and check at the receiver that two came as two.
#
# Needs: bash, Node.js 18 or newer with npm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --cache "$work/cache" --loglevel=error --no-audit --no-fund --no-update-notifier \
    --ignore-scripts winston-syslog@2.7.1 winston@3.19.0 syslog-client@1.1.1 >/dev/null
cat >"$work/see.mjs" <<'JS'
import net from "node:net";
import syslog from "syslog-client";
import winston from "winston";
import "winston-syslog";

const texts = ["ann removed", "bea removed"];

// SEND gets the port; resolves to all that came once both texts have, and the wire has been quiet for 200 ms
function received(send) {
  return new Promise((resolve, reject) => {
    let wire = "";
    let quiet;
    const late = setTimeout(() => reject(new Error(`only this came: ${JSON.stringify(wire)}`)), 15000);
    const server = net.createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        wire += bytes.toString("utf8");
        if (!texts.every((text) => wire.includes(text))) return;
        clearTimeout(quiet);
        quiet = setTimeout(() => {
          clearTimeout(late);
          socket.destroy();
          server.close();
          resolve(wire);
        }, 200);
      });
    });
    server.listen(0, "127.0.0.1", () => send(server.address().port));
  });
}

const byWinston = (options) => (port) => {
  const transport = new winston.transports.Syslog({ host: "127.0.0.1", port, protocol: "tcp4", type: "5424", localhost: "host", ...options });
  transport.on("error", () => {});
  const logger = winston.createLogger({ levels: winston.config.syslog.levels, transports: [transport] });
  for (const text of texts) logger.notice(text);
};
const byClient = (port) => {
  const client = syslog.createClient("127.0.0.1", { port, transport: syslog.Transport.Tcp, rfc3164: false });
  client.on("error", () => {});
  for (const text of texts) client.log(text, { severity: syslog.Severity.Notice });
};

const cases = [
  // sender, how many messages end with a line feed, as stated above
  ["syslog-client", byClient, 2],
  ['winston-syslog, eol: "\\n"', byWinston({ eol: "\n" }), 2],
  ["winston-syslog", byWinston({}), 0],
];
let changed = false;
for (const [name, send, stated] of cases) {
  const wire = await received(send);
  const counted = /^\d+ </.test(wire);
  const ended = wire.split("\n").length - 1;
  const asStated = ended === stated && !counted;
  changed ||= !asStated;
  console.log(`${name}: ${ended} of 2 end with a line feed, ${counted ? "" : "no "}octet counts${asStated ? "" : `   CHANGED, was ${stated}`}`);
  console.log(`    ${JSON.stringify(wire)}`);
}
process.exit(changed ? 1 : 0);
JS
node "$work/see.mjs"
