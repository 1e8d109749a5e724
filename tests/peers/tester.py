"""scim2-tester, a conformance suite that others wrote, against our sandbox.

Called by `run`: tester.py BINARY FOLDER. It runs twice: against the sandbox as it is, with every account active, and
against one that keeps inactive accounts, as most servers do, where it may make anybody inactive.
"""

import json
import random
import re
import subprocess
import sys
import uuid
from pathlib import Path

import httpx2
import scim2_tester.checkers.patch_add
import scim2_tester.checkers.patch_replace
import scim2_tester.filling
from check import check, done
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

# What Rhombus's rules contradict: the check, and the attribute that it names where it goes through several.
RHOMBUS = {
    ("object_replacement", None): "its PUT has another userName, which never changes",
    ("check_replace_attribute", "userName"): "the userName never changes",
    ("check_remove_attribute", "active"): "an account that does not say whether it is active, is",
}


def settle(is_active):
    """Two values of the suite's chance do not suit Rhombus: a userName is an e-mail address, and inactive is gone."""
    chance = scim2_tester.filling.generate_random_value

    def value(context, path, *arguments, **named):
        drawn = chance(context, path, *arguments, **named)
        if drawn is not None and str(path).endswith("userName"):
            return f"{uuid.uuid4()}@x.example"
        if drawn is not None and str(path).endswith("active"):
            return is_active()
        return drawn

    modules = (scim2_tester.filling, scim2_tester.checkers.patch_add, scim2_tester.checkers.patch_replace)
    for module in modules:
        module.generate_random_value = value
    return lambda: [setattr(module, "generate_random_value", chance) for module in modules]


def results(binary, folder, faults):
    """Each result of the suite, as (check, attribute, status, reason)."""
    folder.mkdir()
    command = [binary, "-c", str(folder / "none.toml"), "sandbox", "--listen", "127.0.0.1:0", "--json", "--faults", faults]
    sandbox = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True)
    try:
        said = json.loads(sandbox.stdout.readline())
        token = (folder / said["token_file"]).read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=said["base_url"], headers=headers, trust_env=False) as client:
            found = check_server(SyncSCIMClient(client))
    finally:
        sandbox.kill()
        sandbox.wait()
    named = re.compile(r"attribute '([^']+)'")
    return [
        (result.title, match[1] if (match := named.search(result.reason or "")) else None, result.status, result.reason)
        for result in found
    ]


def main():
    binary, folder = sys.argv[1], Path(sys.argv[2])
    runs = (("as it is", "", lambda: True), ("keeps_inactive", "keeps_inactive:1", lambda: random.random() < 0.5))
    for title, faults, is_active in runs:
        restore = settle(is_active)
        found = results(binary, folder / f"tester-{title.split()[0]}", faults)
        restore()
        bad = {(name, attribute): reason for name, attribute, status, reason in found if status != Status.SUCCESS}
        check(f"{title}: what fails is what Rhombus's rules contradict", sorted(map(str, bad)), sorted(map(str, RHOMBUS)))
        for key in bad.keys() - RHOMBUS.keys():
            print(f"  {key}: {bad[key]}", flush=True)
        # A suite that stops after the discovery passes, too.
        check(f"{title}: the whole suite ran", len(found) > 100, True)
        print(f"scim2-tester, {title}: {len(found) - len(bad)} of {len(found)} pass", flush=True)
    for (name, attribute), reason in RHOMBUS.items():
        print(f"  not {name} {attribute or ''}: {reason}")
    sys.exit(done())


if __name__ == "__main__":
    main()
