"""Saved models: layers with every block, what cannot be saved, a killed run, a full disk."""

import contextlib
import copy
import json
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from framework import numpy
from layers import REPRESENTATIVES
from test_contract import data, digest, equal, every_layer, every_representative, in_a_fresh_process

import layer_api

# Arguments of layers: between them they hold every block, with values that are not the defaults.
VARIANTS = {
    "normal": {
        "kernel_posterior_fn": layer_api.MeanFieldNormal(loc_initializer="zeros"),
        "kernel_prior_fn": layer_api.NormalPrior(0.5, 2.0),
        "bias_posterior_fn": layer_api.Deterministic(loc_initializer="ones"),
        "bias_prior_fn": layer_api.StandardNormal(),
        "bias_divergence_fn": layer_api.KLDivergence(0.5),
        "make_posterior_fn": layer_api.MeanFieldNormal(loc_initializer="zeros"),
        "make_prior_fn": layer_api.NormalPrior(0.5, 2.0),
        "kl_use_exact": True,
    },
    "laplace": {
        "kernel_prior_fn": layer_api.LaplacePrior(0.5, 2.0),
        "kernel_divergence_fn": layer_api.MonteCarloKL(3, 0.5),
        "bias_posterior_fn": "mean_field_normal",
        "bias_prior_fn": "laplace",
        "bias_divergence_fn": "monte_carlo",
        "activation": "relu",
        "make_posterior_fn": "multivariate_normal_tril",
        "make_prior_fn": layer_api.LaplacePrior(0.5, 2.0),
    },
    "scale_mixture": {
        "kernel_prior_fn": layer_api.ScaleMixturePrior(0.25, 2.0, 0.1),
        "bias_posterior_fn": "mean_field_normal",
        "bias_prior_fn": "scale_mixture",
        "activation": keras.layers.LeakyReLU(negative_slope=0.5),
        "make_posterior_fn": layer_api.Deterministic(loc_initializer="ones"),
        "make_prior_fn": layer_api.ScaleMixturePrior(0.25, 2.0, 0.1),
    },
    "trainable_normal": {
        "kernel_prior_fn": layer_api.TrainableNormal(loc_initializer="ones", loc_regularizer="l2"),
        "bias_posterior_fn": "mean_field_normal",
        "bias_prior_fn": "trainable_normal",
        "make_posterior_fn": layer_api.MultivariateNormalTriL(loc_initializer="zeros"),
        "make_prior_fn": layer_api.TrainableNormal(loc_initializer="ones", loc_regularizer="l2"),
        "kl_use_exact": True,
    },
}


def variants(case):
    """Yield the layers of a case, one for each variant, as far as it has such arguments."""
    for name, values in VARIANTS.items():
        own = {argument: value for argument, value in values.items() if argument in case.changed}
        yield case.make(**own, name=f"{case.layer.__name__}_{name}")


def model_of_all(case, which=slice(None)):
    """Return a model with one output for each variant of a layer."""
    inputs = keras.Input(case.shapes[0][0])
    return keras.Model(inputs, [layer(inputs) for layer in list(variants(case))[which]])


def state_of(model):
    """What must be equal of a model or an optimizer: every variable, and the losses."""
    return digest_all([*model.variables, *getattr(model, "losses", [])])


def digest_all(tensors):
    return [digest(numpy(tensor)) for tensor in tensors]


class TestCopies:
    @every_representative
    @pytest.mark.parametrize("how", ["clone_model", "from_config", "deepcopy"])
    def test_copy(self, case, how):
        inputs, _ = data(case)
        model = model_of_all(case)
        model(inputs)  # the noise is on its way
        if how == "deepcopy":
            copied = copy.deepcopy(model)
        else:
            config = json.loads(json.dumps(model.get_config()))
            copied = (
                keras.models.clone_model(model)
                if how == "clone_model"
                else keras.Model.from_config(config)
            )
            for one, other in zip(copied.variables, model.variables, strict=True):
                one.assign(other)
        assert state_of(copied) == state_of(model)
        assert equal(copied(inputs), model(inputs))
        for one, other in zip(copied.layers[1:], model.layers[1:], strict=True):
            assert repr(one) == repr(other)


LOAD = """
import json, pathlib, keras, numpy as np
from test_contract import digest
from test_saving import digest_all, model_of_all, state_of
from layers import REPRESENTATIVES
import layer_api
folder = pathlib.Path(sys.argv[1])
found = {}
for case in REPRESENTATIVES:
    name = case.layer.__name__
    inputs = np.load(folder / f"{name}.npy")
    model = keras.saving.load_model(folder / f"{name}.keras", safe_mode=True)
    again = model_of_all(case)
    again.load_weights(folder / f"{name}.weights.h5")
    found[name] = [[state_of(m), digest_all(m(inputs)), state_of(m)] for m in (model, again)]
print(json.dumps(found))
"""


def test_files_in_a_fresh_process(tmp_path):
    expected = {}
    for case in REPRESENTATIVES:
        name = case.layer.__name__
        inputs, _ = data(case)
        np.save(tmp_path / f"{name}.npy", inputs)
        model = model_of_all(case)
        model(inputs)  # the noise is on its way
        model.save(tmp_path / f"{name}.keras")
        model.save_weights(tmp_path / f"{name}.weights.h5")
        expected[name] = [[state_of(model), digest_all(model(inputs)), state_of(model)]] * 2
    assert in_a_fresh_process(LOAD, tmp_path) == expected


