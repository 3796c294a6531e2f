"""Measure what it costs to call from R: the same tasks in this process, and in one of R.

```
python benchmarks/from_r.py [--quick] [--minutes 2]
```

The two processes take turns; while one works the other waits. Both have their data as is usual in
their language: Python an array of float32, R a matrix of doubles.
"""

import argparse
import json
import pathlib
import subprocess
import time

import keras
import numpy as np

import layer_api

SIZES = {"rows": 24_576, "inputs": 256, "units": 640, "layers": 12, "batch": 256}
SIZES["epochs"] = 2  # of a second or more each
SIZES["predictions"] = 8_000  # rows of 1000
MOST_ROUNDS = 25
# Of the time, how many shares a task gets; the others get one.
SHARES = {"train": 8, "train, keras3": 8}


class R:
    """A process of R that waits for tasks."""

    def __init__(self):
        script = pathlib.Path(__file__).with_suffix(".R")
        self.process = subprocess.Popen(
            ["Rscript", str(script), json.dumps(SIZES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.tasks = self._answer()["tasks"]

    def take(self, task):
        """Return the seconds that the task took, those of processors, and the copies in memory."""
        print(task, file=self.process.stdin, flush=True)
        answer = self._answer()
        return answer["seconds"], answer["cpu"], answer["copies"]

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError("R's half, from_r.R, ended before it answered.")


class Python:
    """The same tasks here."""

    def __init__(self):
        random = np.random.default_rng(0)
        self.x = random.standard_normal((SIZES["rows"], SIZES["inputs"])).astype("float32")
        self.y = random.integers(0, 10, SIZES["rows"])
        self.predictions = np.ones((SIZES["predictions"], 1000), "float32")
        self.model = self._network(3)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer="adam", loss=loss)
        options = {"batch_size": SIZES["batch"], "verbose": 0}
        self.tasks = {
            "train": lambda: self.model.fit(self.x, self.y, epochs=SIZES["epochs"], **options),
            "build": lambda: self._network(SIZES["layers"]),
            "predict": lambda: self.model.predict(self.x, **options),
            # What R's arrays are: doubles, column by column.
            "copy": lambda: self.predictions.astype("float64", order="F"),
        }

    def take(self, task):
        do = self.tasks[task.partition(",")[0]]
        started, started_cpu = time.perf_counter(), time.process_time()
        do()
        return time.perf_counter() - started, time.process_time() - started_cpu

    def _network(self, layers):
        options = {"activation": "relu", "kl_weight": 1 / SIZES["rows"]}
        hidden = [
            layer_api.layer_dense_flipout(units=SIZES["units"], **options)
            for _ in range(layers - 1)
        ]
        last = layer_api.layer_dense_flipout(units=10, kl_weight=1 / SIZES["rows"])
        model = keras.Sequential([keras.Input((SIZES["inputs"],))])
        return layer_api.pipe(model, *hidden, last)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2, help="at most; default: 2")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    r, python = R(), Python()
    until = time.perf_counter()
    share = options.minutes * 60 / sum(SHARES.get(task, 1) for task in r.tasks)
    for task in r.tasks:
        print(json.dumps({"progress": f"from R: {task}"}), flush=True)
        for side in (r, python):
            side.take(task)  # compiles
        until += share * SHARES.get(task, 1)
        rounds, fewest = [], 1 if task.startswith("train") else 2 if options.quick else 5
        while len(rounds) < fewest or (time.perf_counter() < until and len(rounds) < MOST_ROUNDS):
            rounds.append((*r.take(task), *python.take(task)))
        names = ("r", "r_cpu", "copies", "python", "python_cpu")
        line = dict(zip(names, zip(*rounds, strict=True), strict=True))
        print(json.dumps({"task": task, **SIZES, **line}), flush=True)


if __name__ == "__main__":
    main()
