"""The parts of the proof: what each counts, how much of it a commit is tried with, and how much makes it whole."""

import dataclasses
import typing

import points
import power
import storm


@dataclasses.dataclass
class Part:
    make: typing.Callable
    promise: str
    method: str
    counts: str
    unit: int  # of what it counts, in one case
    small: int  # cases for each commit
    full: int  # cases for each seed of the full run, at the most
    seeds: tuple


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
        "changes", "rounds", storm.ROUNDS, 5, 100, (1,),
    ),
}  # fmt: skip
