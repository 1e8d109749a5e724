"""A small world around the program: Rhombus and a receiver of events on loopback, exports with a past, a configuration,
and the one oracle that judges what is left of it all. It shares no code with the program."""

import collections
import ctypes
import http.server
import json
import os
import pathlib
import pickle
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import directory

TOKEN = "CANARY-7d1f0c3b5a9e4f6288c4d2e1b0a79563"
SECRETS = (TOKEN.encode(), directory.KEY.encode())
ROOT = pathlib.Path(__file__).resolve().parents[2]
QUIET_AFTER = 60  # cycles until nothing may be left to do
PAUSES_S = (0.05, 0.1, 0.2, 0.4)  # between them; the last for all that follow
PATIENCE_S = 600  # for one command, however busy the machine is: nothing is judged by how long it takes


class Violation(Exception):
    """A promise that was broken, in words."""


class Rhombus:
    """Accounts and the log of every change that was accepted; beside it a receiver of events at /events."""

    def __init__(self, removes_inactive=True):
        self.lock = threading.RLock()
        self.accounts, self.changes, self.received, self.broken = {}, [], [], []
        self.generation, self.serial, self.removes_inactive = 0, 0, removes_inactive
        self.connections = 0
        self.fault = None  # fault(method, path) -> None, a status, "before" or "after": where the connection is cut
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two segments; the second would wait for an acknowledgement

            def setup(self):
                super().setup()
                with world.lock:
                    world.connections += 1

            def finish(self):
                try:
                    super().finish()
                except OSError:
                    pass
                finally:
                    with world.lock:
                        world.connections -= 1

            def log_message(self, *_):
                pass

            def answer(self):
                try:
                    world._answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def idle(self):
        """Waits until whatever a dead client sent was obeyed."""
        ends = time.monotonic() + PATIENCE_S
        while self.connections:
            if time.monotonic() > ends:
                raise TimeoutError("a connection stays open")
            time.sleep(0.002)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, **account):
        with self.lock:
            self.serial += 1
            account = {"id": f"acc-{self.serial}", "active": True, **account}
            self.accounts[account["id"]] = account
            return account

    def copy(self):
        """What it is now, for `restore`."""
        with self.lock:
            return pickle.dumps([self.accounts, self.changes, self.received, self.generation, self.serial])

    def restore(self, copy):
        with self.lock:
            self.accounts, self.changes, self.received, self.generation, self.serial = pickle.loads(copy)
            self.broken, self.fault = [], None

    def _answer(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        if len(body) < length:  # torn by the death of the sender: not a request
            request.close_connection = True
            return
        path = urllib.parse.urlsplit(request.path)
        if path.path == "/events":
            with self.lock:
                self.received += body.splitlines()
            return self._say(request, 204, None)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._say(request, 401, {"detail": "who are you?"})
        fault = self.fault and self.fault(request.command, path.path)
        if fault == "before":
            return self._cut(request)
        if isinstance(fault, int):
            return self._say(request, fault, {"detail": "not now"})
        with self.lock:
            status, document = self._obey(request.command, path, json.loads(body) if body else None)
        if fault == "after":
            return self._cut(request)
        self._say(request, status, document)

    def _cut(self, request):
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)

    def _say(self, request, status, document):
        body = b"" if document is None else json.dumps(document).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/scim+json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _obey(self, method, path, body):
        name = path.path.removeprefix("/scim/v2/Users").strip("/")
        if not name:
            return self._list(path.query) if method == "GET" else self._create(body)
        account = self.accounts.get(name)
        if account is None:
            return 404, {"detail": "no such user"}
        if method == "GET":
            return 200, account
        if method == "DELETE":
            del self.accounts[name]
            self._note("user_delete_provision", account)
            return 204, None
        changed = json.loads(json.dumps(account))
        if method == "PUT":
            changed = {**body, "id": name}
        else:
            for operation in body["Operations"]:
                outer, _, inner = operation["path"].partition(".")
                if inner:
                    changed.setdefault(outer, {})[inner] = operation["value"]
                else:
                    changed[outer] = operation["value"]
        return self._change(account, changed)

    def _change(self, account, changed):
        if changed["userName"] != account["userName"]:
            self.broken.append(f"the username of {account['id']} was changed")
        if changed == account:
            return 200, account
        removed = account["active"] and not changed["active"]
        self.accounts[account["id"]] = changed
        if removed and self.removes_inactive:
            del self.accounts[account["id"]]
        self._note("user_deprovision" if removed else "user_update_provision", changed)
        return 200, changed

    def _create(self, body):
        folded = body["userName"].lower()
        if any(account["userName"].lower() == folded for account in self.accounts.values()):
            return 409, {"detail": "taken", "scimType": "uniqueness"}
        account = self.add(**{**body, "active": True})
        self._note("user_create_provision", account)
        return 201, account

    def _list(self, query):
        asked = urllib.parse.parse_qs(query)
        found = list(self.accounts.values())
        if "filter" in asked:
            name = re.fullmatch(r'userName eq "(.*)"', asked["filter"][0])[1]
            found = [account for account in found if account["userName"].lower() == name.lower()]
        start = int(asked.get("startIndex", ["1"])[0])
        page = found[start - 1 :][: int(asked.get("count", ["100"])[0])]
        return 200, {"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": len(found),
                     "startIndex": start, "itemsPerPage": len(page), "Resources": page}  # fmt: skip

    def _note(self, event_type, account):
        self.changes.append([self.generation, event_type, account["id"], account.get("externalId"), account["userName"]])


