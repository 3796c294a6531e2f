"""Hostile files: they run nothing, take no memory and write nowhere else.

The archive and the weights in it are read by Keras, which also guards them: there a model of ours
is held against one of `keras.layers.Dense` in the same file. The sizes of layers are ours to check.
"""

import functools
import io
import json
import sys
import zipfile

import h5py
import keras
import pytest
from keras.src.utils import python_utils
from layers import ALL
from test_contract import data, equal, every_layer, in_a_fresh_process

import layer_api


def objects_of(case):
    """The arguments that an object with a config may stand for, functions among them."""
    kinds = ("fn", "activation", "initializer", "regularizer", "constraint")
    return [name for name in case.changed if name.rsplit("_", 1)[-1] in kinds]


def payloads(marker):
    """What a hostile file may hold in place of a function; each would leave a `marker`."""
    namespace = {}
    exec(f"attack = lambda *args, **kwargs: open({str(marker)!r}, 'w')", namespace)
    a_lambda = {
        "class_name": "__lambda__",
        "config": {"value": python_utils.func_dump(namespace["attack"])},
    }
    return {
        "lambda": a_lambda,
        "lambda layer": {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"function": a_lambda},
            "registered_name": None,
        },
        "function of a module": {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        },
        "function with a registered name": {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "layer_api>StandardNormal",
        },
        "function of Python": {
            "module": "builtins",
            "class_name": "function",
            "config": "exec",
            "registered_name": "function",
        },
        "function of Keras": {
            "module": "keras.utils",
            "class_name": "function",
            "config": "get_file",
            "registered_name": "get_file",
        },
        "class of a module": {
            "module": "hostile",
            "class_name": "Hostile",
            "config": {},
            "registered_name": "Hostile",
        },
    }


def write_changed(source, target, changes, sizes=()):
    """Write a copy of a `.keras` file with other members.

    Args:
        source: path.
        target: path.
        changes: dictionary, by the name of a member, of functions that change its bytes; a member
            that is not there starts as b"".
        sizes: dictionary of the bytes that members claim to hold.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        there = old.namelist()
        for name in dict.fromkeys([*there, *changes]):
            content = old.read(name) if name in there else b""
            new.writestr(name, changes.get(name, bytes)(content))
        for name, size in dict(sizes).items():
            new.getinfo(name).file_size = size


def of_config(change):
    """Return the function that changes the configs of the layers in JSON."""

    def changed(content):
        config = json.loads(content)
        change(config["config"]["layers"])
        return json.dumps(config).encode()

    return changed


def at(path, value):
    """Return the change of one value in the config of the last layer."""

    def change(layers):
        place = layers[-1]["config"]
        for key in path[:-1]:
            place = place[key]
        # Keras leaves an `activity_regularizer` that is None out.
        assert path[-1] in place or path == ["activity_regularizer"]
        place[path[-1]] = value

    return change


@every_layer
def test_hostile_files_run_nothing(case, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    (tmp_path / "hostile.py").write_text(f"""
open({str(marker)!r}, "w")
class Hostile:
    def __call__(self, *args): open({str(marker)!r}, "w")
    @classmethod
    def from_config(cls, config): open({str(marker)!r}, "w")
