"""Draws of functions: one draw is one set of weights, and what it makes of all rows.

    draw s of a layer = its draw in the state that its noise has after s calls

The states of all draws are computed beforehand. A loop that the backend compiles runs the model in
one after the other, inside a scope that keeps every change of state out of the model.
"""

import contextlib
import functools
import math
import time
import zlib

import keras
import numpy as np

from layer_api import backend, keras_private, messages, noise
from layer_api.layers.variational_layer import DrawingLayer
from layer_api.weights.variational_weight import computed_posteriors

# Bytes that one run of the loop may hold, in outputs of all draws or inside the network for one.
_BYTES = 2**27
# Products of a weight and a row in one run: about a second, after which the bar moves on.
_PRODUCTS = 2**34
_MOST_DRAWS = 128
# Seconds after which there is a bar, where `verbose` leaves it open.
_PATIENCE = 3


def draw_outputs(models, x, draws, seed, batch_size, joint, training, verbose):
    """Return the outputs of networks for drawn weights: arrays of (draws, rows, ...).

    Args:
        models: list of models; the draws are spread over them.
        x: array, or structure of arrays with equally many rows, as the models take it.
        draws: number of draws.
        seed: whole number or None.
        batch_size: number of rows that are computed together, or None.
        joint: whether a draw has one set of weights for all rows.
        training: value of the argument `training` of the models.
        verbose: "auto", or whether a bar shows how far it is.
    """
    n, k = len(models), draws
    progress = _Progress(draws, verbose)
    parts = [
        _Functions(model, joint, training).outputs(
            x,
            k // n + (i < k % n),
            None if seed is None else f"{seed}/{i}",
            batch_size,
            progress,
        )
        for i, model in enumerate(models)
        if k // n + (i < k % n)
    ]
    progress.finish()
    return keras.tree.map_structure(lambda *each: np.concatenate(each), *parts)


def draw_weights(model, take, count, draws, seed):
    """Return weights of one model in its first draws: an array of (draws, weights).

    Args:
        model: model or layer.
        take: function that returns the weights, as a vector, in the states that the noise has.
        count: how many these are.
        draws: number of draws.
        seed: whole number or None.
    """
    seed = None if seed is None else f"{seed}/0"  # as that of the first model of an ensemble
    return _Functions(model, joint=True, training=False).weights(take, count, draws, seed)


