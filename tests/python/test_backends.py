"""Each backend alone, and what goes from one to another."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from framework import BACKEND, laplace, library_kl_divergence, losses_of, numpy
from layers import IS_FULL, REPRESENTATIVES
from test_contract import data, noiseless
from test_saving import variants

from layer_api import backend

BACKENDS = ("tensorflow", "jax", "torch")
# Ends of the names of layers of which no divergence is an estimate.
CLOSED_FORM = ("_normal", "means")


def run_under(name, program, *args):
    """Run a program, which prints JSON, under a backend in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", program, *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": name},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


IMPORTED = """
import json, sys
import layer_api, keras
layer = layer_api.layer_dense_flipout(units=2)
layer(keras.ops.ones((2, 3)))
found = ("tensorflow", "tensorflow_probability", "torch", "numpyro")
print(json.dumps([name for name in found if name in sys.modules]))
"""


def test_no_other_backend_is_imported():
    """Nor are TensorFlow Probability and NumPyro before they are needed."""
    expected = {"tensorflow": ["tensorflow"], "jax": [], "torch": ["torch"]}[BACKEND]
    assert run_under(BACKEND, IMPORTED) == expected


def test_another_backend_is_refused():
    program = (
        "import json\ntry:\n import layer_api\nexcept ImportError as e: print(json.dumps(str(e)))"
    )
    message = run_under("numpy", program)
    assert "tensorflow, jax, torch. Received: the backend 'numpy'" in message


@pytest.mark.skipif(BACKEND != "jax", reason="about JAX")
def test_a_jaxlib_with_wrong_products_is_named(recwarn):
    backend.arrays.warn_of_wrong_products("0.7.0")
    backend.arrays.warn_of_wrong_products("0.7.2")
    assert not recwarn
    with pytest.warns(RuntimeWarning, match=r"pip install 'jax!=0\.7\.1'"):
        backend.arrays.warn_of_wrong_products("0.7.1")


LOAD = """
import json, pathlib, sys
import keras, layer_api, numpy as np
numpy = keras.ops.convert_to_numpy
found = {}
for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
    model = keras.saving.load_model(path, safe_mode=True)
    variables = [numpy(variable).tolist() for variable in model.variables]
    losses = [[float(numpy(loss)) for loss in layer.losses] for layer in model.layers]
    *_, means = model(np.load(path.with_suffix(".npy")))
    found[path.stem] = [variables, losses, numpy(means).tolist()]
print(json.dumps(found))
"""


# The first holds the state of the noise in another dtype; with FULL=1, each of the others.
OTHERS = [name for name in BACKENDS if name != BACKEND]


@pytest.mark.parametrize("other", OTHERS if IS_FULL else OTHERS[:1])
def test_saved_models_load_under_another_backend(tmp_path, other):
    """With every block: weights and state of the noise are equal, means are close."""
    models = {}
    for case in REPRESENTATIVES:
        name = case.layer.__name__
        inputs = keras.Input(case.shapes[0][0])
        layers = [*variants(case), noiseless(case, name="means")]
        model = models[name] = keras.Model(inputs, [layer(inputs) for layer in layers])
        np.save(tmp_path / f"{name}.npy", data(case)[0])
        model(data(case)[0])  # the noise is on its way
        model.save(tmp_path / f"{name}.keras")
    found = run_under(other, LOAD, tmp_path)
    for case in REPRESENTATIVES:
        model = models[case.layer.__name__]
        variables, losses, means = found[case.layer.__name__]
        for theirs, ours in zip(variables, model.variables, strict=True):
            ours = numpy(ours)
            np.testing.assert_array_equal(np.array(theirs, ours.dtype), ours)
        for theirs, layer in zip(losses, model.layers, strict=True):
            if layer.name.endswith(CLOSED_FORM):  # else they are estimates, of other draws
                np.testing.assert_allclose(theirs, losses_of(layer), rtol=1e-5)
            assert np.isfinite(theirs).all()
            assert len(theirs) == len(layer.losses)
        *_, ours = model(data(case)[0])
        # Sums of other orders: rounding of every product and every sum, of terms below 8.
        np.testing.assert_allclose(means, numpy(ours), atol=8 * 50 * 2**-24)


