"""Measure all contenders of one framework, Keras's backend, side by side in this process.

```
KERAS_BACKEND=jax python benchmarks/measure.py parts growth [--seconds 10]
```

Prints one line of JSON for each contender and kind of work, with the seconds of a step in every
round; `bench.py` runs this for every framework and makes tables and plots of the lines.

The contenders take turns, round after round, so that a machine that slows down for a while slows
them all. Compilation and first calls happen before the first round. Once the time is up that the
program has in all, which matters on a busy machine, what is left is left out, and that is reported.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import time

import draws as drawing
import keras
import numpy as np
from contenders import BACKEND, CLASSES, Net, of_this_framework, parts_of_ours

PACKAGES = ["layer-api", "keras", "tensorflow", "tf_keras", "tensorflow-probability", "jax"]
PACKAGES += ["torch", "keras-proba", "bayesian-torch", "numpy"]

MLP = Net(shape=(784,), units=(512, 512))
CONV_NET = Net(shape=(28, 28, 1), units=(), filters=(16, 32))
# What a step is made of: at which batches, and whether jit_compile=True. To save time, not for JAX.
PARTS = {
    "tensorflow": [(128, False), (1024, False), (1024, True)],
    "torch": [(128, False), (1024, False)],
    "jax": [],
}

# How cost grows: the ends and the last step before them first, in case that the time is up.
SIZES = [("depth", 1), ("depth", 8), ("batch", 1), ("batch", 4096), ("width", 64), ("width", 4096)]
SIZES += [("batch", 1024), ("width", 2048), ("width", 1024), ("batch", 64), ("depth", 3)]
SIZES += [("width", 256)]
# Draws of answers: network, rows of inputs, draws, and the ways. The longest last, whose peers are
# left out if the time is up.
SMALL = Net(shape=(1,), units=(64, 64), classes=2)
ANSWERS = [(MLP, 32, 100, drawing.ways), (SMALL, 200, 1000, drawing.ways_of_ours)]
ANSWERS += [(MLP, 1000, 100, drawing.ways)]
# Whether to compile with jit_compile=True: under TensorFlow in both ways.
JITS = (False, True) if BACKEND == "tensorflow" else (False,)

STARTED = time.perf_counter()
TURN = 0.2  # seconds of steps that a contender gets in a round
MOST_STEPS = 100
MOST_ROWS = 60_000
# A contender that has had this many times its share of seconds takes part in no further round.
MOST_SHARES = 2


def report(**line):
    print(json.dumps(line), flush=True)


def is_late(options):
    return time.perf_counter() - STARTED > options.minutes * 60


def compare(options, work, net, batch, sweep="table", at=None, train=True, jit=False):
    """Measure the contenders at one kind of work, and report them."""
    contenders, seconds = options.contenders, options.seconds
    at = batch if at is None else at
    compiled = "jit_compile" if jit else "default"
    place = f", {sweep} {at}" if sweep in ("width", "depth") else ""
    described = f"{BACKEND}, {compiled}: {work}, batch {batch}{place}"
    if not is_late(options):
        report(progress=described)
    generator = np.random.default_rng(0)
    rows = batch * max(2, min(MOST_STEPS, MOST_ROWS // batch))
    x = generator.standard_normal((rows, *net.shape), "float32")
    y = generator.integers(0, CLASSES, rows).astype("int32") if train else None

    turns, rounds = [], 0
    for one in contenders:
        if is_late(options):
            report(left_out=f"{described}: the time is up")
            return
        turns.append(Turn(one, one.build(net, jit), x, y, batch))
    started, share = time.perf_counter(), seconds / len(turns)
    while rounds < options.rounds or time.perf_counter() - started < seconds:
        # There and back, so that none is always the one behind the slowest.
        for turn in turns if rounds % 2 else reversed(turns):
            if rounds == 0 or turn.spent < MOST_SHARES * share:
                turn.take()
        rounds += 1
        if is_late(options):
            break
    for turn in turns:
        report(
            framework=BACKEND,
            compile=compiled,
            work=work,
            sweep=sweep,
            at=at,
            batch=batch,
            contender=turn.contender.name,
            role=turn.contender.role,
            floor=turn.contender.floor,
            seconds=turn.measured,
        )
    keras.backend.clear_session()


class Turn:
    """A contender at one kind of work: warmed up, ready to be measured a round at a time."""

    def __init__(self, contender, model, x, y, batch):
        self.contender, self.model, self.x, self.y, self.batch = contender, model, x, y, batch
        self.spent, self.measured = 0.0, []
        self.steps = int(np.clip(TURN / self._step(2), 2, len(x) // batch))

    def take(self):
        started = time.perf_counter()
        self.measured.append(self._step(self.steps))
        self.spent += time.perf_counter() - started

    def _step(self, steps):
        n = steps * self.batch
        y = None if self.y is None else self.y[:n]
        return self.model.seconds_per_step(self.x[:n], y, self.batch)


def training(options, jit):
    for batch in (128, 1024):
        compare(options, "MLP, training", MLP, batch, jit=jit)


def quick(options):
    """Compare the training of the MLP."""
    for jit in JITS:
        training(options, jit)


def table(options):
    """Compare all kinds of work."""
    for jit in JITS:
        training(options, jit)
        if not jit:
            compare(options, "conv net, training", CONV_NET, 128)
            compare(options, "MLP, prediction", MLP, 1024, train=False)


def growth(options):
    """Compare how cost grows with width, batch and depth."""
    options.rounds = 2  # a plot over sizes bears more noise than a number
    # One floor is enough here, that of Keras 3.
    is_shown = [one.role != "floor" or one.name == "Keras Dense" for one in options.contenders]
    options.contenders = list(itertools.compress(options.contenders, is_shown))
    for sweep, at in SIZES:
        width, batch, depth = {
            "width": (at, 128, 1),
            "batch": (512, at, 1),
            "depth": (64, 32, at),
        }[sweep]
        work = "layers of 64 units" if sweep == "depth" else "one layer"
        net = Net(shape=(width,), units=(width,) * depth)
        compare(options, work, net, batch, sweep=sweep, at=at)


def parts(options):
    """Measure what ours is made of."""
    options.contenders = parts_of_ours()
    for batch, jit in PARTS[BACKEND]:
        compare(options, "MLP, training", MLP, batch, sweep="parts", jit=jit)


def draws(options):
    """Compare the draws of answers."""
    for net, rows, n, ways in ANSWERS:
        compare_draws(options, net, rows, n, ways(options.contenders))


def sizes(net):
    """Return the sizes of a dense network as text."""
    return "-".join(map(str, [*net.shape, *net.units, net.classes]))


def compare_draws(options, net, rows, draws, ways):
    """Measure the ways to draw, in turn, and report the seconds that they take for all draws.

    A peer takes part in the first round only; if the time is short, in none.
    """
    described = f"{BACKEND}: {draws} draws of {sizes(net)}, {rows} rows"
    if is_late(options):
        report(left_out=f"{described}: the time is up")
        return
    report(progress=described)
    x = np.random.default_rng(0).standard_normal((rows, *net.shape), "float32")
    turns = []
    for way in sorted(ways, key=lambda way: way.role == "peer"):
        if way.role == "peer" and is_late(options):
            report(left_out=f"{described}: {way.name}: the time is up")
            continue
        run = way.build(net)
        run(x, draws // way.part)  # compiles
        turns.append((way, run, []))
    started, rounds = time.perf_counter(), 0
    while rounds < options.rounds or time.perf_counter() - started < options.seconds:
        for way, run, seconds in turns if rounds % 2 else reversed(turns):
            if rounds == 0 or (way.role != "peer" and not is_late(options)):
                before = time.perf_counter()
                run(x, draws // way.part)
                seconds.append(way.part * (time.perf_counter() - before))
        rounds += 1
        if is_late(options):
            break
    for way, _, seconds in turns:
        report(
            framework=BACKEND,
            network=sizes(net),
            rows=rows,
            draws=draws,
            contender=way.name,
            way=way.way,
            role=way.role,
            floor=way.floor,
            part=way.part,
            seconds=seconds,
        )
    keras.backend.clear_session()


# Each with its seconds of rounds for a comparison.
KINDS = {"table": (table, 3), "quick": (quick, 1.5), "parts": (parts, 2), "growth": (growth, 1)}
KINDS["draws"] = (draws, 1)


def versions():
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", choices=KINDS, help="table contains quick")
    parser.add_argument("--contenders", help="those whose name contains one of a,b,c")
    parser.add_argument("--seconds", type=float, help="of rounds for each comparison")
    parser.add_argument("--minutes", type=float, default=60, help="in all; default: 60")
    options = parser.parse_args()

    contenders, left_out = of_this_framework()
    report(versions=versions(), cores=os.cpu_count())
    for name, reason in left_out.items():
        report(left_out=f"{BACKEND}: {name}: {reason}")
    names = (options.contenders or "").split(",")
    options.contenders = [one for one in contenders if any(name in one.name for name in names)]
    options.rounds = 3  # at least
    for name in options.kinds:
        measure, seconds = KINDS[name]
        measure(argparse.Namespace(**vars(options) | {"seconds": options.seconds or seconds}))


if __name__ == "__main__":
    main()
