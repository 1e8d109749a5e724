"""Power loss: what a run writes, syncs, creates and unlinks is recorded; then the disk is built anew as it may stand after
each step, with everything unsynced lost, kept, torn or partly kept, and the program starts on it."""

import os
import shutil

import points
import world

SECTOR = 512
VARIANTS = ("lost", "kept", "some", "torn")


class Step:
    """Something that happened to a file, and what Rhombus was when the next thing happened."""

    def __init__(self, kind, place, offset=0, data=b"", to=None):
        self.kind, self.place, self.offset, self.data, self.to, self.rhombus = kind, place, offset, data, to, None


class Recorder(points.Trace):
    """Records every step below the folder. The program waits at each, so Rhombus is as it was then."""

    def __init__(self, w):
        super().__init__(w.folder)
        self.world, self.steps, self.ends = w, [], {}

    def __call__(self, call):
        self._remember()
        name = call.name
        if name in ("unlink", "rename"):
            place = call.text(call.arguments[0])
            if place.startswith(self.folder):
                to = call.text(call.arguments[1]) if name == "rename" else None
                self.steps.append(Step(name, place, to=to))
        elif name in ("pwrite64", "write", "ftruncate", "fsync", "fdatasync"):
            place = call.path(call.arguments[0])
            if place.startswith(self.folder) and not place.endswith("-shm"):
                self._step(call, name, place)
        return None

    def _step(self, call, name, place):
        if name in ("fsync", "fdatasync"):
            self.steps.append(Step("sync", place))
        elif name == "ftruncate":
            self.ends[place] = call.arguments[1]
            self.steps.append(Step("cut", place, call.arguments[1]))
        else:
            data = call.memory(call.arguments[1], call.arguments[2])
            size = os.stat(f"/proc/{call.pid}/fd/{call.arguments[0]}").st_size
            offset = call.arguments[3] if name == "pwrite64" else size
            self.steps.append(Step("write", place, offset, data))

    def _remember(self):
        """Nothing is accepted while the program waits, but between two steps it may be."""
        last = self.steps[-1] if self.steps else None
        if last and last.rhombus is None:
            last.rhombus = self.world.rhombus.copy()


class Power(points.Points):
    """Images of one recorded run."""

    def __init__(self, folder, seed):
        super().__init__(folder, seed)
        self.eve_again()
        recorder = Recorder(self.world)
        points.traced(self.world, recorder)
        recorder._remember()
        self.steps = recorder.steps

    def cases(self, chance):
        variants = [(variant, changed) for variant in VARIANTS for changed in (0, 1)]
        return points.once_each(len(self.steps), variants, chance)

    def control(self, chance):
        """A disk that forgets what it was told to sync must be found out, or this finds nothing."""
        for _ in range(60):
            try:
                self.play((chance.randint(1, len(self.steps)), "lying", 0), chance)
            except (world.Violation, TimeoutError):
                return
        raise SystemExit("power: a disk that forgets synced writes goes unnoticed: this finds nothing")

    def play(self, case, chance):
        step, variant, changed = case
        self.eve_again()
        done = self.steps[:step]
        with self.world.rhombus.lock:
            received = done[-1].rhombus
        self.world.rhombus.restore(received)
        Disk(done, variant, chance).build()
        self.end(changed)
        return variant


class Disk:
    """Puts the steps onto the files of the eve, but for what a power cut takes."""

    def __init__(self, steps, variant, chance):
        self.steps, self.variant, self.chance = steps, variant, chance

    def build(self):
        synced = {}
        for number, step in enumerate(self.steps):
            if step.kind == "sync" and self.variant != "lying":
                synced[step.place] = number
        for number, step in enumerate(self.steps):
            if step.kind == "sync":
                continue
            if number < synced.get(step.place, -1) or self.kept(step):
                self.put(step)
        # What lies in shared memory is gone.
        for place in {step.place for step in self.steps}:
            shutil.rmtree(place + "-shm", ignore_errors=True)
            if os.path.exists(place.removesuffix("-wal") + "-shm"):
                os.unlink(place.removesuffix("-wal") + "-shm")

    def kept(self, step):
        if self.variant == "kept":
            return True
        if self.variant in ("lost", "lying"):
            return False
        if self.variant == "torn" and step.kind == "write":
            sectors = range(0, len(step.data), SECTOR)
            keep = self.chance.randint(0, len(sectors))
            step = Step("write", step.place, step.offset, step.data[: keep * SECTOR])
            self.put(step)
            return False
        return self.chance.random() < 0.5

    @staticmethod
    def put(step):
        if step.kind == "unlink":
            if os.path.exists(step.place):
                os.unlink(step.place)
        elif step.kind == "rename":
            if os.path.exists(step.place):
                os.rename(step.place, step.to)
        else:
            descriptor = os.open(step.place, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if step.kind == "cut":
                    os.ftruncate(descriptor, step.offset)
                else:
                    os.pwrite(descriptor, step.data, step.offset)
            finally:
                os.close(descriptor)
