# Replaces modules of a model, by their names, with layers of this package.

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import NamedTuple

import torch.distributed as dist
from torch import nn

from .errors import HireError
from .layer_plan import LayerPlan
from .layers import LAYERS
from .modules import LMHead, SparseMLP
from .pack import PathLike


class _Swap(NamedTuple):
    name: str
    replaced: nn.Module
    layer: LayerPlan
    measure: nn.Parameter


def swap(
    model: nn.Module,
    pack: PathLike,
    modules: Mapping[str, str] | None = None,
    *,
    dense_above: int | None = None,
    group: dist.ProcessGroup | None = None,
) -> dict[str, nn.Module]:
    """Replaces output heads and feed-forwards of a model, such as one of Hugging Face.

    modules: names of modules of the model, and the layers that replace them, such as
        `{"lm_head": "head", "model.layers.0.mlp": "mlp0"}`. By default all layers, for the modules whose weights they
        were compiled from; the head of tied embeddings is the model's output embedding.
    dense_above: a feed-forward keeps the module that it replaces for calls with more tokens than this. By default the
        batch from which the dense module reads fewer bytes.
    group: of a model over shards, the process group whose ranks have one each; without it, all processes. Every rank
        swaps the same modules of a whole model of its own, with the path of all packs, without the number of the shard.
    returns: the new modules by name. Nothing is replaced when anything does not fit.
    Raises HireError HIRE-RUN-008, HIRE-TORCH-007 and -008, HIRE-PACK-001, -002, -006 and -007, and over shards as
    `Layer` and its `load_pack` do.
    """
    wanted = _guess(model) if modules is None else modules
    swaps = [_checked(model, name, layer) for name, layer in wanted.items()]
    made: dict[str, nn.Module] = {}
    for name, replaced, plan, measure in swaps:
        device = "cpu" if measure.device.type == "meta" else measure.device
        layer = LAYERS[plan.name](group).load_pack(pack, device)
        made[name] = LMHead(layer) if plan.kind == "softmax" else SparseMLP(layer, replaced, dense_above)
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.train(model.training))
    return made


def _guess(model: nn.Module) -> dict[str, str]:
    return {_module_of(model, each.plan): name for name, each in LAYERS.items()}


def _module_of(model: nn.Module, layer: LayerPlan) -> str:
    """The module whose weights these are; of a head that shares its tensor with the embedding, the output embedding."""
    name = _module_and_parameters(layer)[0]
    modules = dict(model.named_modules())
    if not isinstance(modules.get(name), nn.Embedding):
        return name
    output = getattr(model, "get_output_embeddings", lambda: None)()
    return next((each for each, module in modules.items() if module is output), name)


def _module_and_parameters(layer: LayerPlan) -> tuple[str, dict[str, tuple[int, ...]]]:
    """`model.layers.0.mlp`, and the shapes of `gate_proj.weight` and the others below it."""
    paths = [each.name.split(".") for each in layer.weights]
    # Of a single name, the last part is the parameter.
    module = os.path.commonprefix([path[:-1] for path in paths])
    return ".".join(module), {".".join(path[len(module) :]): each.shape for path, each in zip(paths, layer.weights)}


def _checked(model: nn.Module, name: str, layer_name: str) -> _Swap:
    if layer_name not in LAYERS:
        raise HireError("HIRE-RUN-008", f'There is no layer "{layer_name}"', f"Use one of: {', '.join(LAYERS)}")
    layer = LAYERS[layer_name].plan
    modules = dict(model.named_modules())
    if name == "" or name not in modules:
        near = difflib.get_close_matches(name, [each for each in modules if each], n=3, cutoff=0.4)
        fix = f"Did you mean {' or '.join(near)}?" if near else "print(model) shows its modules"
        raise HireError("HIRE-TORCH-007", f'The model has no module "{name}" for layer "{layer_name}"', fix)
    if isinstance(modules[name], nn.Embedding):
        raise _misfit(name, layer, "it looks rows up instead of scoring them")
    parameters = dict(modules[name].named_parameters())
    shapes = _module_and_parameters(layer)[1]
    for parameter, shape in shapes.items():
        found = parameters.get(parameter)
        if found is None or tuple(found.shape) != shape:
            has = "is missing" if found is None else f"has shape {list(found.shape)}"
            raise _misfit(name, layer, f'its "{parameter}" {has}, where the layer has {list(shape)}')
    # A bias that the layer does not know of would be lost.
    unknown = [each for each in parameters if each not in shapes]
    if unknown:
        raise _misfit(name, layer, f'the layer has nothing for its "{unknown[0]}"')
    return _Swap(name, modules[name], layer, parameters[next(iter(shapes))])


def _misfit(name: str, layer: LayerPlan, problem: str) -> HireError:
    return HireError(
        "HIRE-TORCH-008",
        f'Layer "{layer.name}" does not fit module "{name}": {problem}',
        "Name the module that the layer was compiled for, or correct the spec",
    )
