"""What every layer does, for every row of the table in `layers.py`."""

import copy
import hashlib
import inspect
import json
import pathlib
import subprocess
import sys

import keras
import ml_dtypes
import numpy as np
import pytest
from framework import (
    BACKEND,
    compile_arguments,
    float64,
    gradients,
    numpy,
    only_tensorflow,
    only_torch,
)
from layers import CASES, REPRESENTATIVES

from layer_api import validation


def every(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.layer.__name__)


every_layer = every(CASES)
every_representative = every(REPRESENTATIVES)
# The layers whose weights have a shape that depends on the inputs.
every_layer_of_its_inputs = every([case for case in CASES if case.undefined])
every_layer_of_rows = every([case for case in CASES if case.by_row])


def every_rank(test):
    """Run `test` for every layer and every rank of its inputs."""
    cases = [(case, *shapes) for case in CASES for shapes in case.shapes]
    names = [f"{case.layer.__name__}-{shape}" for case, shape, _ in cases]
    return pytest.mark.parametrize(("case", "shape", "output_shape"), cases, ids=names)(test)


# Of each policy: the dtype of the variables, of what is computed, and of the divergence.
POLICIES = {
    "float32": ("float32", "float32", "float32"),
    "float64": ("float64", "float64", "float32"),
    "float16": ("float16", "float16", "float32"),
    "bfloat16": ("bfloat16", "bfloat16", "float32"),
    "mixed_float16": ("float32", "float16", "float32"),
    "mixed_bfloat16": ("float32", "bfloat16", "float32"),
}


def data(case, rows=4):
    """Return inputs and targets for the first shape of a case."""
    rng = np.random.default_rng(1)
    inputs = case.inputs(rng, rows)
    return inputs, rng.normal(size=case.output(rows, case.shapes[0][1])).astype("float32")


def model_of(case, **arguments):
    return keras.Sequential([keras.Input(case.shapes[0][0]), case.make(**arguments)])


def noiseless(case, **arguments):
    """A layer that stands for its means in every call."""
    return case.make(**case.noiseless, **arguments)


def equal(ones, others):
    pairs = zip(ones, others, strict=True)
    return all(np.array_equal(numpy(one), numpy(other)) for one, other in pairs)


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def assert_equal(one, other):
    np.testing.assert_array_equal(numpy(one), numpy(other))


class TestConfig:
    @every_layer
    @pytest.mark.parametrize("which", ["required", "together"])
    def test_round_trip(self, case, which):
        layer = case.layer(**{**getattr(case, which), "name": "mine", "dtype": "mixed_bfloat16"})
        config = layer.get_config()
        again = case.layer.from_config(json.loads(json.dumps(config)))
        assert again.get_config() == config
        assert (again.name, again.compute_dtype) == ("mine", "bfloat16")
        for name in case.changed:
            if hasattr(layer, name):
                assert type(getattr(again, name)) is type(getattr(layer, name))

    @every_layer
    def test_every_argument_is_in_it(self, case):
        parameters = validation.parameters_of(case.layer)
        own = [name for name in parameters if name != "kwargs"]
        assert sorted(case.changed) == sorted(own)
        default = case.layer(**case.required).get_config()
        for name, value in case.changed.items():
            config = case.layer(
                **{**case.required, **case.beside.get(name, {}), name: value}
            ).get_config()
            # Keras leaves an `activity_regularizer` that is None out of the config.
            assert config[name] != default.get(name), name

    @every_layer
    def test_keras_serializes_it_by_its_registered_name(self, case):
        layer = case.layer(**case.together)
        saved = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        assert saved["registered_name"] == f"layer_api>{case.layer.__name__}"
        again = keras.saving.deserialize_keras_object(saved, safe_mode=True)
        assert type(again) is case.layer
        assert again.get_config() == layer.get_config()

    @every_layer
    def test_signature_of_the_function_is_that_of_the_class(self, case):
        first, *rest = inspect.signature(case.function).parameters.values()
        assert first.name == "object"
        assert rest == list(validation.parameters_of(case.layer).values())
        assert case.function.__name__ in dir(sys.modules["layer_api"])


