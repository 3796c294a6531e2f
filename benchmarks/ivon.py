"""Is IVON, with half of Adam's time, as good as Adam? A trial, with the answer: no.

```
python benchmarks/ivon.py
```

IVON (Shen et al. 2024, Variational Learning is Effective for Large Deep Networks, algorithm 1,
<https://arxiv.org/abs/2402.17641>) fits independent normals as the layers of this package do, with
one product, one draw and one number for each weight beside mean and precision. It would be worth an
optimizer of its own if it reached in half of the time the evidence lower bound that Adam reaches.

The program trains both on two data sets, with the whole divergence from a prior N(0, 1), from the
start that the layers have. Both are compiled loops of JAX without a framework around, so that the
seconds are those of the method. Of each, the setting is the one that gets furthest with seed 0;
then there are five seeds. IVON has half of the seconds of Adam, and the decay of its rates to fit.
First it has to find the posterior of a linear regression, which is known.

A table is printed; it and a plot go to `build/ivon`.

Measured on two cores of an EPYC, ELBO and its standard error over five seeds: digits, Adam -1,927 ±
156 in 3.7 s, IVON -3,305 ± 502 in 1.9 s and -2,542 ± 260 in 3.7 s; Boston, Adam -533 ± 56 in 1.06
s, IVON -652 ± 11 in 0.38 s and -578 ± 7 in 0.74 s. With one draw of the weights for a batch, the
way that makes a step of IVON cheap, it was at -6,156 in digits where Adam was at -2,759. Its
estimate of the Hessian from one draw is noisy: a rate that is large enough for the precisions to
arrive in so few steps keeps the noise. In longer trainings, or with less of the divergence, it may
be otherwise.
"""

import argparse
import csv
import functools
import io
import itertools
import pathlib
import subprocess
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import report
from sklearn.datasets import load_digits

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "build" / "ivon"
SEEDS = range(5)
POINTS = 20  # of a curve
DRAWS = 64  # of an estimate of the bound


class Problem(NamedTuple):
    """Data, and a network for them.

    Attributes:
        x: array of the inputs.
        y: array of the outputs.
        sizes: numbers of units, from the inputs on.
        nll: function of outputs and y, the negative log-likelihood of each row.
        batch: number of rows of a step.
        epochs: how many Adam has.
    """

    x: Any
    y: Any
    sizes: list[int]
    nll: Any
    batch: int
    epochs: int


def digits():
    data = load_digits()
    rows = np.random.default_rng(0).permutation(len(data.target))[:1200]

    def nll(outputs, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], 1)[:, 0]

    x = jnp.asarray(data.data[rows] / 16, "float32")
    return Problem(x, jnp.asarray(data.target[rows]), [64, 100, 100, 100, 10], nll, 64, 200)


def boston():
    code = "write.csv(MASS::Boston, row.names = FALSE)"
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True)
    table = np.genfromtxt(io.StringIO(done.stdout), delimiter=",", skip_header=1)
    table = jnp.asarray((table - table.mean(axis=0)) / table.std(axis=0), "float32")

    def nll(outputs, y):
        scale = 1e-3 + jax.nn.softplus(outputs[:, 1])
        return _normal_nll(y, outputs[:, 0], scale)

    return Problem(table[:, :-1], table[:, -1], [13, 50, 2], nll, 32, 400)


def regression():
    """Return a linear regression with noise of known scale, and mean and sd of its posterior.

    Of all independent normals the one nearest to the posterior has its means, and the diagonal of
    its precision.
    """
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 8)) @ (np.eye(8) + 0.1 * generator.normal(size=(8, 8)))
    y = x @ generator.normal(size=8) + 0.5 * generator.normal(size=200)
    x, y = x - x.mean(axis=0), y - y.mean()  # so that there is nothing for the bias to do
    precision = x.T @ x / 0.25 + np.eye(8)
    exact = np.linalg.solve(precision, x.T @ y / 0.25), np.diag(precision) ** -0.5

    def nll(outputs, y):
        return _normal_nll(y, outputs[:, 0], 0.5)

    x, y = jnp.asarray(x, "float32"), jnp.asarray(y, "float32")
    return Problem(x, y, [8, 1], nll, 200, 40_000), exact


