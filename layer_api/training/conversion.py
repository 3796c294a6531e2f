"""From a trained network of Keras to a variational one, and back.

The two directions share one table, which maps layers of Keras to layers of this package.
"""

import warnings
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers as of_keras

from layer_api import keras_private, messages, noise, serialization, validation
from layer_api.layers import conv, dense, depthwise, embedding
from layer_api.layers.dense_variational import DenseVariational
from layer_api.layers.variational_layer import DrawingLayer
from layer_api.weights import distributions, posteriors, priors
from layer_api.weights.variational_weight import check_role


class _Kind(NamedTuple):
    """A layer of Keras and its counterparts here.

    Attributes:
        layer_class: class of Keras.
        estimators: dictionary of the classes of this package. Where the one that is asked for is
            missing, the first serves.
        arguments: names of the arguments that both have.
        weight: name of the weight that becomes uncertain.
        prefix: what the arguments of Keras about this weight begin with.
    """

    layer_class: Any
    estimators: dict[str, Any]
    arguments: tuple[str, ...]
    weight: str = "kernel"
    prefix: str = "kernel"


_WINDOW = ("kernel_size", "strides", "padding", "data_format", "dilation_rate")
_KINDS = (
    _Kind(
        of_keras.Dense,
        {
            "flipout": dense.DenseFlipout,
            "reparameterization": dense.DenseReparameterization,
            "local_reparameterization": dense.DenseLocalReparameterization,
        },
        ("units", "activation"),
    ),
    *(
        _Kind(
            getattr(of_keras, f"Conv{rank}D"),
            {
                "flipout": getattr(conv, f"Conv{rank}DFlipout"),
                "reparameterization": getattr(conv, f"Conv{rank}DReparameterization"),
            },
            ("filters", "activation", *_WINDOW),
        )
        for rank in (1, 2, 3)
    ),
    _Kind(
        of_keras.DepthwiseConv2D,
        {"flipout": depthwise.DepthwiseConv2DFlipout},
        ("depth_multiplier", "activation", *_WINDOW),
        prefix="depthwise",
    ),
    _Kind(
        of_keras.Embedding,
        {"reparameterization": embedding.EmbeddingReparameterization},
        ("input_dim", "output_dim", "mask_zero"),
        weight="embeddings",
        prefix="embeddings",
    ),
)
_ESTIMATORS = tuple(_KINDS[0].estimators)
_NAMES = ", ".join(kind.layer_class.__name__ for kind in _KINDS)
# Standard deviations are at least those of a weight of this share of the root mean square, so that
# a weight of 0 can move.
_LEAST_SHARE = 0.01
_LEAST_STDDEV = 1e-6
# Weights of several axes that are no kernels.
_WITHOUT_KERNEL = (of_keras.LayerNormalization, of_keras.Normalization, of_keras.PReLU)


