//! Preset, then file, then `--set`: laid over one another, key by key, and every key checked.
//!
//! The values of the preset, as a table, are the template: a key that it does not have is unknown. Never
//! here: what a value may be, which is for [`Config::check`] and [`Spec::check`].

use std::path::Path;

use toml::{Table, Value};

use super::{Config, Preset};
use crate::error::{Error, Result, nearest};
use crate::query::{KINDS, NAMES, Spec, vabal};

/// One source of values, and what it is called in an error.
struct Layer {
    origin: String,
    values: Table,
}

impl Config {
    /// Reads a file and lays `sets`, each `key=value`, over it; checked.
    ///
    /// # Errors
    /// A file that cannot be read, that is not TOML, a key that is not known, a value of the wrong type or
    /// out of range.
    pub fn read(path: &Path, sets: &[String]) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let name = path.file_stem().map_or_else(String::new, |stem| as_name(&stem.to_string_lossy()));
        Self::parse(&text, &path.display().to_string(), &name, sets)
    }

    /// The same for a text. `origin` names it in errors; `name` is the experiment's where the text has none.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str, origin: &str, name: &str, sets: &[String]) -> Result<Self> {
        Self::resolve(text, origin, name, sets).map_err(|error| error.or_hint(super::HINT))
    }

    fn resolve(text: &str, origin: &str, name: &str, sets: &[String]) -> Result<Self> {
        let file: Table = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::input("the configuration is not TOML")
                .at(line.map_or_else(|| origin.to_string(), |line| format!("{origin}, line {line}")))
                .expected("key = value, and [tables]")
                .got(error.message().replace('\n', ", "))
        })?;
        let mut layers = vec![Layer { origin: origin.to_string(), values: file }];
        for set in sets {
            layers.push(Layer { origin: format!("--set {set}"), values: parse_set(set)? });
        }

        let mut config = Self::preset(preset(&layers)?);
        if !name.is_empty() {
            config.name = name.to_string();
        }
        add_variants(&mut config, &layers)?;
        let mut root = table_of(&config)?;
        for layer in &layers {
            let read = |root: &Table| root.clone().try_into::<Self>().map(drop);
            lay(&mut root, &layer.values, &mut Vec::new(), &layer.origin, &read)?;
        }
        let config: Self = root.try_into().map_err(|error: toml::de::Error| {
            Error::input("the configuration cannot be used").got(error.message())
        })?;
        config.check()?;
        Ok(config)
    }

    /// The first key, in alphabetical order, whose value in `stored` (a resolved configuration as TOML)
    /// is not this one's: (key, stored value, this value), absent ones as "nothing".
    ///
    /// # Errors
    /// `stored` is not TOML.
    pub fn first_difference(&self, stored: &str) -> Result<Option<(String, String, String)>> {
        let stored: Table = toml::from_str(stored)
            .map_err(|error| Error::input("a stored configuration is not TOML").got(error.message()))?;
        Ok(difference(&Value::Table(stored), &Value::Table(table_of(self)?), ""))
    }
}

/// The built-in strategy called `name` with `sets`, each `key=value`, laid over its default settings; checked. Of
/// VaB-AL, `preset` is the first to be laid.
///
/// # Errors
/// An unknown name, a key that it does not have, a value of the wrong type or out of range.
pub fn strategy(name: &str, sets: &[String]) -> Result<Spec> {
    resolved(name, sets)
        .map_err(|error| error.or_hint("docs/strategies.md lists the settings of every strategy"))
}

fn resolved(name: &str, sets: &[String]) -> Result<Spec> {
    let mut layers = Vec::new();
    for set in sets {
        layers.push(Layer { origin: format!("--set {set}"), values: parse_set(set)? });
    }
    let mut spec = Spec::named(name).ok_or_else(|| {
        Error::from(crate::error::unknown("strategy", name, &NAMES, "see docs/strategies.md"))
    })?;
    if let (Some((value, origin)), Spec::Vabal(_)) = (last(&layers, &["preset"]), &spec) {
        let preset: Result<vabal::Preset, toml::de::Error> = value.clone().try_into();
        spec = preset.map_err(|error| refused("preset", value, error.message(), origin))?.into();
    }
    let unreadable = |error: &dyn std::fmt::Display| Error::input("the strategy cannot be used").got(error);
    let mut root = Table::try_from(&spec).map_err(|error| unreadable(&error))?;
    // What it is has a name already, and is no setting.
    root.remove("kind");
    let read = |root: &Table| {
        let mut whole = root.clone();
        whole.insert("kind".into(), spec.kind().into());
        whole.try_into::<Spec>()
    };
    for layer in &layers {
        lay(&mut root, &layer.values, &mut Vec::new(), &layer.origin, &|root| read(root).map(drop))?;
    }
    let spec = read(&root).map_err(|error| unreadable(&error.message()))?;
    spec.check()?;
    Ok(spec)
}