def functions_of(case):
    return [name for name in case.changed if name.endswith("_fn") or name == "activation"]


def closure(n):
    def inner(*args):
        return n

    return inner


class Unregistered:
    """Callable, and with a config: only the registration is missing."""

    def __call__(self, *args):
        return 0.0

    def get_config(self):
        return {}


class TestRefusal:
    @every_layer
    @pytest.mark.parametrize(
        ("function", "described"),
        [
            (lambda *args: 0.0, "a function"),
            (closure(1.0), "a function"),
            (Unregistered(), "an object of type test_saving.Unregistered"),
        ],
        ids=["lambda", "closure", "unregistered class"],
    )
    def test_names_the_argument_and_the_remedy(self, case, function, described):
        for argument in functions_of(case):
            layer = case.make(**{argument: function})
            with pytest.raises(
                ValueError, match=f"^`{argument}` cannot be saved: it is "
            ) as caught:
                layer.get_config()
            assert described in str(caught.value)
            assert "keras.saving.register_keras_serializable()" in str(caught.value)

    def test_weights_alone_can_be_saved(self, tmp_path):
        layers = [
            layer_api.layer_dense_flipout(units=2, kernel_posterior_tensor_fn=lambda d: d.sample())
            for _ in range(2)
        ]
        one, other = (keras.Sequential([keras.Input((3,)), layer]) for layer in layers)
        one.save_weights(tmp_path / "model.weights.h5")
        other.load_weights(tmp_path / "model.weights.h5")
        assert equal(one.get_weights(), other.get_weights())


RUN = """
import json, os, pathlib, signal, keras, numpy as np
from test_contract import data
from test_saving import model_of_all, state_of
from layers import REPRESENTATIVES
folder, kill = sys.argv[1], sys.argv[2] == "kill"
keras.utils.set_random_seed(int(sys.argv[3]))
# The variants in turn: every block is there, and not every layer with each of them. Convolutions
# of one rank stand for all.
cases = [case for case in REPRESENTATIVES if case.by_row and len(case.shapes[0][0]) < 3]
models = [model_of_all(case, slice(i % 4, i % 4 + 1)) for i, case in enumerate(cases)]
outputs = [output for model in models for output in model.outputs]
model = keras.Model([m.input for m in models], outputs)
x = [data(case, rows=12)[0] for case in cases]
y = [data(case, rows=12)[1] for case, m in zip(cases, models) for _ in m.outputs]

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        (pathlib.Path(folder).parent / "epochs").open("a").write(f"{epoch} ")
    def on_train_batch_end(self, batch, logs=None):
        if kill and (self.epoch, batch) == (2, 1):
            os.kill(os.getpid(), signal.SIGKILL)

model.compile(
    optimizer="adam", loss=["mse"] * len(outputs), jit_compile=keras.backend.backend() == "jax"
)
model.fit(
    x, y, epochs=4, batch_size=4, shuffle=False, verbose=0,
    callbacks=[keras.callbacks.BackupAndRestore(folder), Kill()],
)
print(json.dumps([state_of(model), state_of(model.optimizer)]))
"""


def test_a_killed_run_ends_as_one_that_was_not(tmp_path):
    """Weights, noise, optimizer and losses, bit for bit; the resumed run has another seed."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = in_a_fresh_process(RUN, tmp_path / "whole" / "backup", "run", 1)
    start = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
    backup = tmp_path / "killed" / "backup"
    run = subprocess.run(
        [sys.executable, "-c", start + RUN, str(backup), "kill", "1"], capture_output=True
    )
    assert run.returncode == -signal.SIGKILL
    assert in_a_fresh_process(RUN, backup, "run", 2) == whole
    assert (tmp_path / "killed" / "epochs").read_text() == "0 1 2 2 3 "


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of a file as POSIX does")
class TestSavingThatFails:
    """Keras empties a file before it writes the new one: what was there is lost."""

    @staticmethod
    def saved(tmp_path):
        layer = layer_api.layer_dense_flipout(units=100)
        model = keras.Sequential([keras.Input((100,)), layer])
        model.save(tmp_path / "model.keras")
        return model

    @staticmethod
    @contextlib.contextmanager
    def full_disk():
        import resource

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_a_full_disk_is_an_error_and_the_file_is_lost(self, tmp_path):
        model = self.saved(tmp_path)
        with self.full_disk(), pytest.raises(OSError, match="File too large"):
            model.save(tmp_path / "model.keras")
        with pytest.raises(ValueError, match="File not found"):
            keras.saving.load_model(tmp_path / "model.keras")

    def test_a_function_without_a_name_is_an_error_and_the_file_is_lost(self, tmp_path):
        self.saved(tmp_path)
        layer = layer_api.layer_dense_flipout(units=2, kernel_posterior_tensor_fn=closure(0.0))
        other = keras.Sequential([keras.Input((3,)), layer])
        with pytest.raises(ValueError, match="`kernel_posterior_tensor_fn` cannot be saved"):
            other.save(tmp_path / "model.keras")
        assert (tmp_path / "model.keras").stat().st_size == 0

    def test_a_file_is_safe_from_one_beside_it(self, tmp_path):
        """Save under another name, and rename when that is done."""
        model = self.saved(tmp_path)
        with self.full_disk(), pytest.raises(OSError, match="File too large"):
            model.save(tmp_path / "new.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert equal(loaded.get_weights(), model.get_weights())
