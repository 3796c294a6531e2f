"""Who is compared: in every framework an ordinary layer, ours and the peers, as models to train.

The ordinary layer is the floor: what a step costs without any uncertainty. A peer is held against
the floor of its own library, so Keras 2 against Keras 2.
"""

import dataclasses
import importlib
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import layer_api

BACKEND = keras.backend.backend()
CLASSES = 10
KL_WEIGHT = 1 / 60_000  # 1 / n, for the n training images of MNIST


@dataclasses.dataclass(frozen=True)
class Net:
    """Sizes of a network: 3x3 convolutions with pooling, then dense layers, then the classes."""

    shape: tuple
    units: tuple
    filters: tuple = ()
    classes: int = CLASSES


@dataclasses.dataclass(frozen=True)
class Contender:
    """One library's layers. `build(net, jit_compile)` returns a model with `seconds_per_step`."""

    name: str
    role: str  # "floor", "ours" or "peer"
    floor: str
    build: Callable[[Net, bool], Any]


class KerasModel:
    """A model of Keras 3 or of tf_keras, which `fit()` trains."""

    def __init__(self, library, dense, conv, net, jit_compile):
        layers = [library.Input(net.shape)]
        for n in net.filters:
            layers += [conv(n, (3, 3), activation="relu"), library.layers.MaxPooling2D()]
        if net.filters:
            layers.append(library.layers.Flatten())
        layers += [dense(n, activation="relu") for n in net.units]
        self.model = library.Sequential([*layers, dense(net.classes)])
        loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
        # Without jit_compile Keras decides: on TensorFlow XLA only where there is a GPU.
        options = {"jit_compile": True} if jit_compile else {}
        self.model.compile(optimizer="adam", loss=loss, **options)
        self.clock = _clock(library)

    def seconds_per_step(self, x, y, batch):
        """Return the time of a training step within an epoch; of a prediction if y is None."""
        options = {"batch_size": batch, "verbose": 0, "callbacks": [self.clock]}
        if y is None:
            self.model.predict(x, **options)
        else:
            self.model.fit(x, y, shuffle=False, **options)
        return (self.clock.end - self.clock.start) / (len(x) // batch - 1)

    def outputs(self, x):
        """Return the outputs for a tensor."""
        return self.model(x)


def _clock(library):
    """Return a callback that times from the end of the first batch to the end of the epoch.

    What `fit()` does before its first step stays out.
    """

    class Clock(library.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                np.asarray(logs["loss"])  # waits for the step, which JAX only queues
                self.start = time.perf_counter()

        def on_predict_batch_end(self, batch, logs=None):
            if batch == 0:
                np.asarray(logs["outputs"])
                self.start = time.perf_counter()

        def on_epoch_end(self, *_, **__):
            self.end = time.perf_counter()

        on_predict_end = on_epoch_end

    return Clock()


class TorchModel:
    """The same in plain torch, for a peer whose layers return (outputs, divergence)."""

    def __init__(self, dense, conv, net, jit_compile):
        import torch
        from torch import nn

        layers, inputs = [], int(np.prod(net.shape))
        if net.filters:
            size, _, channels = net.shape
            for n in net.filters:
                layers += [conv(channels, n, 3), nn.ReLU(), nn.MaxPool2d(2)]
                channels, size = n, (size - 2) // 2
            layers, inputs = [*layers, nn.Flatten()], channels * size**2
        for n in net.units:
            layers, inputs = [*layers, dense(inputs, n), nn.ReLU()], n
        self.model = nn.ModuleList([*layers, dense(inputs, net.classes)])
        self.optimizer = torch.optim.Adam(self.model.parameters())

    def seconds_per_step(self, x, y, batch):
        """Return the time of a training step within an epoch; of a prediction if y is None."""
        import torch

        x = torch.as_tensor(x)
        x = x.movedim(-1, 1) if x.ndim == 4 else x
        labels = None if y is None else torch.as_tensor(y, dtype=torch.int64)
        with torch.set_grad_enabled(y is not None):
            for first in range(0, len(x), batch):
                rows = slice(first, first + batch)
                outputs, divergence = self._outputs_and_divergence(x[rows])
                if y is not None:
                    loss = torch.nn.functional.cross_entropy(outputs, labels[rows])
                    self.optimizer.zero_grad()
                    (loss + KL_WEIGHT * divergence).backward()
                    self.optimizer.step()
                if first == 0:
                    start = time.perf_counter()
        return (time.perf_counter() - start) / (len(x) // batch - 1)

    def outputs(self, x):
        """Return the outputs for a tensor."""
        return self._outputs_and_divergence(x)[0]

    def _outputs_and_divergence(self, values):
        divergence = 0.0
        for layer in self.model:
            values = layer(values)
            if isinstance(values, tuple):
                values, divergence = values[0], divergence + values[1]
        return values, divergence


def of_this_framework():
    """Return the contenders that are installed, and for every other one why it is left out."""
    found, left_out = [], {}
    for make in [_ours, _keras_proba, *_ELSEWHERE.get(BACKEND, [])]:
        try:
            found += make()
        except ImportError as error:
            left_out[make.__name__.strip("_")] = str(error)
    return found, left_out


def _keras(library, dense, conv):
    return lambda net, jit_compile: KerasModel(library, dense, conv, net, jit_compile)


def _torch(dense, conv):
    return lambda net, jit_compile: TorchModel(dense, conv, net, jit_compile)


def _weighted(layer):
    return lambda *sizes, **options: layer(*sizes, kl_weight=KL_WEIGHT, **options)


def _ours():
    dense, conv = _weighted(layer_api.DenseFlipout), _weighted(layer_api.Conv2DFlipout)
    floor = _keras(keras, keras.layers.Dense, keras.layers.Conv2D)
    return [
        Contender("Keras Dense", "floor", "Keras Dense", floor),
        Contender("layer_api", "ours", "Keras Dense", _keras(keras, dense, conv)),
    ]


class Twice(keras.layers.Layer):
    """Two numbers for each weight, two products, no noise: what flipout cannot do without."""

    def __init__(self, units, activation=None):
        super().__init__()
        self.units, self.activation = units, keras.activations.get(activation)

    def build(self, input_shape):
        """Create two kernels and a bias."""
        shape = (input_shape[-1], self.units)
        self.kernels = [self.add_weight(shape=shape) for _ in range(2)]
        self.bias = self.add_weight(shape=shape[1:])

    def call(self, inputs):
        """Return what both kernels together make of the inputs."""
        one, other = (keras.ops.matmul(inputs, kernel) for kernel in self.kernels)
        # With a factor, as both gradients would be the same product otherwise, computed once.
        return self.activation(one - 0.5 * other + self.bias)


def parts_of_ours():
    """Return what a layer with uncertainty adds to the ordinary one, one thing after the other.

    The last is a bound: what is left without all that ours computes for noise and divergence.
    """
    floor, ours = _ours()

    def part(name, layer, **fixed):
        def dense(*sizes, **options):
            return layer(*sizes, kl_weight=KL_WEIGHT, **fixed, **options)

        return Contender(name, "part", floor.name, _keras(keras, dense, None))

    mean = {"kernel_posterior_tensor_fn": "mean"}
    return [
        floor,
        part("+ a scale for each weight, divergence", layer_api.DenseFlipout, **mean),
        part("+ a draw for each weight", layer_api.DenseReparameterization),
        dataclasses.replace(ours, name="+ second product, signs: flipout", role="part"),
        Contender(
            "two numbers for each weight, two products, no noise",
            "part",
            floor.name,
            _keras(keras, Twice, None),
        ),
    ]


def _keras_proba():
    layers = importlib.import_module("keras_proba.layers.variational")
    dense, conv = _weighted(layers.DenseFlipout), _weighted(layers.Conv2DFlipout)
    return [Contender("keras-proba", "peer", "Keras Dense", _keras(keras, dense, conv))]


def _tfp_layers():
    tfp = importlib.import_module("tensorflow_probability")
    tf_keras = importlib.import_module("tf_keras")

    def weighted(layer):
        def divergence(q, p, _):
            return KL_WEIGHT * tfp.distributions.kl_divergence(q, p)

        return lambda *sizes, **options: layer(*sizes, kernel_divergence_fn=divergence, **options)

    dense, conv = weighted(tfp.layers.DenseFlipout), weighted(tfp.layers.Convolution2DFlipout)
    floor = _keras(tf_keras, tf_keras.layers.Dense, tf_keras.layers.Conv2D)
    return [
        Contender("tf_keras Dense", "floor", "tf_keras Dense", floor),
        Contender("tfp.layers", "peer", "tf_keras Dense", _keras(tf_keras, dense, conv)),
    ]


def _bayesian_torch():
    nn = importlib.import_module("torch.nn")
    layers = importlib.import_module("bayesian_torch.layers.flipout_layers")
    return [
        Contender("torch Linear", "floor", "torch Linear", _torch(nn.Linear, nn.Conv2d)),
        Contender(
            "bayesian-torch",
            "peer",
            "torch Linear",
            _torch(layers.LinearFlipout, layers.Conv2dFlipout),
        ),
    ]


_ELSEWHERE = {"tensorflow": [_tfp_layers], "torch": [_bayesian_torch]}
