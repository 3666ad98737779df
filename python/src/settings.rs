//! Keywords of a call, laid over the default settings of a strategy.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use serde_json::{Map, Value};
use vabal::Error;
use vabal::error::nearest;
use vabal::query::{NAMES, Needs, Spec, by_name, vabal::Preset};

use crate::complain::raise;

/// The strategy called `name`, with `settings`, an object in JSON, laid over its own.
///
/// A key that it does not have is a `TypeError`, as of any keyword in Python; a value that it cannot take a `ValueError`.
pub fn spec(name: &str, settings: &str) -> PyResult<Spec> {
    let mut settings: Map<String, Value> =
        serde_json::from_str(settings).map_err(|error| PyValueError::new_err(error.to_string()))?;
    // Of an unknown name the library's complaint.
    let mut spec = match Spec::named(name) {
        Some(spec) => spec,
        None => {
            return Err(by_name(name).err().map_or_else(|| PyValueError::new_err("unknown strategy"), raise));
        }
    };
    if let (Spec::Vabal(_), Some(preset)) = (&spec, settings.get("preset").cloned()) {
        settings.remove("preset");
        let read: Result<Preset, _> = serde_json::from_value(preset.clone());
        spec = read.map_err(|error| refused("preset", &Value::from("default"), &preset, &error))?.into();
    }
    let mut table = table(&spec)?;
    for (key, value) in settings {
        let Some(old) = table.get(&key).cloned() else { return Err(unknown(name, &key, &table)) };
        table.insert(key.clone(), value.clone());
        // After every value the whole is read once, so that a refused value is named by its own key.
        let whole: Result<Spec, _> = with_kind(&table, &spec);
        whole.map_err(|error| refused(&key, &old, &value, &error))?;
    }
    let spec = with_kind(&table, &spec).map_err(|error| PyValueError::new_err(error.to_string()))?;
    spec.check().map_err(raise)?;
    Ok(spec)
}

/// Every setting of `spec`.
fn table(spec: &Spec) -> PyResult<Map<String, Value>> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(mut table)) => {
            table.remove("kind");
            table.remove("preset");
            Ok(table)
        }
        other => Err(PyValueError::new_err(format!("settings that are no table: {other:?}"))),
    }
}

fn with_kind(table: &Map<String, Value>, like: &Spec) -> Result<Spec, serde_json::Error> {
    let mut table = table.clone();
    table.insert("kind".into(), like.kind().into());
    if let Spec::Vabal(of) = like {
        table.insert("preset".into(), serde_json::to_value(of.preset)?);
    }
    serde_json::from_value(Value::Object(table))
}

fn unknown(strategy: &str, key: &str, table: &Map<String, Value>) -> PyErr {
    let known: Vec<&str> = table.keys().map(String::as_str).collect();
    let complaint = Error::input(format!("{strategy} has no setting of this name")).got(format!("{key}="));
    let complaint = match known.is_empty() {
        true => complaint.expected("none: it has nothing to set"),
        false => complaint.expected(known.join(", ")),
    };
    let complaint = match nearest(key, known) {
        Some(near) => complaint.hint(format!("did you mean {near}=?")),
        None => {
            complaint.hint("vabal.strategies() lists the settings of each, help(vabal.select) the arrays")
        }
    };
    PyTypeError::new_err(complaint.to_string())
}

fn refused(key: &str, old: &Value, value: &Value, error: &serde_json::Error) -> PyErr {
    let expected = match old {
        Value::Bool(_) => "true or false, such as ",
        Value::Number(number) if number.is_f64() => "a number, such as ",
        Value::Number(_) => "a whole number, such as ",
        Value::String(_) => "a text, such as ",
        _ => "a value such as ",
    };
    let complaint = Error::input("a setting has a value that it cannot take").at(key);
    let complaint = complaint.expected(format!("{expected}{old}")).got(value).hint(error);
    PyValueError::new_err(complaint.to_string())
}

/// Name, arrays needed of the unlabelled and of the labelled rows, whether it puts a batch together, and the settings with
/// their defaults as JSON.
type Described = (&'static str, Vec<&'static str>, Vec<&'static str>, bool, String);

/// Every strategy.
#[pyfunction]
pub fn strategies() -> PyResult<Vec<Described>> {
    NAMES
        .iter()
        .filter_map(|&name| Some((name, Spec::named(name)?)))
        .map(|(name, spec)| {
            let built = spec.build().map_err(raise)?;
            let settings = Value::Object(table(&spec)?).to_string();
            Ok((
                name,
                keywords(built.needs()),
                keywords(built.needs_of_labelled()),
                built.is_batch(),
                settings,
            ))
        })
        .collect()
}

/// The keywords by which the arrays that are needed are given. Class probabilities say the predicted label too.
pub fn keywords(needs: Needs) -> Vec<&'static str> {
    let named = [
        (needs.embedding || needs.stages, "features"),
        (needs.probabilities, "probs"),
        (needs.predicted && !needs.probabilities, "predicted"),
        (needs.monte_carlo.is_some(), "mc_probs"),
        (needs.committee > 0, "committee_probs"),
        (needs.images, "images"),
    ];
    named.into_iter().filter(|&(needed, _)| needed).map(|(_, name)| name).collect()
}
