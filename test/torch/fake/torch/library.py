"""custom_op: holds an operator to its schema, and its fake to the operator."""

import re

registered = {}


def custom_op(name, run, *, mutates_args, schema):
    assert mutates_args == ()
    assert re.fullmatch(r"\w+::\w+", name), name
    arguments, _, results = schema.partition(" -> ")
    taken = re.findall(r"Tensor (\w+)", arguments)
    returned = results.count("Tensor")
    fakes = []

    def call(*tensors):
        assert len(tensors) == len(taken), (name, taken)
        if any(tensor.is_meta for tensor in tensors):
            return fakes[0](*tensors)
        outputs = run(*tensors)
        expected = fakes[0](*tensors)
        # To torch, a schema of one result is one of no tuple.
        assert isinstance(outputs, tuple) == isinstance(expected, tuple) == (returned > 1)
        pairs = zip(outputs, expected) if returned > 1 else [(outputs, expected)]
        assert returned == 1 or len(outputs) == returned
        for output, fake in pairs:
            assert (output.shape, output.dtype, output.device) == (fake.shape, fake.dtype, fake.device), name
        return outputs

    call.register_fake = fakes.append
    call.taken = taken
    registered[name] = call
    return call
