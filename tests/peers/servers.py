"""SCIM servers that others wrote, each in a process of its own with nobody in it."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

TOKEN = "peer-0123456789abcdef"
HERE = Path(__file__).parent
# Proxies of the environment are not for loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
GUNICORN = ["-m", "gunicorn", "--workers", "1", "--threads", "8", "--access-logfile", "-", "--chdir", str(HERE)]


def scim2_server(venvs, port):
    return [venvs / "flask/bin/scim2-server", "--port", port, "--bearer-token", TOKEN], "/v2"


def scim2_flask(venvs, port):
    return [venvs / "flask/bin/python", *GUNICORN, "--bind", f"127.0.0.1:{port}", "flask_peer:app"], "/scim/v2"


def django(venvs, port):
    return [venvs / "django/bin/python", *GUNICORN, "--bind", f"127.0.0.1:{port}", "django_peer:application"], "/scim/v2"


class Peer:
    """One server, its address and what it was asked."""

    def __init__(self, venvs, folder, start, **environment):
        self.log = folder / "server.log"
        self.by_cursor = environment.get("PAGING") == "cursor"
        environment = {**os.environ, "TOKEN": TOKEN, "FOLDER": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **environment}
        for _ in range(5):  # between finding a port and taking it, another may take it
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command, base = start(venvs, str(port))
            self.base_url = f"http://127.0.0.1:{port}{base}"
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
            if self.answers():
                return
            self.close()
        sys.exit(f"{command[0]} does not start: {self.log.read_text()}")

    def close(self):
        # A worker of gunicorn ends with its parent only where that can say so.
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answers(self):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.call("GET", "/ServiceProviderConfig")
                return True
            except OSError:
                time.sleep(0.05)
        return False

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"}
        request = urllib.request.Request(self.base_url + path, data, headers, method=method)
        with OPENER.open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def all(self):
        """Every account, whole."""
        found, place = [], "cursor=" if self.by_cursor else "startIndex=1"
        while True:
            page = self.call("GET", f"/Users?{place}&count=25")
            found += page.get("Resources", [])
            if self.by_cursor:
                if not page.get("nextCursor"):
                    return found
                place = f"cursor={page['nextCursor']}"
            elif len(found) >= page["totalResults"] or not page.get("Resources"):
                return found
            else:
                place = f"startIndex={len(found) + 1}"

    def requests(self):
        """Every request so far, as (method, path, status). The log is a moment behind, so it is read until it rests."""
        last = None
        while True:
            found = re.findall(r'"([A-Z]+) (\S+) \S+" (\d+)', self.log.read_text())
            if found == last:
                return found
            last = found
            time.sleep(0.1)
