"""Train a tiny variational network for 100,000 steps under every backend: does memory grow?

```
python benchmarks/endurance.py [--steps 100000] [--backends tensorflow jax torch]
```

Each backend has a process of its own, one after the other. A round is a `fit()` of 2,000 steps with
`KLHistory()`, then draws of answers and the bound, as in a long study. Printed is, every 20,000
steps, what the process holds in memory without the frameworks' own program files, and the objects
that Python's garbage collector knows of: neither may keep growing after the first line. The C
library keeps what was freed for the next step, so a few megabytes come and go.
"""

import argparse
import gc
import os
import pathlib
import subprocess
import sys

ROUND = 2_000  # steps
LINE = 20_000
ROWS_OF_A_STEP = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    parser.add_argument("--in-this-process", action="store_true", help="what the others are run by")
    options = parser.parse_args()
    if options.in_this_process:
        train(options.steps)
        return
    print(f"{'backend':<12}{'steps':>9}{'MB':>9}{'objects':>10}", flush=True)
    for backend in options.backends:
        command = [sys.executable, __file__, "--in-this-process", "--steps", str(options.steps)]
        path = [str(pathlib.Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(path)}
        subprocess.run(command, env={**os.environ, **environment}, check=True)


def train(steps):
    """Train, and print a line at the end of every 20,000 steps."""
    import keras
    import numpy as np
    from memory import forget_peak, resident

    import layer_api

    rng = np.random.default_rng(1)
    x = rng.normal(size=(ROUND * ROWS_OF_A_STEP, 3)).astype("float32")
    y = (x @ [1.0, -2.0, 0.5] + rng.normal(size=len(x))).astype("float32")
    model = layer_api.pipe(
        keras.Sequential([keras.Input((3,))]),
        layer_api.layer_dense_flipout(units=4, activation="relu", kl_weight=1 / len(x)),
        layer_api.layer_dense_reparameterization(units=2, kl_weight=1 / len(x)),
    )
    model.compile(optimizer="adam", loss=layer_api.NormalLikelihood())
    for done in range(ROUND, steps + 1, ROUND):
        history = [layer_api.KLHistory()]
        model.fit(x, y, batch_size=ROWS_OF_A_STEP, verbose=0, callbacks=history)
        layer_api.posterior_epred(model, x[:10], draws=100, seed=1, verbose=0)
        layer_api.elbo(model, x[:100], y[:100], draws=10, verbose=0)
        if done % LINE == 0 or done == steps:
            gc.collect()
            forget_peak()  # gives what is free back to the system
            print(
                f"{keras.backend.backend():<12}{done:>9,}{resident('VmRSS'):>9.1f}"
                f"{len(gc.get_objects()):>10,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
