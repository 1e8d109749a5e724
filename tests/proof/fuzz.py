"""The fuzz targets of fuzz/: each reads what others write, and must neither panic nor take long nor believe what cannot be
believed. What leads to new code is kept in target/proof/corpus, so that a later run begins where this one ended."""

import collections
import os
import re
import subprocess
import tomllib

import cargo
import world

FIXTURES = world.ROOT / "tests/fixtures/exports"
INPUT_BYTES_MAX = 16_384
INPUT_S_MAX = {"jumpcloud": 60}  # a page that cannot be read is asked for again, after a pause
INPUT_S_MAX_OF_OTHERS = 10
TEST = "fuzzing::whatever_others_write_is_read_or_refused"


def targets():
    return [target["name"] for target in tomllib.loads((world.ROOT / "fuzz/Cargo.toml").read_text())["bin"]]


def is_full():
    return os.environ.get("RHOMBUS_SYNC_FUZZ_SECONDS", "") != ""


class Fuzz:
    """Each case is a target for some seconds: in a full run with libFuzzer, else with what chance makes of the kept inputs."""

    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.binaries = cargo.fuzz() if is_full() else None
        self.tests = cargo.tests()

    def cases(self, chance):
        return [(target, turn) for turn in range(1_000) for target in targets()]

    def play(self, case, chance):
        target, turn = case
        seconds = int(os.environ.get("RHOMBUS_SYNC_FUZZ_SECONDS") or 3)
        environment = {**os.environ, "TMPDIR": str(self.folder)}
        if self.binaries:
            command, count = self.with_coverage(target, turn, seconds), r"stat::number_of_executed_units:\s*(\d+)"
        else:
            environment |= {"RHOMBUS_SYNC_FUZZ": target, "RHOMBUS_SYNC_FUZZ_SECONDS": str(seconds),
                            "RHOMBUS_SYNC_SEED": str(self.seed + turn)}  # fmt: skip
            command, count = [self.tests, "--exact", TEST, "--nocapture"], rf"inputs: {target} (\d+)"
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", preexec_fn=world.die_with_parent,
                              timeout=seconds * 4 + 300, cwd=self.folder, env=environment)  # fmt: skip
        if done.returncode:
            raise world.Violation(f"{target}: {done.stderr[-3_000:]}")
        return collections.Counter({target: int(re.search(count, done.stderr)[1])})

    def with_coverage(self, target, turn, seconds):
        """libFuzzer on a target; what leads to new code is kept for the next time, what fails in target/proof/found."""
        corpus, found = cargo.TARGET / "proof/corpus" / target, cargo.TARGET / "proof/found"
        corpus.mkdir(parents=True, exist_ok=True)
        found.mkdir(parents=True, exist_ok=True)
        if target == "export":
            for path in FIXTURES.iterdir():
                if path.is_file() and path.stat().st_size < INPUT_BYTES_MAX:
                    (corpus / path.name).write_bytes(b"\0" + path.read_bytes())
        return [self.binaries / target, corpus, world.ROOT / "fuzz/corpus" / target, f"-max_total_time={seconds}",
                f"-timeout={INPUT_S_MAX.get(target, INPUT_S_MAX_OF_OTHERS)}",
                "-rss_limit_mb=512", f"-max_len={INPUT_BYTES_MAX}", "-print_final_stats=1", f"-seed={self.seed + turn}",
                f"-artifact_prefix={found}/{target}-"]  # fmt: skip