/// A file may be called anything; what a name may not hold becomes a dash.
fn as_name(stem: &str) -> String {
    stem.chars().map(|c| if super::in_a_name(c) { c } else { '-' }).collect()
}

fn table_of(config: &Config) -> Result<Table> {
    Table::try_from(config)
        .map_err(|error| Error::input("the configuration cannot be written as TOML").got(error).into())
}

/// `rounds.budget=250` as a table. The value is TOML; bare words, alone or in a list, are texts.
fn parse_set(set: &str) -> Result<Table> {
    let wrong = || {
        Error::input("--set is not understood")
            .at(format!("--set {set}"))
            .expected("key=value, such as rounds.budget=250")
            .got(format!("\"{set}\""))
    };
    let (key, text) = set.split_once('=').ok_or_else(wrong)?;
    let keys: Vec<&str> = key.trim().split('.').map(str::trim).collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(wrong().into());
    }
    let mut value = parse_value(text.trim());
    for key in keys.into_iter().rev() {
        value = Value::Table(Table::from_iter([(key.to_string(), value)]));
    }
    match value {
        Value::Table(table) => Ok(table),
        _ => Err(wrong().into()),
    }
}

fn parse_value(text: &str) -> Value {
    let toml = |text: &str| toml::from_str::<Table>(&format!("v = {text}")).ok()?.remove("v");
    if let Some(value) = toml(text) {
        return value;
    }
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(items) => Value::Array(items.split(',').map(|item| parse_value(item.trim())).collect()),
        None => Value::String(text.to_string()),
    }
}

/// The last value of a key in the layers, and where it is from.
fn last<'a>(layers: &'a [Layer], path: &[&str]) -> Option<(&'a Value, &'a str)> {
    layers.iter().rev().find_map(|layer| {
        let (key, tables) = path.split_last()?;
        let table = tables.iter().try_fold(&layer.values, |table, key| table.get(*key)?.as_table())?;
        Some((table.get(*key)?, layer.origin.as_str()))
    })
}

fn preset(layers: &[Layer]) -> Result<Preset> {
    match last(layers, &["preset"]) {
        None => Ok(Preset::Paper),
        Some((value, origin)) => value
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| refused("preset", value, error.message(), origin)),
    }
}

/// Gives the template a table for every strategy that has settings: those used by name, and those defined.
fn add_variants(config: &mut Config, layers: &[Layer]) -> Result<()> {
    let mut names: Vec<String> = match last(layers, &["strategies"]) {
        Some((Value::Array(list), _)) => {
            list.iter().filter_map(|name| Some(name.as_str()?.to_string())).collect()
        }
        _ => config.strategies.clone(),
    };
    names.retain(|name| Spec::named(name).is_some_and(|spec| spec.has_settings()));
    for layer in layers {
        if let Some(Value::Table(tables)) = layer.values.get("strategy") {
            names.extend(tables.keys().cloned());
        }
    }
    for name in names {
        let spec = template(&name, layers)?;
        config.strategy.insert(name, spec);
    }
    Ok(())
}

/// The table `[strategy.NAME]` before its keys are laid over it: its `kind`, and of VaB-AL the `preset`.
fn template(name: &str, layers: &[Layer]) -> Result<Spec> {
    let at = |key: &str| format!("strategy.{name}.{key}");
    let kind = last(layers, &["strategy", name, "kind"]);
    super::check_table(name, kind.and_then(|(kind, _)| kind.as_str()))?;
    let spec = match (kind, Spec::named(name)) {
        (_, Some(built_in)) => built_in,
        (Some((Value::String(kind), origin)), None) => Spec::of_kind(kind).ok_or_else(|| {
            Error::from(
                crate::error::unknown("kind of strategy", kind, &KINDS, "see docs/strategies.md")
                    .at(place(&at("kind"), origin)),
            )
        })?,
        (Some((value, origin)), None) => {
            return Err(wrong_type(&at("kind"), &Value::String("vabal".into()), value, origin));
        }
        (None, None) => {
            return Err(Error::input("a strategy does not say what it is a variant of")
                .at(at("kind"))
                .expected(format!("kind = \"vabal\", or one of {}", KINDS.join(", ")))
                .got("nothing")
                .into());
        }
    };
    match (last(layers, &["strategy", name, "preset"]), spec) {
        (Some((value, origin)), Spec::Vabal(_)) => {
            let preset: Result<vabal::Preset, toml::de::Error> = value.clone().try_into();
            Ok(preset.map_err(|error| refused(&at("preset"), value, error.message(), origin))?.into())
        }
        (_, spec) => Ok(spec),
    }
}