class TestDistributions:
    """The functions that stand for the library's own."""

    LOC = np.array([[0.0, 1.0], [-1.0, 0.5]], "float32")

    def loc(self):
        return keras.ops.convert_to_tensor(self.LOC)

    def test_deterministic(self):
        distribution = backend.distributions.deterministic_distribution(self.loc())
        np.testing.assert_array_equal(numpy(backend.distributions.sample(distribution)), self.LOC)
        assert backend.distributions.sample(distribution, (4, 5)).shape == (4, 5, 2, 2)
        np.testing.assert_array_equal(numpy(backend.distributions.mean(distribution)), self.LOC)
        np.testing.assert_array_equal(numpy(backend.distributions.stddev(distribution)), 0.0)
        assert numpy(backend.distributions.log_prob(distribution, self.loc())) == 0.0
        assert numpy(backend.distributions.log_prob(distribution, self.loc() + 1)) == -np.inf

    def test_laplace(self):
        distribution = backend.distributions.laplace_distribution(self.loc(), 2.0)
        expected = -np.abs(1 - self.LOC).sum() / 2 - 4 * np.log(4.0)
        value = keras.ops.ones((2, 2))
        np.testing.assert_allclose(
            numpy(backend.distributions.log_prob(distribution, value)), expected, rtol=1e-5
        )
        assert backend.distributions.sample(distribution, 3).shape == (3, 2, 2)

    def test_mixture(self):
        distribution = backend.distributions.normal_mixture_distribution(
            (0.25, 0.75), self.loc(), (1.0, 0.1)
        )

        def density(x, scale):
            return np.exp(-0.5 * (x / scale) ** 2) / scale / np.sqrt(2 * np.pi)

        d = 0.2 - np.float64(self.LOC)
        expected = np.log(0.25 * density(d, 1.0) + 0.75 * density(d, 0.1)).sum()
        value = keras.ops.full((2, 2), 0.2)
        np.testing.assert_allclose(
            numpy(backend.distributions.log_prob(distribution, value)), expected, rtol=1e-5
        )
        assert backend.distributions.sample(distribution, 3).shape == (3, 2, 2)

    @pytest.mark.parametrize("shape", [(4,), (2, 2)])
    def test_multivariate_normal(self, shape):
        """Over all elements of its mean, whatever shape that has."""
        rng = np.random.default_rng(1)
        tril = np.tril(rng.normal(size=(4, 4))).astype("float32")
        np.fill_diagonal(tril, [1.0, 2.0, 0.5, 1.5])
        loc = rng.normal(size=shape).astype("float32")
        distribution = backend.distributions.multivariate_normal_distribution(
            *map(keras.ops.convert_to_tensor, (loc, tril))
        )
        z = np.linalg.solve(tril, -loc.reshape(-1))
        expected = -0.5 * z @ z - np.log(1.5) - 2 * np.log(2 * np.pi)
        value = keras.ops.zeros(shape)
        np.testing.assert_allclose(
            numpy(backend.distributions.log_prob(distribution, value)), expected, rtol=1e-5
        )
        assert backend.distributions.sample(distribution, 3).shape == (3, *shape)

    def test_a_seed_repeats_a_draw(self):
        normal = backend.distributions.normal_distribution(self.loc(), keras.ops.ones((2, 2)))
        one, other, third = (
            numpy(backend.distributions.sample(normal, 3, seed=s)) for s in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, other)
        assert (one != third).all()

    def test_unknown_divergence(self):
        normal = backend.distributions.normal_distribution(self.loc(), keras.ops.ones((2, 2)))
        with pytest.raises(NotImplementedError):
            backend.distributions.kl_divergence(normal, laplace(self.LOC, 1.0))
        assert numpy(library_kl_divergence(normal, normal)) == 0.0
