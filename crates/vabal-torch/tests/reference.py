"""The training of `tests/torch.rs` by PyTorch's own modules and automatic differentiation, eager, channels-last.

    python reference.py FOLDER

Writes what the test starts from and what must come out, raw f32 in the order of `state_dict` (labels are i64).
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

# Not narrower: there PyTorch itself has oneDNN's fault that `Tensor::convolution_backward` goes round.
WIDTH, BATCH, SIZE, CLASSES, STEPS = 16, 16, 16, 5, 8


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        if i != o:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + (self.downsample(x) if hasattr(self, "downsample") else x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        self.layer1 = Block(WIDTH, WIDTH, 1)
        self.layer2 = Block(WIDTH, 2 * WIDTH, 2)
        self.fc = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer2(self.layer1(x)).mean((2, 3)))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    net = Net().to(memory_format=torch.channels_last)

    def state():
        arrays = [a for name, a in net.state_dict().items() if "num_batches" not in name]
        return b"".join(a.contiguous().numpy().tobytes() for a in arrays)

    (folder / "before").write_bytes(state())
    images, labels = torch.randn(STEPS, BATCH, 3, SIZE, SIZE), torch.randint(CLASSES, (STEPS, BATCH))
    (folder / "images").write_bytes(images.numpy().tobytes())
    (folder / "labels").write_bytes(labels.numpy().tobytes())
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)
    losses = []
    for x, y in zip(images, labels):
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x.to(memory_format=torch.channels_last)), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    (folder / "losses").write_bytes(torch.stack(losses).numpy().tobytes())
    (folder / "after").write_bytes(state())


main(Path(sys.argv[1]))
