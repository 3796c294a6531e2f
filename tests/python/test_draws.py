"""Draws from the posterior: one draw is one function, checked against closed forms."""

import gc
import weakref

import keras
import numpy as np
import pytest
import scipy.stats
from framework import numpy

import layer_api
from layer_api import log_lik, posterior_epred, posterior_linpred, posterior_predict

RNG = np.random.default_rng(7)
X = RNG.normal(size=(6, 3)).astype("float32")
# How far an estimate may be from its value, in standard errors: 1 in 15,000 is farther by chance.
FOUR = 4

DENSE = [
    layer_api.DenseFlipout,
    layer_api.DenseReparameterization,
    layer_api.DenseLocalReparameterization,
]


def linear(layer_class=layer_api.DenseFlipout, units=1, **arguments):
    model = keras.Sequential([keras.Input((3,)), layer_class(units, seed=1, **arguments)])
    layer = model.layers[0]
    if isinstance(layer, tuple(DENSE)):  # a posterior that is neither narrow nor centred
        loc, _, *rest = layer.get_weights()
        shape = loc.shape
        loc = np.linspace(-1, 1, loc.size).reshape(shape)
        layer.set_weights([loc, np.linspace(-1, 0.5, loc.size).reshape(shape), *rest])
    return model


def scales(model):
    return np.log1p(np.exp(model.layers[0].get_weights()[1]))


