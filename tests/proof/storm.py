"""kill -9 at random instants, one-shot and daemon, under an endpoint that loses, tears and refuses, while the export
changes; now and then everything is let come to rest, and judged."""

import signal
import subprocess
import time

import world

PEOPLE = 16
ROUNDS = 10  # until it may come to rest


class Storm:
    """Each case is a world of its own: ten rounds, then rest."""

    def __init__(self, folder, seed):
        self.folder = folder

    def cases(self, chance):
        return [chance.getrandbits(32) for _ in range(1_000_000)]

    def play(self, case, chance):
        chance = world.seeded(case)
        method, removes = chance.choice(["patch", "put"]), chance.random() < 0.7
        w = world.World(self.folder / f"storm-{case}", world.binary(), method, removes, chance.random() < 0.2)
        try:
            w.begin({n: world.person(n) for n in range(PEOPLE // 2)})
            for _ in range(ROUNDS):
                self.round(w, chance)
            w.rhombus.fault = None
            w.rhombus.idle()
            w.settle()
            w.judge()
        finally:
            w.close()
        return f"{ROUNDS} rounds"

    def round(self, w, chance):
        if chance.random() < 0.7:
            w.place(self.export(w.past[-1], chance))
        rate = chance.choice([0, 0.1, 0.3])
        faults = world.seeded(chance.getrandbits(32))
        w.rhombus.fault = lambda *_: faults.choice(["before", "after", 500, 503]) if faults.random() < rate else None
        daemon = chance.random() < 0.4
        command = w.command() if daemon else w.command("--reconcile")
        with open(w.folder.parent / f"{w.folder.name}.out", "w+b") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.0, 0.25))  # the instant is what chance is for
            process.send_signal(signal.SIGKILL if chance.random() < 0.85 else signal.SIGTERM)
            process.wait(world.PATIENCE_S)
            out.seek(0)
            w.spoken(out.read())

    @staticmethod
    def export(before, chance):
        """People come, go, are suspended, and change their names."""
        after = {n: dict(record) for n, record in before.items()}
        for _ in range(chance.randint(1, 6)):
            n = chance.randrange(PEOPLE)
            what = chance.choice(["come", "go", "suspend", "first", "last"])
            if what == "go" and len(after) > 2:
                after.pop(n, None)
            elif what == "suspend" and n in after:
                after[n]["state"] = "SUSPENDED"
            elif what == "first" and n in after:
                after[n]["firstname"] = chance.choice(["Ann", "Anna", "Åsa", "N'Zé"])
            elif what == "last" and n in after:
                after[n]["lastname"] = chance.choice(["Bee", "Zed", "von der Höh"])
            elif what == "come":
                after[n] = world.person(n)
        if not world.wanted(after):
            after[0] = world.person(0)
        return after
