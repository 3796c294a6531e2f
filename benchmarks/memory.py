"""Measure how much memory one contender's training steps take, in a process of its own.

```
KERAS_BACKEND=jax python benchmarks/memory.py layer_api [--jit]
KERAS_BACKEND=jax python benchmarks/memory.py --draws "Keras Dense, loop"
```

Or its draws of answers. Counted is the peak of what the process holds in memory meanwhile, above
what it held before the network was made: weights, moments of Adam, activations, gradients, compiled
code, and the copies of the data that `fit()` makes. Pages of the frameworks' own program files are
not counted: they are on disk as well, all processes share them, and the system takes them back when
it needs the room.
"""

import argparse
import ctypes
import gc
import json
import pathlib
import re
import resource
import sys

import keras
import numpy as np
from contenders import BACKEND, CLASSES, Net, of_this_framework
from measure import ANSWERS, MLP, sizes

STEPS = 2
# Of the second, weights and what is computed of each of them take nearly all.
WORKS = [
    ("MLP", MLP, 1024),
    ("one layer of 2048", Net(shape=(2048,), units=(2048,)), 128),
]


def resident(field):
    """Return `VmRSS`, what is in memory now, or `VmHWM`, its peak, without files, in megabytes."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():  # not Linux: there is the peak of the whole process only
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)
    kilobytes = dict(re.findall(r"(\w+):\s+(\d+) kB", status.read_text()))
    return (int(kilobytes[field]) - int(kilobytes["RssFile"])) * 1024 / 1e6


def forget_peak():
    """Make the peak of the resident set start over, without what is free: Linux can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # what compilation took and gave back
    clear_refs = pathlib.Path("/proc/self/clear_refs")
    if clear_refs.exists():
        clear_refs.write_text("5")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("--jit", action="store_true", help="compile with jit_compile=True")
    parser.add_argument("--draws", action="store_true", help="of a way to draw, not of steps")
    options = parser.parse_args()
    # The framework itself, with its threads and pools, is there before the first network.
    ones = keras.ops.ones((1024, 1024))
    keras.ops.convert_to_numpy(keras.ops.matmul(ones, ones))
    for line in of_draws(options) if options.draws else of_steps(options):
        print(json.dumps(line), flush=True)
        keras.backend.clear_session()
        gc.collect()


def of_steps(options):
    """Yield a line for each work: the memory that training steps take."""
    contender = next(one for one in of_this_framework()[0] if one.name == options.contender)
    for work, net, batch in WORKS:
        generator = np.random.default_rng(0)
        x = generator.standard_normal((STEPS * batch, *net.shape), "float32")
        y = generator.integers(0, CLASSES, len(x)).astype("int32")
        yield {
            "framework": BACKEND,
            "compile": "jit_compile" if options.jit else "default",
            "work": work,
            "batch": batch,
            "contender": contender.name,
            "role": contender.role,
            "megabytes": taken(
                lambda net=net: contender.build(net, options.jit),
                lambda model, x=x, y=y, batch=batch: model.seconds_per_step(x, y, batch),
            ),
        }


def of_draws(options):
    """Yield a line: the memory that draws of the MLP take, of most rows."""
    net, rows, draws, ways = ANSWERS[-1]
    way = next(one for one in ways(of_this_framework()[0]) if one.name == options.contender)
    x = np.random.default_rng(0).standard_normal((rows, *net.shape), "float32")
    yield {
        "framework": BACKEND,
        "network": sizes(net),
        "rows": rows,
        "draws": draws,
        "contender": way.name,
        "megabytes": taken(lambda: way.build(net), lambda run: run(x, draws // way.part)),
    }


def taken(build, use):
    """Return the megabytes that something took at most, at its second use."""
    forget_peak()
    before = resident("VmRSS")
    built = build()
    use(built)
    forget_peak()
    use(built)
    return resident("VmHWM") - before


if __name__ == "__main__":
    main()
