"""What the package needs of each backend of Keras: one protocol for each topic.

A backend is a package `backend/<name>` whose modules `random`, `distributions` and `fused` provide
these functions, and whose `__init__` provides what `Arrays` lists. Tensors, keys and distributions
are the backend's own, so they are `Any` here.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Tensor = Any
Key = Any
Distribution = Any


class Arrays(Protocol):
    """What Keras's operations leave to its backends."""

    CONVOLVES_CHANNELS_FIRST: bool

    def constant(self, array: Any) -> Any:
        """Return an array of NumPy as what a layer computes with."""

    def owns(self, function: Callable) -> bool:
        """Tell whether `function` is the backend's own, such as `tf.nn.relu`."""

    def matmul(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        """Return the product over the last axis of `inputs`, in the dtype of both."""

    def supports_dtype(self, dtype: str) -> bool:
        """Tell whether the backend computes in `dtype`, as it is configured now."""


class Random(Protocol):
    """Draws under a key: equal keys draw equal numbers.

    The state of a layer's noise is a pair of words: seed and number of the call. A key is made of
    a state and the number of a stream, which is a hash of the stream's name.
    """

    def is_compiling(self) -> bool:
        """Tell whether a compiler reads the Python code of a layer, instead of running it."""

    def advance(self, generator: Any, inputs: Tensor | None = None) -> Any:
        """Return the state of a generator for one call, and move it on to the next."""

    def current(self, generator: Any) -> Any:
        """Return the state that the next call will have."""

    def previous(self, generator: Any) -> Any:
        """Return the state that the last call had."""

    def reset(self, generator: Any, seed: int) -> None:
        """Start a generator from `seed`, also while Keras or the backend traces."""

    def make_key(self, state: Any, stream: int = 0) -> Key:
        """Return the key of one stream; each replica of a distributed run has its own."""

    def normal(self, shape: Sequence[int], key: Key, dtype: str) -> Tensor:
        """Draw standard normals."""

    def signs(self, shape: Sequence[int], key: Key, dtype: str) -> Tensor:
        """Draw from {-1, +1}, one random bit each."""


class Distributions(Protocol):
    """The backend's library of probability distributions."""

    LIBRARY: str

    def dtype_for_callables(self, name: str) -> Any:
        """Return the dtype object that the library's functions expect for the dtype `name`."""

    def is_distribution(self, value: Any) -> bool:
        """Tell whether `value` is a distribution of the library."""

    def dtype_of(self, distribution: Distribution) -> str | None:
        """Return the name of the dtype of the draws, None where it is not known."""

    def normal_distribution(self, loc: Tensor, scale: Tensor) -> Distribution:
        """Return independent normals as one distribution over all elements."""

    def deterministic_distribution(self, loc: Tensor) -> Distribution:
        """Return the point mass at `loc` as one distribution over all elements."""

    def laplace_distribution(self, loc: Tensor, scale: float) -> Distribution:
        """Return independent Laplace distributions as one distribution over all elements."""

    def normal_mixture_distribution(
        self, weights: tuple[float, float], loc: Tensor, scales: tuple[float, float]
    ) -> Distribution:
        """Return independent mixtures of two normals as one distribution over all elements."""

    def multivariate_normal_distribution(self, loc: Tensor, scale_tril: Tensor) -> Distribution:
        """Return the normal over all elements of `loc`, which may have any shape, as one event."""

    def distribution_of_rows(self, kind: str, **parameters: Tensor) -> Distribution:
        """Return the distribution of a row of observations, one for every row of parameters.

        The numbers of a row, those of the last axis, are independent. The kinds: "normal",
        "laplace" and "log_normal" (loc, scale), "student_t" (df, loc, scale), "gamma"
        (concentration, rate), "beta" (a, b), "bernoulli" (logits), "poisson" (log_rate) and
        "negative_binomial" (total_count, logits). Of two kinds a row is one observation:
        "categorical" (logits), a label, and "normal_mixture" (logits, loc, scale), where loc and
        scale have an axis of components in front of the last one.
        """

    def log_gamma(self, x: Tensor) -> Tensor:
        """Return the logarithm of the gamma function, for positive numbers."""

    def log_prob(self, distribution: Distribution, value: Tensor) -> Tensor:
        """Return the logarithm of the density at `value`."""

    def mean(self, distribution: Distribution) -> Tensor:
        """Return the mean."""

    def stddev(self, distribution: Distribution) -> Tensor:
        """Return the standard deviation."""

    def sample(
        self, distribution: Distribution, sample_shape: Any = (), seed: Any = None
    ) -> Tensor:
        """Draw, so that gradients flow where they can."""

    def normal_parameters(self, distribution: Distribution) -> tuple[Tensor, Tensor] | None:
        """Return (loc, scale) of independent normals of the library itself, else None."""

    def deterministic_parameter(self, distribution: Distribution) -> Tensor | None:
        """Return loc of a point mass of the library itself, else None."""

    def kl_divergence(self, q: Distribution, p: Distribution) -> Tensor:
        """Return KL(q || p); raise NotImplementedError where the library does not know it."""

    def seeded(
        self, distribution: Distribution, key: Key, first: Callable[[], Tensor] | None = None
    ) -> Distribution:
        """Return a copy whose `sample()` draws under `key`; `first` makes the first draw."""


class Fused(Protocol):
    """Loops that compute all that a step needs for a weight of mean-field normals at once.

    For normals with scale = eps + softplus(untransformed_scale).
    """

    def is_supported(self, untransformed_scale: Tensor) -> bool:
        """Tell whether the loops are written for, and worth it for, a weight of this kind."""

    def draw_noise(self, untransformed_scale: Tensor, eps: float, key: Key) -> Tensor:
        """Draw scale * e with e ~ N(0, 1)."""

    def draw(self, loc: Tensor, scale: Tensor, key: Key) -> Tensor:
        """Draw loc + scale * e with e ~ N(0, 1), where no derivative is asked for."""

    def kl_divergence(
        self, loc: Tensor, untransformed_scale: Tensor, eps: float, p_loc: float, p_scale: float
    ) -> Tensor:
        """Return the sum of KL(q || p) over all elements; the parameters of p are numbers."""


class Loops(Protocol):
    """A loop over draws that is one run of what the backend compiles."""

    READS_VARIABLES: bool  # whether what is compiled sees later values of variables

    def compiled(
        self, trace: Callable, variables: Sequence[Any], states: Sequence[Any], x: Any
    ) -> Callable[[Sequence[Any], Any], Any]:
        """Return a function of (states, x) that returns the outputs of all draws.

        `trace(map_draws, states, x, given)` describes the loop: `map_draws(draw, states)` is to
        stack `draw([state of each generator])` over the rows of `states`, and `given` are the
        `variables`, paired with their values, unless variables are read.
        """
