"""The real binary ships a log with hostile names to receivers that others wrote; what they stored is read by them or by the
standard library, and compared with the log. Arguments: the binary, a folder to work in, the folder of the extracted packages."""

import gzip
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request

BINARY, WORK, ROOT, PACKAGES = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
CONTRIB = pathlib.Path(__file__).resolve().parents[2] / "contrib"
JOURNAL_COUNT = int(os.environ.get("RHOMBUS_SYNC_JOURNAL_EVENTS", "2000"))
PATIENCE = 60
LIBRARIES = [ROOT / "usr/lib/x86_64-linux-gnu", ROOT / "lib/x86_64-linux-gnu", ROOT / "usr/lib/syslog-ng"]
ENVIRONMENT = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES))}
NAMES = ['Ann', 'O\'Neil', 'a|b', 'a\\b', 'a=b', 'say "hi"', ' cs1=0', '{"a":1}', '<13>1 - - -', 'CEF:0|a|b|', 'Zoë',
         '\U0001f600', '\u0645\u062d\u0645\u062f', '%n', '$(id)', '2026-01-02', 'true', 'null', '-', '[x y="z"]']
started = []


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(*command, environment=None):
    log = open(WORK / f"{pathlib.Path(str(command[0])).name}.log", "ab")
    process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, env=environment or ENVIRONMENT)
    started.append(process)
    return process


def until(what, is_so, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            found = is_so()
        except (OSError, ValueError, KeyError):
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"never: {what}")


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def run(*arguments, exits=(0,)):
    done = subprocess.run([BINARY, "-c", str(WORK / "config.toml"), *arguments], capture_output=True, text=True)
    if done.returncode not in exits:
        raise SystemExit(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def certificates():
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=WORK)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-days", "2", "-subj", "/CN=ca", "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key", "-out",
            "server.csr", "-subj", "/CN=localhost")
    (WORK / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", "server.pem")


def contributed(name, before, **changes):
    """A file of contrib as it is, but for its paths and ports."""
    text = (CONTRIB / name).read_text()
    for old, new in changes["places"]:
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, str(new))
    (WORK / name).write_text(before + text)
    return WORK / name


def rsyslog(tcp, tls):
    (WORK / "rsyslog-local.conf").write_text(f"""
global(workDirectory="{WORK}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
template(name="line" type="string" string="%msg:R,ERE,1,FIELD:^ ?(.*)$--end%\\n")
template(name="tagged" type="string" string="%programname% %msg:R,ERE,1,FIELD:^ ?(.*)$--end%\\n")
module(load="imtcp")
module(load="imuxsock" sysSock.use="off")
ruleset(name="tcp") {{ action(type="omfile" file="{WORK}/rsyslog-tcp" template="line") }}
ruleset(name="local") {{ action(type="omfile" file="{WORK}/rsyslog-local" template="tagged") }}
input(type="imtcp" port="{tcp}" ruleset="tcp" address="127.0.0.1")
input(type="imuxsock" socket="{WORK}/rsyslog.sock" ruleset="local" createPath="on")
""")
    ours = contributed("rsyslog.conf", f'global(workDirectory="{WORK}")\n', places=[
        ("/etc/rsyslog.d/", f"{WORK}/"), ("/var/log/rhombus-sync.ndjson", WORK / "rsyslog-tls"), ('"6514"', f'"{tls}"')])
    for number, file in enumerate((WORK / "rsyslog-local.conf", ours)):
        start(ROOT / "usr/sbin/rsyslogd", "-n", "-f", file, "-i", WORK / f"rsyslog-{number}.pid", "-M",
              ROOT / "usr/lib/x86_64-linux-gnu/rsyslog")


