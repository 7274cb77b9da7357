"""Modules, their buffers, parameters and names."""

from .. import Tensor, device, float32, zeros


class Parameter(Tensor):
    def __init__(self, tensor):
        super().__init__(tensor.array, tensor.dtype, tensor.device)


class Module:
    def __init__(self):
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_hooks", [])
        self.training = True

    def register_buffer(self, name, tensor):
        assert not hasattr(self, name), name
        self._buffers[name] = tensor

    def __setattr__(self, name, value):
        for kind, group in ((Module, self._modules), (Parameter, self._parameters)):
            if isinstance(value, kind):
                group[name] = value
                return
        if name in self._buffers:
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name):
        for group in ("_modules", "_buffers", "_parameters"):
            if name in self.__dict__.get(group, {}):
                return self.__dict__[group][name]
        raise AttributeError(name)

    def register_forward_pre_hook(self, hook):
        self._hooks.append(hook)

        class Handle:
            remove = staticmethod(lambda: self._hooks.remove(hook))

        return Handle

    def __call__(self, *given, **named):
        for hook in self._hooks:
            assert hook(self, given) is None
        return self.forward(*given, **named)

    def named_modules(self, prefix=""):
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self):
        for prefix, module in self.named_modules():
            for name, parameter in module._parameters.items():
                yield f"{prefix}.{name}" if prefix else name, parameter

    def get_submodule(self, name):
        return dict(self.named_modules())[name]

    def train(self, mode=True):
        for _, module in self.named_modules():
            module.training = mode
        return self

    def to(self, place):
        for _, module in self.named_modules():
            for group in (module._buffers, module._parameters):
                for name, tensor in group.items():
                    tensor.device = device(place)
        return self


class ModuleList(Module):
    def __init__(self, modules):
        super().__init__()
        for i, module in enumerate(modules):
            setattr(self, str(i), module)


class Linear(Module):
    def __init__(self, inputs, outputs, bias=True):
        super().__init__()
        self.weight = Parameter(zeros(outputs, inputs, dtype=float32))
        if bias:
            self.bias = Parameter(zeros(outputs, dtype=float32))


class Embedding(Module):
    def __init__(self, rows, inputs):
        super().__init__()
        self.weight = Parameter(zeros(rows, inputs, dtype=float32))
