//! What an ONNX file says of its network, read before anything is allocated for it: what goes in
//! and out, which node makes what, and that every array is as long as its shape says.
//!
//! Facts of onnx.proto: `ModelProto`, `GraphProto`, `NodeProto`, `TensorProto`. Never here: running
//! a network.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::export::Around;
use crate::onnx;
use crate::protobuf::{Invalid, Message, Value, fields, varint};

/// The fields of onnx.proto that are read or written, by message.
pub(crate) mod number {
    pub(crate) mod model {
        pub(crate) const GRAPH: u64 = 7;
        pub(crate) const OPSET: u64 = 8;
        pub(crate) const METADATA: u64 = 14;
    }
    pub(crate) mod graph {
        pub(crate) const NODE: u64 = 1;
        pub(crate) const INITIALIZER: u64 = 5;
        pub(crate) const INPUT: u64 = 11;
        pub(crate) const OUTPUT: u64 = 12;
        pub(crate) const VALUE_INFO: u64 = 13;
    }
}

/// An axis of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    Fixed(u64),
    /// Any length.
    Free,
}

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port<'a> {
    pub(crate) name: &'a str,
    /// As onnx.proto numbers them; 0 where the file does not say.
    pub(crate) element: u64,
    /// `None` where the file does not say.
    pub(crate) axes: Option<Vec<Axis>>,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    pub(crate) kind: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    /// Whether a graph is inside, which may use any value of this one.
    nested: bool,
    /// The names of its attributes.
    attributes: Vec<&'a str>,
}

/// Where an array lies outside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct External {
    /// Below the folder of the file.
    pub(crate) location: String,
    /// The first byte behind its last.
    pub(crate) end: u64,
    /// Its name, and how many bytes it has.
    name: String,
    length: u64,
}

/// What is read of a file.
#[derive(Debug, Clone)]
pub(crate) struct Graph<'a> {
    model: &'a [u8],
    graph: &'a [u8],
    nodes: Vec<Node<'a>>,
    initializers: HashMap<&'a str, &'a [u8]>,
    pub(crate) inputs: Vec<Port<'a>>,
    pub(crate) outputs: Vec<Port<'a>>,
    pub(crate) metadata: BTreeMap<&'a str, &'a str>,
    pub(crate) external: Vec<External>,
    /// The node that makes a value.
    makers: HashMap<&'a str, usize>,
}

/// The last layer of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// Gemm or `MatMul`.
    pub(crate) kind: &'a str,
    /// What it computes the logits of.
    pub(crate) input: &'a str,
}

/// Nodes between the logits and the output, at most.
const AFTER_LOGITS: usize = 8;
/// The largest whole number of an attribute: paddings, sizes of kernels, groups, axes, all but
/// marks such as "to the end".
const LARGEST_PLAIN: u64 = 1 << 20;
/// Elements of one array, at most: 16 GiB of f32.
const MOST_ELEMENTS: u64 = 1 << 32;

/// Graphs inside graphs, at most.
const DEEPEST: usize = 8;

/// Why a file is refused.
pub(crate) type Reason = String;

impl<'a> Graph<'a> {
    pub(crate) fn read(model: &'a [u8]) -> Result<Self, Reason> {
        let (mut graph, mut metadata) = (None, BTreeMap::new());
        for field in fields(model) {
            match field.map_err(reason)? {
                (number::model::GRAPH, Value::Bytes(bytes)) => graph = Some(bytes),
                (number::model::METADATA, Value::Bytes(bytes)) => {
                    let (key, value) = entry(bytes)?;
                    metadata.insert(key, value);
                }
                (number::model::OPSET, Value::Bytes(bytes)) => {
                    fields(bytes).try_for_each(|field| field.map(drop)).map_err(reason)?;
                }
                _ => {}
            }
        }
        let graph = graph.filter(|graph| !graph.is_empty()).ok_or("it has no graph: it is no ONNX file")?;
        let mut this = Self {
            model,
            graph,
            metadata,
            nodes: Vec::new(),
            initializers: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            external: Vec::new(),
            makers: HashMap::new(),
        };
        for field in fields(graph) {
            match field.map_err(reason)? {
                (number::graph::NODE, Value::Bytes(bytes)) => {
                    let node = this.node(bytes, DEEPEST)?;
                    for &output in node.outputs.iter().filter(|output| !output.is_empty()) {
                        if this.makers.insert(output, this.nodes.len()).is_some() {
                            return Err(format!("two operations make the value \"{output}\""));
                        }
                    }
                    this.nodes.push(node);
                }
                (number::graph::INITIALIZER, Value::Bytes(bytes)) => {
                    let name = this.array(bytes)?;
                    this.initializers.insert(name, bytes);
                }
                (number::graph::INPUT, Value::Bytes(bytes)) => this.inputs.push(port(bytes)?),
                (number::graph::OUTPUT, Value::Bytes(bytes)) => this.outputs.push(port(bytes)?),
                _ => {}
            }
        }
        // Old files list the weights among the inputs.
        let initializers = &this.initializers;
        this.inputs.retain(|input| !initializers.contains_key(input.name));
        Ok(this)
    }

