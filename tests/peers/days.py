"""Some days of joiners, movers and leavers through the real binary, against servers that others wrote, by PATCH and PUT.

Called by `run`: days.py BINARY VENVS FOLDER [PEER…]. What is wanted of the accounts is written down beside each change, by
hand, and not worked out of the export: a check that shares the program's rules would share its mistakes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import servers
from check import check, count, done
from servers import TOKEN, Peer

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
# Three pages of the program's lists. The server lists by id, which is chance: of several accounts to adopt, some stand
# behind the first page.
STRANGERS = 210
ADOPTED = range(10, 15)
COUNTS = ("created", "updated", "linked", "deactivated", "deleted", "unchanged")
# The server, how it pages, and whether it keeps whom it deletes, inactive, with the name taken.
PEERS = {
    "scim2-server": (servers.scim2_server, "index", False),
    "scim2-flask": (servers.scim2_flask, "index", False),
    "scim2-flask, cursor too": (servers.scim2_flask, "both", False),
    "django-scim2-server": (servers.django, "index", True),
}


class Office:
    """A fresh server, a fresh state, and a company's export."""

    def __init__(self, binary, folder, method, peer, keeps_deleted=False):
        self.binary, self.folder, self.method = binary, folder, method
        self.peer, self.keeps_deleted = peer, keeps_deleted
        (folder / "token").write_text(TOKEN)
        (folder / "token").chmod(0o600)
        wide = "count_free = 100000\npercent_max = 100\ncount_max = 100000\n"
        (folder / "config.toml").write_text(
            '[directory]\npath = "directory.json"\n[scope]\ngroups = ["R"]\n'
            f'[rhombus]\nbase_url = "{self.peer.base_url}"\ntoken_file = "token"\nupdate_method = "{method}"\n'
            'on_suspended = "deactivate"\non_removed = "delete"\nexisting_accounts = "adopt"\n'
            'settle_time = "0s"\nrequests_per_second_max = 100000\n'
            '[state]\npath = "state.db"\n[[sinks]]\nkind = "file"\npath = "events.ndjson"\n'
            + "".join(f"[guard.{kind}]\n{wide}" for kind in ("absent", "suspended", "create", "update"))
        )
        self.users = {}  # the export: id -> record
        self.want = {}  # userName at the server -> (externalId, givenName, familyName, active)
        self.strangers = {}  # id -> account, whole

    def run(self, *arguments):
        """Exit code, stdout and stderr of the program."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RHOMBUS_SYNC")}
        command = [self.binary, "-c", str(self.folder / "config.toml"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def succeeds(self, *arguments):
        code, out, err = self.run(*arguments)
        check(f"{' '.join(arguments)}: exit code ({(out + err).strip()[:500]})", code, 0)
        return out

    def export(self):
        # Beside it, and renamed over: what the README asks of an export job.
        (self.folder / "new.json").write_text(json.dumps(list(self.users.values())))
        (self.folder / "new.json").rename(self.folder / "directory.json")

    def hire(self, number, **other):
        """A new record, wanted as an active account of the same names."""
        record = {
            "_id": f"id-{number:03}", "username": f"p{number}@x.example", "firstname": "Pat",
            "lastname": f"Doe{number}", "state": "ACTIVATED", "groups": ["R"], **other,
        }  # fmt: skip
        self.users[number] = record
        self.want[record["username"]] = (record["_id"], record["firstname"], record["lastname"], True)
        return record

    def change(self, number, **members):
        """Changes a record; names are wanted at the account too."""
        record = self.users[number]
        record.update(members)
        if members.keys() & {"firstname", "lastname"}:
            names = (record["firstname"] or None, record["lastname"] or None)
            self.want[record["username"]] = (record["_id"], *names, True)
        return record

    def leave(self, number):
        """A leaver. Where the server keeps whom it deletes, the account stays, and must not be active."""
        name, (scim_id, given, family, _) = next(
            (name, account) for name, account in self.want.items() if account[0] == self.users[number]["_id"]
        )
        del self.want[name]
        if self.keeps_deleted:
            self.want[name] = (scim_id, given, family, False)

    def day(self, title, refused=(), **counts):
        """One run; then report, server and log are compared with what is wanted."""
        before = count()
        self.export()
        asked = len(self.peer.requests())
        code, out, err = self.run("--reconcile", "--json")
        check(f"exit code ({err.strip()[:500]})", code, 0)
        report = json.loads(out or "{}")
        check("result", (report.get("result"), report.get("exit")), ("done", 0))
        check("counts", {key: report.get(key) for key in COUNTS}, {key: counts.get(key, 0) for key in COUNTS})
        check("refused", [user.get("id") for user in report.get("refused", [])], list(refused))
        rest = {key: report.get(key) for key in ("held", "waiting", "parked", "failed", "kept", "drift", "hold")}
        check("nothing else is open", {key: value for key, value in rest.items() if value}, {})

        # Each change is one writing request of its method, and none is refused; a quiet day asks nothing at all.
        sent = self.peer.requests()[asked:]
        writes = [line for line in sent if line[0] != "GET"]
        wanted = dict.fromkeys(("POST", "PATCH", "PUT", "DELETE"), 0)
        update = self.method.upper()
        for key, verb in (("created", "POST"), ("updated", update), ("deactivated", update), ("deleted", "DELETE")):
            wanted[verb] += counts.get(key, 0)
        check("writing requests", {verb: sum(line[0] == verb for line in writes) for verb in wanted}, wanted)
        check("writing requests refused", [line for line in writes if int(line[2]) >= 400], [])
        if not any(wanted.values()):
            check("requests of a quiet day", sent, [])

        accounts = self.peer.all()
        names = [account["userName"].casefold() for account in accounts]
        check("no userName twice", sorted(name for name in set(names) if names.count(name) > 1), [])
        strangers = {account["id"]: account for account in accounts if account["id"] in self.strangers}
        check("strangers, with their versions", strangers, self.strangers)
        ours = {account["userName"]: shown(account) for account in accounts if account["id"] not in strangers}
        check("accounts", ours, self.want)

        status = json.loads(self.succeeds("status", "--json"))
        check("provisioned", status.get("provisioned"), sum(active for *_, active in self.want.values()))
        self.succeeds("events", "verify")
        self.succeeds("plan", "--expect-no-changes")
        said = ", ".join(f"{count} {key}" for key, count in counts.items())
        print(f"{self.method}, {title}: {said}: {'ok' if count() == before else 'FAILED'}", flush=True)


def shown(account):
    """What we manage of an account; an empty text is no value, and who does not say otherwise is active."""
    name = account.get("name") or {}
    parts = (account.get("externalId"), name.get("givenName"), name.get("familyName"))
    return *(part or None for part in parts), account.get("active", True)


def days(office):
    # Accounts that nobody asked us to manage, and some that are ours to adopt: the same username in other letter case.
    for number in range(STRANGERS):
        stranger = {"schemas": [USER], "userName": f"s{number}@y.example", "active": number % 2 == 0}
        account = office.peer.call("POST", "/Users", stranger)
        office.strangers[account["id"]] = account
    for number in ADOPTED:
        name = {"givenName": "Patricia", "familyName": f"Doe{number}"}
        office.peer.call("POST", "/Users", {"schemas": [USER], "userName": f"P{number}@X.example", "name": name})

    for number in range(60):
        office.hire(number)
    office.hire(5, firstname="Zoë", lastname="Łukasiewicz-Ñandú")
    office.hire(6, firstname="李", lastname="小龍")
    office.hire(7, firstname="Amélie \"Mél\"", lastname="O’Brien \\ Ødegård 🗝")
    office.hire(8, firstname="علي", lastname="Ἀθηνᾶ")
    # Names that a filter must quote and encode.
    for number, username in ((34, "o'neil+door&34@x.example"), (50, "jürgen.groß@x.example")):
        del office.want[office.users[number]["username"]]
        office.hire(number, username=username)
    del office.users[4]["lastname"]
    office.want["p4@x.example"] = ("id-004", "Pat", None, True)
    for number, other in ((1, {"groups": ["Other"]}), (2, {"state": "SUSPENDED"}), (3, {"state": "STAGED"})):
        office.change(number, **other)
        del office.want[f"p{number}@x.example"]
    # Adopted: it keeps the userName that it has, and no externalId is put upon it.
    for number in ADOPTED:
        del office.want[f"p{number}@x.example"]
        office.want[f"P{number}@X.example"] = (None, "Pat", f"Doe{number}", True)
    office.export()
    office.succeeds("check", "--online")
    office.succeeds("activate")
    office.day("day 1, the first load", created=52, linked=5, updated=5)
    office.day("day 2, a quiet one", unchanged=57)

    # Somebody gives a mover and the one to be suspended more than we manage: an update must leave it there.
    more = {
        "title": "Keyholder", "nickName": "Zo", "preferredLanguage": "fr-CH",
        "emails": [{"value": "zoe@x.example", "type": "work", "primary": True}],
        "phoneNumbers": [{"value": "tel:+41-1", "type": "mobile"}],
    }  # fmt: skip
    ids = {account["userName"]: account["id"] for account in office.peer.all()}
    rich = [ids["p5@x.example"], ids["o'neil+door&34@x.example"]]
    for scim_id in rich:
        operations = [{"op": "add", "path": key, "value": value} for key, value in more.items()]
        schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
        office.peer.call("PATCH", f"/Users/{scim_id}", {"schemas": [schema], "Operations": operations})

    def others():
        return [{key: office.peer.call("GET", f"/Users/{scim_id}").get(key) for key in more} for scim_id in rich]

    # Not every server keeps all of it.
    set_by_hand = others()
    check("the server keeps something of it", [bool(account["emails"]) for account in set_by_hand], [True, True])

    def check_more():
        check("what others set is still there", others(), set_by_hand)

    for number in range(100, 105):
        office.hire(number)
    office.hire(101, firstname="Jürgen", lastname="Çelik")
    office.hire(2)  # was suspended when we first heard of him
    for number in range(20, 24):
        office.change(number, lastname="Moved")
    office.change(5, firstname="Zoé", lastname="Łuk")
    office.change(24, lastname=None)
    office.change(25, firstname="", lastname="Cher")
    for number in (30, 31, 32):
        office.leave(number)
        del office.users[number]
    office.leave(33)
    office.change(33, groups=["Other"])
    # This server keeps whom we deactivate; the link ends all the same.
    for number, state in ((34, "SUSPENDED"), (35, "STAGED")):
        record = office.change(number, state=state)
        office.want[record["username"]] = (record["_id"], "Pat", f"Doe{number}", False)
    office.change(40, username="renamed@x.example")
    office.day("day 3, everything happens", ["id-040"], created=6, updated=7, deactivated=2, deleted=4, unchanged=43)
    check_more()

    # Two creates are looked up by filter, many by the list: this day and the first one take both ways.
    office.change(34, state="ACTIVATED", lastname="Returned")
    office.change(40, username="p40@x.example")
    name = office.users[50]["username"]
    left = next(account["id"] for account in office.peer.all() if account["userName"] == name)
    office.leave(50)
    del office.users[50]
    office.hire(900, username=name, firstname="Heir", lastname="Apparent")
    if office.keeps_deleted:
        # The name belongs to the inactive account, so the heir takes that over, with its externalId.
        office.want[name] = ("id-050", "Heir", "Apparent", True)
        office.day("day 4, a returner and an heir", linked=2, updated=2, deleted=1, unchanged=56)
    else:
        office.day("day 4, a returner and an heir", linked=1, updated=1, created=1, deleted=1, unchanged=56)
    check_more()
    accounts = {account["userName"]: account["id"] for account in office.peer.all()}
    check("the returner has his old account", accounts["o'neil+door&34@x.example"], rich[1])
    check("the heir has an account of his own", accounts[name] != left, not office.keeps_deleted)
    office.day("day 5, a quiet one", unchanged=58)
    if office.keeps_deleted:
        del office.users[900]
        office.export()
        code, _, _ = office.run("--reconcile")
        check("an heir leaves whose account shows another's externalId, as it did when it was linked", code, 0)


def days_by_cursor(office):
    """Three pages that only their cursors lead through: a first load, an update and a leaver, and a refresh that reads all."""
    for number in range(STRANGERS):
        office.hire(number)
    office.export()
    for call in (["check", "--online"], ["activate"]):
        office.succeeds(*call)
    office.day("day 1, the first load", created=STRANGERS)
    office.change(7, lastname="Moved")
    office.leave(STRANGERS - 1)
    del office.users[STRANGERS - 1]
    office.day("day 2, a mover and a leaver", updated=1, deleted=1, unchanged=STRANGERS - 2)
    for call in (["--reconcile", "--refresh"], ["plan", "--refresh", "--expect-no-changes"], ["check", "--online"]):
        office.succeeds(*call)


def office(binary, venvs, folder, method, start, paging, keeps_deleted):
    folder.mkdir()
    return Office(binary, folder, method, Peer(venvs, folder, start, PAGING=paging), keeps_deleted)


def main():
    binary, venvs, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    wanted = sys.argv[4:] or list(PEERS)
    for number, (name, peer) in enumerate((name, PEERS[name]) for name in wanted):
        for method in ("patch", "put"):
            print(f"== {name}, by {method.upper()}", flush=True)
            run = office(binary, venvs, folder / f"{number}-{method}", method, *peer)
            try:
                days(run)
            except Exception as error:  # one method's trouble does not hide the other's
                check(f"{name}, {method} goes to its end", repr(error), None)
            finally:
                run.peer.close()

    print("== scim2-flask, cursor alone", flush=True)
    run = office(binary, venvs, folder / "cursor", "patch", servers.scim2_flask, "cursor", False)
    try:
        days_by_cursor(run)
    except Exception as error:
        check("scim2-flask, cursor alone, goes to its end", repr(error), None)
    finally:
        run.peer.close()
    sys.exit(done())


if __name__ == "__main__":
    main()
