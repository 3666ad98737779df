"""Features of a named layer of a PyTorch model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vabal
from vabal import hook

torch = pytest.importorskip("torch")
Module: Any = torch.nn.Module


class Tokens(Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.body = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Identity())
        self.head = torch.nn.Linear(4, 2)
        self.unused = torch.nn.Identity()

    def forward(self, images: Any) -> Any:
        maps = self.norm(self.conv(images))
        tokens = self.body(maps.flatten(2).transpose(1, 2))
        return self.head(tokens[:, 0])


@pytest.fixture
def model() -> Any:
    torch.manual_seed(1)
    return Tokens().train()


def test_maps_are_averaged_tokens_lead_and_batches_do_not_matter(model: Any) -> None:
    images = torch.randn(7, 3, 2, 3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, torch.zeros(7)), batch_size=3)
    with torch.no_grad():
        maps = model.eval().conv(images)
        tokens = model.norm(maps).flatten(2).transpose(1, 2)
        logits = model.head(tokens[:, 0])
        probs = torch.softmax(model(images), dim=1)
    model.train()
    for layer, expected in (
        ("conv", maps.mean(dim=(2, 3))),
        ("body.1", tokens[:, 0]),
        ("head", logits),
    ):
        for batches in (loader, [images], [[images[:1]], [images[1:]]]):
            seen = hook.look(model, batches, layer)
            np.testing.assert_allclose(seen["features"], expected.numpy(), atol=1e-6)
            np.testing.assert_allclose(seen["probs"], probs.numpy(), atol=1e-6)
    assert seen["features"].dtype == np.float32
    assert len(vabal.select("vabal", **seen, labels=[0, 1, 0, 1, -1, -1, -1], n=2).ids) == 2


def test_the_model_is_left_as_it_was(model: Any) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hook.look(model, [torch.randn(4, 3, 2, 2)], "norm")
    with pytest.raises(RuntimeError):
        hook.look(model, [torch.randn(4, 5, 2, 2)], "norm")
    assert model.training and not model.norm._forward_hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_what_cannot_be_looked_at_is_told(model: Any) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'body\.1'"):
        hook.look(model, [], "body.l")
    with pytest.raises(ValueError, match="gave no tensor"):
        hook.look(model, [torch.randn(1, 3, 2, 2)], "unused")
    with pytest.raises(ValueError, match="no batch"):
        hook.look(model, iter([]), "conv")
