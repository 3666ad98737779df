//! The settings of a project: what can be set, within what, and changing some of it.
//!
//! Never here: where they are kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::STRATEGIES;
use crate::backbone;
use crate::data::folder::Colour;
use crate::error::{Error, Result, unknown, within};

/// Every setting. What a JSON object does not name has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the page is headed with; the folder's name where none was given.
    pub name: String,
    /// The folder of images, relative to the project's where possible. Changed by
    /// [`super::Project::set_images`] only.
    pub images: String,
    /// The strategy that chooses what to ask, one of [`STRATEGIES`](crate::STRATEGIES).
    pub strategy: String,
    /// Images chosen after each training.
    pub budget: usize,
    /// Labels before the first training.
    pub first: usize,
    /// New labels between two trainings.
    pub retrain_every: usize,
    /// The pretrained network whose features the classifier is trained on: `auto`, a name, an ONNX
    /// file; or `none`, and a network is trained from scratch.
    pub backbone: String,
    /// Whether the classifier on features is to take all classes for equally frequent, so that rare
    /// ones are found more often and frequent ones less: logit adjustment (Menon et al. 2021).
    pub balanced: bool,
    /// Height and width of what the network sees, in pixels; 0 for what suits it.
    pub size: usize,
    /// One channel or three.
    pub colour: Colour,
    /// Images that a training looks at, each as often as it takes: more of them take longer and
    /// teach more.
    pub passes: usize,
    /// The share of images that are drawn for the holdout when they are imported.
    pub holdout: f64,
    /// Labelled images of the holdout after which no more of them are asked. Up to twice as many
    /// are, as long as a class that has labels has fewer than five there.
    pub holdout_target: usize,
    /// Every how many questions one is of the holdout.
    pub holdout_every: usize,
    /// Persons who are to say what an image is.
    pub answers_wanted: usize,
    /// Seed of all that is drawn at random.
    pub seed: u64,
    /// Whether the page shows no suggestions, so as not to bias.
    pub hide_suggestions: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            images: String::new(),
            strategy: "vabal".into(),
            budget: 100,
            first: 10,
            retrain_every: 10,
            backbone: backbone::AUTO.into(),
            balanced: false,
            size: 0,
            colour: Colour::Auto,
            passes: 10_000,
            holdout: 0.2,
            holdout_target: 200,
            holdout_every: 5,
            answers_wanted: 1,
            seed: 1,
            hide_suggestions: false,
        }
    }
}

/// A setting that was changed after the project was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Its key.
    pub key: String,
    /// What it was.
    pub from: Value,
    /// What it is from then on.
    pub to: Value,
}

/// What is drawn when an image comes in, for life: another share or seed would draw a part of the
/// images in another way.
const FIXED: [&str; 2] = ["holdout", "seed"];

/// The largest whole number that JavaScript reads exactly.
const MOST_SEED: u64 = (1 << 53) - 1;

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    /// The first that is out of its range, by its key; a strategy that there is not, with the
    /// nearest.
    pub fn check(&self) -> Result<()> {
        if self.name.chars().count() > 200 || self.name.chars().any(char::is_control) {
            return Err(Error::input("the name is too long, or has characters that cannot be shown")
                .at("name")
                .expected("at most 200 characters, on one line")
                .into());
        }
        STRATEGIES.find(&self.strategy).map_err(|error| error.at("strategy"))?;
        within("budget", self.budget, 1..=100_000)?;
        within("first", self.first, 2..=100_000)?;
        within("retrain_every", self.retrain_every, 1..=1_000_000)?;
        if self.size > 0 {
            within("size", self.size, 8..=1024)?;
        }
        if self.backbone.is_empty() {
            return Err(Error::input("the backbone has no name")
                .at("backbone")
                .expected("auto, none, a name, or an ONNX file")
                .into());
        }
        within("passes", self.passes, 1..=100_000_000)?;
        within("holdout", self.holdout, 0.0..=0.9)?;
        within("holdout_target", self.holdout_target, 0..=1_000_000)?;
        within("holdout_every", self.holdout_every, 2..=1_000)?;
        within("answers_wanted", self.answers_wanted, 1..=100)?;
        within("seed", self.seed, 0..=MOST_SEED)
    }

    /// These settings with the keys of a JSON object changed.
    ///
    /// # Errors
    /// Anything but an object, a key that there is not (with the nearest), a value of another type
    /// or out of its range, `images` (see [`super::Project::set_images`]).
    pub fn changed(&self, change: &Value) -> Result<Self> {
        let Value::Object(change) = change else {
            return Err(Error::input("settings are not an object").expected("{\"key\": value, …}").into());
        };
        let whole = serde_json::to_value(self)
            .map_err(|error| Error::input("the settings cannot be written as JSON").got(error))?;
        let Value::Object(mut whole) = whole else { return Ok(self.clone()) };
        let known: Vec<String> = whole.keys().cloned().collect();
        for (key, value) in change {
            if !known.contains(key) {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                return Err(unknown("setting", key, &names, "every setting is listed above").into());
            }
            if key == "images" && *value != whole["images"] {
                return Err(Error::input("the folder of images is not set here")
                    .at("images")
                    .hint("give it to `vabal init`; if it was moved, `vabal scan PROJECT --images DIR`")
                    .into());
            }
            let mut one = serde_json::Map::new();
            one.insert(key.clone(), value.clone());
            // Each on its own, so that what is wrong is named.
            if let Err(error) = serde_json::from_value::<Self>(Value::Object(one)) {
                let text = error.to_string();
                let expected = match text.rsplit_once("expected ").map_or(text.as_str(), |(_, what)| what) {
                    "usize" | "u64" => "a whole number",
                    "f64" => "a number",
                    "a boolean" => "true or false",
                    "a string" => "a text",
                    other => other,
                };
                return Err(Error::input("a setting has the wrong type")
                    .at(key)
                    .expected(expected)
                    .got(value)
                    .into());
            }
            whole.insert(key.clone(), value.clone());
        }
        let changed: Self = serde_json::from_value(Value::Object(whole))
            .map_err(|error| Error::input("these settings cannot be read").got(error))?;
        changed.check()?;
        Ok(changed)
    }

    /// What of `self` is otherwise in `new`, as changes at this moment.
    ///
    /// # Errors
    /// Settings that cannot be written as JSON.
    pub(super) fn differences(&self, new: &Self, at: i64) -> Result<Vec<Change>> {
        let object = |settings: &Self| match serde_json::to_value(settings) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(other) => Err(Error::input("the settings are not an object").got(other)),
            Err(error) => Err(Error::input("the settings cannot be written as JSON").got(error)),
        };
        let (old, new) = (object(self)?, object(new)?);
        let changed = new.into_iter().filter(|(key, to)| old.get(key) != Some(to));
        Ok(changed
            .map(|(key, to)| Change { at, from: old.get(&key).cloned().unwrap_or_default(), key, to })
            .collect())
    }
}

/// Refuses changes that images which are there forbid.
///
/// # Errors
/// A share or seed of the holdout, once it was drawn.
pub(super) fn permit(changes: &[Change], images: usize) -> Result<()> {
    match changes.iter().find(|change| images > 0 && FIXED.contains(&change.key.as_str())) {
        None => Ok(()),
        Some(Change { key, from, to, .. }) => Err(Error::input("this setting is fixed once there are images")
            .at(key)
            .expected(from)
            .got(to)
            .hint(
                "the holdout was drawn with it. To draw anew: `vabal export --format jsonl --full`, `vabal init` of another \
                 project with this setting, then `vabal import` there",
            )
            .into()),
    }
}
