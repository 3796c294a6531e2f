"""Under torch a training step does not wait for its device: what other devices do, on a CPU.

A CPU takes the path of other devices where `_is_at_hand` says that it cannot be read at once.
"""

import collections
import copy
import sys

import keras
import numpy as np
import pytest
import scipy.stats
from framework import BACKEND, numpy, only_torch
from layers import ALL

import layer_api
from layer_api import backend, noise

pytestmark = only_torch

if BACKEND == "torch":
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    from layer_api.backend.torch import philox, random

    # Functions that read a tensor on the host, or make one of what lies there.
    WAITING = {"item", "tolist", "numpy", "cpu", "tensor", "as_tensor", "asarray", "nonzero"}
    WAITING |= {"__bool__", "__float__", "__int__", "__index__"}

    class Waiting(TorchFunctionMode):
        """Counts the calls of ours for which a device would have to be waited for."""

        def __init__(self):
            super().__init__()
            self.found = collections.Counter()

        def __torch_function__(self, function, types, args=(), kwargs=None):
            name = getattr(function, "__name__", "")
            has_tensor = bool(args) and isinstance(args[0], torch.Tensor)
            if name in WAITING and not (name == "as_tensor" and has_tensor):
                _note(self.found, name)
            return function(*args, **(kwargs or {}))

    class WaitingBelow(TorchDispatchMode):
        """Counts the same where torch's own functions do it."""

        def __init__(self):
            super().__init__()
            self.found = collections.Counter()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.__name__.split(".")[0]
            if name in ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "lift_fresh"):
                _note(self.found, name)
            return function(*args, **(kwargs or {}))


def _note(found, name):
    """Note a call where a layer makes it, not Keras's own losses and optimizers."""
    frame = sys._getframe(2)
    while frame is not None and "/layer_api/" not in frame.f_code.co_filename:
        frame = frame.f_back
    if frame is not None:
        found[f"{name}: {frame.f_code.co_filename}:{frame.f_lineno}"] += 1


@pytest.fixture
def reads(monkeypatch):
    """Let a CPU be another device; return the states that are read from then on."""
    read, found = random._read, []
    monkeypatch.setattr(random, "_is_at_hand", lambda device: False)
    monkeypatch.setattr(random, "_read", lambda words: found.append(words) or read(words))
    return found


def generator_at(seed, call):
    generator = keras.random.SeedGenerator(seed)
    generator.state.assign(np.array([seed, call], "uint32").astype("int32"))
    return generator


