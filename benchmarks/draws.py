"""Who draws answers, and how: ours in one call; a peer in a loop, or by a `predict()` each.

The floor is a loop that the backend compiles, of as many passes through ordinary layers. The layers
of a peer draw signs for every row, so its draw is no one function of all rows, as one of ours is.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from contenders import BACKEND, Contender, Net

import layer_api

OURS, LOOP, PREDICT = "posterior_linpred()", "loop", "predict()"
# Peers of which a model has `predict()`.
OF_KERAS = ("keras-proba", "tfp.layers")


@dataclasses.dataclass(frozen=True)
class Way:
    """A way of a contender to draw. `build(net)` returns a function of (inputs, draws)."""

    contender: Contender
    way: str
    role: str  # "floor", "ours" or "peer"
    floor: str
    build: Callable[[Net], Callable]
    part: int = 1  # of so many draws it makes one, and its time is multiplied

    @property
    def name(self):
        """Name by which it is asked for, and by which others have it as their floor."""
        return f"{self.contender.name}, {self.way}"


def ways(contenders):
    """Return the ways of all contenders.

    In a loop every draw takes the same time, so that a peer makes a few of them.
    """
    found = []
    for one in contenders:
        floor = f"{one.floor}, {LOOP}"
        if one.role == "ours":
            found.append(Way(one, OURS, "ours", floor, _with(ours, one)))
            continue
        found.append(Way(one, LOOP, one.role, floor, _with(loop, one), 10))
        if one.name == "Keras Dense":
            found[-1] = dataclasses.replace(found[-1], part=1)
        if one.name in OF_KERAS:
            found.append(Way(one, PREDICT, "peer", floor, _with(predictions, one), 50))
    return found


def ways_of_ours(contenders):
    """Return our way, held against a `predict()` for each draw."""
    one = next(one for one in contenders if one.role == "ours")
    floor = f"{one.name}, {PREDICT}"
    return [
        Way(one, PREDICT, "floor", floor, _with(predictions, one), 50),
        Way(one, OURS, "ours", floor, _with(ours, one)),
    ]


def _with(way, contender):
    return lambda net: way(contender.build(net, False))


def ours(one):
    """Return a function that draws by `posterior_linpred()`."""
    return lambda x, draws: layer_api.posterior_linpred(one.model, x, draws=draws, verbose=False)


def predictions(one):
    """Return a function that calls `predict()` for each draw, with all rows in one batch."""

    def run(x, draws):
        options = {"batch_size": len(x), "verbose": 0}
        return np.stack([one.model.predict(x, **options) for _ in range(draws)])

    return run


if BACKEND == "tensorflow":
    import tensorflow as tf

    def loop(one):
        """Return a function that calls a model for each draw, in one graph."""

        @tf.function
        def run(x, draws):
            calls = tf.range(draws)
            return tf.map_fn(lambda _: one.outputs(x), calls, fn_output_signature=tf.float32)

        return lambda x, draws: run(tf.constant(x), tf.constant(draws)).numpy()

elif BACKEND == "jax":
    import jax

    def loop(one):
        """Return a function that calls a model for each draw, in one program."""

        @jax.jit
        def run(weights, states, x, zeros):
            # Without the zero XLA would compute once what is the same in all passes.
            def call(states, zero):
                outputs, states = one.model.stateless_call(weights, states, x + zero)
                return states, outputs

            return jax.lax.scan(call, states, zeros)[1]

        def values(variables):
            return [variable.value for variable in variables]

        def all_draws(x, draws):
            model = one.model
            weights = values(model.trainable_variables)
            states = values(model.non_trainable_variables)
            return np.asarray(run(weights, states, x, np.zeros(draws, "float32")))

        return all_draws

else:
    import torch

    def loop(one):
        """Return a function that calls a model for each draw, without derivatives."""

        def run(x, draws):
            x = torch.from_numpy(x)
            with torch.no_grad():
                return torch.stack([one.outputs(x) for _ in range(draws)]).numpy()

        return run
