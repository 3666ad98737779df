//! Imbalance as data: which images of a balanced pool are taken away, so that some classes are
//! rare.
//!
//! The presets of the paper (section 4.1) and of its neighbours; all of them are "class n keeps
//! this share of its images". Never here: the test set, which is left as it is.

use std::fmt;

use rand::seq::SliceRandom;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Items, Labelled};
use crate::error::{Error, Result, nearest};
use crate::rng::Seed;
use crate::{Id, Label};

/// The table `imbalance` of a configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imbalance {
    /// Which classes lose images.
    pub kind: Kind,
    /// The classes of `dominant` and `rare`: names, label numbers as in the files (from 0), or
    /// ranges of label numbers, both ends included (`"44..54"`).
    pub classes: Vec<ClassName>,
    /// The share that the rarest classes keep, more than 0 and at most 1.
    pub keep: f64,
    /// The share of the classes that is rare under `step`, between 0 and 1.
    pub fraction: f64,
}

impl Default for Imbalance {
    fn default() -> Self {
        Self { kind: Kind::None, classes: Vec::new(), keep: 0.1, fraction: 0.5 }
    }
}

/// Which classes lose images. C is the number of classes, labels count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// None.
    None,
    /// All but `classes` keep `keep` of their images: CIFAR-10^{+\[1\]} is `classes = [0], keep =
    /// 0.1`, CIFAR-100^{+\[45:55\]} is `classes = ["44..54"], keep = 0.6`, as the paper counts from 1.
    Dominant,
    /// `classes` keep `keep` of their images: CIFAR-10^{−\[1\]} is `classes = [0], keep = 0.1`.
    Rare,
    /// Class n keeps keep^(n / (C − 1)): exponential, from all of class 0 to `keep` of the last
    /// (Cui et al. 2019; Cao et al. 2019, whose imbalance ratio is 1 / `keep`).
    LongTail,
    /// The last `fraction` of the classes, rounded, keep `keep` (Buda et al. 2018; Cao et al.
    /// 2019).
    Step,
    /// Classes 0, 2, 4, … keep `keep`: with 0.01, the 50 and 5,000 in turn of TA-VAAL (Kim et al.
    /// 2021).
    Alternating,
}

/// A class in a configuration file: its name, or its label number, or a range of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClassName {
    /// The label number, from 0.
    Number(Label),
    /// The name, or `"FIRST..LAST"`.
    Name(String),
}

impl<'de> Deserialize<'de> for ClassName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ClassName;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a class: its name or its label number from 0")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<ClassName, E> {
                Ok(ClassName::Name(name.into()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ClassName, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Signed(number), &self);
                Label::try_from(number).map(ClassName::Number).map_err(wrong)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ClassName, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Unsigned(number), &self);
                Label::try_from(number).map(ClassName::Number).map_err(wrong)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClassName::Number(number) => number.fmt(f),
            ClassName::Name(name) => name.fmt(f),
        }
    }
}

impl Imbalance {
    /// Checks every value's range; the classes need the data and are checked by
    /// [`Imbalance::apply`].
    ///
    /// # Errors
    /// The first value out of range, by its key below `prefix`.
    pub fn check(&self, prefix: &str) -> Result<()> {
        let wrong = |key: &str, expected: &str, got: String| {
            Error::from(
                Error::input("a setting is out of range")
                    .at(format!("{prefix}{key}"))
                    .expected(expected)
                    .got(got),
            )
        };
        if !(self.keep > 0.0 && self.keep <= 1.0) {
            return Err(wrong("keep", "more than 0, at most 1", self.keep.to_string()));
        }
        if !(self.fraction > 0.0 && self.fraction < 1.0) {
            return Err(wrong("fraction", "between 0 and 1", self.fraction.to_string()));
        }
        let named = matches!(self.kind, Kind::Dominant | Kind::Rare);
        if named && self.classes.is_empty() {
            return Err(wrong("classes", "at least one class, by name or label number", "none".into()));
        }
        if !named && !self.classes.is_empty() {
            let got: Vec<_> = self.classes.iter().map(ToString::to_string).collect();
            return Err(wrong("classes", "no class: only `dominant` and `rare` name any", got.join(", ")));
        }
        Ok(())
    }