class _Functions:
    """The functions that the weights of one model stand for."""

    def __init__(self, model, joint, training):
        self.model = model
        self.joint = joint
        self.training = training
        self.layers = keras_private.all_layers(model)
        if joint and training:
            self._refuse_noise_of_rows()
        # Generators of random numbers, and whether a generator is of one of our layers.
        self.generators = {
            generator: isinstance(layer, DrawingLayer)
            for layer in self.layers
            for generator in keras_private.seed_generators(layer)
        }
        if not all(self._has_no_other_noise(layer) for layer in self.layers):
            self.generators[keras_private.global_seed_generator()] = False

    def _has_no_other_noise(self, layer):
        """Tell whether a layer cannot draw from the global state of Keras."""
        return isinstance(layer, DrawingLayer) or keras_private.is_built_in(layer)

    def _refuse_noise_of_rows(self):
        for layer in self.layers:
            if not isinstance(layer, DrawingLayer) and keras_private.draws_for_every_row(layer):
                raise messages.invalid(
                    "joint",
                    "False (in R: FALSE) where a layer draws other noise for every row",
                    f"True, for {messages.describe(layer)}",
                    "Noise of rows is no weight that all rows could share.",
                )

    def outputs(self, x, draws, seed, batch_size, progress):
        """Return the outputs for a number of draws: arrays of (draws, rows, ...)."""
        keras_private.put_values_back(self.model)
        rows = len(keras.tree.flatten(x)[0])
        n = draws if self.generators else 1  # without noise all draws are equal
        step = min(rows, batch_size or self._rows_at_once())
        size = self._draws_at_once(n, step)
        starts = self._starts(seed)
        results: list = []
        for first in range(0, n, size):
            for begin in range(0, rows, step):
                states = self._states(starts, first, size, begin // step)
                outputs = self._run(states, keras.tree.map_structure(_rows(begin, step), x))
                arrays = [_to_numpy(a) for a in keras.tree.flatten(outputs)]
                if not results:
                    results = [np.empty((n, rows, *a.shape[2:]), a.dtype) for a in arrays]
                for result, a in zip(results, arrays, strict=True):
                    target = result[first : first + size, begin : begin + step]
                    target[:] = a[: target.shape[0], : target.shape[1]]
            progress.add(min(size, n - first) if n == draws else draws)
        if seed is None:
            self._move_on(draws)
        if n < draws:
            results = [np.repeat(a, draws, axis=0) for a in results]
        return keras.tree.pack_sequence_as(outputs, results)

    def weights(self, take, count, draws, seed):
        """Return weights in a number of draws: an array of (draws, weights)."""
        starts = self._starts(seed)
        runs = -(-draws // max(1, _BYTES // (4 * count)))
        size = -(-draws // runs)
        variables = [] if backend.loops.READS_VARIABLES else self._variables()
        trace = functools.partial(self._trace, lambda _: take())
        loop, parts = None, []
        for first in range(0, draws, size):
            states = self._states(starts, first, size, 0)
            loop = loop or backend.loops.compiled(trace, variables, states, [])
            parts.append(_to_numpy(loop(states, [])))
        if seed is None:
            self._move_on(draws)
        return np.concatenate(parts)[:draws]

    # --- How much at once ------------------------------------------------------------------------

    def _rows_at_once(self):
        """Return how many rows the network may hold all its values for."""
        widths = [
            math.prod(shape[1:])
            for layer in self.layers
            for shape in keras_private.output_shapes(layer)
            if None not in shape[1:]
        ]
        return max(32, _BYTES // (4 * max(sum(widths), 1024)))

    def _draws_at_once(self, draws, rows):
        """Return how many draws one run of the loop makes, the same number in all runs."""
        most = max(1, _PRODUCTS // (rows * max(self.model.count_params(), 1)))
        of_bytes = max(1, _BYTES // (4 * rows * self._columns()))
        runs = -(-draws // min(most, of_bytes, _MOST_DRAWS))
        return -(-draws // runs)

    def _columns(self):
        shapes = keras_private.output_shapes(self.model)
        return sum(math.prod(n or 1 for n in shape[1:]) for shape in shapes) or 1

    # --- States of the noise ---------------------------------------------------------------------

    def _starts(self, seed):
        """Return seed and number of the call with which the draws of each generator begin."""
        if seed is not None:
            n = len(self.generators)
            return [(zlib.crc32(f"{seed}/{index}".encode()) >> 1, 0) for index in range(n)]
        return [_words(generator) for generator in self.generators]

    def _states(self, starts, first, n, batch):
        """Return the states of each generator for the draws from `first` on: arrays of (n, 2)."""
        draws = range(first, first + n)
        states = []
        for (generator, is_ours), (seed, call) in zip(self.generators.items(), starts, strict=True):
            if self.joint and is_ours:
                pairs = [_advanced(generator, seed, call + s) for s in draws]
            else:  # a draw takes several states, which must not be those of another draw
                place = [] if self.joint else [batch]
                sequences = [np.random.SeedSequence([seed, call, s, *place]) for s in draws]
                pairs = [(int(each.generate_state(1)[0]) >> 1, 0) for each in sequences]
            states.append(np.array(pairs, _unsigned(generator)).view(generator.state.dtype))
        return states

    def _move_on(self, draws):
        """Leave the noise in the state that it would have after that many calls."""
        for generator in self.generators:
            seed, call = _words(generator)
            words = np.array(_advanced(generator, seed, call + draws), _unsigned(generator))
            generator.state.assign(words.view(generator.state.dtype))

    # --- The loop --------------------------------------------------------------------------------

    def _run(self, states, x):
        """Run the loop over the draws, compiled once for a model as it is and inputs like these."""
        loops = vars(self.model).setdefault("_loops_of_answers", {})
        kinds = [(a.shape[1:], a.dtype.str) for a in keras.tree.flatten(x)]
        structure = str(keras.tree.map_structure(lambda _: 0, x))
        layers = tuple(map(id, self.layers))
        key = (self.joint, self.training, layers, len(states), structure, str(kinds))
        if key not in loops:
            variables = [] if backend.loops.READS_VARIABLES else self._variables()
            trace = functools.partial(self._trace, self._call)
            loops[key] = backend.loops.compiled(trace, variables, states, x)
        return loops[key](states, x)

    def _variables(self):
        of_noise = {id(generator.state) for generator in self.generators}
        return [v for v in self.model.variables if id(v) not in of_noise]

    def _trace(self, function, map_draws, states, x, given=()):
        """Return what a function of the inputs returns in all draws.

        Args:
            function: the function, such as the model.
            map_draws: the backend's loop, a function of (draw, states).
            states: states of each generator, a row for each draw.
            x: inputs.
            given: pairs of a variable and its value, where the backend does not read variables.
        """
        with contextlib.ExitStack() as stack:
            if self.joint:
                stack.enter_context(noise.one_function())
            if self.training:
                stack.enter_context(keras_private.noise_of_training(self.layers, self.joint))
            stack.enter_context(keras.StatelessScope(given))
            stack.enter_context(computed_posteriors(self.layers))
            return map_draws(functools.partial(self._draw, function, x, given), states)

    def _draw(self, function, x, given, states):
        noises = [
            (generator.state, state)
            for generator, state in zip(self.generators, states, strict=True)
        ]
        with keras.StatelessScope([*given, *noises]):
            return function(x)

    def _call(self, x):
        if keras_private.has_training_argument(self.model):
            return self.model(x, training=self.training)
        return self.model(x)


def _words(generator):
    words = keras.ops.convert_to_numpy(generator.state.value).view(_unsigned(generator))
    return int(words[0]), int(words[1])


def _unsigned(generator):
    return f"u{np.dtype(generator.state.dtype).itemsize}"


def _advanced(generator, seed, call):
    """Return seed and number of a call; where one word cannot count it, the seed goes on."""
    bits = 8 * np.dtype(generator.state.dtype).itemsize
    return (seed + (call >> bits)) % 2**bits, call % 2**bits


def _rows(begin, n):
    """Return a function that gives `n` rows of an array; the last row stands for those behind."""

    def take(array):
        part = array[begin : begin + n]
        missing = n - len(part)
        return np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part

    return take


def _to_numpy(tensor):
    # NumPy has no bfloat16, and half precision is too little for what is computed from draws.
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype in ("float16", "bfloat16"):
        tensor = keras.ops.cast(tensor, "float32")
    return keras.ops.convert_to_numpy(tensor)


class _Progress:
    """A bar that shows how many draws are made."""

    def __init__(self, draws, verbose):
        self._is_open = verbose == "auto"
        self._bar = keras.utils.Progbar(draws, unit_name="draw") if verbose else None
        self._begin = time.monotonic()
        self._done = 0
        self._is_shown = False

    def add(self, draws):
        """Count draws, and show the bar."""
        self._done += draws
        late = time.monotonic() - self._begin > _PATIENCE
        self._is_shown = self._is_shown or not self._is_open or late
        if self._bar is not None and self._is_shown:
            self._bar.update(self._done, finalize=False)

    def finish(self):
        """End the line of the bar, if it was shown."""
        if self._bar is not None and self._is_shown:
            self._bar.update(self._done, finalize=True)
