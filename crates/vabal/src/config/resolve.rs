//! Preset, then file, then `--set`: laid over one another, key by key, and every key checked.
//!
//! The values of the preset, as a table, are the template: a key that it does not have is unknown.
//! Never here: what a value may be, which is for [`Config::check`] and
//! [`Table::build`](crate::query::Table::build).

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use super::{Classifier, Config, Frozen, Preset};
use crate::STRATEGIES;
use crate::error::{Complaint, Error, Result, nearest};
use crate::query::strategies::settings::refused;
use crate::query::{Spec, head};

/// One source of values, and what it is called in an error.
struct Layer {
    origin: String,
    values: Table,
}

impl Config {
    /// Reads a file and lays `sets`, each `key=value`, over it; checked.
    ///
    /// # Errors
    /// A file that cannot be read, that is not TOML, a key that is not known, a value of the wrong
    /// type or out of range.
    pub fn read(path: &Path, sets: &[String]) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let name = path.file_stem().map_or_else(String::new, |stem| as_name(&stem.to_string_lossy()));
        Self::parse(&text, &path.display().to_string(), &name, sets)
    }

    /// The same for a text. `origin` names it in errors; `name` is the experiment's where the text
    /// has none.
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
        config.classifier = classifier(config.classifier, &layers)?;
        config.strategy = variants(&config, &layers)?;
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

    /// The first key, in alphabetical order, whose value in `stored` (a resolved configuration as
    /// TOML) is not this one's: (key, stored value, this value), absent ones as "nothing". Seeds,
    /// strategies, and settings of strategies that only one of the two has are no difference.
    ///
    /// # Errors
    /// `stored` is not TOML.
    pub fn first_difference(&self, stored: &str) -> Result<Option<(String, String, String)>> {
        let (mut stored, mut ours) = (stored_table(stored)?, table_of(self)?);
        for key in RUNS {
            stored.remove(key);
            ours.remove(key);
        }
        let (mut before, mut now) = (settings(&mut stored), settings(&mut ours));
        before.retain(|name, _| now.contains_key(name));
        now.retain(|name, _| before.contains_key(name));
        stored.insert(STRATEGY.into(), Value::Table(before));
        ours.insert(STRATEGY.into(), Value::Table(now));
        Ok(difference(&Value::Table(stored), &Value::Table(ours), ""))
    }

    /// This configuration with the seeds and strategies of `stored`, a resolved one as TOML, after its
    /// own.
    ///
    /// # Errors
    /// `stored` is not a configuration.
    pub fn with_runs_of(&self, stored: &str) -> Result<Self> {
        let (mut stored, mut all) = (stored_table(stored)?, table_of(self)?);
        for key in RUNS {
            if let (Some(Value::Array(stored)), Some(Value::Array(all))) = (stored.get(key), all.get_mut(key))
            {
                let more: Vec<Value> = stored.iter().filter(|value| !all.contains(value)).cloned().collect();
                all.extend(more);
            }
        }
        let mut of_strategies = settings(&mut stored);
        of_strategies.extend(settings(&mut all));
        all.insert(STRATEGY.into(), Value::Table(of_strategies));
        all.try_into().map_err(|error: toml::de::Error| {
            Error::input("a stored configuration cannot be used")
                .got(error.message())
                .hint("choose another folder with --out")
                .into()
        })
    }
}

/// The keys whose values are the runs of a configuration.
const RUNS: [&str; 2] = ["seeds", "strategies"];
/// The key of the settings of strategies.
const STRATEGY: &str = "strategy";

/// Takes the settings of the strategies out of a configuration.
fn settings(config: &mut Table) -> Table {
    match config.remove(STRATEGY) {
        Some(Value::Table(settings)) => settings,
        _ => Table::new(),
    }
}

/// A resolved configuration that was stored, also one of before there were classifiers of two kinds,
/// when none said which.
fn stored_table(stored: &str) -> Result<Table> {
    let mut stored: Table = toml::from_str(stored)
        .map_err(|error| Error::input("a stored configuration is not TOML").got(error.message()))?;
    if let Some(Value::Table(classifier)) = stored.get_mut("classifier") {
        classifier.entry("kind").or_insert_with(|| Value::String("network".into()));
    }
    Ok(stored)
}

/// The built-in strategy called `name` with `sets`, each `key=value`, laid over its default
/// settings; checked. Of VaB-AL, `preset` is the first to be laid.
///
/// # Errors
/// An unknown name, a key that it does not have, a value of the wrong type or out of range.
pub fn strategy(name: &str, sets: &[String]) -> Result<Spec> {
    resolved(name, sets)
        .map_err(|error| error.or_hint("docs/strategies.md lists the settings of every strategy"))
}

fn resolved(name: &str, sets: &[String]) -> Result<Spec> {
    let mut settings = Vec::new();
    for set in sets {
        for (key, value) in parse_set(set)? {
            let value = to_json(&value).map_err(|error| error.at(place(&key, &format!("--set {set}"))))?;
            settings.push((key, value));
        }
    }
    let origin = |key: &str| {
        let set = sets.iter().rev().find(|set| set.split(['=', '.']).next().is_some_and(|k| k.trim() == key));
        place(key, &format!("--set {}", set.map_or(key, |set| set)))
    };
    STRATEGIES.configure(name, &settings, &origin)
}