    /// Whether this changes nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.kind == Kind::None
    }

    /// How many of `counts` images each class keeps: share × count rounded to the nearest, halves
    /// up, and at least one image of a class that had any.
    ///
    /// # Errors
    /// A class that `classes`, the names by label, does not have.
    pub fn kept(&self, counts: &[usize], classes: &[String]) -> Result<Vec<usize>> {
        let last = counts.len().saturating_sub(1).max(1) as f64;
        let named = self.named(classes)?;
        let rare_from =
            counts.len() - ((self.fraction * counts.len() as f64).round() as usize).min(counts.len());
        let share = |n: usize| match self.kind {
            Kind::None => 1.0,
            Kind::Dominant if named[n] => 1.0,
            Kind::Rare if !named[n] => 1.0,
            Kind::Step if n < rare_from => 1.0,
            Kind::Alternating if n % 2 == 1 => 1.0,
            Kind::LongTail => self.keep.powf(n as f64 / last),
            Kind::Dominant | Kind::Rare | Kind::Step | Kind::Alternating => self.keep,
        };
        // 1e-9: the product of a decimal fraction and a count may fall just short of a half.
        let round = |n: usize| (share(n) * counts[n] as f64 + 0.5 + 1e-9).floor() as usize;
        Ok((0..counts.len()).map(|n| round(n).clamp(counts[n].min(1), counts[n])).collect())
    }

    /// Takes images away from `pool` at random; what is left is ascending. The same seed and the
    /// same set of ids give the same answer in any order, and less `keep` takes a subset of more
    /// `keep`.
    ///
    /// # Errors
    /// A class that the set does not have.
    pub fn apply<T: Items>(&self, images: &Labelled<T>, pool: &[Id], seed: Seed) -> Result<Vec<Id>> {
        let mut by_class = vec![Vec::new(); images.classes().len()];
        for &id in pool {
            by_class[images.label(id) as usize].push(id);
        }
        let counts: Vec<_> = by_class.iter().map(Vec::len).collect();
        let kept = self.kept(&counts, images.classes())?;
        let mut left = Vec::with_capacity(kept.iter().sum());
        for (n, mut ids) in by_class.into_iter().enumerate() {
            if kept[n] < ids.len() {
                ids.sort_unstable();
                ids.shuffle(&mut seed.child("class", n as u64).stream("imbalance"));
            }
            left.extend_from_slice(&ids[..kept[n]]);
        }
        left.sort_unstable();
        Ok(left)
    }

    /// For each class, whether `self.classes` names it.
    fn named(&self, names: &[String]) -> Result<Vec<bool>> {
        let mut named = vec![false; names.len()];
        for class in &self.classes {
            let unknown = |hint: String| {
                Error::from(
                    Error::input("unknown class")
                        .at("data.imbalance.classes")
                        .expected(format!("a class name, or a label number from 0 to {}", names.len() - 1))
                        .got(format!("\"{class}\""))
                        .hint(hint),
                )
            };
            let range = match class {
                ClassName::Number(number) => Some((*number as usize, *number as usize)),
                ClassName::Name(name) => match names.iter().position(|known| known == name) {
                    Some(n) => Some((n, n)),
                    None => name
                        .split_once("..")
                        .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?))),
                },
            };
            match range {
                Some((first, last)) if first <= last && last < names.len() => named[first..=last].fill(true),
                _ => {
                    let near = nearest(&class.to_string(), names.iter().map(String::as_str));
                    let hint = near.map(|name| format!("did you mean \"{name}\"?"));
                    let first = names.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
                    return Err(unknown(hint.unwrap_or(format!("the classes are {first}"))));
                }
            }
        }
        Ok(named)
    }
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = || self.classes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self.kind {
            Kind::None => f.write_str("as it is"),
            Kind::Dominant => write!(f, "dominant {} ({} of the others kept)", classes(), self.keep),
            Kind::Rare => write!(f, "rare {} ({} kept)", classes(), self.keep),
            Kind::LongTail => write!(f, "long tail down to {}", self.keep),
            Kind::Step => write!(f, "step, {} of the classes at {}", self.fraction, self.keep),
            Kind::Alternating => write!(f, "alternating at {}", self.keep),
        }
    }
}

#[cfg(test)]
mod tests;
