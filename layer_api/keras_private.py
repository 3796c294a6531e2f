"""Every hook of Keras that its documentation does not promise, each with a test of its own.

`tests/python/test_keras_private.py` fails where a version of Keras changes one of them.
"""

import contextlib
import functools
import inspect
import tempfile

import keras
import numpy as np
from keras.src.backend.common import global_state, masking, stateless_scope
from keras.src.losses import loss as loss_module
from keras.src.models import functional
from keras.src.random import seed_generator

# A loss that is a function of the weights is evaluated when a model collects its losses, and this
# method is the one place where Keras 3 does so. Without it the divergence would silently be left
# out of the training, so say it aloud.
if not hasattr(keras.layers.Layer, "_get_own_losses"):
    raise ImportError(
        f"layer_api does not know how Keras {keras.__version__} collects the losses of a layer. "
        "Install a version of Keras that this release of layer_api was tested with: 3.9 to 3.15."
    )


def keep_message(exception):
    """Return the exception such that Keras does not add what the layer was called with."""
    exception._keras_call_info_injected = True
    return exception


def untracked(layer, **attributes):
    """Set attributes such that Keras neither tracks nor wraps what it finds in them."""
    vars(layer).update(attributes)


class HeldNumber(keras.random.SeedGenerator):
    """A number that compiled functions read, and that is none of a layer's weights.

    Keras tracks it as it does the state of a generator of random numbers, whose class it is for
    that reason: what is assigned to it takes effect in the next step, with no function compiled
    again, and `get_weights()` knows nothing of it.
    """

    def __init__(self, number, name):
        self.name = name

        def start(*_, dtype=None, **__):
            return keras.ops.convert_to_tensor(number, dtype)

        with keras.name_scope(name, caller=self):
            self.state = keras.Variable(
                start, shape=(), dtype="float32", trainable=False, aggregation="none", name=name
            )

    @property
    def value(self):
        """The number, as a tensor."""
        return self.state.value

    def assign(self, number, remedy):
        """Set the number; `remedy` says what to do where Keras holds all values itself."""
        if is_without_value(self.state):
            raise RuntimeError(
                f"{self.name} cannot be assigned to in the middle of an epoch on JAX, while Keras "
                f"holds the values of all variables. {remedy}"
            )
        # A sum, as torch would copy the number to a device, and wait for it.
        self.state.assign(keras.ops.zeros((), "float32") + number)


# What `ObservedSteps` puts into a model.
_OBSERVED = ("train_step", "test_step", "compute_loss", "compile")


