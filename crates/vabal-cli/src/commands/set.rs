//! `vabal set`: the settings of a project, shown and changed.
//!
//! Never here: what can be set, within what; that is [`vabal::project::Settings`].

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use vabal::project::learn::NONE;
use vabal::project::{Change, Project};
use vabal::{Error, Result};

use crate::output::{say, several};

/// Show the settings of a project, or change some
///
/// Without KEY=VALUE it shows all of them. A change is kept with its date and stands in the data
/// sheet of an export. `vabal label` takes it over while it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal set steel\n  vabal set steel strategy=margin\n  \
    vabal set steel size=96 passes=20000")]
pub struct Set {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// What to change
    #[arg(value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// Print errors only
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print all settings as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Every setting, what it says, and whether it is the next training that it is for.
const ALL: [(&str, &str, bool); 17] = [
    ("name", "what the page is headed with", false),
    ("images", "the folder of images; `vabal scan PROJECT --images DIR` says where it is now", false),
    ("strategy", "what chooses: any name of docs/strategies.md", true),
    ("first", "labels before the first training", false),
    ("retrain_every", "new labels between trainings", false),
    ("budget", "images chosen at a time", true),
    (
        "backbone",
        "pretrained network whose features are learnt from: auto, an ONNX file; none trains from scratch",
        true,
    ),
    (
        "balanced",
        "whether the model takes all classes for equally frequent: rare ones are found more often",
        true,
    ),
    ("size", "pixels, high and wide, of what the network sees; 0 for what suits it", true),
    ("colour", "with backbone=none: what the network sees of it, auto, grey or rgb", true),
    ("passes", "with backbone=none: images that a training looks at; more take longer and teach more", true),
    ("holdout", "share of the images set aside to measure accuracy; fixed once there are images", false),
    (
        "holdout_target",
        "labels of the images set aside after which no more of them are asked; twice as many while a class has fewer than 5",
        false,
    ),
    ("holdout_every", "every how many questions one is of the images set aside", false),
    ("answers_wanted", "how many people answer each image", false),
    ("seed", "where all that is random begins; fixed once there are images", false),
    ("hide_suggestions", "whether the page shows no suggestions, so as not to sway", false),
];

/// Shows the settings, or changes those that are given, all or none.
///
/// # Errors
/// What the library says: no project, a setting that there is not, a value out of its range.
pub fn run(args: &Set) -> Result<()> {
    let change = pairs(&args.settings, "vabal set", "retrain_every=100")?;
    let mut project = Project::open(&args.project)?;
    let folder = args.project.display();
    let known = project.changes()?.len();
    if !change.is_empty() {
        let changed = project.change_settings(&Value::Object(change));
        changed.map_err(|error| error.or_hint("`vabal set PROJECT` shows every setting"))?;
    }
    let settings = json!(project.settings()?);
    if args.quiet {
        return Ok(());
    }
    if args.json {
        say(settings);
    } else if args.settings.is_empty() {
        let values = ALL.map(|(key, ..)| text(&settings[key]));
        let wide = values.iter().map(|value| value.chars().count()).max().unwrap_or(0);
        for ((key, what, _), value) in ALL.iter().zip(values) {
            say(format_args!("{key:<16}  {value:<wide$}  {what}"));
        }
    } else {
        let changes = project.changes()?;
        let changes = changes.get(known..).unwrap_or_default();
        if changes.is_empty() {
            say("nothing changed: it was set so already");
        }
        for Change { key, from, to, .. } in changes {
            say(format_args!("{key}: {}, was {}", text(to), text(from)));
        }
        let waits = |key: &str| ALL.iter().any(|&(known, _, waits)| waits && known == key);
        if changes.iter().any(|change| waits(&change.key)) {
            say("\nIt takes effect at the next training.");
            let seen = |change: &Change| ["backbone", "size"].contains(&change.key.as_str());
            if changes.iter().any(seen) && settings["backbone"] != NONE {
                let images = several(project.counts()?.images, "image");
                say(format_args!(
                    "The features of {images} are computed again before it, where they are not known from before."
                ));
            }
            say(format_args!("\nNext: vabal train {folder}, or go on labelling"));
        }
    }
    Ok(())
}

/// A value as it is given.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `KEY=VALUE` as JSON: numbers and truth values as such, all else as text; the last of one
/// key counts. `at` is where they were given.
///
/// # Errors
/// What has no `=`.
pub fn pairs(given: &[String], at: &str, example: &str) -> Result<Map<String, Value>> {
    let mut pairs = Map::new();
    for pair in given {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Error::input("no setting given")
                .at(at)
                .expected("KEY=VALUE")
                .got(pair)
                .hint(format!("write it as in {example}"))
                .into());
        };
        let parsed = match serde_json::from_str(value) {
            // A name may be a number.
            Ok(parsed @ (Value::Number(_) | Value::Bool(_))) if key != "name" => parsed,
            _ => Value::String(value.to_owned()),
        };
        pairs.insert(key.trim().to_owned(), parsed);
    }
    Ok(pairs)
}
