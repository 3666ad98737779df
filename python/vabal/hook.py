"""Features and probabilities out of a PyTorch model of your own, as :func:`vabal.select` takes them.

A forward hook on a named layer keeps its output while the model predicts::

    seen = vabal.hook.look(model, loader, layer="avgpool")
    chosen = vabal.select("vabal", **seen, labels=labels, n=100)

PyTorch is imported when :func:`look` is called.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt


class Seen(TypedDict):
    """What a model makes of n images."""

    features: npt.NDArray[np.float32]
    """[n, d]"""
    probs: npt.NDArray[np.float32]
    """[n, C]"""


def look(model: Any, batches: Iterable[Any], layer: str, *, device: Any = None) -> Seen:
    """The output of `layer` and the probabilities of `model` for each image.

    `model` is a ``torch.nn.Module`` with logits [b, C] as its output, `batches` a ``DataLoader`` or any iterable
    of batches: a tensor, or a tuple or list that has it first. `layer` is a name of ``model.named_modules()``;
    maps [b, d, h, w] are averaged over their places, of tokens [b, t, d] the first is taken, all else is flattened.
    Images go to `device`, that of the model's parameters if not given.

    Gives {"features": [n, d], "probs": [n, C]}, float32. The model is in evaluation mode meanwhile, and afterwards
    as it was.
    """
    import torch

    modules = dict(model.named_modules())
    if layer not in modules:
        near = difflib.get_close_matches(layer, [name for name in modules if name], n=1)
        hint = f"did you mean {near[0]!r}?" if near else "model.named_modules() lists them"
        raise ValueError(f"the model has no layer {layer!r}\n  hint: {hint}")
    if device is None:
        device = next((parameter.device for parameter in model.parameters()), "cpu")
    kept: list[Any] = []
    handle = modules[layer].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    training = model.training
    model.eval()
    features, probs = [], []
    try:
        with torch.inference_mode():
            for batch in batches:
                kept.clear()
                images = batch[0] if isinstance(batch, (tuple, list)) else batch
                logits = model(images.to(device))
                if not kept or not isinstance(kept[0], torch.Tensor):
                    raise ValueError(
                        f"the layer {layer!r} gave no tensor\n  hint: name one that the model runs through"
                    )
                output = kept[0]
                features.append(_one_row(output).float().cpu().numpy())
                probs.append(torch.softmax(logits.float(), dim=1).cpu().numpy())
    finally:
        handle.remove()
        model.train(training)
    if not features:
        raise ValueError("there is no batch\n  hint: an iterator is empty once it was gone through")
    return {"features": np.concatenate(features), "probs": np.concatenate(probs)}


def _one_row(output: Any) -> Any:
    """[b, d] of what a layer gives."""
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    return output[:, 0] if output.ndim == 3 else output.flatten(1)
