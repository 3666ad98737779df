//! What passes between the driver and the workers of a seeding, as bytes: safetensors with the
//! probabilities and features of rows, everything else as JSON in the metadata.
//!
//! Never here: what is drawn.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use super::super::MOST_PICKS;
use super::super::sum::Sum;
use super::super::top::{Candidate, Name, Top};
use super::{Drawn, PASSES, Pass, Seeding, expected};
use crate::error::{Error, Result};
use crate::rng::Seed;
use crate::term;

#[derive(Default, Serialize, Deserialize)]
struct Header {
    kind: String,
    n: usize,
    classes: usize,
    seed: [u8; 32],
    done: usize,
    names: Vec<NameOf>,
    ratios: Vec<f64>,
    near: Vec<u64>,
    largest: Vec<(NameOf, f64, Vec<f64>)>,
    sum: Vec<(u16, u64, u64)>,
    rows: u64,
    width: usize,
    magnitude: f32,
    has_first: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NameOf {
    Number(u64),
    Text(String),
}

impl From<&Name> for NameOf {
    fn from(name: &Name) -> Self {
        match name {
            Name::Number(number) => Self::Number(*number),
            Name::Text(_, text) => Self::Text(text.to_string()),
        }
    }
}

impl From<NameOf> for Name {
    fn from(name: NameOf) -> Self {
        match name {
            NameOf::Number(number) => Self::Number(number),
            NameOf::Text(text) => Self::text(&text),
        }
    }
}

/// The key of their metadata, and what it says.
const KIND: &str = "vabal.state";
const SEEDING: &str = "seeding";
const PASS: &str = "pass";

impl Seeding {
    /// All of it as bytes, for workers.
    ///
    /// # Errors
    /// Bytes that cannot be made.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = Header {
            kind: SEEDING.to_owned(),
            n: self.n,
            classes: self.classes,
            seed: self.seed.bytes(),
            done: self.done,
            near: self.near.clone(),
            largest: listed(&self.largest),
            rows: self.rows.unwrap_or(0),
            ..Header::of(&self.drawn)
        };
        to_bytes(&header, &self.drawn)
    }

    /// Reads what [`Seeding::to_bytes`] gave.
    ///
    /// # Errors
    /// Other bytes, or torn ones.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (header, drawn) = from_bytes(bytes, SEEDING)?;
        let Header { n, classes, seed, done, near, largest, rows, .. } = header;
        let counted = if done == PASSES { drawn.len() } else { 0 };
        if done > PASSES || near.len() != counted || drawn.iter().any(|drawn| drawn.p.len() != classes) {
            return Err(broken(format!("{done} passes, {} counts, {classes} classes", near.len())));
        }
        let (seed, largest, rows) = (Seed::of_bytes(seed), top(n, largest)?, (done > 0).then_some(rows));
        Ok(Self { n, classes, seed, done, drawn, near, largest, rows })
    }
}

impl Pass {
    /// All of it as bytes, for the driver.
    ///
    /// # Errors
    /// Bytes that cannot be made.
    pub fn to_bytes(mut self) -> Result<Vec<u8>> {
        let least = self.least_drawn();
        self.drawn.retain(|drawn| drawn.ratio > least);
        self.shrink();
        self.largest.settle();
        let has_first = self.first.is_some();
        let drawn = [self.drawn, self.first.into_iter().collect()].concat();
        let header = Header {
            kind: PASS.to_owned(),
            n: self.largest.most(),
            done: self.number,
            near: self.near,
            largest: listed(&self.largest),
            sum: self.sum.halves(),
            rows: self.rows,
            width: self.width,
            magnitude: self.magnitude,
            has_first,
            ..Header::of(&drawn)
        };
        to_bytes(&header, &drawn)
    }