def to_bayesian(
    model,
    estimator="flipout",
    layers="all",
    scale=0.1,
    prior="standard_normal",
    kl_weight=1.0,
    seed=None,
):
    """Return a variational network that starts from a trained one.

    Use it to have a network report its uncertainty without training it from scratch: layers of
    Keras become variational ones whose posterior means are the trained weights `w`, with standard
    deviations `scale * abs(w)` (MOPED, Krishnan et al. 2020). Train the new model on, with the
    divergence, before you read its uncertainty: until then the standard deviations say nothing
    about the data.

    `keras.layers.Dense`, `Conv1D`, `Conv2D`, `Conv3D`, `DepthwiseConv2D` and `Embedding` are
    converted, in models inside the model too. Biases stay point estimates. So does everything else:
    layers shared between several places, names, dtype policies, activations, regularizers and
    constraints, now on the means, what is frozen, and how the model is compiled, with a new
    optimizer and new metrics of the same configuration. The old model is left as it is. The noise
    of layers such as `Dropout` starts over.

    A warning names the layers that have a kernel and stay without uncertainty, as there is no
    variational layer for them: recurrent and attention layers, grouped or quantized ones, wrappers
    and classes of your own. It also names those for which the `estimator` does not exist.

    No standard deviation is below that of a weight of 1/100 of the root mean square of its kernel,
    or below 1e-6, so that weights of 0 can move.

    Args:
        model: Sequential or functional Keras model that is built.
        estimator: `"flipout"`, `"reparameterization"` or `"local_reparameterization"`, how noise
            reaches the outputs. Only `Dense` has all three: an `Embedding` has
            `"reparameterization"`, a `DepthwiseConv2D` `"flipout"`, and the other convolutions take
            `"flipout"` in place of the third. Default `"flipout"`.
        layers: `"all"`; `"last"`, for the last layer before each output that can be converted; or
            the name of a layer, or a list of names. The name of a model inside stands for all
            layers in it. Default `"all"`.
        scale: Float above 0, the standard deviation of a weight as a share of its absolute value.
            Default `0.1`.
        prior: Prior of the kernels: a name, a config object, a function as for `kernel_prior_fn` of
            the layers, or `None` for no prior and no divergence. `"pretrained"` is
            `PretrainedNormal()`: normals around the trained weights, with a standard deviation of
            1. Default `"standard_normal"`.
        kl_weight: Number of at least 0, the factor on the divergences; with Keras's mean over a
            batch as the loss, pass `1/n`, where `n` is the number of training examples. Default
            `1.0`.
        seed: Whole number from 0 to 2147483647 that governs the draws of all new layers; each gets
            a seed of its own from it. Default `None`: Keras's global random state decides.

    Returns:
        A new model, built, and compiled if `model` is.

    Raises:
        ValueError: An argument has a value that it cannot have, `model` is not built, is a class
            with a `call()` or a constructor of its own, has a layer that cannot be made from its
            configuration, or has no layer that can be converted.
        TypeError: `model` is no model of Keras 3, or `prior` has the wrong type.

    Example:

    ```python
    model = keras.Sequential(
        [
            keras.Input(shape=(13,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer="adam", loss="mse")  # and model.fit()
    bayesian = layer_api.to_bayesian(model, prior="pretrained", kl_weight=1 / 506)
    last_layer = layer_api.to_bayesian(model, layers="last", kl_weight=1 / 506)
    ```

    References:
        Krishnan, Subedar and Tickoo (2020), Specifying Weight Priors in Bayesian Deep Neural
        Networks with Empirical Bayes, section 3. <https://arxiv.org/abs/1906.05323>
    """
    _check_model(model)
    estimator = _check_estimator(estimator)
    scale = validation.check_scale("scale", scale)
    prior = _check_prior(prior)
    kl_weight = validation.check_weight("kl_weight", kl_weight)
    seed = validation.check_seed(seed)
    chosen, fixed = _choose(model, layers)
    replaced = {}
    substituted = []
    for number, layer in enumerate(chosen):
        kind = _kind_of(layer)
        own_estimator = estimator if estimator in kind.estimators else next(iter(kind.estimators))
        if own_estimator != estimator:
            substituted.append(f"{_described(layer)} '{own_estimator}'")
        replaced[id(layer)] = _variational(
            layer,
            kind,
            kind.estimators[own_estimator],
            prior,
            kl_weight=kl_weight,
            # Not left to the rule for layers of one seed, which needs to see them all connected.
            seed=None if seed is None else noise.seed_of_twin(seed, number),
        )
    new = _rebuild(model, replaced, lambda old, new: _start(old, new, scale))
    notices = []
    if fixed:
        notices.append(
            "to_bayesian() left layers without uncertainty, as there is no variational layer for "
            f"them: {_listed(fixed)}."
        )
    if substituted:
        notices.append(
            f"The estimator '{estimator}' does not exist for all layers. Instead they got: "
            f"{', '.join(substituted)}."
        )
    _notify(notices)
    return new


def to_deterministic(model):
    """Return a network of plain Keras layers at the posterior means of a variational one.

    Use it where a network has to run without this package, or without noise: the new model draws
    nothing, predicts with the posterior means, and saves and exports like any model of Keras, to
    TFLite and ONNX too. It reports no uncertainty: keep the variational model for that.

    Dense, convolutional and embedding layers of this package become `keras.layers.Dense`, `Conv1D`,
    `Conv2D`, `Conv3D`, `DepthwiseConv2D` and `Embedding`, in models inside the model too;
    everything else stays, as in `to_bayesian()`, which this function undoes. A warning names the
    layers that still draw: those of classes of your own, and a `DenseVariational` whose posterior
    depends on the inputs.

    Args:
        model: Sequential or functional Keras model that is built, with variational layers.

    Returns:
        A new model, built, and compiled if `model` is.

    Raises:
        ValueError: `model` is not built, is a class with a `call()` or a constructor of its own, or
            has no variational layer that can be converted.
        TypeError: `model` is no model of Keras 3.

    Example:

    ```python
    model = keras.Sequential([keras.Input(shape=(13,))])
    layer_api.layer_dense_flipout(model, units=1)
    plain = layer_api.to_deterministic(model)
    ```
    """
    _check_model(model)
    leaves = _leaves(model)
    chosen = [layer for layer in leaves if _deterministic_kind_of(layer)]
    if not chosen:
        raise messages.invalid(
            "model",
            "a model with at least one variational layer that Keras has a counterpart of",
            messages.describe(model),
            "A model without variational layers is deterministic as it is.",
        )
    replaced = {id(layer): _deterministic(layer) for layer in chosen}
    drawing = [
        layer
        for layer in leaves
        if id(layer) not in replaced
        and any(isinstance(each, DrawingLayer) for each in keras_private.all_layers(layer))
    ]
    new = _rebuild(model, replaced, lambda old, new: new.set_weights(_means(old)))
    # Keras exports to ONNX only what was called.
    new(new.inputs[0] if isinstance(new, keras.Sequential) else new.input)
    if drawing:
        _notify(
            [
                "to_deterministic() left layers that draw their weights, as Keras has no "
                f"counterpart of them: {_listed(drawing)}."
            ]
        )
    return new


