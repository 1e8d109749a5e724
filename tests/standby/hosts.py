"""Two hosts with a directory each, the real Litestream beside the program on either, and one Rhombus with one receiver of events."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "proof"))
from world import TOKEN, Rhombus, Violation  # noqa: E402

PATIENCE_S = 30
WIDE = "count_free = 1000000\ncount_max = 1000000\n"


def until(what, is_so):
    ends = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > ends:
            raise TimeoutError(what)
        time.sleep(0.02)


class Litestream:
    """A Litestream that replicates one state to one replica."""

    def __init__(self, binary, folder, state, replica):
        self.binary, self.folder, self.state, self.replica = binary, folder, state, replica
        self.socket = folder / "litestream.sock"
        self.process = None

    def start(self):
        config = {"socket": {"enabled": True, "path": str(self.socket), "permissions": 0o600},
                  "dbs": [{"path": str(self.state), "replica": {"url": f"file://{self.replica}"}}]}  # fmt: skip
        (self.folder / "litestream.yml").write_text(json.dumps(config))
        with open(self.folder / "litestream.log", "ab") as log:
            command = [self.binary, "replicate", "-config", self.folder / "litestream.yml"]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until("Litestream listens", self.socket.exists)

    def signal(self, name):
        if self.process:
            self.process.send_signal(name)

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)


class Host:
    """A folder with configuration, state and export."""

    def __init__(self, folder, binary, litestream, rhombus, replica, lag_max="10s"):
        self.folder, self.binary, self.litestream_binary = pathlib.Path(folder), binary, litestream
        self.folder.mkdir(mode=0o700, parents=True)
        (self.folder / "state").mkdir(mode=0o700)
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "token").chmod(0o600)
        self.state = self.folder / "state/state.db"
        self.litestream = Litestream(litestream, self.folder, self.state, replica)
        kinds = "".join(f"[guard.{kind}]\n{WIDE}" for kind in ("absent", "suspended", "create", "update"))
        (self.folder / "config.toml").write_text(f"""\
[directory]
path = "directory.json"
[rhombus]
base_url = "{rhombus.address}/scim/v2"
token_file = "token"
settle_time = "1s"
requests_per_second_max = 1000
{kinds}
[schedule]
cron = "*/2 * * * * *"
refresh_cron = ""
[state]
path = "state/state.db"
[[sinks]]
kind = "http"
style = "ndjson"
url = "{rhombus.address}/events"
[standby]
litestream = "unix://{self.litestream.socket}"
replica = "file://{pathlib.Path(replica).parent}"
lag_max = "{lag_max}"
""")

    def command(self, *arguments):
        return [self.binary, "-c", str(self.folder / "config.toml"), *arguments]

    def call(self, *arguments, exits=(0,)):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, input="yes\n")
        if done.returncode not in exits:
            raise Violation(f"{arguments} exits {done.returncode}:\n{done.stdout[-800:]}\n{done.stderr[-800:]}")
        return done

    def start(self, *arguments):
        return subprocess.Popen(self.command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def place(self, export, written_at):
        """A new export, renamed into place, with the time that it has on either host."""
        temporary = self.folder / "directory.new"
        temporary.write_text(json.dumps(list(export.values())))
        os.utime(temporary, (written_at, written_at))
        temporary.rename(self.folder / "directory.json")

    def status(self):
        return json.loads(self.call("status", "--json").stdout)

    def settle(self):
        """Cycles, each hold approved as it is, until nothing is left. Whoever the first cycle left without a word is named."""
        first = None
        for _ in range(20):
            done = self.call("--reconcile", "--json", exits=(0, 3, 4))
            first = first or self.status()
            hold = json.loads(done.stdout)["hold"]
            if hold:
                self.call("approve", hold)
            if done.returncode == 0:
                return first
            time.sleep(0.2)
        raise Violation(f"it does not come to rest: {done.stdout[-800:]}")

    def restore(self, replica):
        """What `docs/standby.md` tells a person to do."""
        command = [self.litestream_binary, "restore", "-o", self.state, f"file://{replica}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, umask=0o077)
        if done.returncode:
            raise Violation(f"the replica cannot be restored: {done.stdout} {done.stderr}")
        if self.state.stat().st_mode & 0o077:
            self.state.chmod(0o600)