    /// Reads what [`Pass::to_bytes`] gave.
    ///
    /// # Errors
    /// Other bytes, or torn ones.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (header, mut drawn) = from_bytes(bytes, PASS)?;
        let first = if header.has_first { drawn.pop() } else { None };
        Ok(Self {
            number: header.done,
            expected: expected(header.n),
            sum: Sum::of(header.sum),
            drawn,
            least: None,
            first,
            near: header.near,
            largest: top(header.n, header.largest)?,
            magnitude: header.magnitude,
            rows: header.rows,
            width: header.width,
        })
    }
}

/// The rows with the largest gradients as a list, and back.
fn listed(top: &Top) -> Vec<(NameOf, f64, Vec<f64>)> {
    top.candidates().map(|one| (NameOf::from(&one.name), one.score, one.terms.clone())).collect()
}

fn top(n: usize, listed: Vec<(NameOf, f64, Vec<f64>)>) -> Result<Top> {
    let terms = vec![term::PREDICTED.to_owned(), term::CONFIDENCE.to_owned()];
    let candidates = listed.into_iter().map(|(name, score, terms)| Candidate {
        name: name.into(),
        score,
        key: 0,
        class: 0,
        terms,
    });
    Top::of(n, vec![0], terms, candidates)
}

impl Header {
    fn of(drawn: &[Drawn]) -> Self {
        Self {
            names: drawn.iter().map(|drawn| NameOf::from(&drawn.name)).collect(),
            ratios: drawn.iter().map(|drawn| drawn.ratio).collect(),
            ..Self::default()
        }
    }
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::input("invalid state of a pass")
        .expected("bytes that this version of vabal made")
        .got(what)
        .hint("the same version on all machines")
        .into()
}

fn to_bytes(header: &Header, drawn: &[Drawn]) -> Result<Vec<u8>> {
    let json = serde_json::to_string(header).map_err(broken)?;
    let bytes = |of: fn(&Drawn) -> &[f32]| -> Vec<u8> {
        drawn.iter().flat_map(|drawn| of(drawn).iter().flat_map(|value| value.to_le_bytes())).collect()
    };
    let (p, x) = (bytes(|drawn| &drawn.p), bytes(|drawn| &drawn.x));
    let width = |of: fn(&Drawn) -> usize| drawn.first().map_or(0, of);
    let tensor = |width: usize, bytes| TensorView::new(Dtype::F32, vec![drawn.len(), width], bytes);
    let tensors = [
        ("probs", tensor(width(|drawn| drawn.p.len()), &p).map_err(broken)?),
        ("features", tensor(width(|drawn| drawn.x.len()), &x).map_err(broken)?),
    ];
    serialize(tensors, Some(HashMap::from([(KIND.to_owned(), json)]))).map_err(broken)
}

fn from_bytes(bytes: &[u8], kind: &str) -> Result<(Header, Vec<Drawn>)> {
    let json = super::super::header(bytes, KIND).map_err(broken)?;
    let mut header: Header = serde_json::from_str(&json).map_err(broken)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
    let rows = |name: &str| {
        let tensor = tensors.tensor(name).map_err(broken)?;
        let (shape, data) = (tensor.shape(), tensor.data());
        if tensor.dtype() != Dtype::F32 || shape.len() != 2 || shape[0] != header.names.len() {
            return Err(broken(format!("{name} of shape {shape:?}")));
        }
        let values: Vec<f32> = data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(match shape[1] {
            0 => vec![Vec::new(); shape[0]],
            width => values.chunks_exact(width).map(<[f32]>::to_vec).collect(),
        })
    };
    let (p, x): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (rows("probs")?, rows("features")?);
    if header.kind != kind || header.ratios.len() != header.names.len() || header.n > MOST_PICKS {
        return Err(broken(format!("a {}", header.kind)));
    }
    let names = std::mem::take(&mut header.names).into_iter();
    let drawn = (names.zip(p).zip(x).zip(&header.ratios))
        .map(|(((name, p), x), &ratio)| Drawn { name: name.into(), p, x, ratio })
        .collect();
    Ok((header, drawn))
}
