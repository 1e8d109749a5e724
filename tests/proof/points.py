"""Every system call of a mixed run that changes or learns something: the program is killed there, or the call is answered
with an error, and it starts again with the same or with a changed export."""

import errno
import os

import tracer
import world

ERRORS = {
    "pwrite64": [errno.EIO, errno.ENOSPC], "fsync": [errno.EIO], "fdatasync": [errno.EIO], "pread64": [errno.EIO],
    "ftruncate": [errno.EIO], "unlink": [errno.EIO], "rename": [errno.EIO], "openat": [errno.EMFILE, errno.EACCES],
    "write": [errno.ENOSPC, errno.EPIPE], "writev": [errno.EPIPE], "sendto": [errno.ECONNRESET], "read": [errno.EIO],
    "recvfrom": [errno.ECONNRESET], "connect": [errno.ECONNREFUSED], "flock": [errno.EINTR],
}  # fmt: skip


def counts(call, folder):
    """Whether a call is one that a point lies at. Reads of what is not ours (CAs, libraries) tell no instant from another."""
    if call.name in ("openat", "unlink", "rename", "mkdir"):
        return folder in call.text(call.arguments[1 if call.name == "openat" else 0])
    if call.name in ("connect", "recvfrom", "sendto", "sendmsg"):
        return True
    place = call.path(call.arguments[0])
    if call.name in ("read", "pread64"):
        return place.startswith(folder)
    return place.startswith((folder, "socket:"))


class Trace:
    """Counts points, and does something at one of them."""

    def __init__(self, folder, at=0, act=None):
        self.folder, self.at, self.act, self.seen, self.reached = str(folder), at, act, 0, None

    def __call__(self, call):
        if not counts(call, self.folder):
            return None
        self.seen += 1
        if self.seen < self.at or not self.at:
            return None
        if self.seen == self.at:
            self.reached = call.name
        return self.act(call, self.seen == self.at)


def kill(_call, _first):
    raise tracer.Kill


def traced(w, trace, arguments=("--reconcile",)):
    """Runs the program under the trace; its exit status, or None where it was killed."""
    out = os.open(w.folder.parent / "printed", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        status = tracer.run(w.command(*arguments), trace, out, out)
        w.spoken(os.pread(out, 1 << 22, 0))
        return status
    finally:
        os.close(out)


def once_each(count, variants, chance):
    """Every point once, each in some variant; after them every point in the others."""
    rounds = [[] for _ in variants]
    for at in range(1, count + 1):
        for place, variant in enumerate(chance.sample(variants, len(variants))):
            rounds[place].append((at, *variant))
    for cases in rounds:
        chance.shuffle(cases)
    return [case for cases in rounds for case in cases]


class Points:
    """A world at the eve of its mixed day, again and again."""

    def __init__(self, folder, seed):
        chance = world.seeded(seed)
        method, removes = chance.choice(["patch", "put"]), chance.random() < 0.7
        self.world = world.World(folder / "world", world.binary(), method, removes, chance.random() < 0.4)
        self.exports = world.exports()
        self.world.begin(self.exports[0])
        self.eve = self.world.copy(folder / "eve")
        self.world.place(self.exports[1])
        untouched = Trace(self.world.folder)
        traced(self.world, untouched)
        self.world.settle()
        self.world.judge()
        self.count = untouched.seen

    def eve_again(self):
        self.world.rhombus.idle()
        self.world.restore(self.eve)
        self.world.place(self.exports[1])

    def end(self, changed):
        if changed:
            self.world.place(self.exports[2])
        self.world.settle()
        self.world.judge()


class Kills(Points):
    """Killed at a point; half of them once more, at some point of the recovery."""

    def cases(self, chance):
        return once_each(self.count, [(changed, twice) for changed in (0, 1) for twice in (0, 1)], chance)

    def play(self, case, chance):
        at, changed, twice = case
        self.eve_again()
        trace = Trace(self.world.folder, at, kill)
        traced(self.world, trace)
        if trace.reached is None:
            return None  # this time the run had fewer points
        if twice:
            self.world.rhombus.idle()
            if changed:
                self.world.place(self.exports[2])
            traced(self.world, Trace(self.world.folder, chance.randint(1, self.count), kill))
            self.world.rhombus.idle()
        self.end(changed and not twice)
        return f"kill at {trace.reached}"


class Errors(Points):
    """A call is answered with an error, once or from then on. After an error of the state no change is begun."""

    def cases(self, chance):
        return once_each(self.count, [(lasting, which) for lasting in (0, 1) for which in (0, 1)], chance)

    def play(self, case, chance):
        at, lasting, which = case
        self.eve_again()
        said, state = {}, str(self.world.folder / "state")

        def act(call, first):
            if first:
                said["name"] = call.name
                said["errno"] = (ERRORS.get(call.name) or [errno.EIO])[which % len(ERRORS.get(call.name) or [0])]
                said["state"] = call.name in ("pwrite64", "fsync", "fdatasync") and self._place(call).startswith(state)
                said["changes"] = len(self.world.rhombus.changes)
            if call.name == said["name"] and (first or lasting):
                return said["errno"]
            return None

        trace = Trace(self.world.folder, at, act)
        status = traced(self.world, trace)
        if trace.reached is None:
            return None
        if status is not None and status < 0:
            raise world.Violation(f"died of signal {-status}")
        self.world.rhombus.idle()
        begun = len(self.world.rhombus.changes) - said["changes"]
        if said["state"] and begun > 8:
            raise world.Violation(f"{begun} changes after the state could not be written")
        self.end(bool(chance.getrandbits(1)))
        return f"{errno.errorcode[said['errno']]} from {trace.reached}{' and on' if lasting else ''}"

    @staticmethod
    def _place(call):
        return call.path(call.arguments[0])