""")
    monkeypatch.syspath_prepend(tmp_path)
    block = layer_api.MeanFieldNormal()
    own = {"kernel_posterior_fn": block} if "kernel_posterior_fn" in case.changed else {}
    model = keras.Sequential([keras.Input(case.shapes[0][0]), case.make(**own)])
    model.save(tmp_path / "model.keras")
    places = [[name] for name in objects_of(case)]
    if own:
        places += [["kernel_posterior_fn", "config", name] for name in block.get_config()]
    for place in places:
        for name, payload in payloads(marker).items():
            changes = {"config.json": of_config(at(place, payload))}
            write_changed(tmp_path / "model.keras", tmp_path / "changed.keras", changes)
            with pytest.raises((ValueError, TypeError)):
                keras.saving.load_model(tmp_path / "changed.keras", safe_mode=True)
            assert not marker.exists(), (place, name)
            assert "hostile" not in sys.modules


@pytest.mark.parametrize("name", payloads("marker"))
def test_a_hostile_function_of_a_distribution_lambda(name, tmp_path):
    marker = tmp_path / "marker"
    with pytest.raises((ValueError, TypeError)):
        layer_api.DistributionLambda.from_config(
            {"name": "d", "make_distribution_fn": payloads(marker)[name]}
        )
    assert not marker.exists()


def test_a_name_that_is_not_registered_is_named(tmp_path):
    layer = layer_api.layer_dense_flipout(units=2, kernel_prior_fn=layer_api.LaplacePrior())
    config = json.loads(json.dumps(layer.get_config()))
    config["kernel_prior_fn"]["registered_name"] = "my_package>Absent"
    message = "`kernel_prior_fn` cannot be loaded: the file names 'my_package>Absent', which is not"
    with pytest.raises(TypeError, match=message):  # Keras's, which quotes ours
        layer_api.DenseFlipout.from_config(config)


def write_legacy(source, target, change):
    """Write a copy of an `.h5` file with other configs of the layers."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "a") as file:
        file.attrs["model_config"] = of_config(change)(file.attrs["model_config"])


def update_last(arguments, layers):
    layers[-1]["config"].update(arguments)


def model_of(case, **arguments):
    return keras.Sequential([keras.Input(case.shapes[0][0]), case.make(**arguments)])


BY_NAME = {case.layer.__name__: case for case in ALL}


def test_a_legacy_file_holds_a_model(tmp_path):
    for name in ("DenseFlipout", "DenseVariational", "AutoregressiveNetwork"):
        case = BY_NAME[name]
        model = model_of(case, **case.noiseless)
        model.save(tmp_path / "model.h5")
        loaded = keras.saving.load_model(tmp_path / "model.h5")
        inputs, _ = data(case)
        assert equal([loaded(inputs)], [model(inputs)]), name


@pytest.mark.parametrize("name", payloads("marker"))
def test_a_hostile_legacy_file_runs_nothing(name, tmp_path):
    marker = tmp_path / "marker"
    for layer, argument in [
        ("DenseFlipout", "kernel_prior_fn"),
        ("DenseFlipout", "activation"),
        ("DenseVariational", "make_posterior_fn"),
    ]:
        model_of(BY_NAME[layer]).save(tmp_path / "model.h5")
        change = at([argument], payloads(marker)[name])
        write_legacy(tmp_path / "model.h5", tmp_path / "changed.h5", change)
        with pytest.raises((ValueError, TypeError)):
            keras.saving.load_model(tmp_path / "changed.h5", safe_mode=True)
        assert not marker.exists()


# --- Sizes -----------------------------------------------------------------------------------


def absurd(argument, value):
    expected = f"`{argument}` must be a whole number of at most 2147483647"
    return f"{expected}. Received: {value}. Pass, for example, {argument} = "


def too_many(weight, shape):
    return f"`{weight}` must be of at most 2147483647 numbers. Received: shape {shape}. Make the "


