"""How fast 100,000 queued events leave, beside rsyslog over the same lines, alternating in one run: to a file (rsyslog: imfile to
omfile), to loopback TCP (imfile to omfwd), and after an outage; with the most memory that the daemon held, and the processor time
that each used. Arguments: the binary, a folder, the folder of the packages."""

import hashlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

BINARY, WORK, ROOT = sys.argv[1], *map(pathlib.Path, sys.argv[2:4])
COUNT = int(os.environ.get("RHOMBUS_SYNC_QUEUED", "100000"))
ROUNDS = int(os.environ.get("RHOMBUS_SYNC_ROUNDS", "3"))
PATIENCE = 120
LIBRARIES = [ROOT / "usr/lib/x86_64-linux-gnu", ROOT / "lib/x86_64-linux-gnu"]
ENVIRONMENT = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES))}
TICKS = os.sysconf("SC_CLK_TCK")
WIDE = "".join(f"[guard.{kind}]\ncount_free = 1000000\npercent_max = 100\ncount_max = 1000000\n"
               for kind in ("absent", "suspended", "create", "update"))


class Watched:
    """A process, the most memory it held, and the processor time it used."""

    def __init__(self, command, environment=None):
        self.log = open(WORK / "log", "ab")
        self.process = subprocess.Popen([str(part) for part in command], stdout=self.log, stderr=self.log, env=environment)
        self.memory_kib = self.seconds = 0

    def look(self):
        folder = pathlib.Path(f"/proc/{self.process.pid}")
        try:
            status = (folder / "status").read_text()
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        if found:
            self.memory_kib = int(found[0])
        self.seconds = (int(fields[11]) + int(fields[12])) / TICKS

    def end(self):
        self.look()
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


class Receiver:
    """Counts what is unmistakably one message each."""

    def __init__(self, port, mark, count):
        self.mark, self.wanted, self.count, self.done_at = mark, count, 0, None
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.read, args=(connection,), daemon=True).start()

    def read(self, connection):
        left = b""
        while piece := connection.recv(1 << 18):
            text = left + piece
            self.count += text.count(self.mark)
            left = text[-(len(self.mark) - 1):] if len(self.mark) > 1 else b""
            if self.count >= self.wanted and self.done_at is None:
                self.done_at = time.monotonic()

    def close(self):
        self.listener.close()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait(what, is_so, watched=None):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if watched:
            watched.look()
        if found := is_so():
            return found
        time.sleep(0.005)
    raise SystemExit(f"never: {what}\n{(WORK / 'log').read_text(errors='replace')[-2000:]}")


def newlines(path):
    """How many, looking only at what is new."""
    at = {"offset": 0, "count": 0}

    def count():
        if path.exists():
            with open(path, "rb") as file:
                file.seek(at["offset"])
                while piece := file.read(1 << 20):
                    at["count"] += piece.count(b"\n")
                    at["offset"] += len(piece)
        return at["count"]
    return count


def configure(folder, base_url, sinks):
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(
        f'[directory]\npath = "directory.json"\n[rhombus]\nbase_url = "{base_url}"\ntoken_file = "{WORK}/sandbox/token"\n'
        f'requests_per_second_max = 1000000\nsettle_time = "0s"\n[state]\npath = "state/state.db"\n'
        f'[schedule]\ncron = "0 0 0 1 1 *"\nrefresh_cron = ""\nwatch = false\n{WIDE}{sinks}')


