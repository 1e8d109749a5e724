"""The real cycle in a simulated world (tests/it/simulation.rs), a block of seeds at a time."""

import collections
import os
import re
import subprocess

import cargo
import world

BLOCK = 25  # seeds of one case
TEST = "simulation::no_seed_breaks_a_promise"


def faults(text):
    """What each seed that failed begins with: its faults, then the end of its trace."""
    seeds = re.split(r"^(?=SEED \d+: )", text, flags=re.M)[1:]
    return "\n".join(seed[:1_500] for seed in seeds) or text[-6_000:]


class Seeds:
    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.binary = cargo.tests()

    def cases(self, chance):
        first = self.seed * 1_000_000
        return range(first, first + 1_000_000, BLOCK)

    def play(self, case, chance):
        seeds = f"{case}-{case + BLOCK - 1}"
        done = subprocess.run(
            [self.binary, "--exact", TEST, "--nocapture"], capture_output=True, text=True, preexec_fn=world.die_with_parent, timeout=1_800, cwd=world.ROOT,
            env={**os.environ, "RHOMBUS_SYNC_SEEDS": seeds, "TMPDIR": str(self.folder)},
        )  # fmt: skip
        if done.returncode:
            raise world.Violation(f"RHOMBUS_SYNC_SEEDS={seeds} cargo test --test it simulation::\n{faults(done.stderr)}")
        return collections.Counter({what: int(count) for what, count in re.findall(r"^met: (\w+) (\d+)$", done.stderr, re.M)})
