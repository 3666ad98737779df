//! The messages of onnx.proto that a network is written with (IR version 8, opset 17).
//!
//! ```
//! use vabal_backbone::onnx::{graph, model, node, port};
//!
//! let nodes = [node("Relu", &["x"], "y", &[])];
//! let network = model(&graph("small", &nodes, &[], &[port("x", &[None, Some(3)])], &[port("y", &[None, Some(3)])]), &[]);
//! assert!(network.as_bytes().windows(4).any(|word| word == b"Relu"));
//! ```
//!
//! Never here: reading.

use crate::protobuf::Message;

/// The metadata of a network that takes pixels of 0 to 255 as they are: its mean and deviation of
/// values from 0 to 1.
pub const PIXELS: [(&str, &str); 2] = [("vabal.mean", "0"), ("vabal.std", "0.003921568627450980392")];

/// An attribute of a node: whole numbers.
#[must_use]
pub fn wholes(name: &str, values: &[usize]) -> Message {
    let start = Message::default().text(1, name);
    values.iter().fold(start, |message, &value| message.whole(8, value as i64)).whole(20, 7)
}

/// An attribute of a node: one whole number.
#[must_use]
pub fn whole(name: &str, value: i64) -> Message {
    Message::default().text(1, name).whole(3, value).whole(20, 2)
}

/// An attribute of a node: one number.
#[must_use]
pub fn real(name: &str, value: f32) -> Message {
    Message::default().text(1, name).real(2, value).whole(20, 1)
}

/// An array of f32 by name.
#[must_use]
pub fn tensor(name: &str, shape: &[usize], values: impl IntoIterator<Item = f32>) -> Message {
    let dims = shape.iter().fold(Message::default(), |message, &dim| message.whole(1, dim as i64));
    let raw: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    dims.whole(2, 1).text(8, name).bytes(9, &raw)
}

/// An array of whole numbers by name, of one axis.
#[must_use]
pub fn indices(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Message::default().whole(1, values.len() as i64).whole(2, 7).text(8, name).bytes(9, &raw)
}

/// What goes in or out, in f32: a name and the length of each axis, `None` of one that may have
/// any.
#[must_use]
pub fn port(name: &str, axes: &[Option<usize>]) -> Message {
    let shape = axes.iter().enumerate().fold(Message::default(), |message, (place, axis)| {
        let dim = match axis {
            Some(length) => Message::default().whole(1, *length as i64),
            // Axes of one name are equally long.
            None if place == 0 => Message::default().text(2, "n"),
            None => Message::default().text(2, &format!("{name}.{place}")),
        };
        message.child(1, &dim)
    });
    let array = Message::default().whole(1, 1).child(2, &shape);
    Message::default().text(1, name).child(2, &Message::default().child(1, &array))
}

/// An operation, called as its one output.
#[must_use]
pub fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[Message]) -> Message {
    let message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
    let message = message.text(2, output).text(3, output).text(4, kind);
    attributes.iter().fold(message, |message, attribute| message.child(5, attribute))
}

/// A graph of nodes, in the order in which they are computed.
#[must_use]
pub fn graph(
    name: &str,
    nodes: &[Message],
    arrays: &[Message],
    inputs: &[Message],
    outputs: &[Message],
) -> Message {
    let add = |message: Message, field: u64, parts: &[Message]| {
        parts.iter().fold(message, |message, part| message.child(field, part))
    };
    let graph = add(Message::default(), 1, nodes).text(2, name);
    add(add(add(graph, 5, arrays), 11, inputs), 12, outputs)
}

/// A whole file: a graph, and metadata by name.
#[must_use]
pub fn model(graph: &Message, metadata: &[(&str, &str)]) -> Message {
    let model = Message::default()
        .whole(1, 8)
        .text(2, "vabal")
        .text(3, env!("CARGO_PKG_VERSION"))
        .child(7, graph)
        .child(8, &Message::default().text(1, "").whole(2, 17));
    metadata.iter().fold(model, |model, (key, value)| model.child(14, &property(key, value)))
}

/// A piece of metadata.
#[must_use]
pub fn property(key: &str, value: &str) -> Message {
    Message::default().text(1, key).text(2, value)
}
