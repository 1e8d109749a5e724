"""A real etcd: one member, or three that ask for a certificate and a token; and a wire that can be cut."""

import base64
import json
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

from hosts import Violation, until

# A server's certificate is also what its gateway shows to the member behind it: so it is a client's, too.
EXTENSIONS = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
PASSWORDS = iter(range(10**6))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def can_connect(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


class Member:
    """One member of etcd. `peers`: name and port of every member; `tls`: what makes it ask for a certificate."""

    def __init__(self, folder, name="default", port=None, peers=None, tls=()):
        self.port = port or free_port()
        peers = peers or {name: free_port()}
        scheme = "https" if tls else "http"
        client, peer = f"{scheme}://127.0.0.1:{self.port}", f"http://127.0.0.1:{peers[name]}"
        cluster = ",".join(f"{one}=http://127.0.0.1:{at}" for one, at in peers.items())
        self.url, self.log = client, folder / f"{name}.log"
        self.command = ["etcd", "--name", name, "--data-dir", folder / f"{name}.etcd", "--listen-client-urls", client,
                        "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                        "--initial-cluster", cluster, *tls]  # fmt: skip
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def listens(self):
        return can_connect(self.port)

    def signal(self, name):
        self.process.send_signal(name)

    def end(self):
        self.process.kill()
        self.process.wait()


class Etcd(Member):
    """One that is alone, and lets everybody in."""

    def __init__(self, folder):
        super().__init__(folder)
        until("etcd listens", self.listens)


class Cluster:
    """Three members that talk only to whoever shows a certificate of ours, and do only what a user's token allows."""

    def __init__(self, folder, prefix):
        self.folder, self.prefix = folder, prefix
        self.make_certificates()
        names = ["m1", "m2", "m3"]
        peers = {name: free_port() for name in names}
        tls = ["--client-cert-auth", "--trusted-ca-file", folder / "ca.pem", "--cert-file", folder / "server.pem",
               "--key-file", folder / "server.key"]  # fmt: skip
        self.members = [Member(folder, name, None, peers, tls) for name in names]
        self.context = ssl.create_default_context(cafile=folder / "ca.pem")
        self.context.load_cert_chain(folder / "client.pem", folder / "client.key")
        until("etcd has a leader", self.answers)
        self.password = self.root = None
        self.let_in()

    def make_certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        for authority in ("ca", "other-ca"):
            openssl("req", "-x509", *key, "-days", "2", "-subj", f"/CN={authority}", "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        (self.folder / "extensions").write_text(EXTENSIONS)
        for name in ("server", "client"):
            openssl("req", *key, "-subj", "/O=ours", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                    "-extfile", "extensions", "-out", f"{name}.pem")  # fmt: skip
        for private in self.folder.glob("*.key"):
            private.chmod(0o600)

    def let_in(self):
        """A user who may do what stands below the prefix, and nothing else."""
        end = self.prefix[:-1] + chr(ord(self.prefix[-1]) + 1)
        permission = {"permType": "READWRITE", "key": coded(self.prefix), "range_end": coded(end)}
        self.call("auth/role/add", name="root")
        self.call("auth/role/add", name="sync")
        self.call("auth/role/grant", name="sync", perm=permission)
        for user in ("root", "sync"):
            self.call("auth/user/add", name=user, password="first")
            self.call("auth/user/grant", user=user, role=user)
        self.call("auth/enable")

    def new_password(self):
        """Ends every token that the user has."""
        self.password = f"password-{next(PASSWORDS)}"
        self.root = self.token_of("root", "first")
        self.call("auth/user/changepw", name="sync", password=self.password)

    def write_token(self, path):
        token = self.token_of("sync", self.password)
        new = path.with_suffix(".new")
        new.write_text(token)
        new.chmod(0o600)
        new.rename(path)

    def token_of(self, name, password):
        """A new one: any change of a user, and the restart of a member, ends those of before."""
        self.root = None
        return self.call("auth/authenticate", name=name, password=password)["token"]

    def call(self, what, **body):
        """Asks the first member that answers."""
        error = None
        for member in self.members:
            request = urllib.request.Request(f"{member.url}/v3/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"})
            if self.root:
                request.add_header("Authorization", self.root)
            try:
                with urllib.request.urlopen(request, timeout=5, context=self.context) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as refused:
                raise Violation(f"etcd: {what}: {refused.read().decode()}") from None
            except OSError as silent:
                error = silent
        raise error

    def answers(self):
        """Whether every member has a leader to follow."""
        try:
            for member in self.members:
                with urllib.request.urlopen(f"{member.url}/health", timeout=5, context=self.context) as answer:
                    if json.load(answer)["health"] != "true":
                        return False
        except OSError:
            return False
        return True

    def end(self):
        for member in self.members:
            member.end()


def coded(text):
    return base64.b64encode(text.encode()).decode()


class Wire:
    """A TCP proxy that can be cut: what was open hangs, and so does what is opened."""

    def __init__(self, target):
        self.target, self.is_cut = target, threading.Event()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            near, _ = self.server.accept()
            far = socket.create_connection(("127.0.0.1", self.target))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one, other):
        try:
            while data := one.recv(65536):
                while self.is_cut.is_set():
                    time.sleep(0.05)
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