def _normal_nll(y, loc, scale):
    return 0.5 * jnp.log(2 * jnp.pi) + jnp.log(scale) + 0.5 * ((y - loc) / scale) ** 2


# --- Networks ------------------------------------------------------------------------------------


def forward(estimator, locs, sds, biases, x, key):
    """Return outputs, with the noise of local reparameterization or of one draw of the weights."""
    for number, (loc, sd, bias) in enumerate(zip(locs, sds, biases, strict=True)):
        key, own = jax.random.split(key)
        if estimator == "local":
            shape = (len(x), loc.shape[1])
            x = x @ loc + jnp.sqrt(x**2 @ sd**2 + 1e-12) * jax.random.normal(own, shape) + bias
        else:
            x = x @ (loc + sd * jax.random.normal(own, loc.shape)) + bias
        if number < len(locs) - 1:
            x = jax.nn.relu(x)
    return x


def divergence(locs, sds):
    pairs = zip(locs, sds, strict=True)
    return sum(jnp.sum((sd**2 + loc**2 - 1) / 2 - jnp.log(sd)) for loc, sd in pairs)


def start(sizes, key):
    """Return means, untransformed scales and biases as the layers of this package start."""
    shapes = list(itertools.pairwise(sizes))
    keys = iter(jax.random.split(key, 3 * len(shapes)))
    locs = [0.1 * jax.random.normal(next(keys), shape) for shape in shapes]
    scales = [-3 + 0.1 * jax.random.normal(next(keys), shape) for shape in shapes]
    biases = [0.1 * jax.random.normal(next(keys), shape[1:]) for shape in shapes]
    return locs, scales, biases


def sds_of(scales):
    return [1e-7 + jax.nn.softplus(scale) for scale in scales]


# --- The two ways to train -----------------------------------------------------------------------


def decayed(progress):
    return (1 + jnp.cos(jnp.pi * progress)) / 2


def zeros(tree):
    return jax.tree.map(jnp.zeros_like, tree)


def adam_step(values, firsts, seconds, gradients, step, rate):
    firsts = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, firsts, gradients)
    seconds = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, seconds, gradients)
    rate = rate * jnp.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
    values = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), values, firsts, seconds
    )
    return values, firsts, seconds


class Adam(NamedTuple):
    """Adam on means, untransformed scales and biases, as `fit()` of this package has it."""

    estimator: str
    rate: float

    def init(self, problem, key):
        values = start(problem.sizes, key)
        return values, zeros(values), zeros(values)

    def step(self, problem, state, x, y, key, step, progress):
        def loss(values):
            locs, scales, biases = values
            outputs = forward(self.estimator, locs, sds_of(scales), biases, x, key)
            kl = divergence(locs, sds_of(scales))
            return problem.nll(outputs, y).mean() + kl / len(problem.y)

        gradients = jax.grad(loss)(state[0])
        return adam_step(*state, gradients, step, self.rate * decayed(progress))

    def posterior(self, problem, state):
        locs, scales, biases = state[0]
        return locs, sds_of(scales), biases