def syslog_ng(tcp, tls):
    (WORK / "syslog-ng-local.conf").write_text(f"""@version: 3.38
options {{ stats-freq(0); keep-hostname(yes); }};
source tcp {{ syslog(transport("tcp") ip("127.0.0.1") port({tcp})); }};
source local {{ unix-dgram("{WORK}/syslog-ng.sock"); }};
destination tcp {{ file("{WORK}/syslog-ng-tcp" template("$MSG\\n")); }};
destination local {{ file("{WORK}/syslog-ng-local" template("$PROGRAM $MSG\\n")); }};
log {{ source(tcp); destination(tcp); }};
log {{ source(local); destination(local); }};
""")
    folder = ROOT / "usr/lib/syslog-ng"
    modules = next(folder.glob("3.*"))
    ours = contributed("syslog-ng.conf", "@version: 3.38\n", places=[
        ("/etc/syslog-ng/", f"{WORK}/"), ("/var/log/rhombus-sync.ndjson", WORK / "syslog-ng-tls"), ("port(6514)", f"port({tls})")])
    for number, file in enumerate((WORK / "syslog-ng-local.conf", ours)):
        start(ROOT / "usr/sbin/syslog-ng", "-F", "--no-caps", "-f", file, "--persist-file", WORK / f"ng-{number}.persist",
              "--pidfile", WORK / f"ng-{number}.pid", "--control", WORK / f"ng-{number}.ctl", "--module-path", modules)


def collector():
    """Keeps the body of every request."""
    bodies = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port, bodies


def opensearch():
    """osmem-server, with the index template of contrib."""
    port = free_port()
    start(PACKAGES / "osmem_server/bin/osmem-server", "-addr", f"127.0.0.1:{port}", "-no-stdin-watch", "-no-ja")
    until("osmem listens", lambda: listens(port))
    template = (CONTRIB / "elastic-index-template.json").read_bytes()
    asked(port, "PUT", "/_index_template/rhombus-sync", template)
    return port