def person(number, first="Ann", last="Bee", **more):
    return {"_id": f"u{number}", "username": f"p{number}@x.example", "firstname": first, "lastname": last,
            "state": "ACTIVATED", **more}  # fmt: skip


def exports():
    """What stood in the directory: provisioned, then a mixed day, then another day that takes much of it back."""
    first = {n: person(n) for n in range(10)}
    second = {n: dict(record) for n, record in first.items() if n != 1}
    second[2]["state"] = "SUSPENDED"
    second[3]["firstname"], second[4]["lastname"] = "Anna", "Zed"
    second[5]["username"] = "another5@x.example"  # a rename: refused
    second |= {n: person(n) for n in (20, 21, 22)}
    second[30] = person(30)  # Rhombus has that account already: linked
    third = {n: dict(record) for n, record in second.items() if n not in (20, 30)}
    third[1] = person(1)
    third[3]["firstname"], third[4]["lastname"], third[21]["lastname"] = "Annabel", "Bee", "Bow"
    third[6]["state"] = "SUSPENDED"
    third[23] = person(23)
    return [first, second, third]


def wanted(export):
    return {r["_id"]: r for r in export.values() if r["state"] == "ACTIVATED" and not r.get("suspended")}


def receiver(address):
    """A sink that delivers to the receiver beside Rhombus."""
    return f'[[sinks]]\nkind = "http"\nstyle = "ndjson"\nurl = "{address}/events"\n'


def configuration(address, source='path = "directory.json"', keys="", rate=1000, cron="*/2 * * * * *", sinks=None):
    """A configuration whose guard holds nothing back. `keys`: further lines of `[rhombus]`."""
    wide = "count_free = 1000000\ncount_max = 1000000\n"
    kinds = "".join(f"[guard.{kind}]\n{wide}" for kind in ("absent", "suspended", "create", "update"))
    return f"""\
[directory]
{source}
[rhombus]
base_url = "{address}/scim/v2"
token_file = "token"
settle_time = "1s"
requests_per_second_max = {rate}
{keys}
{kinds}
[schedule]
cron = "{cron}"
refresh_cron = ""
[state]
path = "state/state.db"
{sinks or receiver(address)}
"""


