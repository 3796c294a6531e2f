"""A loop over draws in one program of JAX."""

import jax

# What JAX compiles would have the values of variables in it.
READS_VARIABLES = False


def compiled(trace, variables, states, x):
    """Return a function of (states, x) that runs `trace` as one program."""

    @jax.jit
    def run(states, x, values):
        return trace(_map, states, x, list(zip(variables, values, strict=True)))

    return lambda states, x: run(states, x, [variable.value for variable in variables])


def _map(draw, states):
    if not states:
        return jax.tree.map(lambda output: output[None], draw(()))
    return jax.lax.map(draw, states)
