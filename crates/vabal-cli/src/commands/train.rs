//! `vabal train`: one round of a project.
//!
//! Never here: what a round is; that is [`vabal::project::learn`].

use std::path::PathBuf;

use serde_json::json;
use vabal::Result;
use vabal::project::status::{self, RoundStatus, Status};
use vabal::project::{Project, learn};

use super::machine::Machine;
use crate::bar::watched;
use crate::output::{say, several};

/// Train a project's model and choose what to label next
///
/// Trains a network on what is labelled, measures it on the images set aside, and chooses the next
/// images to ask with the strategy of the project. While too little is labelled for that nothing is
/// trained, and the first images are chosen so that they cover the folder. The page does the same
/// by itself when enough is labelled; people can go on labelling meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal train steel\n  vabal train steel --device cuda")]
pub struct Train {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    #[command(flatten)]
    pub machine: Machine,
    /// Print errors only
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Trains, and says how good the model is and what comes next.
///
/// # Errors
/// What the library says: a training that is under way, images that cannot be read.
pub fn run(args: &Train) -> Result<()> {
    let context = args.machine.context(args.quiet || args.json)?;
    let mut project = Project::open(&args.project)?;
    let needs = learn::obstacle(&project)?;
    let round = watched(args.quiet || args.json, |progress| learn::round(&mut project, &context, progress))?;
    let status = status::of(&project)?;
    let queued = project.queue(usize::MAX)?.len();
    if args.json {
        say(json!({ "round": round, "queued": queued, "status": status }));
        return Ok(());
    }
    if args.quiet {
        return Ok(());
    }
    match (needs, status.rounds.last()) {
        (None, Some(last)) => trained(last, &status).iter().for_each(say),
        (needs, _) => say(format_args!("not trained: {}", needs.unwrap_or_default())),
    }
    match queued {
        0 => say("no image is left to ask"),
        n => say(format_args!("{} to be labelled next", several(n, "image"))),
    }
    say(format_args!("\nNext: {}", super::status::next(&status, &args.project)));
    Ok(())
}

fn trained(last: &RoundStatus, status: &Status) -> Vec<String> {
    let classes = status.classes.iter().filter(|class| class.train > 0).count();
    let mut lines = vec![format!(
        "round {}: trained on {} labels of {classes} classes, {:.0} s",
        last.round, last.labels, last.seconds
    )];
    let balanced = super::status::balanced(last);
    let accuracy = super::status::interval(last.accuracy, last.accuracy_low, last.accuracy_high);
    lines.push(match last.holdout {
        0 => "not measured: no image that was set aside is labelled yet".to_owned(),
        n => {
            let images = several(n, "image");
            let measured = match last.classes_measured {
                n if n == last.classes => String::new(),
                n => format!(" ({n} of {} classes measured)", last.classes),
            };
            format!("balanced accuracy {balanced} %{measured}, accuracy {accuracy} %, on {images} set aside")
        }
    });
    lines.extend([status.next.text.clone(), status.stopping.text.clone()]);
    lines
}