class World:
    """A folder with configuration, state, export and sink, and the Rhombus that it talks to."""

    def __init__(self, folder, binary, update_method="patch", removes_inactive=True, jumpcloud=False):
        self.folder, self.binary = pathlib.Path(folder), str(binary)
        self.rhombus = Rhombus(removes_inactive)
        self.past = []  # every export that was in place
        self.folder.mkdir(mode=0o700, parents=True)
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "token").chmod(0o600)
        self.jumpcloud = directory.JumpCloud() if jumpcloud else None
        source = 'path = "directory.json"'
        if jumpcloud:
            (self.folder / "token-of-the-directory").write_text(directory.KEY)
            (self.folder / "token-of-the-directory").chmod(0o600)
            source = f"""\
source = "jumpcloud"
api_url = "{self.jumpcloud.address}"
api_key_file = "token-of-the-directory"
application_id = "{directory.APPLICATION}\""""
        address = self.rhombus.address
        sinks = f'[[sinks]]\nkind = "file"\npath = "events.ndjson"\n{receiver(address)}'
        text = configuration(address, source=source, keys=f'update_method = "{update_method}"', sinks=sinks)
        (self.folder / "config.toml").write_text(text)
        self.strangers = [self.rhombus.add(userName=f"stranger{n}@x.example", name={}) for n in range(2)]
        self.rhombus.add(userName="p30@x.example", name={"givenName": "Ann", "familyName": "Bee"})

    def command(self, *arguments):
        return [self.binary, "-c", str(self.folder / "config.toml"), *arguments]

    def call(self, *arguments):
        done = subprocess.run(self.command(*arguments), capture_output=True, timeout=PATIENCE_S)
        self.spoken(done.stdout + done.stderr)
        return done

    def spoken(self, text):
        if any(secret in text for secret in SECRETS):
            raise Violation("a secret is in what the program prints")

    def place(self, export):
        """A new export, renamed into place."""
        self.rhombus.idle()
        self.past.append(export)
        with self.rhombus.lock:
            self.rhombus.generation = len(self.past) - 1
        if self.jumpcloud:
            self.jumpcloud.hold(export)
            return
        temporary = self.folder / "directory.new"
        temporary.write_text(json.dumps(list(export.values())))
        temporary.rename(self.folder / "directory.json")

    def settle(self):
        """Cycles until one is done."""
        for cycle in range(QUIET_AFTER):
            done = self.call("--reconcile")
            if done.returncode == 0:
                return
            if done.returncode not in (1, 3):
                break
            time.sleep(PAUSES_S[min(cycle, len(PAUSES_S) - 1)])
        raise Violation(f"it does not come to rest: exit {done.returncode}: {done.stderr.decode()[-600:]}")

    def copy(self, folder):
        """The folder as it is, and Rhombus, for `restore`."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return folder, self.rhombus.copy(), list(self.past)

    def restore(self, copy):
        folder, rhombus, past = copy
        shutil.rmtree(self.folder)
        shutil.copytree(folder, self.folder)
        self.rhombus.restore(rhombus)
        self.past = list(past)

    def begin(self, export):
        """Everybody of the first export is provisioned."""
        self.place(export)
        if self.call("activate").returncode:
            raise SystemExit(self.call("activate").stderr.decode())
        self.settle()

    def close(self):
        self.rhombus.close()
        if self.jumpcloud:
            self.jumpcloud.close()

    # The oracle

    def judge(self):
        """Raises a violation of what is promised, once the world is at rest."""
        status = json.loads(self.call("status", "--json").stdout)
        verified = self.call("events", "verify")
        if verified.returncode:
            raise Violation(f"the log does not verify: {verified.stdout.decode()}{verified.stderr.decode()}")
        with self.rhombus.lock:
            events = self._events()
            self._accounts(status, {e["resource"]["target_id"] for e in events if e["event_type"].startswith("user_")})
            self._one_to_one(events)
            self._removals()
            self._strangers()
        self._secrets()

    def _accounts(self, status, known):
        if self.rhombus.broken:
            raise Violation("; ".join(self.rhombus.broken))
        want = wanted(self.past[-1])
        for kind in ("held", "waiting", "parked", "failed", "unmanaged"):
            if status[kind]:
                raise Violation(f"at rest somebody is {kind}: {status[kind]}")
        strangers = {stranger["id"] for stranger in self.strangers}
        by_name, ids = {}, collections.Counter()
        for account in self.rhombus.accounts.values():
            if account["id"] not in strangers and account["active"]:
                by_name[account["userName"]] = account
                ids[account.get("externalId")] += 1
        twice = [name for name, count in ids.items() if name and count > 1]
        if twice:
            raise Violation(f"more than one account: {twice}")
        for record in want.values():
            names = [r["username"] for e in self.past for r in e.values() if r["_id"] == record["_id"]]
            account = next((by_name.pop(name) for name in names if name in by_name), None)
            if account is None:
                raise Violation(f"{record['_id']} is wanted and has no account")
            for ours, theirs in (("firstname", "givenName"), ("lastname", "familyName")):
                if account["name"].get(theirs, "") != record[ours]:
                    raise Violation(f"{record['_id']} is called {account['name']}, not {record[ours]}")
        left = [name for name, account in by_name.items() if account.get("externalId") or account["id"] in known]
        if left:
            raise Violation(f"accounts that nobody wants (orphans): {left}")
        for name, (creates, periods) in self._creates().items():
            if creates > periods:
                raise Violation(f"{name} was created {creates} times in {periods} times of being wanted")

    def _creates(self):
        counts = collections.Counter(c[4] for c in self.rhombus.changes if c[1] == "user_create_provision")
        periods = {}
        for name in counts:
            there = [any(r["username"] == name for r in wanted(export).values()) for export in self.past]
            periods[name] = sum(now and not before for before, now in zip([False, *there], there))
        return {name: (count, periods[name]) for name, count in counts.items()}

    def _events(self):
        lines = (self.folder / "events.ndjson").read_bytes().split(b"\n")
        if lines.pop() != b"":
            raise Violation("the file sink ends with a torn line")
        by_number = {}
        for line in lines:
            event = json.loads(line)
            if by_number.setdefault(event["sequence"], line) != line:
                raise Violation(f"two events have the number {event['sequence']}")
        if sorted(by_number) != list(range(1, len(by_number) + 1)):
            raise Violation(f"the numbers have gaps: {sorted(by_number)}")
        received = set(self.rhombus.received)
        lost = [number for number, line in by_number.items() if line not in received]
        if lost:
            raise Violation(f"the network sink never had the events {lost}")
        if received - set(by_number.values()):
            raise Violation("the network sink had events that the log has not")
        return [json.loads(line) for line in by_number.values()]

    def _one_to_one(self, events):
        said, done = collections.Counter(), collections.Counter()
        for event in events:
            kind = event["event_type"]
            if not event["success"] or not kind.startswith("user_") or kind == "user_lookup_provision":
                continue
            if event["message_chain"]["message_details"] in ("linked", "relinked"):
                continue
            said[kind, event["resource"]["target_id"]] += 1
        for _, kind, account, _, _ in self.rhombus.changes:
            done[kind, account] += 1
        if said != done:
            raise Violation(f"said and not done: {dict(said - done)}; done and not said: {dict(done - said)}")

    def _removals(self):
        for generation, kind, account, directory_id, name in self.rhombus.changes:
            if kind in ("user_delete_provision", "user_deprovision"):
                want = wanted(self.past[generation])
                if directory_id in want or name in {record["username"] for record in want.values()}:
                    raise Violation(f"{account} ({name}) was removed though the export wanted it")

    def _strangers(self):
        for stranger in self.strangers:
            if self.rhombus.accounts.get(stranger["id"]) != stranger:
                raise Violation(f"the stranger {stranger['id']} was touched")

    def _secrets(self):
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.name.startswith("token"):
                content = path.read_bytes()
                if any(secret in content for secret in SECRETS):
                    raise Violation(f"a secret is in {path.name}")


def folder():
    """A temporary folder, in memory if there is such a place: what was synced is no matter to a process that is killed, and
    what a power cut takes is decided here."""
    memory = pathlib.Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="proof-", dir=memory if os.access(memory, os.W_OK) else None)


def seeded(seed):
    """A source of chance that the same seed repeats."""
    return random.Random(seed)


def die_with_parent():
    """For a child: whoever is killed while it waits leaves nothing behind that goes on."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def binary():
    """The program under test: RHOMBUS_SYNC_BINARY, else the debug build of this checkout."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return pathlib.Path(os.environ.get("RHOMBUS_SYNC_BINARY", target / "debug/rhombus-sync")).resolve()