class ObservedSteps:
    """What is added to the steps of a compiled model while `fit()` runs, and taken away after it.

    Keras calls these methods in the functions that it compiles, so those are kept apart from the
    plain ones: a second `fit()` compiles nothing.

    Args:
        model: compiled model.
        metric: metric of Keras, which is among those of the model while its steps are observed.
        around_step: function `(is_training)` that returns a context in which a step is run.
        on_loss: function that gets, in each step, how many rows the batch has, and the value of
            the compiled loss, None where there is none.
    """

    def __init__(self, model, metric, around_step, on_loss):
        self.metric = metric
        self._around_step = around_step
        self._on_loss = on_loss
        self._compile_loss = model._compile_loss
        self._functions = {True: (None, None), False: (None, None)}
        self._before: dict = {}

    @classmethod
    def of(cls, model):
        """Return the observation of a model as it is compiled now, or None."""
        kept = vars(model).get("_observed_steps")
        return kept if kept and kept._compile_loss is model._compile_loss else None

    def start(self, model):
        """Observe the steps from now on."""
        if interrupted := vars(model).get("_observing_steps"):
            interrupted.stop(model)
        self._before = {name: vars(model)[name] for name in _OBSERVED if name in vars(model)}
        untracked(
            model,
            _observed_steps=self,
            _observing_steps=self,
            train_step=self._observed(model.train_step, True),
            test_step=self._observed(model.test_step, False),
            compute_loss=self._with_loss(model, model.compute_loss),
            compile=self._ending(model, model.compile),
        )
        list.append(model._metrics, self.metric)  # Keras tracks no metric once a model is built
        # Under JAX, Keras 3.9 has noted already how each variable of the metrics is sharded.
        if note_shardings := getattr(model, "_record_training_state_sharding_spec", None):
            note_shardings()
        self._swap(model, True)

    def stop(self, model):
        """Leave the model as it was before `start()`, unless something else did."""
        if vars(model).get("_observing_steps") is not self:
            return
        for name in (*_OBSERVED, "_observing_steps"):
            del vars(model)[name]
        untracked(model, **self._before)
        list.remove(model._metrics, self.metric)
        self._swap(model, False)

    def _swap(self, model, is_observed):
        self._functions[not is_observed] = model.train_function, model.test_function
        model.train_function, model.test_function = self._functions[is_observed]
        if is_observed:  # `fit()` has made the plain one already
            model.make_train_function()

    def _observed(self, step, is_training):
        @functools.wraps(step)
        def observed(*args, **kwargs):
            with self._around_step(is_training):
                return step(*args, **kwargs)

        return observed

    def _ending(self, model, compile_model):
        """Return `compile()` of a model that ends the observation, where `fit()` did not."""

        @functools.wraps(compile_model)
        def compile_plain(*args, **kwargs):
            self.stop(model)
            return compile_model(*args, **kwargs)

        return compile_plain

    def _with_loss(self, model, compute_loss):
        @functools.wraps(compute_loss)
        def observed(x=None, y=None, y_pred=None, sample_weight=None, *args, **kwargs):
            recorded = _RecordedLoss(self._compile_loss) if self._compile_loss else None
            untracked(model, _compile_loss=recorded)
            try:
                total = compute_loss(x, y, y_pred, sample_weight, *args, **kwargs)
            finally:
                untracked(model, _compile_loss=self._compile_loss)
            inputs = next(each for each in keras.tree.flatten(x) if each is not None)
            value = recorded.value if recorded else None
            if value is not None and hasattr(loss_module, "unscale_loss_for_distribution"):
                value = loss_module.unscale_loss_for_distribution(value)
            self._on_loss(keras.ops.shape(inputs)[0], value)
            return total

        return observed


class _RecordedLoss:
    """The compiled loss of a model, which keeps its value."""

    def __init__(self, compile_loss):
        self._compile_loss = compile_loss
        self.value = None

    def __call__(self, *args, **kwargs):
        self.value = self._compile_loss(*args, **kwargs)
        return self.value

    def __getattr__(self, name):
        return getattr(self._compile_loss, name)


def callbacks_of_fit():
    """Return the callbacks of the `fit()` that runs the method of a callback which calls this."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList):
            return list(caller.callbacks)
        frame = frame.f_back
    return []


def is_in_stateless_scope():
    """Tell whether Keras runs a function without side effects, and keeps the new state itself."""
    return stateless_scope.in_stateless_scope()


def set_value(variable, value):
    """Set the value of a variable, whatever is traced at the moment."""
    variable._value = value


def is_without_value(variable):
    """Tell whether Keras has taken the value out of a variable, as `fit()` does on JAX."""
    return variable._value is None and variable._initializer is None


def enclosing_layers():
    """Return the layers in whose `build()` or `call()` this is run, the outermost first."""
    scopes = global_state.get_global_attribute("name_scope_stack") or []
    return [scope.caller for scope in scopes if isinstance(scope.caller, keras.layers.Layer)]


def inner_layers(layer):
    """Return all layers inside a layer or model, those of inner models included."""
    return layer._flatten_layers(include_self=False)


def all_layers(model):
    """Return a model or layer of Keras 3 or of Keras 2, and all layers inside."""
    return list(model._flatten_layers())


def put_values_back(model):
    """Give all variables their values, where `fit()` holds them itself, as on JAX."""
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


def connected_layers(tensors):
    """Return the layers that symbolic tensors are connected with by calls, upwards and downwards.

    A model that was called counts with the layers inside it.
    """
    reached, found = [], {}
    for tensor in tensors:
        if isinstance(tensor, keras.KerasTensor) and hasattr(tensor, "_keras_history"):
            reached.append(tensor._keras_history.operation)
    while reached:
        operation = reached.pop()
        if id(operation) in found:
            continue
        found[id(operation)] = operation
        for node in operation._inbound_nodes:
            reached += [parent.operation for parent in node.parent_nodes]
        reached += [node.operation for node in operation._outbound_nodes]
    layers = [each for each in found.values() if isinstance(each, keras.layers.Layer)]
    return [inner for layer in layers for inner in layer._flatten_layers()]


def entry_layer(layer):
    """Return the outermost layer or model whose call is running."""
    return layer._get_call_context().entry_layer


def remove_last_layer(model, layers_before):
    """Take the layer that failed to build out of a Sequential model again."""
    if len(model.layers) > len(layers_before):
        model.pop(rebuild=False)
        if layers_before:
            model._maybe_rebuild()


@contextlib.contextmanager
def global_dtype_policy(name):
    """Make layers that are created inside have a dtype policy, unless they are given another."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def seed_generators(layer):
    """Return the generators of random numbers that a layer itself has, without those inside it."""
    generators = getattr(layer, "_seed_generators", [])
    return [each for each in generators if not isinstance(each, HeldNumber)]