class TestBuild:
    @every_layer
    def test_weights(self, case):
        layer = case.make()
        assert layer.weights == layer.losses == []
        layer.build((None, *case.shapes[0][0]))
        assert [(w.name, tuple(w.shape)) for w in layer.weights] == case.weights
        assert [w.dtype for w in layer.weights] == ["float32"] * len(case.weights)
        assert [w.shape for w in layer.get_weights()] == [shape for _, shape in case.weights]
        assert layer.trainable_weights == layer.weights
        assert layer.non_trainable_weights == []
        # The state of the noise is a variable, but no weight: `get_weights()` is as in Keras 2.
        assert len(layer.variables) == len(layer.weights) + 2 * case.draws  # noise, kl_weight
        assert len(layer.losses) == case.draws
        assert layer.count_params() == sum(np.prod(shape) for _, shape in case.weights)

    @every_layer
    def test_frozen(self, case):
        layer = case.make(trainable=False)
        layer.build((None, *case.shapes[0][0]))
        assert layer.trainable_weights == []
        assert [w.name for w in layer.non_trainable_weights] == [name for name, _ in case.weights]

    @every_rank
    def test_output_shape(self, case, shape, output_shape):
        layer = case.make()
        assert layer.compute_output_shape((None, *shape)) == case.output(None, output_shape)
        assert layer.compute_output_shape((7, *shape)) == case.output(7, output_shape)
        assert not layer.built
        assert layer(keras.Input(shape)).shape == case.output(None, output_shape)
        assert layer(keras.Input(shape, batch_size=7)).shape == case.output(7, output_shape)
        for rows in (1, 3):
            assert layer(np.ones((rows, *shape), "float32")).shape == case.output(
                rows, output_shape
            )

    @every_layer_of_its_inputs
    def test_undefined_shape(self, case):
        layer = case.make()
        shape = (None, *case.undefined)
        for action in (layer.compute_output_shape, layer.build):
            with pytest.raises(ValueError, match="is defined"):
                action(shape)
        with pytest.raises(ValueError, match="is defined"):
            layer(keras.Input(case.undefined))
        assert not layer.built
        assert layer.weights == []

    @every_layer_of_its_inputs
    def test_other_inputs_than_it_was_built_for(self, case):
        layer = case.make()
        shape, _ = case.shapes[0]
        layer.build((None, *shape))
        with pytest.raises(ValueError, match="incompatible with the layer"):
            layer(np.ones((2, *shape[:-1], shape[-1] + 1), "float32"))