class Ivon(NamedTuple):
    """IVON on the kernels, Adam on the biases.

    The precision is n * (h + 1 / n): that of the data, and 1 of the prior. `forget`, 1 - beta_2 of
    the paper, decays to a fiftieth: a constant one that is large enough to bring the precisions
    from their start to their end within these steps leaves them noisy.
    """

    estimator: str
    rate: float
    forget: float
    largest: float = 1.0  # change of a mean in a step, over the rate; without it IVON diverges

    def init(self, problem, key):
        locs, scales, biases = start(problem.sizes, key)
        n = len(problem.y)
        hessians = [(sd**-2 - 1) / n for sd in sds_of(scales)]
        return locs, hessians, zeros(locs), (biases, zeros(biases), zeros(biases))

    def step(self, problem, state, x, y, key, step, progress):
        locs, hessians, momenta, of_biases = state
        n = len(problem.y)
        sds = [jax.lax.rsqrt(n * h + 1) for h in hessians]

        def loss(locs, sds, biases):
            return problem.nll(forward(self.estimator, locs, sds, biases, x, key), y).mean()

        # The gradient by a standard deviation, over it, is the paper's estimate of the Hessian.
        by_locs, by_sds, by_biases = jax.grad(loss, (0, 1, 2))(locs, sds, of_biases[0])
        forget = self.forget * (0.02 + 0.98 * decayed(progress))

        def new_hessian(h, by_sd, sd):
            change = by_sd / sd - h
            return h + forget * change + 0.5 * forget**2 * change**2 / (h + 1 / n)

        hessians = [new_hessian(*each) for each in zip(hessians, by_sds, sds, strict=True)]
        momenta = [0.9 * m + 0.1 * g for m, g in zip(momenta, by_locs, strict=True)]
        rate = self.rate * decayed(progress)

        def new_loc(loc, momentum, h):
            change = (momentum / (1 - 0.9 ** (step + 1)) + loc / n) / (h + 1 / n)
            return loc - rate * jnp.clip(change, -self.largest, self.largest)

        locs = [new_loc(*each) for each in zip(locs, momenta, hessians, strict=True)]
        of_biases = adam_step(*of_biases, by_biases, step, 0.01 * decayed(progress))
        return locs, hessians, momenta, of_biases

    def posterior(self, problem, state):
        locs, hessians, _, (biases, _, _) = state
        return locs, [jax.lax.rsqrt(len(problem.y) * h + 1) for h in hessians], biases


ADAM = [Adam(*each) for each in itertools.product(["local", "shared"], [0.01, 0.02, 0.03, 0.05])]
IVON = [
    Ivon(*each)
    for each in itertools.product(["local", "shared"], [0.02, 0.05, 0.1], [0.01, 0.02, 0.04])
]


class Run(NamedTuple):
    """What came of training.

    Attributes:
        method: that which was trained by.
        curve: list of (steps, seconds, bound).
        posterior: means, standard deviations and biases at the end.
    """

    method: Any
    curve: list[tuple[int, float, float]]
    posterior: Any

    @property
    def elbo(self):
        """Bound at the end, minus infinity where it is no number."""
        value = self.curve[-1][2]
        return value if np.isfinite(value) else -np.inf

    @property
    def seconds(self):
        return self.curve[-1][1]


@functools.cache
def compiled(problem_of, method, epochs):
    """Return functions that train for some epochs, and that estimate the bound."""
    problem = problem_of()
    n, size = len(problem.y), problem.batch
    steps = n // size

    @functools.partial(jax.jit, static_argnums=2)
    def train(state, first, count, key):
        def epoch(state, number):
            order = jax.random.permutation(jax.random.fold_in(key, number), n)

            def one(state, index):
                rows = jax.lax.dynamic_slice(order, (index * size,), (size,))
                step = number * steps + index
                own = jax.random.fold_in(jax.random.fold_in(key, 1), step)
                progress = step / (epochs * steps)
                state = method.step(
                    problem, state, problem.x[rows], problem.y[rows], own, step, progress
                )
                return state, None

            return jax.lax.scan(one, state, jnp.arange(steps))

        return jax.lax.scan(epoch, state, first + jnp.arange(count))[0]

    @jax.jit
    def bound(state, key):
        locs, sds, biases = method.posterior(problem, state)

        def nll(key):
            outputs = forward("shared", locs, sds, biases, problem.x, key)
            return problem.nll(outputs, problem.y).sum()

        return -jax.lax.map(nll, jax.random.split(key, DRAWS)).mean() - divergence(locs, sds)

    return problem, train, bound


