"""A loop over draws in one graph of TensorFlow."""

import tensorflow as tf

# A graph reads the variables again whenever it runs.
READS_VARIABLES = True


def compiled(trace, variables, states, x):
    """Return a function of (states, x) that runs `trace` in one graph, for any number of rows."""

    def rows(array):
        return tf.TensorSpec([None, *array.shape[1:]], tf.as_dtype(array.dtype))

    signature = [tf.nest.map_structure(rows, list(states)), tf.nest.map_structure(rows, x)]

    @tf.function(input_signature=signature, autograph=False)
    def run(states, x):
        return trace(_map, states, x)

    # As it is traced once, TensorFlow need not count, and warn, how often it is.
    return run.get_concrete_function()


def _map(draw, states):
    structure = None

    @tf.function(autograph=False)
    def flat(*states):
        nonlocal structure
        structure = draw(states)
        return tf.nest.flatten(structure)

    if not states:
        return tf.nest.map_structure(lambda output: output[None], draw(()))
    one = flat.get_concrete_function(*(tf.TensorSpec(s.shape[1:], s.dtype) for s in states))
    dtypes = [output.dtype for output in one.outputs]
    outputs = tf.map_fn(lambda each: one(*each), tuple(states), fn_output_signature=dtypes)
    return tf.nest.pack_sequence_as(structure, outputs)