def _notify(notices):
    if notices:
        warnings.warn(" ".join(notices), messages.Notice, stacklevel=3)


# --- What a user gives ---------------------------------------------------------------------------


def _check_model(model):
    """Refuse what cannot be taken apart."""
    validation.refuse_keras_2("model", model)
    if not isinstance(model, keras.Model):
        raise messages.invalid(
            "model",
            "a Keras model",
            messages.describe(model),
            "Pass a Sequential or a functional model.",
            TypeError,
        )
    if not keras_private.can_be_rebuilt(model):
        raise messages.invalid(
            "model",
            "a Sequential or a functional model",
            f"{messages.describe(model)}, a class with a call() or a constructor of its own",
            "What such a class computes cannot be told from its layers: put the variational layers "
            "into its code.",
        )
    validation.check_built("model", model)
    if not getattr(model, "inputs", None):  # a Sequential model that calls its layers one by one
        raise messages.invalid(
            "model",
            "a model whose layers can be called on an Input",
            messages.describe(model),
            "Leave out the layer that returns no tensor, such as a DistributionLambda.",
        )


def _check_estimator(estimator):
    if isinstance(estimator, str) and estimator in _ESTIMATORS:
        return estimator
    hint = messages.suggest(estimator, _ESTIMATORS) if isinstance(estimator, str) else ""
    raise messages.invalid(
        "estimator",
        f"one of {', '.join(map(repr, _ESTIMATORS))}",
        messages.describe(estimator),
        hint or "Pass, for example, estimator = 'flipout'.",
    )


def _check_prior(prior):
    named = {**priors.NAMED, "pretrained": priors.PretrainedNormal}
    prior = serialization.resolve("prior", prior, named, posteriors.TAKES, optional=True)
    check_role("prior", prior)
    return prior


def _choose(model, layers):
    """Return the layers to convert, and those left fixed that a user would want to know of."""
    leaves = _leaves(model)
    if layers == "all":
        asked = [layer for layer in leaves if _kind_of(layer) or _has_fixed_kernel(layer)]
    elif layers == "last":
        asked = _last(model)
    else:
        asked = _named(model, layers)
    chosen = [layer for layer in leaves if _is_in(layer, asked) and _kind_of(layer)]
    fixed = [layer for layer in leaves if _is_in(layer, asked) and not _kind_of(layer)]
    if not chosen:
        of_all = layers in ("all", "last")
        raise messages.invalid(
            "model" if of_all else "layers",
            f"{'a model with' if of_all else 'names of'} layers that can become variational",
            _listed(fixed) if fixed else messages.describe(model),
            f"These can: {_NAMES}, of Keras itself, neither grouped nor quantized.",
        )
    return chosen, fixed


def _named(model, names):
    """Return the layers of some names, and those inside the models of some names."""
    names = [names] if isinstance(names, str) else names
    is_list = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not is_list or not names:
        raise messages.invalid(
            "layers",
            "'all', 'last', or names of layers",
            messages.describe(names),
            "Pass, for example, layers = 'last'.",
        )
    inner = _with_models(model)
    known = [layer.name for layer in inner]
    for name in names:
        if name not in known:
            hint = messages.suggest(name, known)
            raise messages.invalid(
                "layers",
                "'all', 'last', or names of layers of the model",
                messages.describe(name),
                hint or f"Its layers are {', '.join(known)}.",
            )
    found: list = []
    for layer in inner:
        if layer.name in names:
            inside = _leaves(layer) if keras_private.can_be_rebuilt(layer) else [layer]
            found += inside
    return found