def run(folder, *arguments):
    command = [BINARY, "-c", str(folder / "config.toml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")


def users(folder, count):
    records = [{"_id": f"id-{number:06}", "username": f"p{number}@x.example", "firstname": "Pat", "lastname": f"Doe{number}",
                "state": "ACTIVATED"} for number in range(count)]
    (folder / "new.json").write_text(json.dumps(records))
    os.replace(folder / "new.json", folder / "directory.json")


def queue(folder):
    """So many events behind those that are there, sealed as the program seals them. The lines, as the log has them now."""
    state = sqlite3.connect(folder / "state/state.db")
    sequence, chain, timestamp = state.execute("SELECT sequence, chain, timestamp FROM head").fetchone()
    sample = state.execute("SELECT line FROM events WHERE directory_id IS NOT NULL ORDER BY sequence LIMIT 1").fetchone()[0]
    rows = []
    for _ in range(COUNT - sequence):
        sequence += 1
        event = json.loads(sample)
        event.pop("chain")
        event["sequence"], event["id"] = sequence, f"{event['id'][:8]}{sequence:016x}"
        line = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
        chain = hashlib.sha256(f"{chain}\n{line}".encode()).hexdigest()
        rows.append((sequence, timestamp, f"id-{sequence:06}", f'{line[:-1]},"chain":"{chain}"}}'))
    with state:
        state.executemany("INSERT INTO events (sequence, stored_at, directory_id, line) VALUES (?, ?, ?, ?)", rows)
        state.execute("UPDATE head SET sequence = ?, chain = ?", (sequence, chain))
    lines = [line for line, in state.execute("SELECT line FROM events ORDER BY sequence")]
    state.close()
    return lines


def rsyslog(name, action):
    folder = WORK / f"rsyslog-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "conf").write_text(f"""
global(workDirectory="{folder}" maxMessageSize="64k")
main_queue(queue.type="LinkedList" queue.size="200000")
template(name="line" type="string" string="%msg%\\n")
module(load="imfile" mode="inotify")
input(type="imfile" file="{WORK}/lines" tag="x" ruleset="out" readMode="0")
ruleset(name="out") {{ {action} }}
""")
    command = [ROOT / "usr/sbin/rsyslogd", "-n", "-f", folder / "conf", "-i", folder / "pid", "-M",
               ROOT / "usr/lib/x86_64-linux-gnu/rsyslog"]
    return Watched(command, ENVIRONMENT)


def ours(master, sink):
    """A copy of the state in which nothing is delivered yet, with this sink."""
    folder = WORK / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(master, folder)
    text = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(text + f"[[sinks]]\n{sink}\n")
    return folder


def to_file(master):
    folder = ours(master, 'kind = "file"\npath = "out.ndjson"')
    started = time.monotonic()
    daemon = Watched([BINARY, "-c", folder / "config.toml"])
    count = newlines(folder / "out.ndjson")
    wait("our file is whole", lambda: count() >= COUNT, daemon)
    took = time.monotonic() - started
    daemon.end()
    return took, daemon


def rsyslog_to_file():
    out = WORK / "out"
    out.unlink(missing_ok=True)
    started = time.monotonic()
    process = rsyslog("file", f'action(type="omfile" file="{out}" template="line")')
    count = newlines(out)
    wait("rsyslog's file is whole", lambda: count() >= COUNT, process)
    took = time.monotonic() - started
    process.end()
    return took, process


def to_tcp(master, outage):
    port = free_port()
    folder = ours(master, f'kind = "syslog"\naddress = "tcp://127.0.0.1:{port}"')
    receiver = None if outage else Receiver(port, b"rhombus@32473", COUNT)
    started = time.monotonic()
    daemon = Watched([BINARY, "-c", folder / "config.toml"])
    if outage:
        def fails():
            with sqlite3.connect(f"file:{folder}/state/state.db?mode=ro", uri=True) as state:
                return any(error for error, in state.execute("SELECT error FROM sinks"))
        wait("it says that nobody is there", fails, daemon)
        receiver, started = Receiver(port, b"rhombus@32473", COUNT), time.monotonic()
    wait("everything arrives", lambda: receiver.done_at, daemon)
    daemon.end()
    receiver.close()
    return receiver.done_at - started, daemon


def rsyslog_to_tcp():
    port = free_port()
    receiver = Receiver(port, b"\n", COUNT)
    started = time.monotonic()
    process = rsyslog("tcp", f'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="line")')
    wait("everything arrives from rsyslog", lambda: receiver.done_at, process)
    process.end()
    receiver.close()
    return receiver.done_at - started, process


def cycle(master, sink, number):
    """How long a cycle of 3,000 creates takes, in ms, beside a queue that goes to this sink; users of their own each time."""
    folder = ours(master, sink) if sink else WORK / "alone"
    if not sink:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(master, folder)
    records = json.loads((folder / "directory.json").read_text())
    records += [{"_id": f"new-{number}-{one}", "username": f"n{number}.{one}@x.example", "firstname": "Pat", "lastname": "Doe",
                 "state": "ACTIVATED"} for one in range(3000)]
    (folder / "new.json").write_text(json.dumps(records))
    os.replace(folder / "new.json", folder / "directory.json")
    command = [BINARY, "-c", str(folder / "config.toml"), "--reconcile", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    if report["created"] != 3000:
        raise SystemExit(f"a cycle beside a queue: {done.stdout}\n{done.stderr}")
    return report["took_ms"]


def beside(master):
    """A cycle with and without the queue beside it, alternating; the medians."""
    sinks = [None, 'kind = "file"\npath = "out.ndjson"']
    pairs = [[cycle(master, sink, 2 * turn + which) for which, sink in enumerate(sinks)] for turn in range(2 * ROUNDS + 1)]
    alone, with_queue = (statistics.median(pair[which] for pair in pairs) for which in (0, 1))
    row(f"a cycle of 3,000 creates while {COUNT:,} events go to a file: time / without a sink", "<= 1.1",
        f"{with_queue / alone:.2f} ({alone:.0f} ms without)")


def row(what, goal, measured):
    print(f"| {what} | {goal} | {measured} |", flush=True)


def compare(what, goal, us, them):
    """Alternating; the medians."""
    pairs = [(us(), them()) for _ in range(ROUNDS)]
    our_time, their_time = (statistics.median(pair[which][0] for pair in pairs) for which in (0, 1))
    memory = max(daemon.memory_kib for (_, daemon), _ in pairs) / 1024
    row(f"{COUNT:,} events to {what}: rate / rsyslog's", f">= {goal}",
        f"{their_time / our_time:.2f} ({COUNT / our_time:,.0f} and {COUNT / their_time:,.0f} a second)")
    row("the same: resident memory, MiB", "<= 24", f"{memory:.0f}")
    row("the same: processor time, s, ours and rsyslog's", "",
        " and ".join(f"{statistics.median(pair[which][1].seconds for pair in pairs):.2f}" for which in (0, 1)))


def main():
    rhombus = subprocess.Popen([BINARY, "sandbox", "--listen", "127.0.0.1:0", "--json", "-c", str(WORK / "none.toml")],
                               stdout=subprocess.PIPE, cwd=WORK, text=True)
    try:
        base_url = json.loads(rhombus.stdout.readline())["base_url"]
        master = WORK / "master"
        configure(master, base_url, "")
        users(master, 1)
        run(master, "activate")
        run(master, "--reconcile")
        lines = queue(master)
        (WORK / "lines").write_text("".join(f"{line}\n" for line in lines))
        print("| what | goal | measured |\n|---|---|---|")
        beside(master)
        compare("a file", 2, lambda: to_file(master), rsyslog_to_file)
        compare("loopback TCP", 1.5, lambda: to_tcp(master, False), rsyslog_to_tcp)
        took, daemon = to_tcp(master, True)
        row(f"{COUNT:,} events after an outage: seconds until all are there", "", f"{took:.1f}")
        row("the same: resident memory, MiB", "<= 24", f"{daemon.memory_kib / 1024:.0f}")
    finally:
        rhombus.terminate()
        rhombus.wait(30)


main()