class TestCall:
    @every_layer
    def test_predict(self, case):
        """One seed gives the draws of `predict()`, compiled or not, and of a call."""
        inputs, _ = data(case)
        model, layer = model_of(case), case.make()
        for _ in range(2):
            # A compiler may fuse a product and a sum, which rounds once less.
            np.testing.assert_allclose(
                model.predict(inputs, verbose=0), numpy(layer(inputs)), rtol=1e-5, atol=1e-6
            )

    @only_torch
    @every_layer
    def test_torch_compiles_it(self, case):
        """Into one graph, with the draws, losses and gradients of a call that is not compiled."""
        import torch

        inputs = torch.as_tensor(data(case)[0])
        own = {"activation": "relu"} if "activation" in case.make().get_config() else {}
        eager, other = case.make(**own), case.make(**own)

        def call(layer, x):
            outputs = layer(x)
            return outputs, sum(layer.losses, torch.zeros(()))

        other.build(inputs.shape)
        compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
        for _ in range(2):
            for one, same in zip(call(eager, inputs), compiled(other, inputs), strict=True):
                np.testing.assert_allclose(numpy(same), numpy(one), rtol=1e-5, atol=1e-6)
        slopes = [
            gradients(lambda f=f, layer=layer: sum(map(torch.sum, f(layer, inputs))), layer.weights)
            for f, layer in ((call, eager), (compiled, other))
        ]
        for one, same in zip(*slopes, strict=True):
            np.testing.assert_allclose(same, one, rtol=1e-4, atol=1e-5)

    @only_tensorflow
    @every_layer
    def test_modes_agree(self, case):
        """One seed gives one output: eagerly, and in a graph of any batch size."""
        inputs, _ = data(case)
        import tensorflow as tf

        eager, graph = case.make(), case.make()
        graph.build((None, *inputs.shape[1:]))
        traces = []

        @tf.function(input_signature=[tf.TensorSpec([None, *inputs.shape[1:]])])
        def call(x):
            traces.append(x)
            return graph(x)

        for batch in (inputs, inputs[:3]):
            np.testing.assert_array_equal(call(batch), eager(batch))
        assert len(traces) == 1

    @only_tensorflow
    @every_representative
    def test_xla(self, case):
        """XLA makes other normals of the same random bits; its means are those of any mode."""
        import tensorflow as tf

        inputs, _ = data(case)
        one, other = (tf.function(case.make(), jit_compile=True) for _ in range(2))
        first, second = one(inputs), one(inputs)
        np.testing.assert_array_equal(first, other(inputs))
        assert (first != second).numpy().all() == case.draws
        mean = noiseless(case)
        compiled = tf.function(noiseless(case), jit_compile=True)
        # XLA may fuse a product and a sum, which rounds once less.
        np.testing.assert_allclose(compiled(inputs), mean(inputs), rtol=1e-5, atol=1e-6)

    @every_layer
    @pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
    def test_whole_numbers(self, case, dtype):
        whole = np.random.default_rng(1).integers(0, 2, (4, *case.shapes[0][0]))
        output = case.make()(whole.astype(dtype))
        assert dtype_of(output) == "float32"
        assert_equal(output, case.make()(whole.astype("float32")))

    @every_layer
    @pytest.mark.parametrize("policy", POLICIES)
    @float64()
    def test_dtypes(self, case, policy):
        variables, computations, loss = POLICIES[policy]
        inputs, _ = data(case)
        exact, rounded = noiseless(case, dtype="float64"), noiseless(case, dtype=policy)
        exact(inputs)
        rounded(inputs)
        assert {w.dtype for w in rounded.weights} == {variables}
        # Weights that all dtypes hold, and standard deviations of softplus(3) = 3.05 or so.
        weights = [np.abs(np.round(8 * w) / 8) for w in exact.get_weights()]
        exact.set_weights(weights)
        rounded.set_weights(weights)
        output = rounded(inputs)
        assert dtype_of(output) == computations
        # Rounding the inputs, each product and each sum errs by eps / 2 of numbers below 8.
        steps = 2 * np.prod(case.weights[0][1]) + 2
        error = 8 * steps * float(ml_dtypes.finfo(computations).eps) / 2
        difference = numpy(keras.ops.cast(output, "float64")) - numpy(exact(inputs))
        assert np.abs(difference).max() <= error
        assert [dtype_of(value) for value in rounded.losses] == [loss] * case.draws
        # scale = eps + softplus(u) errs by 11 eps: eps itself, two roundings by at most eps, and
        # e^2 eps where exp(-u) is less than that, as TensorFlow then takes u for softplus(u). The
        # slope of the divergence, scale - 1 / scale, is below 3.
        eps = max(float(ml_dtypes.finfo(dtype).eps) for dtype in (variables, loss))
        error = 33 * np.prod(case.weights[0][1]) * eps
        losses = [sum(map(numpy, layer.losses)) for layer in (rounded, exact)]
        assert abs(losses[0] - losses[1]) <= error

    @every_representative
    @pytest.mark.parametrize("policy", POLICIES)
    @float64()
    def test_training_in_every_dtype(self, case, policy):
        inputs, targets = data(case)
        layer = case.make(dtype=policy, activity_regularizer="l2")
        model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
        before = model.get_weights()
        # Without a graph, as far as the backend can: of dtypes that do not fit, both would tell.
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=BACKEND != "jax")
        history = model.fit(inputs, targets, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        for old, new in zip(before, model.get_weights(), strict=True):
            assert new.dtype == old.dtype
            assert (new != old).any()
            assert np.isfinite(new.astype("float64")).all()

    @every_layer
    @float64()
    def test_global_float64(self, case):
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")
        inputs, _ = data(case)
        layer = case.make()
        assert dtype_of(layer(inputs)) == "float64"
        assert [dtype_of(value) for value in layer.losses] == ["float64"] * case.draws


class TestTraining:
    @pytest.mark.parametrize(
        ("case", "mode"),
        [
            pytest.param(case, mode, id=f"{case.layer.__name__}-{mode}")
            for case in CASES
            for mode in ("run_eagerly", "graph", "jit_compile")
            if mode == "graph" or case in REPRESENTATIVES
        ],
    )
    def test_one_step(self, case, mode):
        how = compile_arguments(mode)
        inputs, targets = data(case)
        model = model_of(case)
        before = model.get_weights()
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", **how)
        history = model.fit(inputs, targets, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        pairs = zip(model.get_weights(), before, strict=True)
        assert sum((new == old).sum() for new, old in pairs) == case.held

    @only_torch
    @pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # torch's of torch
    @pytest.mark.filterwarnings("ignore::FutureWarning:torch")
    @pytest.mark.filterwarnings("ignore:Graph break due to unsupported builtin optree:UserWarning")
    def test_torch_compiles_a_step(self):
        """It trains as a step does that is not compiled, on the same draws."""
        case = CASES[0]
        inputs, targets = data(case)
        models = [model_of(case) for _ in range(2)]
        for model, jit_compile in zip(models, (False, True), strict=True):
            model.compile(optimizer="sgd", loss="mse", jit_compile=jit_compile)
            model.fit(inputs, targets, epochs=3, shuffle=False, verbose=0)
        eager, compiled = (model.get_weights() for model in models)
        for one, same in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(same, one, rtol=1e-5, atol=1e-6)

    @every_representative
    def test_frozen_weights_stay(self, case):
        inputs, targets = data(case)
        model = model_of(case)
        model.add(keras.layers.Dense(targets.shape[-1]))
        frozen, free = model.layers
        frozen.trainable = False
        before, kernel = frozen.get_weights(), free.get_weights()[0]
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        model.fit(inputs, targets, verbose=0)
        assert equal(frozen.get_weights(), before)
        assert (free.get_weights()[0] != kernel).all()


class Subclassed(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def call(self, inputs):
        return self.layer(inputs)


KINDS = {
    "sequential": lambda layer, shape: keras.Sequential([keras.Input(shape), layer]),
    "deferred": lambda layer, shape: keras.Sequential([layer]),
    "functional": lambda layer, shape: keras.Model(x := keras.Input(shape), layer(x)),
    "subclassed": lambda layer, shape: Subclassed(layer),
}


class TestModels:
    @every_representative
    @pytest.mark.parametrize("kind", KINDS)
    def test_kinds(self, case, kind):
        inputs, targets = data(case)
        model = KINDS[kind](case.make(), inputs.shape[1:])
        layer = case.make()
        assert_equal(model(inputs), layer(inputs))
        assert equal(model.get_weights(), layer.get_weights())
        assert equal(model.losses, layer.losses)
        model.compile(optimizer="sgd", loss="mse", jit_compile=False)
        first, last = (model.evaluate(inputs, targets, verbose=0) for _ in range(2))
        assert (first != last) == case.draws
        assert model.predict(inputs, verbose=0).shape == targets.shape

    @every_layer_of_rows
    def test_time_distributed(self, case):
        shape, output_shape = case.shapes[0]
        layer = case.make()
        inputs = keras.Input((6, *shape))
        model = keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))
        assert model.output_shape == (None, 6, *output_shape)
        alone = case.make()
        alone.build((None, *shape))
        outputs = model(np.ones((2, 6, *shape), "float32"))
        assert outputs.shape == (2, 6, *output_shape)
        if case.draws:  # a loss may be an estimate
            alone.seed_generator.state.assign(layer.seed_generator.state)
        assert equal(model.losses, alone.losses)

    @every_layer
    def test_input_shape_builds_a_sequential_model(self, case):
        shape, output_shape = case.shapes[0]
        with pytest.warns(UserWarning, match="Do not pass an `input_shape`"):
            layer = case.make(input_shape=shape)
        model = keras.Sequential([layer])
        assert model.built
        assert model.output_shape == case.output(None, output_shape)

    @every_layer
    def test_clone(self, case):
        inputs, _ = data(case)
        model = keras.Sequential([keras.Input(inputs.shape[1:]), case.layer(**case.together)])
        clone = keras.models.clone_model(model)
        assert clone.layers[0] is not model.layers[0]
        assert clone.layers[0].get_config() == model.layers[0].get_config()
        clone.set_weights(model.get_weights())
        assert_equal(clone(inputs), model(inputs))

    @every_layer
    def test_deepcopy(self, case):
        inputs, _ = data(case)
        model = model_of(case)
        model(inputs)
        copied = copy.deepcopy(model)
        assert equal(copied.losses, model.losses)
        assert_equal(copied(inputs), model(inputs))
        # What happens to the copy does not happen to the original.
        before = model.get_weights(), model.losses
        copied.set_weights([w + 1 for w in copied.get_weights()])
        assert equal(model.get_weights(), before[0])
        assert equal(model.losses, before[1])
        assert equal(copied.losses, before[1]) == (not case.draws)


def in_a_fresh_process(program, *args):
    """Run a program that gets `args` and prints JSON; return what it prints."""
    here = str(pathlib.Path(__file__).parent)
    start = f"import sys; sys.path.insert(0, {here!r})\n"
    run = subprocess.run(
        [sys.executable, "-c", start + program, *map(str, args)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def digest(array):
    return hashlib.sha256(np.asarray(array).tobytes()).hexdigest()


def digests(model, draws):
    """Return digests of draws and of the losses of a model."""
    return [digest([numpy(value) for value in values]) for values in (draws, model.losses)]


class TestSaving:
    @every_layer
    def test_weights_file(self, case, tmp_path):
        inputs, _ = data(case)
        model, other = model_of(case), model_of(case, seed=2)
        model(inputs)  # the noise is on its way
        model.save_weights(tmp_path / "model.weights.h5")
        other.load_weights(tmp_path / "model.weights.h5")
        assert equal(other.get_weights(), model.get_weights())
        assert_equal(other(inputs), model(inputs))

    @only_tensorflow
    @every_representative
    def test_saved_model(self, case, tmp_path):
        import tensorflow as tf

        inputs, targets = data(case)
        model = model_of(case)
        model.export(tmp_path / "model", verbose=False)
        # The functions of a loaded model hold its variables weakly: keep the object itself.
        loaded = tf.saved_model.load(str(tmp_path / "model"))
        draws = [loaded.serve(inputs).numpy() for _ in range(2)]
        assert draws[0].shape == targets.shape
        assert (draws[0] != draws[1]).all() == case.draws
        # It has a state of the noise of its own, which starts where the model's was.
        np.testing.assert_array_equal(draws, [model(inputs), model(inputs)])

    LOAD = """
import pathlib, keras, numpy as np
from test_contract import digests
import json
folder = pathlib.Path(sys.argv[1])
found = {}
for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path, safe_mode=True)
    inputs = np.load(path.with_suffix(".npy"))
    draws = [model(inputs) for _ in range(2)]
    found[path.stem] = [*digests(model, draws), model.layers[0].get_config()]
print(json.dumps(found))
"""

    def test_keras_file_in_a_fresh_process(self, tmp_path):
        expected = {}
        for case in CASES:
            variants = {
                "required": case.required,
                "changed": {**case.together, **case.noiseless},
                "drawn": {**case.drawn, "trainable": True, "dtype": "mixed_bfloat16"},
            }
            for which, variant in variants.items():
                inputs, _ = data(case)
                layer = case.layer(**{"seed": 1, **variant})
                model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
                model(inputs)  # the noise is on its way
                name = f"{case.layer.__name__}-{which}"
                model.save(tmp_path / f"{name}.keras")
                np.save(tmp_path / f"{name}.npy", inputs)
                draws = [model(inputs) for _ in range(2)]
                repeats = which == "changed" or not case.draws
                assert equal(draws[:1], draws[1:]) == repeats
                expected[name] = [*digests(model, draws), layer.get_config()]
        # JSON makes lists of tuples.
        expected = json.loads(json.dumps(expected))
        assert in_a_fresh_process(self.LOAD, tmp_path) == expected


@only_tensorflow
class TestReplicas:
    PROGRAM = """
import json
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from layers import REPRESENTATIVES
from test_contract import data, noiseless
found = {}
# One for all: the second strategy of a process takes the first one's keys for its collectives.
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for case in REPRESENTATIVES:
    inputs, targets = data(case)
    with strategy.scope():
        layer = case.make()
        layer.build((None, *inputs.shape[1:]))
        rows = keras.Input(inputs.shape[1:])
        outputs = noiseless(case)(rows)
        if not case.by_row:
            # fit() needs outputs and targets for every row.
            outputs, targets = outputs + 0 * rows[:, :1, None], np.stack([targets] * len(inputs))
        model = keras.Model(rows, outputs)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)

    @tf.function
    def call():
        return strategy.run(layer, (tf.constant(inputs),))

    replicas = [strategy.experimental_local_results(call()) for _ in range(2)]
    expected = np.mean((model(inputs) - targets) ** 2) + sum(model.losses)
    before = model.get_weights()
    found[case.layer.__name__] = {
        "outputs": [[output.numpy().tolist() for output in outputs] for outputs in replicas],
        "loss": model.fit(inputs, targets, verbose=0).history["loss"][0],
        "expected": float(expected),
        "kept": int(sum((a == b).sum() for a, b in zip(model.get_weights(), before))),
    }
print(json.dumps(found))
"""

    def test_two_replicas(self):
        every_found = in_a_fresh_process(self.PROGRAM)
        for case in REPRESENTATIVES:
            found = every_found[case.layer.__name__]
            draws = np.reshape(found["outputs"], (4, -1))
            for one in range(4):
                for other in range(one):
                    assert ((draws[one] != draws[other]) == case.draws).all()
            assert found["kept"] == case.held
            # Each replica has half of the data, and the divergence counts once.
            assert found["loss"] == pytest.approx(found["expected"], rel=1e-5)