/// Lays `values` over the part of `root` at `path`. After every value the whole is `read` once, so that a
/// refused value is named by its own key.
fn lay(
    root: &mut Table,
    values: &Table,
    path: &mut Vec<String>,
    origin: &str,
    read: &dyn Fn(&Table) -> Result<(), toml::de::Error>,
) -> Result<()> {
    for (key, value) in values {
        path.push(key.clone());
        let full = path.join(".");
        let known: Vec<String> = part(root, &path[..path.len() - 1])
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default();
        let slot = part(root, &path[..path.len() - 1]).and_then(|table| table.get_mut(key));
        let slot = slot.ok_or_else(|| unknown(&full, key, &known, origin))?;
        match (&mut *slot, value) {
            (Value::Table(_), Value::Table(inner)) => lay(root, inner, path, origin, read)?,
            (old, new) => {
                *old = converted(old, new).ok_or_else(|| wrong_type(&full, old, new, origin))?;
                read(root).map_err(|error| refused(&full, value, error.message(), origin))?;
            }
        }
        path.pop();
    }
    Ok(())
}

fn part<'a>(root: &'a mut Table, path: &[String]) -> Option<&'a mut Table> {
    path.iter().try_fold(root, |table, key| table.get_mut(key)?.as_table_mut())
}

/// `new` where it has the type of `old`; a whole number is also a number.
fn converted(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Float(_), Value::Integer(whole)) => Some(Value::Float(*whole as f64)),
        _ if old.same_type(new) => Some(new.clone()),
        _ => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

fn place(key: &str, origin: &str) -> String {
    format!("{key}, in {origin}")
}

fn unknown(full: &str, key: &str, known: &[String], origin: &str) -> Error {
    let complaint = Error::input("unknown setting")
        .at(place(full, origin))
        .expected(if known.is_empty() { "no key here".to_string() } else { known.join(", ") })
        .got(format!("\"{key}\""));
    match nearest(key, known.iter().map(String::as_str)) {
        Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
        None => complaint,
    }
    .into()
}

fn wrong_type(full: &str, old: &Value, new: &Value, origin: &str) -> Error {
    Error::input("a setting has the wrong type")
        .at(place(full, origin))
        .expected(format!("{}, such as {old}", type_name(old)))
        .got(format!("{new}, {}", type_name(new)))
        .into()
}

/// A value of the right type that serde refuses: `message` is serde's.
fn refused(full: &str, value: &Value, message: &str, origin: &str) -> Error {
    let expected = message.rsplit_once("expected ").map_or(message, |(_, expected)| expected);
    let expected = expected.strip_prefix("one of ").unwrap_or(expected).replace('`', "");
    let expected = match expected.as_str() {
        "usize" | "u64" | "u32" => "a whole number, 0 or more".to_string(),
        _ => expected,
    };
    let complaint = Error::input("a setting has a wrong value").at(place(full, origin)).got(value);
    let names = expected.split(", ").flat_map(|part| part.split(" or "));
    match value.as_str().and_then(|text| nearest(text, names)) {
        Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
        None => complaint,
    }
    .expected(expected)
    .into()
}

fn difference(stored: &Value, ours: &Value, path: &str) -> Option<(String, String, String)> {
    if let (Value::Table(stored), Value::Table(ours)) = (stored, ours) {
        let mut keys: Vec<&String> = stored.keys().chain(ours.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        return keys.into_iter().find_map(|key| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match (stored.get(key), ours.get(key)) {
                (Some(stored), Some(ours)) => difference(stored, ours, &path),
                (stored, ours) => {
                    let text = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
                    Some((path, text(stored), text(ours)))
                }
            }
        });
    }
    (stored != ours).then(|| (path.to_string(), stored.to_string(), ours.to_string()))
}
