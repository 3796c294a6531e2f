"""What `AutoregressiveNetwork` is for: outputs that depend on earlier inputs only."""

import itertools

import keras
import numpy as np
import pytest
from framework import compiled, jacobian, numpy, only_tensorflow

import layer_api

N = 4
ORDERS = ["left-to-right", "right-to-left", "random", (2, 4, 1, 3)]


def made(**arguments):
    return layer_api.AutoregressiveNetwork(
        **{"params": 2, "hidden_units": [32, 32], "activation": "tanh", "seed": 1, **arguments}
    )


def derivatives(layer, x, **inputs):
    """Return |d outputs[i, p] / d x[j]| of one example, as an array (i, p, j)."""
    return np.abs(jacobian(lambda x: layer(x, **inputs), x[None])[0, :, :, 0])


def positions(layer):
    """Return the order that the masks of a network without hidden layers stand for."""
    return numpy(layer._masks[-1])[:, :: layer.params].sum(axis=0) + 1


UNITS = [None, 32, [32, 24, 32]]
CONDITIONS = [None, "all_layers", "first_layer"]
# A Latin square: any two of the arguments meet in each of their values, not any three.
SQUARE = [
    (ORDERS[i], ["equal", "random"][j], UNITS[k], CONDITIONS[(i + j + k) % 3])
    for i, j, k in itertools.product(range(4), range(2), range(3))
]


@pytest.mark.parametrize(
    ("input_order", "hidden_degrees", "hidden_units", "conditional"), SQUARE, ids=str
)
def test_jacobian(input_order, hidden_degrees, hidden_units, conditional):
    arguments, inputs = {}, {}
    rng = np.random.default_rng(1)
    if conditional:
        arguments = {
            "conditional": True,
            "conditional_event_shape": 3,
            "conditional_input_layers": conditional,
        }
        inputs = {"conditional_input": rng.normal(size=(1, 3)).astype("float32")}
    layer = made(
        params=3,
        input_order=input_order,
        hidden_degrees=hidden_degrees,
        hidden_units=hidden_units,
        **arguments,
    )
    found = derivatives(layer, rng.normal(size=N).astype("float32"), **inputs)
    # Weights that anybody sets do not break the order either.
    layer.set_weights([rng.normal(size=w.shape) / 4 for w in layer.get_weights()])
    again = derivatives(layer, rng.normal(size=N).astype("float32"), **inputs)
    named = {"left-to-right": (1, 2, 3, 4), "right-to-left": (4, 3, 2, 1)}
    order = named.get(input_order, input_order)
    if order == "random":
        plain = made(params=3, input_order="random", hidden_units=None)
        plain.build((None, N))
        order = positions(plain)
    allowed = np.array(order)[:, None] > np.array(order)
    for each in (found, again):
        for p in range(3):
            np.testing.assert_array_equal(each[:, p] > 0, allowed)


def test_conditional_input_reaches_every_output():
    layer = made(conditional=True, conditional_event_shape=3)
    one, many, c = (np.ones(shape, "float32") for shape in ((1, N), (5, N), (1, 3)))
    assert (jacobian(lambda c: layer(one, conditional_input=c), c) != 0).all()
    # One condition for all rows, and a symbolic one.
    assert layer(many, conditional_input=c).shape == (5, N, 2)
    symbolic = layer(keras.Input((N,)), conditional_input=keras.Input((3,)))
    assert symbolic.shape == (None, N, 2)