def asked(port, method, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def documents(port, index):
    asked(port, "POST", f"/{index}/_refresh")
    return [hit["_source"] for hit in asked(port, "GET", f"/{index}/_search?size=9999")["hits"]["hits"]]


def rotel():
    """rotel takes OTLP as JSON, and hands it on."""
    port, (to, bodies) = free_port(), collector()
    program = PACKAGES / "rotel/rotel-agent"
    program.chmod(0o755)
    start(program, "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}",
          "--exporter", "otlp", "--otlp-exporter-endpoint", f"http://127.0.0.1:{to}", "--otlp-exporter-protocol", "http")
    until("rotel listens", lambda: listens(port))
    return port, bodies


def filelog():
    """The OpenTelemetry collector tails the file sink."""
    to, bodies = collector()
    ours = contributed("otel-collector.yaml", "", places=[
        ("/var/log/rhombus-sync/events.ndjson", WORK / "events.ndjson"), ("https://otel.example:4318", f"http://127.0.0.1:{to}")])
    program = next(PACKAGES.glob("otel_collector/bin/otelcol*"))
    program.chmod(0o755)
    # So that what arrives can be read here.
    readable = [f"--set=exporters::otlphttp::{key}={value}" for key, value in (("compression", "none"), ("encoding", "json"))]
    start(program, "--config", ours, *readable, "--set=service::telemetry::metrics::level=none")
    return bodies


def bodies_of(bodies):
    """The log lines in OTLP requests as JSON."""
    return [record["body"]["stringValue"] for body in bodies for resource in json.loads(body)["resourceLogs"]
            for scope in resource["scopeLogs"] for record in scope["logRecords"]]


def sink(name, **keys):
    return "[[sinks]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in {"name": name, **keys}.items())


def configure(base_url, sinks):
    wide = "".join(f"[guard.{kind}]\ncount_free = 100000\npercent_max = 100\ncount_max = 100000\n"
                   for kind in ("absent", "suspended", "create", "update"))
    (WORK / "config.toml").write_text(
        f'[directory]\npath = "directory.json"\n[rhombus]\nbase_url = "{base_url}"\ntoken_file = "sandbox/token"\n'
        f'requests_per_second_max = 100000\nsettle_time = "0s"\n[state]\npath = "state/state.db"\n{wide}' + "".join(sinks))


def lines(name):
    path = WORK / name
    return path.read_text().split("\n")[:-1] if path.exists() else []


def same(name, wanted, prefix=""):
    """Everything that a receiver stored, in order, once each after byte-equal repeats are passed over."""
    seen, order = set(), []
    for line in lines(name):
        assert line.startswith(prefix), f"{name}: {line}"
        if (line := line[len(prefix):]) not in seen:
            seen.add(line)
            order.append(line)
    if order == wanted:
        return True
    strangers = [line for line in order if line not in wanted]
    assert not strangers, f"{name} has what was not sent: {strangers[0]}"
    return False


def journald():
    """A journal of its own, with the limits that the units set."""
    program = next((path for path in ("/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald")
                    if os.path.exists(path)), None)
    if os.getuid() != 0 or program is None or not os.path.exists("/etc/machine-id"):
        print("receivers: NOT TRIED: systemd-journald (it needs root, systemd and a machine id)")
        return None
    namespace = f"rhombus{os.getpid()}"
    pathlib.Path(f"/run/systemd/journal.{namespace}").mkdir(parents=True, exist_ok=True)
    start(program, namespace, environment=os.environ)
    path = pathlib.Path(f"/run/systemd/journal.{namespace}/socket")
    until("journald listens", path.exists)
    return namespace


def journal_entries(namespace):
    machine = pathlib.Path("/etc/machine-id").read_text().strip()
    for base in ("/var/log/journal", "/run/log/journal"):
        folder = f"{base}/{machine}.{namespace}"
        if os.path.isdir(folder):
            said = subprocess.run(["journalctl", "-D", folder, "-o", "json", "-a", "SYSLOG_IDENTIFIER=rhombus-sync"],
                                  capture_output=True, text=True).stdout
            return [json.loads(line) for line in said.split("\n") if line]
    return []


def main():
    certificates()
    ports = [free_port() for _ in range(4)]
    rsyslog(*ports[:2])
    syslog_ng(*ports[2:])
    for port in ports:
        until(f"a receiver listens on {port}", lambda: listens(port))
    namespace = journald()
    rhombus = subprocess.Popen([BINARY, "sandbox", "--listen", "127.0.0.1:0", "--json", "-c", str(WORK / "none.toml")],
                               stdout=subprocess.PIPE, cwd=WORK, text=True)
    started.append(rhombus)
    base_url = json.loads(rhombus.stdout.readline())["base_url"]
    users = [{"_id": f"id-{number}", "username": f"p{number}@x.example", "state": "ACTIVATED",
              "firstname": NAMES[number % len(NAMES)], "lastname": NAMES[number // len(NAMES) % len(NAMES)]}
             for number in range(len(NAMES) ** 2)]
    (WORK / "directory.json").write_text(json.dumps(users))
    ca = str(WORK / "ca.pem")
    sinks = [
        sink("file", kind="file", path="events.ndjson"),
        sink("rsyslog tcp", kind="syslog", address=f"tcp://127.0.0.1:{ports[0]}"),
        sink("rsyslog tls", kind="syslog", address=f"tcp+tls://localhost:{ports[1]}", ca_file=ca),
        sink("rsyslog local", kind="syslog", address=f"unix://{WORK}/rsyslog.sock"),
        sink("syslog-ng tcp", kind="syslog", address=f"tcp://127.0.0.1:{ports[2]}"),
        sink("syslog-ng tls", kind="syslog", address=f"tcp+tls://localhost:{ports[3]}", ca_file=ca),
        sink("syslog-ng local", kind="syslog", address=f"unix://{WORK}/syslog-ng.sock"),
    ]
    elastic, (otlp, handed_on), tailed = opensearch(), rotel(), filelog()
    for format in ("directory-insights", "ocsf", "ecs", "cef"):
        sinks.append(sink(f"bulk {format}", kind="http", style="elastic-bulk", format=format,
                          url=f"http://127.0.0.1:{elastic}/_bulk", index=f"rhombus-sync-{format}"))
    sinks.append(sink("rotel", kind="http", style="otlp", url=f"http://127.0.0.1:{otlp}/v1/logs"))
    if namespace:
        sinks.append(sink("journal", kind="journald", address=f"unix:///run/systemd/journal.{namespace}/socket"))
    configure(base_url, sinks)
    run("activate")
    run("--reconcile", exits=(0,))
    wanted = lines("events.ndjson")
    assert len(wanted) > len(users), len(wanted)
    for receiver in ("rsyslog", "syslog-ng"):
        for way, prefix in (("tcp", ""), ("tls", ""), ("local", "rhombus-sync ")):
            name = f"{receiver}-{way}"
            until(f"everything arrives at {name}", lambda: same(name, wanted, prefix))
            print(f"receivers: {name}: {len(wanted)} events, as the log has them")
    ids = [json.loads(line)["id"] for line in wanted]
    posted(elastic, ids, wanted)
    until("rotel hands everything on", lambda: all(any(one.encode() in body for body in handed_on) for one in ids))
    print(f"receivers: rotel: {len(ids)} events by OTLP")
    until("the collector has tailed everything", lambda: sorted(bodies_of(tailed)) == sorted(wanted))
    print(f"receivers: the OpenTelemetry collector's filelog: {len(wanted)} events, as the log has them")
    for one in json.loads(run("status", "--json"))["sinks"]:
        assert one["dead_letters"] == 0 and one["error"] is None, one
    eleventh_connection(ports[2], wanted)
    if namespace:
        rounds = max(1, JOURNAL_COUNT // len(wanted))
        for _ in range(rounds):
            run("events", "replay", "--from", "1", "--sink", "journal")
        count = len(wanted) * (rounds + 1)
        entries = until("every entry is in the journal", lambda: (found := journal_entries(namespace)) and
                        len(found) == count and found)
        assert sorted({entry["RHOMBUS_EVENT"] for entry in entries}) == sorted(wanted)
        print(f"receivers: journald: {count} entries, none dropped")


def posted(elastic, ids, wanted):
    readers = {"directory-insights": lambda one: one["id"], "ocsf": lambda one: one["metadata"]["uid"],
               "ecs": lambda one: one["event"]["id"], "cef": lambda one: one["message"].split("externalId=")[1].split(" ")[0]}
    for format, id_of in readers.items():
        stored = until(f"everything is in the index of {format}", lambda: (found := documents(
            elastic, f"rhombus-sync-{format}")) and len(found) == len(ids) and found)
        assert sorted(map(id_of, stored)) == sorted(ids), format
        if format == "directory-insights":
            assert sorted(map(str, stored)) == sorted(str(json.loads(line)) for line in wanted)
        print(f"receivers: osmem, {format}: {len(stored)} documents")


def eleventh_connection(port, wanted):
    """syslog-ng takes ten connections by default: the next one is accepted and closed."""
    others = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
    time.sleep(1)
    configured = (WORK / "config.toml").read_text()
    (WORK / "directory.json").write_text("[" + (WORK / "directory.json").read_text()[1:].split("},")[0] + "}]")
    run("--reconcile", exits=(0, 3, 4))
    status = {one["name"]: one for one in json.loads(run("status", "--json"))["sinks"]}["syslog-ng tcp"]
    assert status["error"] and status["dead_letters"] == 0 and status["pending"] > 0, status
    for other in others:
        other.close()
    time.sleep(1)
    run("--reconcile", exits=(0, 3, 4))
    assert (WORK / "config.toml").read_text() == configured
    now = lines("events.ndjson")
    until("what waited arrives", lambda: same("syslog-ng-tcp", now))
    print("receivers: syslog-ng's eleventh connection: said, nothing lost, no dead letter")
    wanted[:] = now


try:
    main()
except BaseException:
    for log in sorted(WORK.glob("*.log")):
        print(f"--- {log.name}", *log.read_text(errors="replace").split("\n")[-15:], sep="\n")
    raise
finally:
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    for leftover in (f"/run/systemd/journal.rhombus{os.getpid()}",):
        shutil.rmtree(leftover, ignore_errors=True)