# --- Layers of a model ---------------------------------------------------------------------------


def _with_models(model):
    """Return the layers of a model, and of the models inside, these before their layers."""
    found: list = []
    for layer in model.layers:
        if not _is_in(layer, found):
            found.append(layer)
            if keras_private.can_be_rebuilt(layer):
                found += [each for each in _with_models(layer) if not _is_in(each, found)]
    return found


def _leaves(model):
    """Return the layers of a model and of the models inside, without these models."""
    return [each for each in _with_models(model) if not keras_private.can_be_rebuilt(each)]


def _last(model, outputs=None):
    """Return, for each output, the last layer on the way to it that can be converted.

    Layers behind it with a kernel that stays fixed are returned too.

    Args:
        model: Sequential or functional model.
        outputs: list of numbers of outputs. Default: all.
    """
    found: list = []
    for number in range(len(model.outputs)) if outputs is None else outputs:
        tensor = model.outputs[number]
        on_the_way = model.layers
        if not isinstance(model, keras.Sequential):
            producers = keras_private.producers(tensor)
            on_the_way = [layer for layer in model.layers if _is_in(layer, producers)]
        for layer in reversed(on_the_way):
            if keras_private.can_be_rebuilt(layer):
                is_producer = keras_private.producers(tensor)[0] is layer
                inner = _last(layer, [keras_private.output_index(tensor)] if is_producer else None)
                found += inner
                if any(map(_kind_of, inner)):
                    break
            elif _kind_of(layer):
                found.append(layer)
                break
            elif _has_fixed_kernel(layer):
                found.append(layer)
    return found


def _is_in(layer, layers):
    return any(layer is each for each in layers)


def _kind_of(layer):
    """Return the row of the table for a layer of Keras, None where it has no counterpart."""
    kind = next((kind for kind in _KINDS if type(layer) is kind.layer_class), None)
    is_special = (
        getattr(layer, "lora_enabled", False)
        or isinstance(layer.dtype_policy, keras.dtype_policies.QuantizedDTypePolicy)
        or getattr(layer, "groups", 1) > 1
        or (type(layer) is of_keras.DepthwiseConv2D and len(set(layer.strides)) > 1)
    )
    return None if is_special else kind


def _has_fixed_kernel(layer):
    """Tell whether a layer has a kernel, and nothing inside that draws."""
    if isinstance(layer, _WITHOUT_KERNEL):
        return False
    draws = any(isinstance(each, DrawingLayer) for each in keras_private.all_layers(layer))
    return not draws and any(len(weight.shape) > 1 for weight in layer.weights)


def _described(layer):
    return f"'{layer.name}' ({type(layer).__name__})"


def _listed(layers):
    return ", ".join(map(_described, layers))


# --- One layer -----------------------------------------------------------------------------------


def _in_common(layer, names):
    """Return the arguments that layers of Keras and of this package share."""
    shared = ("name", "trainable", "activity_regularizer", *names)
    return {"dtype": layer.dtype_policy, **{name: getattr(layer, name) for name in shared}}


_GOVERNING = ("initializer", "regularizer", "constraint")


def _variational(layer, kind, layer_class, prior, **arguments):
    """Return the variational layer for a layer of Keras, not built."""

    def of_loc(prefix):
        return {f"loc_{what}": getattr(layer, f"{prefix}_{what}") for what in _GOVERNING}

    arguments |= _in_common(layer, kind.arguments)
    arguments[f"{kind.weight}_posterior_fn"] = posteriors.MeanFieldNormal(**of_loc(kind.prefix))
    arguments[f"{kind.weight}_prior_fn"] = prior
    if hasattr(layer, "use_bias"):
        bias = posteriors.Deterministic(**of_loc("bias")) if layer.use_bias else None
        arguments["bias_posterior_fn"] = bias
    return layer_class(**arguments)


def _start(old, new, scale):
    """Start a variational layer from the weights of a layer of Keras."""
    kind = _kind_of(old)
    mean = keras_private.array_of(getattr(old, kind.weight))
    size = np.abs(mean.astype("float64"))
    root_mean_square = np.sqrt(np.mean(np.square(size))) if size.size else 0.0
    stddev = scale * np.maximum(size, _LEAST_SHARE * root_mean_square)
    getattr(new, kind.weight).start_at(mean, np.maximum(stddev, _LEAST_STDDEV))
    if getattr(old, "use_bias", False):
        new.bias.start_at(keras_private.array_of(old.bias))


