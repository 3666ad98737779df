//! `vabal embed`: features of a folder of images, as a file for anyone.
//!
//! Never here: how they are computed; that is [`vabal::backbone`].

use std::path::PathBuf;

use vabal::Result;
use vabal::backbone::{AUTO, Listing, Wish};
use vabal_arrays::{features_ending, write_features};

use super::backbone::{self, Wishes};
use super::machine::Runs;
use crate::bar::watched;
use crate::data_dir::data_dir;
use crate::output::{complain, say, several};

/// Compute features of a folder of images with a pretrained network
///
/// Every JPEG, PNG, BMP, WebP and TIFF in DIR and all folders below it becomes a row. Features that
/// were computed once are taken from a cache by the content of the image; after Ctrl-C the same
/// command goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal embed photos/ --out features.npz\n  \
    vabal embed photos/ --backbone model.onnx --out features.parquet\n  \
    vabal rank --unlabelled features.npz --strategy typiclust -n 100 --out first.csv\n\n\
    Arrays: features [n, d], f32; ids [n], paths below DIR; backbone, how they were made, as JSON.")]
pub struct Embed {
    /// Folder of the images
    #[arg(value_name = "DIR")]
    pub images: PathBuf,
    /// File to write, ending in .npz or .parquet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// ONNX file, or a name; `vabal backbone show` tells more
    #[arg(long, value_name = "BACKBONE", default_value = AUTO)]
    pub backbone: String,
    #[command(flatten)]
    pub wishes: Wishes,
    #[command(flatten)]
    pub runs: Runs,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Files that cannot be used and are named.
const BAD: usize = 20;

/// Computes, writes, and says what was done.
///
/// # Errors
/// What the library says.
pub fn run(args: &Embed) -> Result<()> {
    // Told before the work.
    features_ending(&args.out)?;
    let open = args.runs.opener(args.quiet)?;
    let images = Listing::of(&args.images)?;
    let (name, settings, side) = (args.backbone.clone(), args.wishes.settings(), images.usual_side());
    let backbone = open(&Wish { name, settings, side })?;
    let cache = data_dir().join("features");
    let embedded = watched(args.quiet, |progress| images.embed(&backbone, Some(&cache), progress))?;
    let about = serde_json::json!(backbone.spec()).to_string();
    write_features(&args.out, &embedded.paths, embedded.features.view(), &about)?;
    if args.quiet {
        return Ok(());
    }
    let (n, d) = embedded.features.dim();
    let spec = backbone.spec();
    say(format_args!("{} × {d} features in {}", several(n, "image"), args.out.display()));
    say(format_args!("  {} at {} × {} pixels", spec.name, spec.height, spec.width));
    if embedded.computed < n {
        say(format_args!("  {} of them computed before", n - embedded.computed));
    }
    if args.backbone == AUTO {
        say(format_args!("  {}", backbone::others()));
    }
    for bad in embedded.bad.iter().take(BAD) {
        complain(format_args!("warning: left out {}: {}", bad.path, bad.reason));
    }
    if embedded.bad.len() > BAD {
        complain(format_args!("warning: and {} more", embedded.bad.len() - BAD));
    }
    Ok(())
}