def run(problem_of, method, epochs, seed):
    """Train, and return what came of it; compiling is not in the seconds."""
    problem, train, bound = compiled(problem_of, method, epochs)
    key = jax.random.key(seed)
    state = method.init(problem, key)
    each = max(epochs // POINTS, 1)
    jax.block_until_ready(train(state, 0, each, key))
    curve, seconds = [], 0.0
    for first in range(0, epochs - each + 1, each):
        began = time.perf_counter()
        state = jax.block_until_ready(train(state, first, each, key))
        seconds += time.perf_counter() - began
        steps = (first + each) * (len(problem.y) // problem.batch)
        curve.append((steps, seconds, float(bound(state, jax.random.key(1)))))
    return Run(method, curve, method.posterior(problem, state))


def furthest(problem_of, methods, epochs_of, say):
    """Return the run with the best bound at the end, with seed 0."""
    runs = []
    for method in methods:
        runs.append(run(problem_of, method, epochs_of(method), 0))
        say(f"{method}: {runs[-1].elbo:,.0f} in {runs[-1].seconds:.2f} s")
    return max(runs, key=lambda each: each.elbo)


def compare(problem_of, say):
    """Return the runs of each method, five of each."""
    epochs = problem_of().epochs
    adam = furthest(problem_of, ADAM, lambda method: epochs, say)

    @functools.cache
    def seconds_of_an_epoch(estimator):
        runs = [run(problem_of, Ivon(estimator, 0.02, 0.02), 60, seed) for seed in SEEDS]
        return min(each.seconds for each in runs) / 60

    def in_half_of_the_time(method):
        own = seconds_of_an_epoch(method.estimator)
        return round(adam.seconds / 2 / own / POINTS) * POINTS

    ivon = furthest(problem_of, IVON, in_half_of_the_time, say)
    return {
        "Adam": [run(problem_of, adam.method, epochs, seed) for seed in SEEDS],
        "IVON": [
            run(problem_of, ivon.method, in_half_of_the_time(ivon.method), seed) for seed in SEEDS
        ],
    }


def check_regression():
    """Return the largest errors of mean and standard deviation, in standard deviations."""
    loc, sd = regression()[1]
    found = run(_regression, Ivon("local", 0.02, 0.001), 40_000, 0).posterior
    return (
        float(np.max(np.abs(np.asarray(found[0][0])[:, 0] - loc) / sd)),
        float(np.max(np.abs(np.asarray(found[1][0])[:, 0] / sd - 1))),
    )


def _regression():
    return regression()[0]


# --- What it comes to ----------------------------------------------------------------------------


def rows_of(name, runs):
    """Return a row of the table for each method of a data set."""
    rows = []
    for method, of_method in runs.items():
        bounds = [each.elbo for each in of_method]
        rows.append(
            {
                "data": name,
                "method": method,
                "elbo": np.mean(bounds),
                "elbo_error": np.std(bounds, ddof=1) / np.sqrt(len(bounds)),
                "seconds": np.median([each.seconds for each in of_method]),
                "steps": of_method[0].curve[-1][0],
                "setting": str(of_method[0].method),
            }
        )
    return rows


def plot(path, found):
    figure, axes = report.subplots(len(found), 2, figsize=(8, 2.8 * len(found)))
    colours = {"Adam": "#555555", "IVON": "#2b5c8a"}
    for of_name, (name, runs) in zip(axes, found.items(), strict=True):
        for axis, (column, label) in zip(of_name, enumerate(("steps", "seconds")), strict=True):
            for method, of_method in runs.items():
                for number, each in enumerate(of_method):
                    points = np.array(each.curve)
                    axis.plot(
                        points[:, column],
                        points[:, 2],
                        color=colours[method],
                        linewidth=1,
                        label=None if number else method,
                    )
            axis.set_title(f"{name}: ELBO over {label}", loc="left", fontsize=10)
            axis.set_yscale("symlog", linthresh=100)
            axis.legend(frameon=False)
    figure.savefig(path, dpi=144)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="print the table alone")
    options = parser.parse_args()

    def say(text):
        if not options.quiet:
            print(text, flush=True)

    FOLDER.mkdir(parents=True, exist_ok=True)
    mean, sd = check_regression()
    print(f"Linear regression: means within {mean:.3f} sd, standard deviations within {sd:.1%}.")
    found = {name: compare(of, say) for name, of in {"digits": digits, "Boston": boston}.items()}
    rows = [row for name, runs in found.items() for row in rows_of(name, runs)]
    with (FOLDER / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    plot(FOLDER / "ivon.png", found)
    for row in rows:
        print(
            f"{row['data']}, {row['method']}: ELBO {row['elbo']:,.0f} ± {row['elbo_error']:,.0f} "
            f"after {row['seconds']:.2f} s, {row['steps']} steps: {row['setting']}"
        )


if __name__ == "__main__":
    main()