HUGE = 10**12
AXES = [1] * 10**6
TRIL = layer_api.MultivariateNormalTriL()
# Layer, what its config has instead, and how the message starts.
SIZES = [
    ("DenseFlipout", {"units": HUGE}, absurd("units", HUGE)),
    ("DenseFlipout", {"units": 2**30}, too_many("kernel", [3, 2**30])),
    ("DenseVariational", {"units": 2**30}, too_many("weights", [2**32])),
    (
        "DenseFlipout",
        {"kl_weight": 10**400},  # above every float
        "`kl_weight` must be a finite number of at least 0. Received: 1000",
    ),
    (
        "DenseVariational",
        {"units": 50_000, "make_posterior_fn": keras.saving.serialize_keras_object(TRIL)},
        "`MultivariateNormalTriL` must be the posterior of at most 46340 weights. "
        "Received: 200000 of them. Their covariance has n^2 numbers. Use ",
    ),
    ("Conv1DFlipout", {"filters": HUGE}, absurd("filters", HUGE)),
    ("Conv1DFlipout", {"kernel_size": HUGE}, absurd("kernel_size", HUGE)),
    ("Conv1DFlipout", {"dilation_rate": HUGE}, absurd("dilation_rate", HUGE)),
    (
        "Conv1DFlipout",
        {"kernel_size": 2**30, "padding": "same"},
        too_many("kernel", [2**30, 3, 2]),
    ),
    (
        "DepthwiseConv2DFlipout",
        {"depth_multiplier": 2**30},
        too_many("kernel", [2, 2, 3, 2**30]),
    ),
    (
        "EmbeddingReparameterization",
        {"input_dim": 2**31 - 1},
        too_many("embeddings", [2**31 - 1, 2]),
    ),
    ("VariableLayer", {"shape": [2**20, 2**20]}, too_many("shape", [2**20, 2**20])),
    (
        "VariableLayer",
        {"shape": AXES},
        "`shape` must be of at most 32 dimensions. Received: 1000000 dimensions. Make the ",
    ),
    (
        "AutoregressiveNetwork",
        {"event_shape": AXES},
        "`event_shape` must be a whole number of at least 1 or a list of one. Received: [1, 1, 1, "
        "1, 1, 1, 1, 1, ... 1000000 in all]. Pass, for example, event_shape = 3",
    ),
    ("AutoregressiveNetwork", {"hidden_units": [2**30, 2]}, too_many("kernel_0", [3, 2**30])),
    (
        "AutoregressiveNetwork",
        {"hidden_units": None, "params": 2**30},
        too_many("kernel_0", [3, 3 * 2**30]),
    ),
    (
        "AutoregressiveNetwork",
        {"event_shape": 2**31 - 1, "input_order": [1, 2, 3]},
        "`input_order` must be one of 'left-to-right', 'right-to-left', 'random', or a permutation "
        "of 1, ..., 2147483647. Received: [1, 2, 3]. Pass, for example, input_order = ",
    ),
]


def nested(argument, depth):
    """Return a change of JSON that nests an argument; as text, as no writer would go so deep."""
    start = '{"module": "keras.initializers", "class_name": "RandomNormal", "config": {"mean": '

    def changed(content):
        deep = start * depth + "0.0" + "}}" * depth
        before = of_config(at([argument], "here"))(content)
        return before.replace(b'"here"', deep.encode())

    return changed


def with_empty_terabytes(content):
    """Return a file of weights each of which claims to be a terabyte, and holds nothing."""
    held = io.BytesIO(content)
    with h5py.File(held, "a") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        for name in names:
            del file[name]
            file.create_dataset(name, (2**20, 2**20), "float32", chunks=(1024, 1024))
    return held.getvalue()


def attacks_on_keras(argument, outside):
    """Return what Keras reads of a file, by names of attacks: changes, and sizes that are claimed.

    Args:
        argument: name of an argument of the last layer that has a config.
        outside: absolute path that nothing may be written to.
    """
    same = {name: lambda content: content for name in ("config.json", "model.weights.h5")}
    names = ["../outside", "assets/../../outside", str(outside), "assets/ok"]
    return {
        "a config of terabytes": (same, {"config.json": 2**42}),
        "weights of terabytes": (same, {"model.weights.h5": 2**42}),
        "empty weights of terabytes": ({"model.weights.h5": with_empty_terabytes}, {}),
        "paths outside": ({name: lambda _: b"hostile" for name in names}, {}),
        "300 configs in each other": ({"config.json": nested(argument, 300)}, {}),
        "100000 configs in each other": ({"config.json": nested(argument, 100_000)}, {}),
    }