def network(**arguments):
    """A network of several kinds of layers, with a likelihood."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layer_api.DenseFlipout(5, activation="relu", seed=1),
            layer_api.DenseVariational(4, activation="tanh", seed=2),
            layer_api.DenseLocalReparameterization(2, seed=3),
        ]
    )
    model.compile(loss=layer_api.NormalLikelihood(), optimizer="adam", **arguments)
    return model


def states(model):
    return [
        numpy(generator.state.value)
        for layer in model._flatten_layers()
        for generator in getattr(layer, "_seed_generators", [])
        if generator.state.shape == (2,)
    ]


class TestOneFunction:
    @pytest.mark.parametrize("layer_class", DENSE)
    def test_rows_of_a_linear_layer_covary_by_the_kernel(self, layer_class):
        """Cov = X diag(scale^2) X^T, mean = X loc + bias: for every estimator."""
        model, n = linear(layer_class), 4_000
        draws = np.asarray(posterior_linpred(model, X, draws=n, seed=3), "float64")
        loc, _, bias = model.layers[0].get_weights()
        expected = X @ np.diag(scales(model)[:, 0] ** 2) @ X.T
        found = np.cov(draws, rowvar=False)
        variances = np.diag(expected)
        error = np.sqrt((expected**2 + np.outer(variances, variances)) / n)
        assert (np.abs(found - expected) < FOUR * error).all()
        deviation = np.abs(draws.mean(axis=0) - (X @ loc + bias)[:, 0])
        assert (deviation < FOUR * np.sqrt(variances / n)).all()
        shape = scipy.stats.kstest(draws[:, 0], "norm", (draws[:, 0].mean(), draws[:, 0].std()))
        assert shape.pvalue > 1e-4

    @pytest.mark.parametrize("make", [linear, network])
    def test_equal_rows_are_equal(self, make):
        x = np.repeat(X[:2], 3, axis=0)
        draws = posterior_linpred(make(), x, draws=20, seed=1, batch_size=4)
        np.testing.assert_allclose(draws[:, 0], draws[:, 2], rtol=1e-6)
        np.testing.assert_allclose(draws[:, 3], draws[:, 5], rtol=1e-6)
        assert np.std(draws[:, 0]) > 0

    @pytest.mark.parametrize("batch_size", [1, 2, 4, 6, 100])
    def test_the_size_of_a_batch_does_not_matter(self, batch_size):
        model = network()
        whole = posterior_linpred(model, X, draws=9, seed=1)
        parts = posterior_linpred(model, X, draws=9, seed=1, batch_size=batch_size)
        np.testing.assert_allclose(parts, whole, rtol=2e-5, atol=1e-6)
        assert np.array_equal(posterior_predict(model, X, draws=9, seed=1).shape, (9, len(X)))
        np.testing.assert_allclose(
            posterior_predict(model, X, draws=9, seed=1, batch_size=batch_size),
            posterior_predict(model, X, draws=9, seed=1),
            rtol=2e-5, atol=1e-5,
        )  # fmt: skip

    def test_joint_is_false(self):
        """Rows of flipout are uncorrelated, each with the right variance; batches differ."""
        model, n = linear(), 4_000
        x = np.repeat(X[:1], 4, axis=0)
        draws = np.asarray(posterior_linpred(model, x, draws=n, seed=3, joint=False, batch_size=2))
        correlation = np.corrcoef(draws, rowvar=False)[np.triu_indices(4, 1)]
        assert (np.abs(correlation) < FOUR / np.sqrt(n)).all()
        variance = (X[0] ** 2 @ scales(model) ** 2)[0]
        np.testing.assert_allclose(draws.var(axis=0), variance, rtol=FOUR * np.sqrt(2 / n))

    def test_draws_are_the_layer_s_draws_in_order(self):
        """Draw s is what a call of a reparameterization layer gives after s calls."""
        model = linear(layer_api.DenseReparameterization)
        twin = linear(layer_api.DenseReparameterization)
        draws = posterior_linpred(model, X, draws=4)
        calls = np.stack([numpy(twin(X))[:, 0] for _ in range(4)])
        np.testing.assert_allclose(draws, calls, rtol=1e-5, atol=1e-6)

    def test_later_weights_are_used(self):
        model = linear()
        before = posterior_linpred(model, X, draws=3, seed=1)
        model.layers[0].set_weights([2 * w for w in model.layers[0].get_weights()])
        assert not np.allclose(before, posterior_linpred(model, X, draws=3, seed=1))


class TestState:
    def test_without_a_seed_the_noise_goes_on(self):
        model, twin = network(), network()
        first, second = (posterior_linpred(model, X, draws=5) for _ in range(2))
        assert not np.allclose(first, second)
        at_once = posterior_linpred(twin, X, draws=10)
        np.testing.assert_allclose(np.concatenate([first, second]), at_once, rtol=1e-5, atol=1e-6)
        for one, other in zip(states(model), states(twin), strict=True):
            assert np.array_equal(one, other)
            assert one[1] == 10

    def test_with_a_seed_nothing_changes(self):
        model = network()
        weights, before = model.get_weights(), states(model)
        one = posterior_predict(model, X, draws=5, seed=4)
        posterior_linpred(model, X, draws=5)
        other = posterior_predict(model, X, draws=5, seed=4)
        assert np.array_equal(one, other)
        assert not np.allclose(one, posterior_predict(model, X, draws=5, seed=5))
        model = network()
        posterior_predict(model, X, draws=5, seed=4)
        for a, b in zip(before, states(model), strict=True):
            assert np.array_equal(a, b)
        for a, b in zip(weights, model.get_weights(), strict=True):
            assert np.array_equal(a, b)

    def test_layers_draw_their_own_numbers(self):
        """Two kernels of one model under one seed: their product has the mean of independents."""
        model = keras.Sequential([keras.Input((1,))])
        for _ in range(2):
            model.add(layer_api.DenseReparameterization(1, bias_posterior_fn=None, seed=1))
        for layer in model.layers:
            layer.set_weights([np.ones((1, 1)), np.full((1, 1), np.log(np.expm1(1.0)))])
        n = 4_000
        draws = np.asarray(posterior_linpred(model, np.ones((1, 1)), draws=n, seed=2), "float64")
        assert abs(draws.mean() - 1) < FOUR * np.sqrt(3 / n)
        assert abs(draws.var() - 3) < FOUR * draws.std() ** 2 * np.sqrt(12 / n)

    def test_a_second_call_of_the_same_shape_is_not_compiled_anew(self, monkeypatch):
        from layer_api import backend

        model, made = network(), []
        compiled = backend.loops.compiled
        monkeypatch.setattr(backend.loops, "compiled", lambda *a: made.append(1) or compiled(*a))
        for seed in range(3):
            posterior_epred(model, X, draws=5, seed=seed)
        assert len(made) == 1
        model.fit(X, X[:, 0], verbose=0)
        posterior_epred(model, X[:3], draws=5)
        assert len(made) == 1

    def test_a_model_can_be_forgotten(self):
        model = linear()
        posterior_linpred(model, X, draws=2)
        alive = weakref.ref(model)
        keras.backend.clear_session()
        del model
        gc.collect()
        assert alive() is None

    def test_a_layer_that_is_added_later_counts(self):
        model = linear()
        posterior_linpred(model, X, draws=2)
        model.add(keras.layers.Dense(4))
        assert posterior_linpred(model, X, draws=2).shape == (2, 6, 4)


class TestModels:
    def test_several_inputs_and_outputs(self):
        a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
        h = layer_api.DenseFlipout(4, seed=1)(keras.layers.Concatenate()([a, b]))
        y = keras.layers.Dense(2, name="y")(h)
        z = layer_api.DenseFlipout(3, seed=2, name="z")(h)
        model = keras.Model({"a": a, "b": b}, {"y": y, "z": z})
        model.compile(
            loss={
                "y": layer_api.NormalLikelihood(),
                "z": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            }
        )
        x = {"a": X, "b": X[:, :2]}
        epred = posterior_epred(model, x, draws=4, seed=1)
        assert {name: each.shape for name, each in epred.items()} == {
            "y": (4, 6), "z": (4, 6, 3)
        }  # fmt: skip
        np.testing.assert_allclose(epred["z"].sum(axis=-1), 1, rtol=1e-5)
        assert posterior_predict(model, x, draws=4, seed=1)["z"].dtype.kind == "i"
        density = log_lik(model, x, {"y": X[:, 0], "z": np.arange(6) % 3}, draws=4, seed=1)
        assert {each.shape for each in density.values()} == {(4, 6)}
        before = states(model)
        with pytest.raises(ValueError, match="`y` must be one for each output"):
            log_lik(model, x, {"y": X[:, 0]}, draws=4)
        with pytest.raises(ValueError, match="`y` must be labels from 0 to 2"):
            log_lik(model, x, {"y": X[:, 0], "z": np.full(6, 3)}, draws=4)
        for one, same in zip(before, states(model), strict=True):
            assert np.array_equal(one, same)

    def test_a_list_of_outputs_has_their_names(self):
        i = keras.Input((3,))
        outputs = [layer_api.DenseFlipout(k, seed=k, name=f"out_{k}")(i) for k in (1, 2)]
        draws = posterior_linpred(keras.Model(i, outputs), X, draws=3)
        assert {name: each.shape for name, each in draws.items()} == {
            "out_1": (3, 6), "out_2": (3, 6, 2)
        }  # fmt: skip

    def test_shared_and_nested_layers(self):
        """A layer that is called twice has one value in a draw."""
        i = keras.Input((3,))
        shared = layer_api.DenseFlipout(3, seed=1, bias_posterior_fn=None)
        inner = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(2, seed=2)])
        model = keras.Model(i, keras.layers.Subtract()([inner(shared(i)), inner(shared(i))]))
        assert np.abs(posterior_linpred(model, X, draws=5)).max() < 1e-6

    def test_time_distributed_and_recurrent(self):
        class Cell(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.state_size = self.output_size = 2
                self.dense = layer_api.DenseFlipout(2, seed=1)

            def build(self, shape):
                self.dense.build((None, shape[-1] + 2))
                self.built = True

            def call(self, inputs, states):
                out = self.dense(keras.ops.concatenate([inputs, states[0]], axis=-1))
                return out, [out]

        x = np.stack([X, X], axis=1)  # both steps equal
        dense = layer_api.DenseFlipout(2, seed=1)
        spread = keras.Sequential([keras.Input((2, 3)), keras.layers.TimeDistributed(dense)])
        draws = posterior_linpred(spread, x, draws=5)
        assert draws.shape == (5, 6, 2, 2)
        np.testing.assert_allclose(draws[:, :, 0], draws[:, :, 1], rtol=1e-5, atol=1e-6)
        recurrent = keras.Sequential([keras.Input((2, 3)), keras.layers.RNN(Cell())])
        x[1] = x[0]
        draws = posterior_linpred(recurrent, x, draws=5, batch_size=1)
        np.testing.assert_allclose(draws[:, 0], draws[:, 1], rtol=1e-5, atol=1e-6)
        assert draws.std(axis=0).min() > 0

    def test_subclassed(self):
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.a = layer_api.DenseFlipout(4, seed=1)
                self.b = layer_api.DenseReparameterization(1, seed=2)

            def call(self, x):
                return self.b(keras.ops.relu(self.a(x)))

        model = Net()
        model(X)
        draws = posterior_linpred(model, X, draws=5, seed=1)
        parts = posterior_linpred(model, X, draws=5, seed=1, batch_size=2)
        np.testing.assert_allclose(draws, parts, rtol=1e-5, atol=1e-6)
        assert draws.std(axis=0).min() > 0

    def test_convolutions_and_embeddings(self):
        images = RNG.normal(size=(4, 6, 6, 2)).astype("float32")
        images[1] = images[0]
        model = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layer_api.Conv2DFlipout(3, 3, seed=1),
                layer_api.DepthwiseConv2DFlipout(2, seed=2),
                keras.layers.GlobalAveragePooling2D(),
            ]
        )
        draws = posterior_linpred(model, images, draws=5)
        np.testing.assert_allclose(draws[:, 0], draws[:, 1], rtol=1e-5, atol=1e-6)
        words = np.array([[1, 2], [1, 2], [3, 4]])
        model = keras.Sequential(
            [keras.Input((2,), dtype="int32"), layer_api.EmbeddingReparameterization(5, 3)]
        )
        draws = posterior_linpred(model, words, draws=5)
        assert np.array_equal(draws[:, 0], draws[:, 1])
        assert draws.shape == (5, 3, 2, 3)

    def test_an_ensemble_shares_the_draws(self):
        models = [linear(kernel_posterior_tensor_fn="mean") for _ in range(3)]
        for k, model in enumerate(models):
            model.layers[0].set_weights([np.zeros((3, 1)), np.zeros((3, 1)), [float(k)]])
        draws = posterior_linpred(models, X, draws=8)
        assert np.unique(draws, return_counts=True)[1].tolist() == [18, 18, 12]

    def test_a_network_without_noise(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(loss="mse")
        draws = posterior_epred(model, X, draws=5)
        np.testing.assert_allclose(draws, np.tile(numpy(model(X))[:, 0], (5, 1)), rtol=1e-5)
        assert draws.shape == (5, 6)

    def test_mixed_precision(self):
        model = keras.Sequential(
            [keras.Input((3,)), layer_api.DenseFlipout(2, seed=1, dtype="mixed_bfloat16")]
        )
        draws = posterior_linpred(model, X, draws=5)
        assert draws.dtype == "float32"
        assert draws.std(axis=0).min() > 0


class TestDropout:
    def test_moments_are_those_of_calls_in_training(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.4, seed=1)])
        model.add(keras.layers.Dense(1, use_bias=False))
        n = 4_000
        draws = np.asarray(posterior_linpred(model, X, draws=n, training=True, seed=1))
        kernel = model.layers[-1].get_weights()[0][:, 0]
        covariance = X @ np.diag(kernel**2 * 0.4 / 0.6) @ X.T
        assert (
            np.abs(draws.mean(axis=0) - X @ kernel) < FOUR * np.sqrt(covariance.diagonal() / n)
        ).all()
        found, size = np.cov(draws, rowvar=False), np.sqrt(np.outer(*2 * [covariance.diagonal()]))
        assert (np.abs(found - covariance) < 3 * FOUR * size / np.sqrt(n)).all()
        assert np.abs(posterior_linpred(model, X, draws=3) - X @ kernel).max() < 1e-5

    def test_rows_do_not_depend_on_each_other(self):
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(8),
                keras.layers.BatchNormalization(),
                keras.layers.GaussianNoise(0.3),
                keras.layers.GaussianDropout(0.3),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(1),
            ]
        )
        weights = model.get_weights()
        whole = posterior_linpred(model, X, draws=6, seed=1, training=True)
        parts = posterior_linpred(model, X, draws=6, seed=1, training=True, batch_size=2)
        np.testing.assert_allclose(whole, parts, rtol=1e-4, atol=1e-5)
        assert whole.std(axis=0).min() > 0
        for a, b in zip(weights, model.get_weights(), strict=True):
            assert np.array_equal(a, b)
        assert "call" not in vars(model.layers[1])
        apart = [posterior_linpred(model, X, draws=6, seed=1, training=True, joint=False)
                 for _ in range(2)]  # fmt: skip
        assert np.array_equal(*apart)
        assert not np.allclose(apart[0], whole)

    def test_noise_that_rows_cannot_share_is_refused(self):
        model = keras.Sequential(
            [keras.Input((2, 3)), keras.layers.LSTM(2, dropout=0.5), keras.layers.Dense(1)]
        )
        x = np.stack([X, X], axis=1)
        with pytest.raises(ValueError, match=r"`joint` must be False .*lstm"):
            posterior_linpred(model, x, draws=2, training=True)
        assert posterior_linpred(model, x, draws=2, training=True, joint=False).shape == (2, 6)
        assert posterior_linpred(model, x, draws=2).shape == (2, 6)


class TestExpectationsAndObservations:
    def test_predictive_moments_of_a_conjugate_regression(self):
        """epred ~ N(X m, X S X^T); y adds the variance of the noise."""
        model, n = linear(bias_posterior_fn=None), 8_000
        model.compile(loss=layer_api.NormalLikelihood(scale=0.7))
        m, s = model.layers[0].get_weights()[0][:, 0], scales(model)[:, 0]
        epred = np.asarray(posterior_epred(model, X, draws=n, seed=1))
        predict = np.asarray(posterior_predict(model, X, draws=n, seed=1))
        variance = X**2 @ s**2
        for draws, expected in ((epred, variance), (predict, variance + 0.49)):
            assert (np.abs(draws.mean(0) - X @ m) < FOUR * np.sqrt(expected / n)).all()
            np.testing.assert_allclose(draws.var(0), expected, rtol=FOUR * np.sqrt(2 / n))
        noise = predict - epred
        correlation = np.corrcoef(noise, rowvar=False)[np.triu_indices(6, 1)]
        assert np.abs(correlation).max() < 1.2 * FOUR / np.sqrt(n)

    def test_log_lik(self):
        model = network()
        y = X[:, 0]
        outputs = np.asarray(posterior_linpred(model, X, draws=7, seed=1), "float64")
        scale = 1e-5 + np.log1p(np.exp(outputs[..., 1]))
        expected = scipy.stats.norm.logpdf(y, outputs[..., 0], scale)
        np.testing.assert_allclose(log_lik(model, X, y, draws=7, seed=1), expected, rtol=1e-4)
        np.testing.assert_allclose(
            log_lik(model, X, y[:, None], draws=7, seed=1), expected, rtol=1e-4
        )

    def test_losses_of_keras(self):
        model = linear(units=3)
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        epred = posterior_epred(model, X, draws=4, seed=1)
        assert epred.shape == (4, 6, 3)
        assert set(np.unique(posterior_predict(model, X, draws=50, seed=1))) == {0, 1, 2}
        model.compile(loss="mse")
        outputs = posterior_linpred(model, X, draws=4, seed=1)
        assert np.array_equal(posterior_epred(model, X, draws=4, seed=1), outputs)
        with pytest.raises(ValueError, match=r"`likelihood` must be .*mean squared error"):
            posterior_predict(model, X, draws=4)
        model.compile(loss=lambda y, outputs: keras.ops.mean(outputs))
        with pytest.raises(ValueError, match=r"`likelihood` must be .*of your own"):
            posterior_epred(model, X, draws=4)
        assert posterior_epred(model, X, draws=4, likelihood="poisson").min() > 0

    def test_draws_serve_in_place_of_the_model(self):
        model = network()
        outputs = posterior_linpred(model, X, draws=7, seed=1)
        for function in (posterior_epred, posterior_predict):
            assert np.array_equal(function(outputs, seed=1), function(model, X, draws=7, seed=1))
        y = X[:, 0]
        assert np.array_equal(log_lik(outputs, y=y), log_lik(model, X, y, draws=7, seed=1))
        plain = np.asarray(outputs)
        assert np.array_equal(posterior_epred(plain, likelihood="normal"), posterior_epred(outputs))
        with pytest.raises(ValueError, match=r"draws of posterior_linpred\(\). Received: draws of"):
            posterior_epred(posterior_predict(outputs))
        with pytest.raises(ValueError, match="`x` must be left out"):
            posterior_epred(outputs, X)
        twice = np.concatenate([outputs, outputs])
        assert posterior_epred(twice, likelihood="normal").shape == (14, 6)


BAD = {
    "draws": [0, 1.5, "many", None],
    "seed": [-1, 2**31, "a"],
    "batch_size": [0, "all"],
    "joint": [1, None, "yes"],
    "training": ["no"],
    "verbose": ["loud", 7],
    "likelihood": ["nrmal", 3],
}


class TestBadInput:
    @pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BAD.items() for v in vs])
    def test_arguments(self, name, value):
        model = network()
        before = states(model)
        with pytest.raises((ValueError, TypeError), match=f"`{name}` must be .*Received: "):
            posterior_epred(model, X, **{name: value})
        for a, b in zip(before, states(model), strict=True):
            assert np.array_equal(a, b)

    @pytest.mark.parametrize(
        "model", [None, 3, "model", [], [None], keras.layers.Dense, X.tolist()], ids=str
    )
    def test_no_model(self, model):
        with pytest.raises(TypeError, match="`model` must be a Keras model"):
            posterior_linpred(model, X)

    def test_a_model_that_is_not_built(self):
        model = keras.Sequential([layer_api.DenseFlipout(1)])
        with pytest.raises(ValueError, match="`model` must be a model that is built"):
            posterior_linpred(model, X)
        assert not model.built

    @pytest.mark.parametrize("x", [None, 3, "x", X[:0], [X, X[:2]], np.array([None, 1])], ids=str)
    def test_inputs(self, x):
        with pytest.raises((ValueError, TypeError), match=r"`x` must be (an array|arrays) "):
            posterior_linpred(linear(), x)

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (X[:3, 0], "shape"),
            (X, "shape"),
            (np.full(6, np.nan), "NA/NaN"),
            (["a"] * 6, "numbers"),
            (None, "numbers"),
        ],
    )
    def test_observations(self, y, message):
        with pytest.raises((ValueError, TypeError), match=f"`y` must be .*{message}"):
            log_lik(network(), X, y, draws=2)

    def test_labels_that_no_class_has(self):
        model = linear(units=3)
        model.compile(loss=layer_api.CategoricalLikelihood())
        with pytest.raises(ValueError, match="`y` must be labels from 0 to 2"):
            log_lik(model, X, np.arange(1, 7) % 4, draws=2)

    def test_columns_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"`outputs` must be .*even number of columns"):
            posterior_epred(linear(units=3), X, draws=2, likelihood="normal")


def test_progress_is_shown_and_silenced(capsys):
    posterior_linpred(linear(), X, draws=5, verbose=False)
    assert not capsys.readouterr().out
    posterior_linpred(linear(), X, draws=5)
    assert not capsys.readouterr().out
    posterior_linpred(linear(), X, draws=5, verbose=True)
    assert "5/5" in capsys.readouterr().out


def test_a_model_of_keras_2():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras 2 runs on TensorFlow alone")
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(3,))])
    with pytest.raises(TypeError, match="`model` must be a model of Keras 3"):
        posterior_linpred(model, X)
