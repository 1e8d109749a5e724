"""The parts of the proof: what each counts, how much of it a commit is tried with, and how much makes it whole."""

import dataclasses
import typing

import fuzz
import points
import power
import simulate
import storm


@dataclasses.dataclass
class Part:
    make: typing.Callable
    promise: str
    method: str
    counts: str
    unit: int  # of what it counts, in one case; 0: a case says how many
    small: int  # cases for each commit; 0: `cargo test` plays some
    full: int  # cases for each seed of the full run, at the most
    seeds: tuple
    step: int = 200  # cases of the full run that are kept together
    per_core: int = 2  # cases at once: most of the time a program waits for its endpoint, or is waited for
    command: str = "tests/proof/run {} --count N --seed S"


@dataclasses.dataclass
class Suite:
    """A part that is a test of `cargo test`, told to play all that it has."""

    promise: str
    method: str
    counts: str
    test: str
    environment: dict
    count: str  # what it prints of how many, as a regular expression

    def command(self):
        names = " ".join(f"{name}={value}" for name, value in self.environment.items())
        return f"{names} cargo test --locked --test it {self.test} -- --nocapture"


SUITES = {
    "dialogue": Suite(
        "1, 3, 4, 5", "every dialogue about one change: what the endpoint showed before, what it did, what it answered, what "
        "it shows after; judged by its own truth", "dialogues", "dialogue::", {"RHOMBUS_SYNC_DIALOGUES": "all"},
        r"(\d+) dialogues",
    ),
    "plans": Suite(
        "2, 3, 5, 9, 10", "generated snapshots, exports, settings and histories; the plan judged by an oracle that shares no "
        "code with it", "plans", "properties::", {"RHOMBUS_SYNC_CASES": "1000000"}, r"(\d+) plans",
    ),
}

PARTS = {
    "kills": Part(
        points.Kills, "1, 2, 3, 4, 5, 6, 9",
        "killed (SIGKILL) at a system call of a mixed run, half of them once more during the recovery; started again with "
        "the same or a changed export", "kills", 1, 60, 100_000, (1, 5, 9),
    ),
    "errors": Part(
        points.Errors, "1, 2, 4, 6",
        "a system call is answered with EIO, ENOSPC, EPIPE, ECONNRESET, EMFILE, EACCES, once or from then on", "errors",
        1, 60, 100_000, (1, 5, 9),
    ),
    "power": Part(
        power.Power, "1, 3, 4",
        "the disk as a power cut may leave it after each write: unsynced writes lost, kept, torn, or some of them; started "
        "again with the same or a changed export", "images", 1, 100, 100_000, (1, 5, 9),
    ),
    "storm": Part(
        storm.Storm, "1 to 6, 9",
        "kill -9 at random instants, daemon and one-shot, under an endpoint that cuts, loses and refuses, while the export "
        "changes", "rounds", storm.ROUNDS, 5, 100, (1,), 20,
    ),
    "simulation": Part(
        simulate.Seeds, "1 to 5, 7, 9, 11",
        "the real cycle, store and journal in a simulated world that one seed decides: index lag, lies, lost and late answers, "
        "edits by hand, a second sender, wrong clocks, bad exports, kills; every 200th seed is a month without trouble over a big "
        "state; the same seed gives the same trace", "seeds", simulate.BLOCK, 0, 10_000 // simulate.BLOCK, (1,), 20,
        per_core=1,
        command="tests/proof/run simulation --count N --seed S`; a seed: `RHOMBUS_SYNC_SEEDS=N cargo test --test it simulation::",
    ),
    "fuzz": Part(
        fuzz.Fuzz, "2, 4, 6",
        "bytes that lead to new code (libFuzzer), for whatever others write: configuration, exports, columns, SCIM, HTTP, "
        "JumpCloud, schedules, the state file, the log in each format, answers of receivers; no panic, none longer than ten "
        "seconds (a minute, where pages are fetched) or over 512 MiB", "inputs", 0, 0, 10 * len(fuzz.targets()), (1,), len(fuzz.targets()),
        per_core=1, command="tests/proof/run fuzz --count N --seed S",
    ),
}  # fmt: skip