def global_seed_generator():
    """Return the generator of `keras.random` where it is given no seed."""
    return seed_generator.global_seed_generator()


def is_built_in(layer):
    """Tell whether a layer is of Keras itself and runs no function of a user."""
    return type(layer).__module__.startswith("keras.src.") and not isinstance(
        layer, keras.layers.Lambda
    )


def draws_for_every_row(layer):
    """Tell whether a layer of Keras, while it trains, draws noise that rows cannot share."""
    can_share = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.GaussianNoise)
    if not seed_generators(layer) or isinstance(layer, can_share):
        return False
    rates = ("dropout", "recurrent_dropout") if hasattr(layer, "recurrent_dropout") else ("rate",)
    return any(getattr(layer, name, 1) for name in rates)


@contextlib.contextmanager
def noise_of_training(layers, is_shared):
    """Have layers of Keras draw as in training, such that rows do not depend on each other.

    Batch normalization stays as it is in prediction, and Dropout draws under its own seed, which
    under torch it does not by itself.

    Args:
        layers: all layers that may be called.
        is_shared: whether all rows share what is drawn.
    """
    changed = []
    for layer in layers:
        call = None
        if isinstance(layer, keras.layers.Dropout):
            call = functools.partial(_dropout, layer, is_shared)
        elif isinstance(layer, keras.layers.GaussianDropout) and is_shared:
            call = functools.partial(_multiply, layer)
        elif isinstance(layer, keras.layers.GaussianNoise) and is_shared:
            call = functools.partial(_add, layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            call = functools.partial(_normalize, layer)
        if call is not None:
            untracked(layer, call=call)
            changed.append(layer)
    try:
        yield
    finally:
        for layer in changed:
            del vars(layer)["call"]


def _dropout(layer, is_shared, inputs, training=False):
    if not training or not layer.rate:
        return inputs
    rows = inputs[:1] if is_shared else inputs
    if hasattr(layer, "_get_noise_shape"):  # SpatialDropout
        shape = layer._get_noise_shape(rows)
    else:
        size = keras.ops.shape(rows)
        given = layer.noise_shape or size
        pairs = zip(given[1:], size[1:], strict=True)
        shape = (size[0], *(n if one is None else one for one, n in pairs))
    ones = keras.ops.ones_like(rows)
    return inputs * keras.random.dropout(ones, layer.rate, shape, seed=layer.seed_generator)


def _multiply(layer, inputs, training=False):
    ones = keras.ops.ones_like(inputs[:1])
    return inputs * type(layer).call(layer, ones, training=training)


def _add(layer, inputs, training=False):
    zeros = keras.ops.zeros_like(inputs[:1])
    return inputs + type(layer).call(layer, zeros, training=training)


def _normalize(layer, inputs, training=None, mask=None):
    return type(layer).call(layer, inputs, training=False, mask=mask)


def mask_of(outputs):
    """Return the mask that Keras has put on the outputs of a model, or None."""
    return masking.get_keras_mask(outputs)


def has_training_argument(layer):
    """Tell whether `call()` of a layer or model has the argument `training`."""
    return layer._call_has_training_arg


def output_shapes(layer):
    """Return the shapes of the outputs of a layer or model, as far as Keras knows them."""
    outputs = [
        tensor
        for node in getattr(layer, "_inbound_nodes", [])[:1]
        for tensor in node.output_tensors
    ]
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        outputs = keras.tree.flatten(layer.outputs)
    return [tuple(tensor.shape) for tensor in outputs]


def can_be_rebuilt(model):
    """Tell whether a model is a graph of layers, and its class has no constructor of its own."""
    if isinstance(model, keras.Sequential):
        return type(model).__init__ is keras.Sequential.__init__
    is_graph = isinstance(model, functional.Functional)
    return is_graph and functional.functional_like_constructor(type(model))


def rebuilt(model, make):
    """Return a model, which `can_be_rebuilt`, of other layers, not compiled.

    It does not use `keras.models.clone_model()`, which loses sparse inputs and compiles the model
    from a config, so that a user's own loss fails.

    Args:
        model: Sequential or functional model that is built.
        make: function of a layer, model or operation that returns the one in its place; it is
            asked for each of them whenever the model calls it.
    """

    def new_input(tensor):
        origin = tensor._keras_history.operation
        if isinstance(origin, keras.layers.InputLayer):
            return type(origin).from_config(origin.get_config()).output
        return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name)

    if isinstance(model, keras.Sequential):
        inputs = new_input(model.inputs[0])
        return type(model)([inputs, *map(make, model.layers)], name=model.name)
    inputs = keras.tree.map_structure(new_input, model.input)
    outputs = model._run_through_graph(inputs, operation_fn=make)
    return type(model)(inputs, outputs, name=model.name)


