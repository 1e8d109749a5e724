"""Three members of a real etcd behind TLS, a client's certificate and a token: a host passes over members that are gone or hang, and takes
up a new token by itself. Arguments: the program, Litestream, a folder to work in."""

import signal
import sys

from check import judge
from etcd import Cluster
from hosts import Violation, person, place, until
from lease import TTL_S, WORK, ByLease, Watched, is_equal

KEYS = 'ca_file = "{0}/ca.pem"\ncert_file = "{0}/client.pem"\nkey_file = "{0}/client.key"\n'


class Member(ByLease):
    """A host that reaches all members. `files`: further lines of `[standby]`."""

    def __init__(self, name, folder, cluster, rhombus, files):
        etcd = ", ".join(f'"{member.url}"' for member in cluster.members)
        super().__init__(name, folder, rhombus, f'etcd = [{etcd}]\nttl = "{TTL_S}s"\n{files}')


def says(host, part):
    """Why a host does not know who leads."""
    said = host.call("status", exits=(0, 1, 3, 4, 5, 6, 78))
    if part not in said.stdout + said.stderr:
        raise Violation(f"{host.name} does not say `{part}`:\n{said.stdout}\n{said.stderr}")


def strangers(folder, cluster, rhombus):
    """Whoever is not to be trusted, or shows nothing, is told apart from an etcd that is away."""
    keys = KEYS.format(folder)
    wrong_authority = keys.replace("/ca.pem", "/other-ca.pem")
    for name, files, said in (
        ("other-authority", wrong_authority, "invalid peer certificate"),
        ("no-certificate", f'ca_file = "{folder}/ca.pem"', "ertificate"),
        ("no-token", keys, "answers 400 etcdserver: user name is empty"),
        ("wrong-token", f'{keys}token_file = "{folder}/wrong"', "answers 401 etcdserver: invalid auth token"),
    ):
        says(Member(name, folder, cluster, rhombus, files), said)


def members():
    folder = WORK / "members"
    folder.mkdir()
    rhombus, cluster = Watched(), Cluster(folder, "check/")
    (folder / "wrong").write_text("Kw6pYq.1")
    (folder / "wrong").chmod(0o600)
    token, users = folder / "etcd-token", {n: person(n) for n in range(5)}
    hosts = []

    def one_more(what):
        """The host that leads sends, and under the same reign."""
        number = len(users)
        users[number] = person(number)
        place(folder, users)
        until(f"{what}: it sends", lambda: is_equal(rhombus, users))
        if (now := hosts[0].status()["standby"]) != led:
            raise Violation(f"{what}: it leads otherwise now: {now}, before {led}")
        print(f"{what}: it leads on", flush=True)

    try:
        strangers(folder, cluster, rhombus)
        cluster.new_password()
        cluster.write_token(token)
        place(folder, users)
        files = f'{KEYS.format(folder)}token_file = "{token}"'
        hosts += [Member(name, folder, cluster, rhombus, files) for name in ("host-a", "host-b")]
        host_a, host_b = hosts
        host_a.litestream.start()
        host_a.call("activate")
        host_a.start()
        until("host-a leads", host_a.leads)
        until("the first day is done", lambda: is_equal(rhombus, users))
        host_b.start()
        until("host-b stands by", host_b.stands_by)
        led = host_a.status()["standby"]
        for member in cluster.members:
            member.signal(signal.SIGSTOP)
            one_more(f"{member.log.stem} hangs")
            member.signal(signal.SIGCONT)
            until("every member answers", cluster.answers)
        first = cluster.members[0]
        first.end()
        one_more("a member is gone")
        first.start()
        until("it is back", cluster.answers)
        cluster.new_password()
        cluster.write_token(token)
        one_more("the token is replaced")
        host_a.litestream.end()
        host_a.litestream.start()
        one_more("Litestream is started anew")
        host_a.kill()
        users[100] = person(100)
        place(folder, users)
        until("host-b leads", host_b.leads)
        until("host-b sends", lambda: is_equal(rhombus, users))
        until("every event is delivered", lambda: all(sink["pending"] == 0 for sink in host_b.status()["sinks"]))
        if host_b.status()["restored"]:
            raise Violation("something is held")
        judge(rhombus, users)
    except (Violation, TimeoutError) as broken:
        raise Violation(f"--members: {broken}\n" + "\n".join(f"== {host.name}\n{host.log()}" for host in hosts)) from None
    finally:
        for host in hosts:
            host.end()
        cluster.end()
        rhombus.close()
    print("three members with TLS and a token: none of them is needed, and a new token is taken up")


if __name__ == "__main__":
    try:
        members()
    except (Violation, TimeoutError) as violation:
        sys.exit(f"VIOLATION: tests/standby/run {violation}")
