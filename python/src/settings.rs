//! Keywords of a call, laid over the default settings of a strategy.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use serde_json::{Map, Value};
use vabal_query::{Error, Needs, STRATEGIES, Spec};

use crate::complain::raise;

/// The strategy called `name`, with `settings`, an object in JSON, laid over its own.
///
/// A key that it does not have is a `TypeError`, as of any keyword in Python; a value that it
/// cannot take a `ValueError`.
pub fn spec(name: &str, settings: &str) -> PyResult<Spec> {
    let settings: Map<String, Value> =
        serde_json::from_str(settings).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let settings: Vec<(String, Value)> = settings.into_iter().collect();
    let spec = STRATEGIES.find(name).map_err(|error| raise(error.into()))?;
    if let Some((key, value)) = settings.iter().find(|(key, _)| !spec.values().contains_key(key)) {
        let complaint = spec.clone().set(STRATEGIES, key, value).err();
        let complaint = complaint.unwrap_or_else(|| Error::input("unknown setting"));
        let error = Error::from(complaint.at(format!("{key}=, of {name}")));
        let hint = "vabal.strategies() lists the settings of each, help(vabal.select) the arrays";
        return Err(PyTypeError::new_err(error.or_hint(hint).to_string()));
    }
    STRATEGIES.configure(name, &settings, &|key| format!("{key}=")).map_err(raise)
}

/// Name, arrays needed of the unlabelled and of the labelled rows, whether it puts a batch
/// together, and the settings with their defaults as JSON.
type Described = (&'static str, Vec<&'static str>, Vec<&'static str>, bool, String);

/// Every strategy.
#[pyfunction]
pub fn strategies() -> PyResult<Vec<Described>> {
    let described = |name| {
        let spec = STRATEGIES.find(name).map_err(Error::from)?;
        let built = STRATEGIES.build(&spec)?;
        let mut settings = spec.values().clone();
        settings.remove("preset");
        let settings = Value::Object(settings).to_string();
        let (needs, of_labelled) = (keywords(built.needs()), keywords(built.needs_of_labelled()));
        Ok((name, needs, of_labelled, built.is_batch(), settings))
    };
    STRATEGIES.names().into_iter().map(described).collect::<Result<_, Error>>().map_err(raise)
}

/// The keywords by which the arrays that are needed are given. Class probabilities say the
/// predicted label too.
pub fn keywords(needs: Needs) -> Vec<&'static str> {
    let named = [
        (needs.embedding || needs.stages, "features"),
        (needs.probabilities || needs.prediction, "probs"),
        (needs.predicted && !needs.probabilities, "predicted"),
        (needs.monte_carlo.is_some(), "mc_probs"),
        (needs.committee > 0, "committee_probs"),
    ];
    named.into_iter().filter(|&(needed, _)| needed).map(|(_, name)| name).collect()
}