@pytest.mark.parametrize("seed", [None, 5])
def test_random_masks_are_drawn_once(seed, tmp_path):
    layer = made(event_shape=6, input_order="random", hidden_degrees="random", seed=seed)
    model = keras.Sequential([keras.Input((6,)), layer])
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(1).normal(size=(3, 6)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(numpy(clone(x)), numpy(model(x)))
    other = made(event_shape=6, input_order="random", hidden_degrees="random", seed=seed)
    other.build((None, 6))
    same = [np.array_equal(a, b) for a, b in zip(other._masks, layer._masks, strict=True)]
    assert all(same) == (seed is not None)


@only_tensorflow
def test_flow():
    """A flow of TensorFlow Probability, which takes the network as it is."""
    import tensorflow as tf
    import tensorflow_probability as tfp

    tfd, tfb = tfp.distributions, tfp.bijectors
    rng = np.random.default_rng(1)
    x2 = 2 * rng.normal(size=512)
    data = np.stack([rng.normal(size=512) + x2**2 / 4, x2], axis=-1).astype("float32")
    network = made(event_shape=2, input_order="right-to-left", hidden_units=[16, 16])
    assert (network.event_shape, network.params) == ([2], 2)
    network.build((None, 2))
    bijector = tfb.MaskedAutoregressiveFlow(shift_and_log_scale_fn=network)
    flow = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [2]), bijector)
    optimizer = keras.optimizers.Adam(0.01)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(data))
        gradients = tape.gradient(loss, [w.value for w in network.trainable_weights])
        optimizer.apply(gradients, network.trainable_weights)
        return loss

    before = step()
    for _ in range(100):
        after = step()
    # The best density of independent normals with these moments, in nats.
    normal = sum(np.log(data.std(axis=0) * np.sqrt(2 * np.pi * np.e)))
    assert after < before
    assert after < normal
    z = rng.normal(size=(8, 2)).astype("float32")
    np.testing.assert_allclose(bijector.inverse(tf.identity(bijector.forward(z))), z, atol=1e-4)


def test_a_conditional_input_that_is_missing_or_too_much():
    x, c = np.ones((2, N), "float32"), np.ones((2, 3), "float32")
    with pytest.raises(ValueError, match=r"`conditional_input` must be None/NULL where"):
        made()(x, conditional_input=c)
    layer = made(conditional=True, conditional_event_shape=3)
    with pytest.raises(ValueError, match=r"`conditional_input` must be .* Received: nothing"):
        layer(x)
    with pytest.raises(ValueError, match=r"Received: shape \[2, 2\]"):
        layer(x, conditional_input=c[:, :2])


def test_a_conditional_network_is_saved_cloned_and_fitted(tmp_path):
    inputs = keras.Input((N,)), keras.Input((3,))
    layer = made(conditional=True, conditional_event_shape=3)
    model = keras.Model(inputs, layer(inputs[0], conditional_input=inputs[1]))
    rng = np.random.default_rng(1)
    x, c, y = (rng.normal(size=s).astype("float32") for s in [(8, N), (8, 3), (8, N, 2)])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    losses = model.fit([x, c], y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for each in (loaded, clone):
        np.testing.assert_array_equal(numpy(each([x, c])), numpy(model([x, c])))
        assert repr(each.layers[-1]) == repr(layer)


def test_repr():
    layer = layer_api.AutoregressiveNetwork(2, 3, hidden_units=10, name="a")
    layer.build((None, 3))
    shown = "name=a, params=2, event_shape=3, hidden_units=(10,), built=True"
    assert repr(layer) == f"<AutoregressiveNetwork {shown}>"


def test_a_variable_before_another_layer():
    model = keras.Sequential([
        layer_api.VariableLayer((1, 3), initializer="ones"), keras.layers.Dense(2)
    ])  # fmt: skip
    x, y = np.zeros((1, 3), "float32"), np.full((1, 2), 5.0, "float32")
    outputs = numpy(model(x))
    np.testing.assert_allclose(numpy(compiled(model)(x)), outputs, rtol=1e-6)
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss="mse")
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert (model.layers[0].get_weights()[0] != 1).any()
    given = layer_api.VariableLayer(3, "float16", initializer="ones", name="v")
    shown = "name=v, shape=(3,), dtype=float16, initializer=Ones(), built=False"
    assert repr(given) == f"<VariableLayer {shown}>"


@pytest.mark.parametrize("kind", ["initializer", "regularizer", "constraint"])
def test_a_building_block_is_no_initializer(kind):
    """Blocks can be called too, but with other arguments than Keras calls with."""
    block = layer_api.KLDivergence()
    message = rf"a Keras {kind} or its name\. Received: .*KLDivergence"
    with pytest.raises((TypeError, ValueError), match=message):
        layer_api.VariableLayer(3, **{kind: block})
    with pytest.raises((TypeError, ValueError), match=message):
        layer_api.AutoregressiveNetwork(2, **{f"kernel_{kind}": block})