def copied(layer):
    """Return a layer or operation of the same config, not built."""
    if isinstance(layer, keras.layers.Lambda):  # whose function may be in no config
        return type(layer)(
            layer.function,
            output_shape=layer._output_shape,
            mask=layer.mask,
            arguments=layer.arguments,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    return type(layer).from_config(layer.get_config())


def copy_state(old, new):
    """Give a copy of a layer its weights, what else a file has of it, and what is frozen.

    Args:
        old: layer, or a model with everything inside.
        new: layer of the same kind, with the same layers inside.
    """
    for each, other in zip(all_layers(old), all_layers(new), strict=True):
        store: dict = {}
        each.save_own_variables(store)
        if store:
            # Copies, as on JAX a training step consumes the arrays of its variables.
            arrays = {name: array_of(value) for name, value in store.items()}
            other.load_own_variables(arrays)
        if hasattr(each, "save_assets"):  # such as a vocabulary
            with tempfile.TemporaryDirectory() as folder:
                each.save_assets(folder)
                other.load_assets(folder)
        copy_trainable(each, other)


def array_of(value):
    """Return the value of a variable as an array that shares no memory with it."""
    return np.array(keras.ops.convert_to_numpy(value))


def copy_trainable(old, new):
    """Freeze a layer as another one is, and not the layers inside."""
    if new.trainable != old.trainable:
        new.trainable = old.trainable


def compile_arguments(model):
    """Return the arguments that a model was compiled with, as they were given."""
    return dict(model._compile_config.config)


def producers(tensor):
    """Return the layers and operations that a symbolic tensor is computed by, without those inside.

    The first of them is the one that returns it.
    """
    reached, found = [tensor], {}
    while reached:
        operation, node_index, _ = reached.pop()._keras_history
        if (id(operation), node_index) not in found:
            found[id(operation), node_index] = operation
            reached += operation._inbound_nodes[node_index].input_tensors
    return list(found.values())


def output_index(tensor):
    """Return which of the outputs of the call that returned it a symbolic tensor is."""
    return tensor._keras_history.tensor_index
