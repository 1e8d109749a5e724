"""The fuzz targets of fuzz/: each reads what others write, and must neither panic nor take long nor believe what cannot be
believed. What leads to new code is kept in target/proof/corpus, so that a later run begins where this one ended."""

import collections
import os
import pathlib
import re
import subprocess
import tomllib

import cargo
import world

FIXTURES = world.ROOT / "tests/fixtures"
INPUT_BYTES_MAX = 16_384
SEED_BYTES_MAX = 8_192
LIST = b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"startIndex":1,"Resources":['
USER = b'{"id":"a","userName":"a@x.example","externalId":"a","active":true,"name":{"givenName":"Ann","familyName":"Bee"}}'
PATCH = b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"%s","value":%s}]}'


def targets():
    return [target["name"] for target in tomllib.loads((world.ROOT / "fuzz/Cargo.toml").read_text())["bin"]]


def is_full():
    return os.environ.get("RHOMBUS_SYNC_FUZZ_SECONDS", "") != ""


class Fuzz:
    """Each case is a target for some seconds."""

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.seconds = int(os.environ.get("RHOMBUS_SYNC_FUZZ_SECONDS") or 3)
        self.binaries = cargo.fuzz(is_full())

    def cases(self, chance):
        return [(target, turn) for turn in range(1_000) for target in targets()]

    def play(self, case, chance):
        target, turn = case
        corpus, found = cargo.TARGET / "proof/corpus" / target, cargo.TARGET / "proof/found"
        corpus.mkdir(parents=True, exist_ok=True)
        found.mkdir(parents=True, exist_ok=True)
        for place, seed in enumerate(seeds(target)):
            (corpus / f"seed-{place}").write_bytes(seed)
        kept = world.ROOT / "fuzz/corpus" / target
        done = subprocess.run(
            [self.binaries / target, corpus, *([kept] if kept.is_dir() else []), f"-max_total_time={self.seconds}", "-timeout=5",
             "-rss_limit_mb=512", f"-max_len={INPUT_BYTES_MAX}", "-print_final_stats=1", f"-seed={self.seed + turn}",
             f"-artifact_prefix={found}/{target}-"],
            capture_output=True, text=True, preexec_fn=world.die_with_parent, errors="replace", timeout=self.seconds * 4 + 300, cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.folder)},
        )  # fmt: skip
        if done.returncode:
            raise world.Violation(f"{target}: {done.stderr[-3_000:]}")
        count = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
        return collections.Counter({target: int(count[1])})


def seeds(target):
    """Something to begin with: what the tests know of what others write."""
    exports = [path.read_bytes() for path in sorted((FIXTURES / "exports").iterdir()) if path.is_file()]
    exports = [text for text in exports if len(text) < SEED_BYTES_MAX] + [(FIXTURES / "directory.json").read_bytes()]
    lines = [text for path in sorted((FIXTURES / "siem").rglob("*")) if path.is_file() for text in path.read_bytes().splitlines()]
    example = (world.ROOT / "config.example.toml").read_bytes()
    return {
        "config": [example, re.sub(rb"(?m)^# ?", b"", example)],
        "export": [b"\0" + text for text in exports],
        "columns": [
            b'without_state="activated"\0[{"_id":"a","username":"a@x.example"}]',
            b'records="users"\n[directory.columns]\nid="objectId"\nusername="mail"\nstate="enabled"\n[directory.states]\n'
            b'activated=["True"]\nsuspended=["False"]\n\0{"users":[{"objectId":"a","mail":"a@x.example","enabled":true}]}',
            b'format="csv"\ngroup_separator=","\n[scope]\ngroups=["R"]\n\0_id,username,state,groups\na,a@x.example,ACTIVATED,"R,S"\n',
        ],
        "scim": [b"\0" + LIST + USER + b"]}", b"\1" + USER, b"\x05" + b'{"detail":"no","status":"400"}'],
        "answer": [
            b"\0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"\1Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"\x02Wed, 21 Oct 2026 07:28:00 GMT", b"\x03120", b"\x03Wed, 21 Oct 2026 07:28:00 GMT", b"\x031.5",
        ],
        "sandbox": [
            b"\0" + PATCH % (b"name.givenName", b'"Anna"'), b"\0" + PATCH % (b"active", b"false"),
            b"\0" + PATCH % (b"emails[type eq \\\"work\\\"].value", b'"b@x.example"'),
            b'\1userName eq "a@x.example" and not (active eq false or emails[type eq "work"])', b"\2" + USER,
        ],
        "cron": [b"0 */5 * * * *\nUTC", b"0 0 3 * * MON-FRI\nEurope/Berlin", b"0 0 3 L 2 *\n", b"@daily\n"],
        "jumpcloud": [
            b'[{"id":"65d000000000000000000001"}]\0[{"id":"a","type":"user"}]\0{"totalCount":1,"results":[{"_id":"a",'
            b'"username":"a","email":"a@x.example","activated":true,"suspended":false,"state":"ACTIVATED"}]}',
        ],
        "events": [b"\0a\0a@x.example\0scim-a\0Ann\0Anna\0OK\0no", b"\x81|=\\\0\xff\0\n\r\0=1+1\0\0\xe2\x80\xa8"],
        "state": [b"\0" + bytes(10), b"\x81" + bytes(range(50))],
        "receivers": [
            b'\x0c{"text":"Success","code":0,"ackId":1}', b'\x0c{"acks":{"1":true}}',
            b'\x14{"errors":true,"items":[{"create":{"status":429}},{"create":{"status":409}},{"create":{"status":400}}]}',
            b'\x1c{"partialSuccess":{"rejectedLogRecords":1}}', b"\x04", b"\x24",
        ],
        "log": lines[:40],
    }.get(target, [])  # fmt: skip
