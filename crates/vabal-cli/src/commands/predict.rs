//! `vabal predict`: what a project's model says of other images.
//!
//! Never here: the model; that is [`vabal::project::learn`].

use std::path::PathBuf;

use vabal::Result;
use vabal::project::Project;
use vabal_arrays::Data;

use super::machine::Machine;
use crate::bar::watched;
use crate::output::{complain, say, several};
use crate::table::{self, aligned};

/// Classify the images of a folder with a project's model
///
/// Every JPEG, PNG, BMP, WebP and TIFF in DIR and all folders below it gets the class that the
/// newest model takes it for, its probability, and the probability of each class. Files that cannot
/// be decoded are named and left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal predict steel new-photos/ --out predictions.csv\n  \
    vabal predict steel new-photos/ --out predictions.parquet --device cuda\n\n\
    Columns: path, below DIR; class; confidence, 0 to 1; \"p CLASS\" for each class, its probability.")]
pub struct Predict {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// Folder of the images
    #[arg(value_name = "DIR")]
    pub images: PathBuf,
    /// File to write, ending in .csv, .jsonl, .ndjson or .parquet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub machine: Machine,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Files that cannot be used and are named.
const BAD: usize = 20;

/// Predicts, writes, and says how many images are of each class.
///
/// # Errors
/// What the library says: no model yet, no image in the folder.
pub fn run(args: &Predict) -> Result<()> {
    let context = args.machine.context(args.quiet)?;
    let project = Project::open(&args.project)?;
    // Told before the work.
    table::Format::of(&args.out)?;
    let predicted = watched(args.quiet, |progress| project.predict_folder(&args.images, &context, progress))?;
    let (classes, images) = (&predicted.classes, &predicted.images);
    let best: Vec<(usize, f32)> = images.iter().map(vabal::project::Predicted::best).collect();
    let probability = |n: usize| {
        Data::Real(images.iter().map(|image| super::rounded(f64::from(image.probabilities[n]))).collect())
    };
    let own = ["path", "class", "confidence"];
    // A class may be called as a column is.
    let names: Vec<String> = classes.iter().map(|class| format!("p {class}")).collect();
    let mut columns = vec![
        (own[0], Data::Texts(images.iter().map(|image| image.path.clone()).collect())),
        (own[1], Data::Texts(best.iter().map(|&(n, _)| classes[n].clone()).collect())),
        (own[2], Data::Real(best.iter().map(|&(_, p)| super::rounded(f64::from(p))).collect())),
    ];
    columns.extend(names.iter().enumerate().map(|(n, name)| (name.as_str(), probability(n))));
    table::write(&args.out, &columns)?;
    if args.quiet {
        return Ok(());
    }
    say(format_args!("{} in {}", several(images.len(), "image"), args.out.display()));
    let mut lines = vec![["class", "images"].map(String::from).to_vec()];
    for (n, class) in classes.iter().enumerate() {
        let count = best.iter().filter(|(best, _)| *best == n).count();
        lines.push(vec![class.clone(), count.to_string()]);
    }
    aligned(&lines).iter().for_each(|line| say(format_args!("  {line}")));
    for bad in predicted.bad.iter().take(BAD) {
        complain(format_args!("warning: left out {}: {}", bad.path, bad.reason));
    }
    if predicted.bad.len() > BAD {
        complain(format_args!("warning: and {} more", predicted.bad.len() - BAD));
    }
    Ok(())
}