/// A value as the settings of strategies have it.
fn to_json(value: &Value) -> Result<serde_json::Value, Complaint> {
    let wrong = |expected: &str| Error::input("a setting has a wrong value").expected(expected).got(value);
    match value {
        Value::Float(number) if !number.is_finite() => Err(wrong("a finite number")),
        _ => serde_json::to_value(value).map_err(|error| wrong("a value").hint(error)),
    }
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
        Some((value, origin)) => value.clone().try_into().map_err(|error: toml::de::Error| {
            refused(value, error.message()).at(place("preset", origin)).into()
        }),
    }
}

/// The classifier that the layers name, with its default settings; that of `preset`, unless the
/// data are features.
fn classifier(preset: Classifier, layers: &[Layer]) -> Result<Classifier> {
    let linear = || Classifier::Linear(head::Settings::default());
    let kind = last(layers, &["classifier", "kind"]);
    let Some((kind, origin)) = kind else {
        let features =
            last(layers, &["data", "kind"]).and_then(|(kind, _)| kind.as_str()) == Some("features");
        return Ok(if features { linear() } else { preset });
    };
    match kind.as_str() {
        Some("network") => Ok(preset),
        Some("linear") => Ok(linear()),
        Some("frozen") => Ok(Classifier::Frozen(Frozen::default())),
        Some(_) => Err(Error::input("a setting has a wrong value")
            .at(place("classifier.kind", origin))
            .expected("\"network\", \"linear\" or \"frozen\"")
            .got(kind)
            .into()),
        None => Err(wrong_type("classifier.kind", &Value::String("network".into()), kind, origin)),
    }
}

/// The tables `[strategy.NAME]`: of every strategy with settings that is used by name, and of those
/// defined.
fn variants(config: &Config, layers: &[Layer]) -> Result<BTreeMap<String, Spec>> {
    let mut names: Vec<String> = match last(layers, &["strategies"]) {
        Some((Value::Array(list), _)) => {
            list.iter().filter_map(|name| Some(name.as_str()?.to_string())).collect()
        }
        _ => config.strategies.clone(),
    };
    names.retain(|name| STRATEGIES.named(name).is_some_and(|spec| spec.has_settings()));
    for layer in layers {
        if let Some(Value::Table(tables)) = layer.values.get("strategy") {
            names.extend(tables.keys().cloned());
        }
    }
    names.into_iter().map(|name| Ok((name.clone(), variant(&name, layers)?))).collect()
}

/// The table `[strategy.NAME]`: its `kind`, then its `preset` where it has some, then every key.
fn variant(name: &str, layers: &[Layer]) -> Result<Spec> {
    let at = |key: &str| format!("strategy.{name}.{key}");
    let mut spec = template(name, layers)?;
    if let Some((preset, origin)) = last(layers, &["strategy", name, "preset"]) {
        let preset = to_json(preset).and_then(|preset| STRATEGIES.preset(spec, &preset));
        spec = preset.map_err(|error| error.at(place(&at("preset"), origin)))?;
    }
    for layer in layers {
        let Some(table) = layer.values.get("strategy").and_then(|tables| tables.get(name)) else { continue };
        let Value::Table(table) = table else {
            return Err(wrong_type(
                &format!("strategy.{name}"),
                &Value::Table(Table::new()),
                table,
                &layer.origin,
            ));
        };
        for (key, value) in table.iter().filter(|(key, _)| *key != "kind") {
            let set = to_json(value).and_then(|value| spec.set(STRATEGIES, key, &value));
            set.map_err(|error| error.at(place(&at(key), &layer.origin)))?;
        }
    }
    Ok(spec)
}

/// The table `[strategy.NAME]` before its keys are laid over it.
fn template(name: &str, layers: &[Layer]) -> Result<Spec> {
    let at = format!("strategy.{name}.kind");
    let kind = last(layers, &["strategy", name, "kind"]);
    super::check_table(name, kind.and_then(|(kind, _)| kind.as_str()))?;
    match (kind, STRATEGIES.named(name)) {
        (_, Some(built_in)) => Ok(built_in),
        (Some((Value::String(kind), origin)), None) => {
            Ok(STRATEGIES.of_kind(kind).map_err(|error| error.at(place(&at, origin)))?)
        }
        (Some((value, origin)), None) => Err(wrong_type(&at, &Value::String("vabal".into()), value, origin)),
        (None, None) => Err(Error::input("a strategy does not say what it is a variant of")
            .at(at)
            .expected(format!("kind = \"vabal\", or one of {}", STRATEGIES.kinds().join(", ")))
            .got("nothing")
            .into()),
    }
}

/// Lays `values` over the part of `root` at `path`. After every value the whole is `read` once, so
/// that a refused value is named by its own key.
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
            // Laid by `variants`.
            (Value::Table(_), Value::Table(_)) if full == "strategy" => {}
            (Value::Table(_), Value::Table(inner)) => lay(root, inner, path, origin, read)?,
            (old, new) => {
                *old = converted(old, new).ok_or_else(|| wrong_type(&full, old, new, origin))?;
                read(root).map_err(|error| refused(value, error.message()).at(place(&full, origin)))?;
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
