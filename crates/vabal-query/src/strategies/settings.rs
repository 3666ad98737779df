//! A strategy as data: its kind and its settings, as a configuration holds them.
//!
//! Never here: where settings come from; what a strategy does with them.
//!
//! ```
//! use vabal_query::STRATEGIES;
//!
//! let mut spec = STRATEGIES.named("vabal").expect("it is in the table");
//! spec.set(STRATEGIES, "ridge", &serde_json::json!(0.5)).map_err(vabal_query::Error::from)?;
//! let strategy = STRATEGIES.build(&spec)?;
//! assert!(strategy.needs().embedding);
//! assert!(spec.set(STRATEGIES, "rigde", &serde_json::json!(0.5)).is_err());
//! # Ok::<(), vabal_query::Error>(())
//! ```

use serde::de::{DeserializeOwned, Error as _};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::table::Table;
use crate::Strategy;
use crate::error::{Complaint, Error, Result, nearest};

/// Settings by their keys.
pub type Values = Map<String, Value>;

/// The setting that stands for a bundle of the others.
pub(super) const PRESET: &str = "preset";

/// The settings of a strategy, which [`Row`](super::table::Row) registers.
pub trait StrategySettings: Serialize + DeserializeOwned {
    /// The bundles of settings that its key `preset` stands for, where it has that key.
    #[must_use]
    fn presets() -> Vec<Self> {
        Vec::new()
    }

    /// The strategy itself. `table` is for strategies that wrap another one.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    fn build(self, table: Table) -> Result<Box<dyn Strategy>>;
}

/// Settings as values by their keys.
///
/// # Panics
/// With a type that is not a struct of named fields.
#[must_use]
pub fn values(settings: &impl Serialize) -> Values {
    match serde_json::to_value(settings) {
        Ok(Value::Object(values)) => values,
        other => panic!("settings are a struct of named fields, got {other:?}"),
    }
}

/// A strategy with its settings: the table `[strategy.NAME]` of a configuration.
///
/// Built by [`Table::named`]; read from a file it holds what the file says, which [`Table::build`]
/// checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub(super) kind: String,
    pub(super) values: Values,
}

impl Spec {
    /// As a file has it; [`Table::build`] checks it.
    #[must_use]
    pub fn of(kind: String, values: Values) -> Self {
        Self { kind, values }
    }

    /// The kind of strategy, which presets of one strategy share.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Every setting.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Whether there is anything to set.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        !self.values.is_empty()
    }

    /// The settings in their own type.
    ///
    /// # Errors
    /// Values of another kind of strategy.
    pub fn settings<S: StrategySettings>(&self) -> Result<S> {
        serde_json::from_value(Value::Object(self.values.clone()))
            .map_err(|error| Error::input("the strategy cannot be used").got(error).into())
    }

    /// Sets `key` to `value`; a whole number is a number too.
    ///
    /// # Errors
    /// A key that there is not, a value of the wrong type, one that the setting cannot take. Where
    /// it is from, the caller adds.
    pub fn set(&mut self, table: Table, key: &str, value: &Value) -> Result<(), Complaint> {
        let old = self.values.get(key).ok_or_else(|| self.unknown(key))?;
        let new = converted(old, value).ok_or_else(|| wrong_type(old, value))?;
        let mut values = self.values.clone();
        values.insert(key.to_owned(), new);
        // The whole is read after every value, so that a refused value is told by its own key.
        table.read(&self.kind, &values).map_err(|error| refused(value, &error.to_string()))?;
        self.values = values;
        Ok(())
    }

    fn unknown(&self, key: &str) -> Complaint {
        let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
        let expected = if known.is_empty() { "no key here".to_string() } else { known.join(", ") };
        let complaint = Error::input("unknown setting").expected(expected).got(format!("\"{key}\""));
        match nearest(key, known) {
            Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
            None => complaint,
        }
    }
}

/// `new` where it has the type of `old`; a whole number is also a number.
fn converted(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Number(old), Value::Number(number)) if old.is_f64() => number.as_f64().map(Value::from),
        (Value::Number(_), Value::Number(number)) if number.is_f64() => None,
        _ if type_name(old) == type_name(new) => Some(new.clone()),
        _ => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::Bool(_) => "true or false",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
        Value::Null => "nothing",
    }
}

fn wrong_type(old: &Value, new: &Value) -> Complaint {
    Error::input("a setting has the wrong type")
        .expected(format!("{}, such as {old}", type_name(old)))
        .got(format!("{new}, {}", type_name(new)))
}

/// The complaint about a value of the right type that cannot be taken; `message` is serde's.
#[must_use]
pub fn refused(value: impl std::fmt::Display, message: &str) -> Complaint {
    let expected = message.rsplit_once("expected ").map_or(message, |(_, expected)| expected);
    let expected = expected.strip_prefix("one of ").unwrap_or(expected).replace('`', "");
    let expected = match expected.as_str() {
        "usize" | "u64" | "u32" => "a whole number, 0 or more".to_string(),
        _ => expected,
    };
    let value = value.to_string();
    let names = expected.split(", ").flat_map(|part| part.split(" or "));
    let complaint = Error::input("a setting has a wrong value").got(&value);
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match text.and_then(|text| nearest(text, names)) {
        Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
        None => complaint,
    }
    .expected(expected)
}

impl Table {
    /// The strategy called `name` with `settings` laid over its defaults, checked. A `preset` among
    /// them comes first; `place` says where a setting is from.
    ///
    /// # Errors
    /// An unknown name, a key that it does not have, a value of the wrong type or out of range.
    pub fn configure(
        self,
        name: &str,
        settings: &[(String, Value)],
        place: &dyn Fn(&str) -> String,
    ) -> Result<Spec> {
        let mut spec = self.find(name)?;
        let at = |key: &str| {
            let place = place(key);
            move |complaint: Complaint| Error::from(complaint.at(place))
        };
        if let Some((key, preset)) = settings.iter().rev().find(|(key, _)| key == PRESET) {
            spec = self.preset(spec, preset).map_err(at(key))?;
        }
        for (key, value) in settings {
            spec.set(self, key, value).map_err(at(key))?;
        }
        self.build(&spec)?;
        Ok(spec)
    }
}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.values.len()))?;
        map.serialize_entry("kind", &self.kind)?;
        for (key, value) in &self.values {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Values::deserialize(deserializer)?;
        match values.remove("kind") {
            Some(Value::String(kind)) => Ok(Self { kind, values }),
            _ => Err(D::Error::missing_field("kind")),
        }
    }
}