def _deterministic_kind_of(layer):
    """Return the row of the table for a layer of this package, None without a counterpart."""
    if type(layer) is DenseVariational:
        return None if layer.joint.depends_on_inputs else _KINDS[0]
    return next((kind for kind in _KINDS if type(layer) in kind.estimators.values()), None)


def _deterministic(layer):
    """Return the layer of Keras for a variational layer, not built."""
    kind = _deterministic_kind_of(layer)
    arguments = _in_common(layer, kind.arguments)
    if type(layer) is DenseVariational:
        return kind.layer_class(use_bias=layer.use_bias, **arguments)
    for weight in layer._weights_by_name.values():
        # Only a named block knows what governs its means.
        block = weight.function(f"{weight.name}_posterior_fn")
        prefix = kind.prefix if weight.name == kind.weight else weight.name
        for what in _GOVERNING:
            if hasattr(block, f"loc_{what}"):
                arguments[f"{prefix}_{what}"] = getattr(block, f"loc_{what}")
        if weight.name == "bias":
            arguments["use_bias"] = weight.is_present
    return kind.layer_class(**arguments)


def _means(layer):
    """Return the posterior means of a variational layer, as the layer of Keras has its weights."""
    if type(layer) is DenseVariational:
        mean = _mean(layer, layer.joint.distribution("posterior"))
        features = layer.input_spec.axes[-1]
        kernel, bias = np.split(mean, [features * layer.units])
        kernel = kernel.reshape(features, layer.units)
        return [kernel, bias] if layer.use_bias else [kernel]
    present = [weight for weight in layer._weights_by_name.values() if weight.is_present]
    return [_mean(layer, weight.posterior).reshape(weight.shape) for weight in present]


def _mean(layer, distribution):
    try:
        return keras_private.array_of(distributions.mean(distribution))
    except NotImplementedError as error:
        raise messages.invalid(
            "model",
            "a model whose posteriors have a mean that is known",
            f"{messages.describe(distribution)} in {messages.describe(layer)}",
            "Use a posterior with a mean.",
        ) from error


# --- The model -----------------------------------------------------------------------------------


def _rebuild(model, replaced, fill):
    """Return a copy of a model in which some layers are others.

    Args:
        model: Sequential or functional model.
        replaced: dictionary of new layers by the `id()` of the old ones.
        fill: function of an old and a new layer that gives the new one its weights.
    """
    keras_private.put_values_back(model)
    made: dict[int, tuple] = {}

    def make(each):
        if id(each) not in made:
            is_inner = keras_private.can_be_rebuilt(each)
            other = keras_private.rebuilt(each, make) if is_inner else replaced.get(id(each))
            made[id(each)] = each, _copied(each) if other is None else other
        return made[id(each)][1]

    new = keras_private.rebuilt(model, make)
    # To freeze a model freezes all inside, so the outer ones come first.
    keras_private.copy_trainable(model, new)
    for inner in keras_private.inner_layers(model):
        if id(inner) in made and keras_private.can_be_rebuilt(inner):
            keras_private.copy_trainable(inner, made[id(inner)][1])
    for old, other in made.values():
        if id(old) in replaced:
            fill(old, other)
            keras_private.copy_trainable(old, other)
        elif isinstance(old, keras.layers.Layer) and not keras_private.can_be_rebuilt(old):
            keras_private.copy_state(old, other)
    _compile_alike(model, new)
    return new


def _copied(layer):
    try:
        return keras_private.copied(layer)
    except Exception as error:  # of Keras or of the user's class, which fail in many ways
        raise messages.invalid(
            "model",
            "a model whose layers can be made from what their get_config() returns",
            _described(layer),
            "Give its class a get_config(), and register what it holds with "
            "keras.saving.register_keras_serializable().",
        ) from error


def _compile_alike(model, new):
    """Compile a model as another one is, with an optimizer and metrics of its own."""
    if not model.compiled:
        return
    arguments = keras_private.compile_arguments(model)
    for name in ("optimizer", "metrics", "weighted_metrics"):
        arguments[name] = _fresh(arguments[name])
    new.compile(**arguments)
    # Keras complains of a file whose optimizer has no variables yet.
    new.optimizer.build(new.trainable_variables)


def _fresh(value):
    """Return new optimizers or metrics of the same configuration."""
    if isinstance(value, dict):
        return {key: _fresh(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fresh(each) for each in value]
    if isinstance(value, (keras.Optimizer, keras.Metric)):
        return type(value).from_config(value.get_config())
    return value
