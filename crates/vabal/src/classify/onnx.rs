//! A classifier as an ONNX file that any runtime reads: images of 0 to 255 in, probabilities out, normalisation
//! inside. The few messages of ONNX are written by hand, as protobuf lays them out (onnx.proto, IR version 8,
//! opset 17).
//!
//! Never here: reading ONNX.

use std::path::Path;

use super::Scorer;
use crate::error::{Error, Result};
use crate::files;
use crate::kernels::batch_norm::EPSILON;
use crate::network::{Array, Block, Layer};

#[cfg(test)]
mod tests;

/// A message of protobuf being written: fields in the order in which they are given.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn whole(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value.cast_unsigned());
        self
    }

    fn real(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn child(self, field: u64, child: &Message) -> Self {
        self.bytes(field, &child.0)
    }
}

/// An attribute of a node: whole numbers.
fn wholes(name: &str, values: &[usize]) -> Message {
    let start = Message::default().text(1, name);
    values.iter().fold(start, |message, &value| message.whole(8, value as i64)).whole(20, 7)
}

/// An attribute of a node: one whole number.
fn whole(name: &str, value: i64) -> Message {
    Message::default().text(1, name).whole(3, value).whole(20, 2)
}

/// An array of f32 by name.
fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let dims = shape.iter().fold(Message::default(), |message, &dim| message.whole(1, dim as i64));
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    dims.whole(2, 1).text(8, name).bytes(9, &raw)
}

/// What goes in or out: a name and the lengths behind n.
fn port(name: &str, shape: &[usize]) -> Message {
    let n = Message::default().child(1, &Message::default().text(2, "n"));
    let shape = shape
        .iter()
        .fold(n, |message, &length| message.child(1, &Message::default().whole(1, length as i64)));
    let array = Message::default().whole(1, 1).child(2, &shape);
    Message::default().text(1, name).child(2, &Message::default().child(1, &array))
}

/// The nodes of a graph, each called as its one output.
struct Nodes<'a> {
    graph: Message,
    arrays: &'a [Array],
}

impl Nodes<'_> {
    fn node(&mut self, kind: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> String {
        let message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
        let message = message.text(2, output).text(3, output).text(4, kind);
        let message = attributes.iter().fold(message, |message, attribute| message.child(5, attribute));
        self.graph = std::mem::take(&mut self.graph).child(1, &message);
        output.to_owned()
    }

    /// A convolution and its BatchNorm, both called as their weights are.
    fn layer(&mut self, x: &str, layer: &Layer) -> String {
        let arrays = &self.arrays[layer.weight..];
        let [weight, parts @ ..] = [0, 1, 2, 3, 4].map(|array| &*arrays[array].name);
        let called = |name: &str| name.trim_end_matches(".weight").to_owned();
        let (conv, norm) = (called(weight), called(parts[0]));
        let attributes = [
            wholes("kernel_shape", &[layer.size; 2]),
            wholes("strides", &[layer.stride; 2]),
            wholes("pads", &[layer.padding(); 4]),
        ];
        let y = self.node("Conv", &[x, weight], &conv, &attributes);
        let epsilon = Message::default().text(1, "epsilon").real(2, EPSILON as f32).whole(20, 1);
        self.node("BatchNormalization", &[&y, parts[0], parts[1], parts[2], parts[3]], &norm, &[epsilon])
    }

    fn relu(&mut self, x: &str, name: &str) -> String {
        self.node("Relu", &[x], name, &[])
    }
}

impl Scorer {
    /// The classifier as ONNX: input `images` [n, channels, height, width], f32 from 0 to 255; output
    /// `probabilities` [n, C]. Metadata: `vabal`, the version; `classes`, a JSON list of names in the order of
    /// the probabilities. What it computes is what [`Scorer::signals`] does, up to the rounding of the runtime;
    /// equal classifiers have equal bytes.
    ///
    /// # Errors
    /// A network of more than 2 GiB, which is more than ONNX holds in one file.
    pub fn onnx(&self) -> Result<Vec<u8>> {
        let mut nodes = Nodes { graph: Message::default(), arrays: &self.network.arrays };
        // In the order of the batcher, so that not even rounding differs.
        let x = nodes.node("Div", &["images", "scale"], "scaled", &[]);
        let x = nodes.node("Sub", &[&x, "mean"], "centred", &[]);
        let x = nodes.node("Div", &[&x, "std"], "normalised", &[]);
        let x = nodes.layer(&x, &self.network.stem);
        let mut x = nodes.relu(&x, "relu");
        for (stage, blocks) in self.network.stages.iter().enumerate() {
            for (block, Block { first, second, shortcut }) in blocks.iter().enumerate() {
                let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
                let y = nodes.layer(&x, first);
                let y = nodes.relu(&y, &name("relu1"));
                let y = nodes.layer(&y, second);
                let round = match shortcut {
                    Some(layer) => nodes.layer(&x, layer),
                    None => x,
                };
                let sum = nodes.node("Add", &[&y, &round], &name("add"), &[]);
                x = nodes.relu(&sum, &name("relu2"));
            }
        }
        let x = nodes.node("GlobalAveragePool", &[&x], "pool", &[]);
        let x = nodes.node("Flatten", &[&x], "embedding", &[]);
        let x = nodes.node("Gemm", &[&x, "fc.weight", "fc.bias"], "logits", &[whole("transB", 1)]);
        nodes.node("Softmax", &[&x], "probabilities", &[whole("axis", 1)]);

        let shape = [self.shape.channels, self.shape.height, self.shape.width];
        let per_channel = [1, shape[0], 1, 1];
        let mut graph = nodes
            .graph
            .text(2, "vabal")
            .child(5, &tensor("scale", &[], &[255.0]))
            .child(5, &tensor("mean", &per_channel, &self.normalisation.mean))
            .child(5, &tensor("std", &per_channel, &self.normalisation.std));
        for (Array { name, shape }, values) in self.network.arrays.iter().zip(&*self.weights) {
            graph = graph.child(5, &tensor(name, shape, values));
        }
        let graph =
            graph.child(11, &port("images", &shape)).child(12, &port("probabilities", &[self.classes.len()]));

        let classes = serde_json::Value::from(self.classes.clone()).to_string();
        let property = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
        let version = env!("CARGO_PKG_VERSION");
        let model = Message::default()
            .whole(1, 8)
            .text(2, "vabal")
            .text(3, version)
            .child(7, &graph)
            .child(8, &Message::default().text(1, "").whole(2, 17))
            .child(14, &property("vabal", version))
            .child(14, &property("classes", &classes));
        if i32::try_from(model.0.len()).is_err() {
            return Err(Error::input("the classifier is too large for ONNX")
                .expected("a file of less than 2 GiB")
                .got(format!("{} bytes", model.0.len()))
                .hint("save it as safetensors, or train a narrower network: classifier.width")
                .into());
        }
        Ok(model.0)
    }

    /// Writes [`Scorer::onnx`]. The file is complete or not there.
    ///
    /// # Errors
    /// As [`Scorer::onnx`], and a file that cannot be written.
    pub fn save_onnx(&self, path: &Path) -> Result<()> {
        files::write(path, &self.onnx()?)
    }
}