    /// An operation, in which graphs go `depth` levels down.
    fn node(&mut self, bytes: &'a [u8], depth: usize) -> Result<Node<'a>, Reason> {
        let mut node =
            Node { kind: "", inputs: Vec::new(), outputs: Vec::new(), nested: false, attributes: Vec::new() };
        for field in fields(bytes) {
            match field.map_err(reason)? {
                (1, Value::Bytes(name)) => node.inputs.push(text(name)?),
                (2, Value::Bytes(name)) => node.outputs.push(text(name)?),
                (4, Value::Bytes(kind)) => node.kind = text(kind)?,
                (5, Value::Bytes(bytes)) => {
                    let (name, nested) = self.attribute(bytes, depth)?;
                    node.attributes.push(name);
                    node.nested |= nested;
                }
                _ => {}
            }
        }
        Ok(node)
    }

    /// Checks an attribute; its name, and whether it is a graph.
    fn attribute(&mut self, bytes: &'a [u8], depth: usize) -> Result<(&'a str, bool), Reason> {
        let (mut name, mut nested, mut largest) = ("", false, 0);
        for field in fields(bytes) {
            match field.map_err(reason)? {
                (1, Value::Bytes(bytes)) => name = text(bytes)?,
                (5 | 10, Value::Bytes(array)) => {
                    self.array(array)?;
                }
                (6 | 11, Value::Bytes(graph)) => {
                    self.check_inside(graph, depth)?;
                    nested = true;
                }
                (8, Value::Varint(value)) => largest = largest.max(value.cast_signed().unsigned_abs()),
                (8, Value::Bytes(packed)) => {
                    for value in varints(packed)? {
                        largest = largest.max(value.cast_signed().unsigned_abs());
                    }
                }
                _ => {}
            }
        }
        let sized = ["pads", "kernel_shape", "strides", "dilations", "output_padding", "output_shape"];
        if sized.contains(&name) && largest > LARGEST_PLAIN {
            return Err(format!("the attribute {name} has the value {largest}"));
        }
        Ok((name, nested))
    }

    /// Checks a graph inside an operation: what runs the network reads all of it, and loops forever
    /// at a number without an end.
    fn check_inside(&mut self, graph: &'a [u8], depth: usize) -> Result<(), Reason> {
        let depth = depth.checked_sub(1).ok_or_else(|| format!("graphs inside {DEEPEST} graphs"))?;
        for field in fields(graph) {
            match field.map_err(reason)? {
                (number::graph::NODE, Value::Bytes(bytes)) => drop(self.node(bytes, depth)?),
                (number::graph::INITIALIZER, Value::Bytes(bytes)) => drop(self.array(bytes)?),
                (
                    number::graph::INPUT | number::graph::OUTPUT | number::graph::VALUE_INFO,
                    Value::Bytes(bytes),
                ) => drop(port(bytes)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that an array is as long as its shape says; its name.
    fn array(&mut self, bytes: &'a [u8]) -> Result<&'a str, Reason> {
        let (mut name, mut kind, mut dims, mut is_external) = ("", 0, Vec::new(), false);
        let (mut raw, mut typed): (Option<&[u8]>, Option<u64>) = (None, None);
        let mut place = BTreeMap::new();
        for field in fields(bytes) {
            let (number, value) = field.map_err(reason)?;
            match (number, value) {
                (1, Value::Varint(dim)) => dims.push(dim),
                (1, Value::Bytes(packed)) => dims.extend(varints(packed)?),
                (2, Value::Varint(value)) => kind = value,
                (8, Value::Bytes(bytes)) => name = text(bytes)?,
                (9, Value::Bytes(bytes)) => raw = Some(bytes),
                // Packed or one by one.
                (4, Value::Bytes(packed)) => *typed.get_or_insert(0) += packed.len() as u64 / 4,
                (10, Value::Bytes(packed)) => *typed.get_or_insert(0) += packed.len() as u64 / 8,
                (5 | 7 | 11, Value::Bytes(packed)) => {
                    *typed.get_or_insert(0) += varints(packed)?.len() as u64;
                }
                (4..=7 | 10 | 11, _) => *typed.get_or_insert(0) += 1,
                (13, Value::Bytes(bytes)) => {
                    let (key, value) = entry(bytes)?;
                    place.insert(key, value);
                }
                (14, Value::Varint(location)) => is_external = location == 1,
                _ => {}
            }
        }
        let place_of = || format!("the array \"{name}\" of shape {dims:?}");
        let elements =
            dims.iter().try_fold(1_u64, |n, &dim| n.checked_mul(dim).filter(|&n| n <= MOST_ELEMENTS));
        let elements = elements.ok_or_else(|| format!("{} is too large", place_of()))?;
        let size = match kind {
            2 | 3 | 9 => 1,
            4 | 5 | 10 | 16 => 2,
            1 | 6 | 12 => 4,
            7 | 11 | 13 => 8,
            8 => 0,
            other => return Err(format!("{} has the unknown type {other}", place_of())),
        };
        let wrong = |got: u64, unit: &str| format!("{} has {got} {unit}, not {elements}", place_of());
        if is_external {
            let number = |key: &str| place.get(key).map_or(Ok(0), |text| text.parse::<u64>());
            let bad = |_| format!("{} lies at no readable place outside the file", place_of());
            let (offset, length) = (number("offset").map_err(bad)?, number("length").map_err(bad)?);
            let length = if place.contains_key("length") { length } else { elements * size };
            if length != elements * size {
                return Err(wrong(length / size.max(1), "elements outside the file"));
            }
            let location = place.get("location").copied().unwrap_or_default();
            // Beside the file and nowhere else.
            let plain = std::path::Path::new(location).components();
            let plain: Vec<_> = plain.map(|part| matches!(part, std::path::Component::Normal(_))).collect();
            if plain != [true] {
                return Err(format!("{} lies in \"{location}\", which is not beside the file", place_of()));
            }
            let end = offset.checked_add(length).ok_or_else(|| format!("{} is too large", place_of()))?;
            let location = location.to_owned();
            self.external.push(External { location, end, name: name.to_owned(), length });
        } else if let Some(raw) = raw.filter(|raw| size > 0 && !raw.is_empty()) {
            if raw.len() as u64 != elements * size {
                return Err(format!("{} has {} bytes, not {}", place_of(), raw.len(), elements * size));
            }
        } else if typed.unwrap_or(0) != elements && size > 0 {
            return Err(wrong(typed.unwrap_or(0), "elements"));
        }
        Ok(name)
    }

    /// Whether a value has the same elements whatever the image: a weight, or made of weights
    /// alone.
    fn is_constant(&self, value: &str, depth: usize) -> bool {
        self.initializers.contains_key(value)
            || depth > 0
                && self.makers.get(value).is_some_and(|&node| {
                    let mut inputs = self.nodes[node].inputs.iter().filter(|input| !input.is_empty());
                    inputs.all(|input| self.is_constant(input, depth - 1))
                })
    }

    /// The last layer before `output`, if it is that of a classifier: what is between changes no
    /// class's place.
    pub(crate) fn head(&self, output: &str) -> Option<Head<'a>> {
        let mut value = output;
        for _ in 0..AFTER_LOGITS {
            let node = &self.nodes[*self.makers.get(value)?];
            let constant =
                |place: usize| node.inputs.get(place).is_some_and(|&name| self.is_constant(name, 4));
            let from = match node.kind {
                "Gemm" | "MatMul" if constant(1) => {
                    return Some(Head { kind: node.kind, input: node.inputs.first()? });
                }
                "Softmax" | "LogSoftmax" | "Sigmoid" | "Identity" | "Cast" | "Dropout" | "Clip"
                | "Squeeze" | "Flatten" | "Reshape" => 0,
                "Add" | "Div" | "Mul" | "Sub" if constant(1) => 0,
                "Add" | "Mul" if constant(0) => 1,
                _ => return None,
            };
            value = node.inputs.get(from)?;
        }
        None
    }

    /// Whether there is a value of this name that an operation makes.
    pub(crate) fn makes(&self, value: &str) -> bool {
        self.makers.contains_key(value)
    }

    /// The model with `output` for its only output, without what is not needed for it, and with the
    /// arrays inside that lie in the files `beside` it.
    pub(crate) fn cut(&self, output: &str, beside: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
        let mut needed: HashSet<&str> = HashSet::from([output]);
        // A nested graph may use any value: then all stays.
        let all = self.nodes.iter().any(|node| node.nested);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().any(|output| needed.contains(output)) {
                needed.extend(&node.inputs);
            }
        }
        let mut graph = Message::default();
        let mut nodes = self.nodes.iter();
        for field in fields(self.graph).flatten() {
            let current = if field.0 == number::graph::NODE { nodes.next() } else { None };
            let stays = match field {
                (number::graph::NODE, _) => current
                    .is_some_and(|node| all || node.outputs.iter().any(|output| needed.contains(output))),
                (number::graph::INITIALIZER, Value::Bytes(bytes)) => {
                    all || name_of(bytes, 8).is_some_and(|name| needed.contains(name))
                }
                // Shapes on the way help nobody, and the output would have two.
                (number::graph::OUTPUT | number::graph::VALUE_INFO, _) => false,
                _ => true,
            };
            graph = match (stays, field, current) {
                (false, ..) => graph,
                (true, (number @ number::graph::INITIALIZER, Value::Bytes(bytes)), _) => {
                    graph.child(number, &self.inside(bytes, beside))
                }
                (true, (number, Value::Bytes(bytes)), Some(node)) => {
                    graph.child(number, &completed(bytes, node))
                }
                (true, (number, value), _) => graph.field(number, value),
            };
        }
        let port = Message::default().text(1, output);
        let graph = graph.child(number::graph::OUTPUT, &port);
        fields(self.model)
            .flatten()
            .fold(Message::default(), |model, (number, value)| match number {
                number::model::GRAPH => model.child(number, &graph),
                _ => model.field(number, value),
            })
            .into_bytes()
    }

    /// An array with its values inside.
    fn inside(&self, bytes: &[u8], beside: &BTreeMap<String, Vec<u8>>) -> Message {
        let fields = fields(bytes).flatten();
        let array = name_of(bytes, 8).and_then(|name| self.external.iter().find(|array| array.name == name));
        let values = array.and_then(|array| {
            let end = usize::try_from(array.end).ok()?;
            beside.get(&array.location)?.get(end - usize::try_from(array.length).ok()?..end)
        });
        match values {
            None => fields.fold(Message::default(), |message, (number, value)| message.field(number, value)),
            Some(values) => fields
                .filter(|(number, _)| ![9, 13, 14].contains(number))
                .fold(Message::default(), |message, (number, value)| message.field(number, value))
                .bytes(9, values),
        }
    }

    /// Whether the graph has a value of this name.
    pub(crate) fn has(&self, value: &str) -> bool {
        self.makes(value)
            || self.initializers.contains_key(value)
            || self.inputs.iter().any(|port| port.name == value)
    }

    /// The model with `around` around it: the value `input` is no input any more, but made by what
    /// is before.
    pub(crate) fn within(&self, around: &Around, input: &str, metadata: &[(&str, &str)]) -> Vec<u8> {
        let add = |message: Message, field: u64, parts: &[Message]| {
            parts.iter().fold(message, |message, part| message.child(field, part))
        };
        let mut graph = add(Message::default(), number::graph::NODE, &around.before);
        for (field, value) in fields(self.graph).flatten() {
            let stays = match (field, value) {
                (number::graph::OUTPUT, _) => false,
                (number::graph::INPUT, Value::Bytes(bytes)) => name_of(bytes, 1) != Some(input),
                _ => true,
            };
            if stays {
                graph = graph.field(field, value);
            }
        }
        let graph = add(graph, number::graph::NODE, &around.behind);
        let graph = add(graph, number::graph::INITIALIZER, &around.arrays);
        let graph =
            graph.child(number::graph::INPUT, &around.input).child(number::graph::OUTPUT, &around.output);
        let model =
            fields(self.model).flatten().fold(Message::default(), |model, (field, value)| match field {
                number::model::GRAPH => model.child(field, &graph),
                number::model::METADATA => model,
                _ => model.field(field, value),
            });
        let properties = metadata.iter().map(|(key, value)| onnx::property(key, value));
        properties.fold(model, |model, property| model.child(number::model::METADATA, &property)).into_bytes()
    }

    /// Operations of each kind, most first.
    pub(crate) fn kinds(&self) -> Vec<(&'a str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.nodes.iter().for_each(|node| *counts.entry(node.kind).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        counts
    }
}

/// A node with the attributes that its file leaves to the standard's default, which `rten` does not
/// know for convolutions.
fn completed(bytes: &[u8], node: &Node<'_>) -> Message {
    let fields = fields(bytes).flatten();
    let message = fields.fold(Message::default(), |message, (number, value)| message.field(number, value));
    if !["Conv", "ConvInteger", "ConvTranspose"].contains(&node.kind) {
        return message;
    }
    // Images have two axes, and paddings before and after each.
    let defaults: [(&str, &[i64]); 3] = [("strides", &[1; 2]), ("dilations", &[1; 2]), ("pads", &[0; 4])];
    let has = |name: &str| node.attributes.contains(&name);
    let given = |name: &str| has(name) || name == "pads" && has("auto_pad");
    let absent = defaults.into_iter().filter(|(name, _)| !given(name));
    absent.fold(message, |message, (name, values)| {
        let attribute = Message::default().text(1, name);
        message.child(
            5,
            &values.iter().fold(attribute, |attribute, &value| attribute.whole(8, value)).whole(20, 7),
        )
    })
}

fn reason(error: Invalid) -> Reason {
    format!("it is damaged, or no ONNX file: {error}")
}

fn text(bytes: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(bytes).map_err(|_| "it is damaged: a name is not UTF-8".into())
}

/// The text of a field of a message.
fn name_of(bytes: &[u8], number: u64) -> Option<&str> {
    fields(bytes).flatten().find_map(|field| match field {
        (found, Value::Bytes(name)) if found == number => std::str::from_utf8(name).ok(),
        _ => None,
    })
}

fn varints(mut packed: &[u8]) -> Result<Vec<u64>, Reason> {
    let mut values = Vec::new();
    while !packed.is_empty() {
        values.push(varint(&mut packed).map_err(reason)?);
    }
    Ok(values)
}

/// Key and value.
fn entry(bytes: &[u8]) -> Result<(&str, &str), Reason> {
    let (mut key, mut value) = ("", "");
    for field in fields(bytes) {
        match field.map_err(reason)? {
            (1, Value::Bytes(bytes)) => key = text(bytes)?,
            (2, Value::Bytes(bytes)) => value = text(bytes)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn port(bytes: &[u8]) -> Result<Port<'_>, Reason> {
    let mut port = Port { name: "", element: 0, axes: None };
    for field in fields(bytes) {
        match field.map_err(reason)? {
            (1, Value::Bytes(name)) => port.name = text(name)?,
            (2, Value::Bytes(kind)) => {
                for field in fields(kind) {
                    if let (1, Value::Bytes(array)) = field.map_err(reason)? {
                        (port.element, port.axes) = array_type(array)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

fn array_type(bytes: &[u8]) -> Result<(u64, Option<Vec<Axis>>), Reason> {
    let (mut element, mut axes) = (0, None);
    for field in fields(bytes) {
        match field.map_err(reason)? {
            (1, Value::Varint(value)) => element = value,
            (2, Value::Bytes(shape)) => {
                let mut found = Vec::new();
                for field in fields(shape) {
                    if let (1, Value::Bytes(dim)) = field.map_err(reason)? {
                        let mut axis = Axis::Free;
                        for field in fields(dim) {
                            if let (1, Value::Varint(length)) = field.map_err(reason)?
                                && length > 0
                                && length <= LARGEST_PLAIN
                            {
                                axis = Axis::Fixed(length);
                            }
                        }
                        found.push(axis);
                    }
                }
                axes = Some(found);
            }
            _ => {}
        }
    }
    Ok((element, axes))
}
