//! A classifier as an ONNX file that any runtime reads: images of 0 to 255 in, probabilities out,
//! normalisation inside. Pixels of 0 to 255 are what its metadata says for `vabal backbone`, so
//! that it is a backbone, too.
//!
//! Never here: reading ONNX.

use std::path::Path;

use vabal_backbone::onnx::{PIXELS, graph, model, node, port, real, tensor, whole, wholes};
use vabal_backbone::protobuf::Message;

use super::Scorer;
use crate::data::ImageShape;
use crate::data::batch::Normalisation;
use crate::error::{Error, Result};
use crate::files;
use crate::kernels::batch_norm::EPSILON;
use crate::network::{Array, Block, Layer};

#[cfg(test)]
mod tests;

/// The nodes of a graph, each called as its one output.
struct Nodes<'a> {
    nodes: Vec<Message>,
    arrays: &'a [Array],
}

impl Nodes<'_> {
    fn node(&mut self, kind: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> String {
        self.nodes.push(node(kind, inputs, output, attributes));
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
        let epsilon = real("epsilon", EPSILON as f32);
        self.node("BatchNormalization", &[&y, parts[0], parts[1], parts[2], parts[3]], &norm, &[epsilon])
    }

    fn relu(&mut self, x: &str, name: &str) -> String {
        self.node("Relu", &[x], name, &[])
    }
}

impl Scorer {
    /// The classifier as ONNX: input `images` [n, channels, height, width], f32 from 0 to 255;
    /// output `probabilities` [n, C]. Metadata: `vabal`, the version; `classes`, a JSON list of
    /// names in the order of the probabilities. What it computes is what [`Scorer::signals`] does,
    /// up to the rounding of the runtime; equal classifiers have equal bytes.
    ///
    /// # Errors
    /// A network of more than 2 GiB, which is more than ONNX holds in one file.
    pub fn onnx(&self) -> Result<Vec<u8>> {
        let mut nodes = Nodes { nodes: Vec::new(), arrays: &self.network.arrays };
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

        let ImageShape { channels, height, width } = self.shape;
        let per_channel = [1, channels, 1, 1];
        let Normalisation { mean, std } = &self.normalisation;
        let mut arrays = vec![
            tensor("scale", &[], [255.0]),
            tensor("mean", &per_channel, mean.iter().copied()),
            tensor("std", &per_channel, std.iter().copied()),
        ];
        let weights = self.network.arrays.iter().zip(&*self.weights);
        arrays.extend(
            weights.map(|(Array { name, shape }, values)| tensor(name, shape, values.iter().copied())),
        );
        let images = port("images", &[None, Some(channels), Some(height), Some(width)]);
        let probabilities = port("probabilities", &[None, Some(self.classes.len())]);
        let graph = graph("vabal", &nodes.nodes, &arrays, &[images], &[probabilities]);
        let classes = serde_json::Value::from(self.classes.clone()).to_string();
        let [mean, std] = PIXELS;
        let metadata = [("vabal", env!("CARGO_PKG_VERSION")), ("classes", &classes), mean, std];
        let model = model(&graph, &metadata).into_bytes();
        if i32::try_from(model.len()).is_err() {
            return Err(Error::input("the classifier is too large for ONNX")
                .expected("a file of less than 2 GiB")
                .got(format!("{} bytes", model.len()))
                .hint("save it as safetensors, or train a narrower network: classifier.width")
                .into());
        }
        Ok(model)
    }

    /// Writes [`Scorer::onnx`]. The file is complete or not there.
    ///
    /// # Errors
    /// As [`Scorer::onnx`], and a file that cannot be written.
    pub fn save_onnx(&self, path: &Path) -> Result<()> {
        files::write(path, &self.onnx()?)
    }
}