def drawn(generator):
    state = noise.advance(generator)
    return numpy(noise.normal((8,), noise.key(state, "kernel"), "float32"))


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.function.__name__)
def test_a_step_waits_for_nothing(case, reads):
    inputs = torch.as_tensor(case.inputs(np.random.default_rng(0), 4))
    model = keras.Sequential([keras.Input(inputs.shape[1:]), case.make()])
    targets = torch.zeros_like(model(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    model.train_step((inputs, targets))
    reads.clear()
    with Waiting() as one, WaitingBelow() as other:
        model.train_step((inputs, targets))
    assert (reads, one.found, other.found) == ([], {}, {})


@pytest.mark.parametrize(
    "prior", [layer_api.LaplacePrior(), layer_api.ScaleMixturePrior(), layer_api.NormalPrior()]
)
def test_a_divergence_waits_for_nothing(prior, reads):
    layer = layer_api.DenseReparameterization(2, kernel_prior_fn=prior)
    inputs = torch.ones(4, 3)
    layer(inputs), layer.losses
    reads.clear()
    with Waiting() as one, WaitingBelow() as other:
        layer(inputs), layer.losses
    assert (reads, one.found, other.found) == ([], {}, {})


def test_the_counts_see_what_waits(reads, monkeypatch):
    layer = layer_api.DenseLocalReparameterization(2)
    layer.build((None, 3))
    monkeypatch.setattr(layer_api.weights.distributions, "as_tensor", lambda x, dtype: x)
    with Waiting() as one, WaitingBelow() as other:
        layer(torch.ones(4, 3))
    assert len(reads) == 1
    assert {name.split(":")[0] for name in one.found} == {"tolist", "as_tensor"}
    assert {name.split(":")[0] for name in other.found} == {"lift_fresh"}


def test_a_device_draws_what_a_cpu_does(monkeypatch):
    calls = [0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1]
    on_a_cpu = [[drawn(g) for _ in range(2)] for g in (generator_at(7, call) for call in calls)]
    monkeypatch.setattr(random, "_is_at_hand", lambda device: False)
    for call, expected in zip(calls, on_a_cpu, strict=True):
        generator = generator_at(7, call)
        np.testing.assert_array_equal([drawn(generator) for _ in range(2)], expected)
        assert random._read(generator.state.value) == random._numbers(generator.state.value)


def _assign(variable):
    variable.assign([5, 9])


def _copy(variable):
    with torch.no_grad():
        variable.value.copy_(torch.tensor([5, 9]))


def _add_in_inference(variable):
    with torch.inference_mode():
        variable.value.add_(3)


def _other_memory(variable):
    variable.value.data = torch.tensor([5, 9], dtype=torch.int32)


def _other_parameter(variable):
    variable._value = torch.nn.Parameter(torch.tensor([5, 9]), requires_grad=False)


@pytest.mark.parametrize(
    "write", [_assign, _copy, _add_in_inference, _other_memory, _other_parameter]
)
def test_what_others_write_is_read(write, reads):
    generator = generator_at(1, 0)
    drawn(generator), drawn(generator)
    assert len(reads) == 1
    write(generator.state)
    expected = tuple(generator.state.value.tolist())
    assert noise.current(generator).numbers == expected
    assert noise.advance(generator).numbers == expected
    assert len(reads) == 2


def test_a_copy_is_read(reads):
    generator = generator_at(1, 0)
    drawn(generator)
    other = copy.deepcopy(generator.state.value)
    generator.state.assign([5, 9])
    assert random._numbers(other) == (1, 1)
    assert noise.current(generator).numbers == (5, 9)


def test_a_stateless_scope_has_a_state_of_its_own(reads):
    generator = generator_at(1, 0)
    drawn(generator)
    with keras.StatelessScope([(generator.state, random.words_of(5, 9))]) as scope:
        assert [noise.advance(generator).numbers for _ in range(2)] == [(5, 9), (5, 10)]
    assert scope.get_current_value(generator.state).tolist() == [5, 11]
    assert noise.advance(generator).numbers == (1, 1)
    assert len(reads) == 1


def test_draws_of_functions_read_a_state_once(reads):
    model = keras.Sequential([keras.Input((3,)), layer_api.DenseFlipout(2, seed=1)])
    x = np.ones((4, 3), "float32")
    layer_api.posterior_epred(model, x, draws=5, seed=1, likelihood="normal")
    assert not reads


def test_what_others_do_does_not_wait_in_inference_mode(reads):
    with torch.inference_mode():
        generator = keras.random.SeedGenerator(1)
        first, second = drawn(generator), drawn(generator)
    assert (first != second).all()


# --- What torch compiles -------------------------------------------------------------------------


def compiled(function, backend):
    return torch.compile(function, fullgraph=True, backend=backend)


def test_a_compiled_call_reads_no_state(reads):
    generator = generator_at(7, 0)
    kernel, sign = (noise.key(noise.current(generator), name).stream for name in ("a", "b"))

    def draw():
        state = noise.advance(generator)
        a, b = (backend.random.make_key(state, stream) for stream in (kernel, sign))
        return noise.normal((50,), a, "float32"), noise.signs((50,), b, "float32")

    call = compiled(draw, "eager")
    reads.clear()
    found = [[numpy(x) for x in call()] for _ in range(2)]
    assert not reads
    for number, drawn_there in enumerate(found):
        words = torch.tensor([7, number], dtype=torch.int32)
        for kind, stream, x in zip(("normal", "signs"), (kernel, sign), drawn_there, strict=True):
            expected = getattr(philox, kind)((50,), words, stream, 0, torch.float32)
            np.testing.assert_allclose(x, numpy(expected), rtol=1e-6)


def test_an_eager_call_goes_on_after_compiled_ones(reads):
    """The seed changes after the last call, and torch counts what it compiles as writes."""
    generator = generator_at(7, 2**32 - 2)
    call = compiled(lambda: noise.advance(generator).words, "aot_eager")
    assert noise.advance(generator).numbers == (7, 2**32 - 2)
    assert [random._read(call()) for _ in range(2)] == [(7, 2**32 - 1), (8, 0)]
    assert noise.advance(generator).numbers == (8, 1)
    assert noise.previous(generator).numbers == (8, 1)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ([0] * 2, [0] * 4, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 2, [2**32 - 1] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0xA4093822, 0x299F31D0],
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_words_are_those_of_philox(key, counter, expected):
    """Random123's known answers, of its file `kat_vectors`."""
    words = philox.philox(torch.tensor(key), torch.tensor(counter)[:, None])
    assert [int(word) for word in words] == expected


N = 1_000_000
STATE = (3, 5)


def of_philox(kind, n=N, state=STATE, stream=11, process=0, dtype="float32"):
    words = torch.tensor(state, dtype=torch.int64).to(torch.int32)
    return getattr(philox, kind)((n,), words, stream, process, getattr(torch, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals(dtype):
    x = numpy(of_philox("normal", dtype=dtype)).astype("float64")
    five = 5 / np.sqrt(N)  # standard errors: of the mean 1, of the variance sqrt(2), and so on
    assert abs(x.mean()) < five
    assert abs(x.var() - 1) < five * np.sqrt(2)
    assert abs((x**3).mean()) < five * np.sqrt(15)
    assert abs((x**4).mean() - 3) < five * np.sqrt(96)
    assert scipy.stats.kstest(x, "norm").pvalue > 1e-4
    assert 4.3 < abs(x).max() < 6.8
    for lag in (1, 2, 4, N // 4, N // 2):  # neighbours, and those of one counter
        r = np.corrcoef(x[lag:], x[:-lag])[0, 1]
        assert abs(r) < 5 / np.sqrt(N - lag)
        squares = np.corrcoef(x[lag:] ** 2, x[:-lag] ** 2)[0, 1]
        assert abs(squares) < 5 / np.sqrt(N - lag)


def test_signs():
    x = numpy(of_philox("signs"))
    assert set(np.unique(x)) == {-1, 1}
    five = 5 / np.sqrt(N)
    assert abs(x.mean()) < five
    for lag in (1, 2, 31, 32, 33, N // 4):
        assert abs((x[lag:] * x[:-lag]).mean()) < 5 / np.sqrt(N - lag)
    of_each_bit = x[: N // 32 * 32].reshape(-1, 32).mean(0)
    assert (abs(of_each_bit) < 5 / np.sqrt(N // 32)).all()


OTHERS = {
    "seed": {"state": (4, 5)},
    "call": {"state": (3, 6)},
    "swapped": {"state": (5, 3)},
    "high bit": {"state": (3, 5 - 2**31)},
    "stream": {"stream": 12},
    "high stream": {"stream": 2**32 - 1},
    "process": {"process": 1},
    "stream and process": {"stream": 0, "process": 11},
}


@pytest.mark.parametrize("kind", ["normal", "signs"])
@pytest.mark.parametrize("other", OTHERS)
def test_equal_keys_alone_draw_equal_numbers(kind, other):
    one, same = (numpy(of_philox(kind)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    r = np.corrcoef(one, numpy(of_philox(kind, **OTHERS[other])))[0, 1]
    assert abs(r) < 5 / np.sqrt(N)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (129,)])
@pytest.mark.parametrize("kind", ["normal", "signs"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_shapes_and_dtypes_on_a_device_without_values(kind, shape, dtype):
    """Whatever reads a tensor fails on the device "meta"."""
    for device in ("meta", "cpu"):
        words = torch.zeros(2, dtype=torch.int32, device=device)
        made = getattr(philox, kind)(shape, words, 1, 0, getattr(torch, dtype))
        assert (made.shape, made.dtype, made.device.type) == (shape, getattr(torch, dtype), device)