LOAD = """
import json, pathlib, resource, tempfile, keras, numpy as np
import layer_api
folder = pathlib.Path(sys.argv[1])
tempfile.tempdir = str(folder / "temporary")
# What a first model imports, and threads that a backend starts, do not count.
model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(2)])
model(np.ones((2, 3), "float32"))
for path in (folder / "temporary" / "good.keras", folder / "temporary" / "good.h5"):
    model.save(path)
    keras.saving.load_model(path)
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
room = pages * resource.getpagesize() + 2**30
resource.setrlimit(resource.RLIMIT_AS, (room, room))
found = {}
for path in sorted(folder.glob("*.keras")) + sorted(folder.glob("*.h5")):
    for safe_mode in (True, False):
        try:
            keras.saving.load_model(path, safe_mode=safe_mode)
            outcome = ["loaded", ""]
        except Exception as error:
            message = str(error)  # Keras quotes the whole config before ours
            outcome = [type(error).__name__, message.rpartition("Exception encountered: ")[2][:500]]
        found[f"{path.name}, {safe_mode}"] = outcome
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_files_in_a_process_that_gets_one_more_gigabyte(tmp_path):
    """Ours to refuse: sizes, by a message. Keras's: all else, as in a file of its own layer."""
    expected = {}
    for i, (name, arguments, message) in enumerate(SIZES):
        model_of(BY_NAME[name]).save(tmp_path / "source.keras")
        change = functools.partial(update_last, arguments)
        changes = {"config.json": of_config(change)}
        write_changed(tmp_path / "source.keras", tmp_path / f"{i}.keras", changes)
        expected[f"{i}.keras"] = message
        if i < 3:
            model_of(BY_NAME[name]).save(tmp_path / "source.h5")
            write_legacy(tmp_path / "source.h5", tmp_path / f"{i}.h5", change)
            expected[f"{i}.h5"] = message
    rivals = {
        "ours": (layer_api.DenseFlipout(2), "kernel_posterior_fn"),
        "Keras's": (keras.layers.Dense(2), "kernel_initializer"),
    }
    (tmp_path / "temporary" / "deep").mkdir(parents=True)
    for whose, (layer, argument) in rivals.items():
        keras.Sequential([keras.Input((3,)), layer]).save(tmp_path / "source.keras")
        for attack, how in attacks_on_keras(argument, tmp_path / "outside").items():
            write_changed(tmp_path / "source.keras", tmp_path / f"{attack}, {whose}.keras", *how)

    for source in tmp_path.glob("source.*"):
        source.unlink()
    found = in_a_fresh_process(LOAD, tmp_path)

    for file, message in expected.items():
        for safe_mode in (True, False):
            outcome = found[f"{file}, {safe_mode}"]
            assert outcome[1].startswith(message), outcome
    for attack in attacks_on_keras("", ""):
        for safe_mode in (True, False):
            outcomes = {found[f"{attack}, {whose}.keras, {safe_mode}"][0] for whose in rivals}
            # Where a recursion ends, and what Keras makes of that, depends on the frames below.
            refused = outcomes <= {"ValueError", "TypeError", "RecursionError"}
            assert refused or outcomes == {"loaded"}, attack
    assert not list(tmp_path.rglob("outside"))


def test_draws_of_a_file_that_would_not_fit():
    """The number of draws counts where they are made, long after the file is loaded."""
    divergence = layer_api.MonteCarloKL.from_config({"n_samples": 2**30})
    layer = layer_api.DenseFlipout(2, kernel_divergence_fn=divergence)
    layer.build((None, 3))
    message = (
        r"`n_samples` must be at most 357913941 for a weight of shape \[3, 2\]\. Received: 107"
    )
    with pytest.raises(ValueError, match=message):
        layer.losses  # noqa: B018


def test_components_of_a_file_that_no_outputs_have():
    likelihood = layer_api.NormalMixtureLikelihood.from_config({"components": 10**9})
    with pytest.raises(
        ValueError, match=r"`outputs` must be .*1000000000, and a multiple of 2000000000"
    ):
        likelihood(keras.ops.ones((2, 1)), keras.ops.ones((2, 6)))
