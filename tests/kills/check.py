"""Kills a cycle at each system call of one kind, one after the other, while it reads a CSV behind an address from which one user is
missing for the first time. Whatever was left: the next cycle reads it as the first sighting of that absence, removes nobody, and
leaves one spool with its note. Arguments: the binary, a folder to work in."""

import http.server
import json
import pathlib
import subprocess
import sys
import threading

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
# What makes, fills, renames, shortens and removes files, and what brings them to the disk.
CALLS = ("rename", "unlink", "ftruncate", "fsync", "fdatasync", "write", "pwrite64")
# More than a cycle makes of any of them.
CALLS_MAX = 200
USERS = 6
published = {"body": b"", "etag": '"0"', "version": 0}


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.endswith(".sha256"):
            return self.answer(404, b"")
        if self.headers["If-None-Match"] == published["etag"]:
            return self.answer(304, b"")
        self.answer(200, published["body"])

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("ETag", published["etag"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def publish(count):
    published["version"] += 1
    published["etag"] = f'"{published["version"]}"'
    rows = "".join(f"id-{number},p{number}@x.example,Pat,ACTIVATED\n" for number in range(count))
    published["body"] = f"_id,username,firstname,state\n{rows}".encode()


def run(*arguments, before=()):
    command = [*before, BINARY, "-c", str(WORK / "config.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def good(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def accounts_count():
    return json.loads(good("status", "--json"))["provisioned"]


def is_right():
    good("--reconcile")
    left = sorted(path.name for path in (WORK / "state").iterdir() if "spool" in path.name)
    assert left == ["state.db.spool", "state.db.spool.json"], left
    assert (WORK / "state/state.db.spool").read_bytes() == published["body"]
    assert accounts_count() == USERS, "the second cycle saw the same export, which proves no absence"


def killed_at_each(call):
    for number in range(1, CALLS_MAX):
        publish(USERS - 1)
        inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"]
        was_killed = run("--reconcile", before=inject).returncode in (-9, 137)
        try:
            is_right()
        except AssertionError as error:
            raise SystemExit(f"killed at {call} number {number}: {error}") from error
        publish(USERS)
        good("--reconcile")
        if not was_killed:
            return number - 1
    raise SystemExit(f"{call}: more than {CALLS_MAX}")


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sandbox = subprocess.Popen([BINARY, "sandbox", "--listen", "127.0.0.1:0", "--json", "-c", str(WORK / "none.toml")],
                               stdout=subprocess.PIPE, cwd=WORK, text=True)
    try:
        base_url = json.loads(sandbox.stdout.readline())["base_url"]
        wide = "".join(f"[guard.{kind}]\ncount_free = 1000\n" for kind in ("absent", "suspended", "create", "update"))
        (WORK / "config.toml").write_text(
            f'[directory]\nsource = "url"\nurl = "http://127.0.0.1:{server.server_port}/d"\n[rhombus]\nbase_url = "{base_url}"\n'
            f'token_file = "sandbox/token"\nsettle_time = "0s"\n[state]\npath = "state/state.db"\n{wide}')
        publish(USERS)
        good("activate")
        good("--reconcile")
        counts = {call: killed_at_each(call) for call in CALLS}
        assert counts["rename"] >= 2 and counts["write"] >= 2, counts
        print("kills: the next cycle was right after a kill at each of", ", ".join(f"{count} {call}" for call, count in counts.items()))
    finally:
        sandbox.terminate()
        sandbox.wait(30)


main()
