"""Hosts with a folder each, the real Litestream beside the program on each, and one Rhombus with one receiver of events."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "proof"))
from world import TOKEN, Rhombus, Violation, configuration, person  # noqa: E402, F401

PATIENCE_S = 30


def until(what, is_so):
    ends = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > ends:
            raise TimeoutError(what)
        time.sleep(0.02)


def place(folder, export, written_at=None):
    """A new export, renamed into place; with the time that it has on every host, if one is given."""
    temporary = folder / "directory.new"
    temporary.write_text(json.dumps(list(export.values())))
    if written_at:
        os.utime(temporary, (written_at, written_at))
    temporary.rename(folder / "directory.json")


class Litestream:
    """A Litestream that replicates one state to one replica; without them, one that knows no state until it is told of one."""

    def __init__(self, binary, folder, state=None, replica=None):
        self.binary, self.folder = binary, folder
        self.states = [{"path": str(state), "replica": {"url": f"file://{replica}"}}] if state else []
        self.socket = folder / "litestream.sock"
        self.process = None

    def start(self):
        config = {"socket": {"enabled": True, "path": str(self.socket), "permissions": 0o600}, "dbs": self.states}
        (self.folder / "litestream.yml").write_text(json.dumps(config))
        self.socket.unlink(missing_ok=True)
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
    """A folder with configuration and state. `settings`: what `configuration` is told; `standby`: further lines of that section."""

    def __init__(self, folder, binary, litestream, rhombus, replicas, standby, **settings):
        self.folder, self.binary, self.litestream = pathlib.Path(folder), binary, litestream
        self.rhombus, self.daemon = rhombus, None
        (self.folder / "state").mkdir(mode=0o700)
        self.state = self.folder / "state/state.db"
        (self.folder / "token").write_text(TOKEN)
        (self.folder / "token").chmod(0o600)
        (self.folder / "config.toml").write_text(f"""\
{configuration(rhombus.address, **settings)}
[standby]
litestream = "unix://{litestream.socket}"
replica = "file://{replicas}"
{standby}
""")

    def environment(self):
        return dict(os.environ)

    def command(self, *arguments):
        return [self.binary, "-c", str(self.folder / "config.toml"), *arguments]

    def call(self, *arguments, exits=(0,)):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=120, input="yes\n", env=self.environment())
        if done.returncode not in exits:
            said = f"{done.stdout[-800:]}\n{done.stderr[-800:]}\n{self.log()}"
            raise Violation(f"{self.folder.name} {arguments} exits {done.returncode}:\n{said}")
        return done

    def start(self, *arguments):
        with open(self.folder / "daemon.log", "ab") as log:
            command = self.command("--log-format", "text", *arguments)
            self.daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=self.environment())
        return self.daemon

    def log(self):
        return (self.folder / "daemon.log").read_text()[-1500:] if (self.folder / "daemon.log").exists() else ""

    def status(self):
        return json.loads(self.call("status", "--json").stdout)

    def end(self):
        """Whatever still runs is killed."""
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGCONT)
            self.daemon.kill()
            self.daemon.wait()
        self.litestream.end()
