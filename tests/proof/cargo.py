"""What cargo builds for the parts that are not the program itself: the simulation's test binary and the fuzz targets. Each is
built once a run; the processes that play cases inherit where it lies."""

import json
import os
import pathlib
import subprocess

import world

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", world.ROOT / "target")).resolve()
HOST = "x86_64-unknown-linux-gnu"
# What `cargo fuzz build -s none` asks of the compiler: inputs that reach new code are told from others.
COVERAGE = (
    "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 "
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table "
    "-Cllvm-args=-sanitizer-coverage-trace-compares"
)


def build(arguments, **environment):
    """Builds, and answers the executables by name."""
    command = ["cargo", *arguments, "--message-format=json"]
    done = subprocess.run(command, cwd=world.ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} fails")
    told = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {one["target"]["name"]: one["executable"] for one in told if one.get("executable")}


def once(name, build_it):
    """The place of something built, from the environment if it was built already."""
    if name not in os.environ:
        os.environ[name] = build_it()
    return os.environ[name]


def tests():
    """The test binary that holds the simulation: RHOMBUS_SYNC_TESTS, else that of this checkout."""
    return once("RHOMBUS_SYNC_TESTS", lambda: build(["test", "--locked", "--quiet", "--test", "it", "--no-run"])["it"])


def fuzz():
    """The folder of the fuzz targets, built to tell which code an input reaches."""
    command = ["build", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--bins", "--release", "--target", HOST]

    def place():
        built = build(command, CARGO_TARGET_DIR=str(TARGET / "fuzz"), RUSTFLAGS=COVERAGE)
        return str(pathlib.Path(built["config"]).parent)

    return pathlib.Path(once("RHOMBUS_SYNC_FUZZ_TARGETS", place))
