//! `vabal import`: labels from a file or from class folders into a project.
//!
//! Never here: what files look like, which image a line means; that is `vabal::project`.

use std::path::PathBuf;

use vabal::Result;
use vabal::project::Project;
use vabal::project::exchange::{self, Format};

use crate::bar::watched;
use crate::output::{complain, say, several};
use crate::user;

/// Take labels from a file or from class folders into a project
///
/// Images are found by their content where the file says it, else by their path, else by their name. Nothing is
/// overwritten: a label that differs from what somebody else said is kept beside it and shown as a conflict. The
/// same file again adds nothing. Columns of CSV and keys of JSON lines: path or file name, class or label; also
/// person, at, seconds and hash, in any order.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vabal import steel labels.csv\n  vabal import steel sorted-by-hand/\n  \
    vabal import steel project-1.json --format label-studio --person ann"
)]
pub struct Import {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// The file (.csv, .tsv, .jsonl, .ndjson, .json of Label Studio), or a folder with a folder for each class
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the file is, where its ending does not say: csv, jsonl or label-studio
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Who gave the labels, where the file does not say; the name of the user if not given
    #[arg(long, value_name = "NAME")]
    pub person: Option<String>,
    /// Print errors only
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Paths that are named of those that the project does not have.
const FIRST: usize = 5;

/// Reads the file and takes it in.
///
/// # Errors
/// What the library says: a file that cannot be read, or that is none of the formats.
pub fn run(args: &Import) -> Result<()> {
    let mut project = Project::open(&args.project)?;
    let format = args.format.as_deref().map(Format::of).transpose()?;
    let person = args.person.clone().or_else(user).unwrap_or_else(|| "import".into());
    let taken = watched(args.quiet || args.json, |progress| {
        let labels = match args.file.is_dir() {
            true => exchange::folders::read(&args.file, progress)?,
            false => exchange::read_file(&args.file, format)?,
        };
        project.take_in(&labels, &person, progress)
    })?;
    if args.json {
        say(serde_json::to_string(&taken).unwrap_or_default());
        return Ok(());
    }
    if args.quiet {
        return Ok(());
    }
    say(format_args!("{} added, {} there already", several(taken.added, "answer"), taken.same));
    if !taken.new_classes.is_empty() {
        say(format_args!("new classes: {}", taken.new_classes.join(", ")));
    }
    if taken.unknown > 0 {
        let images = several(taken.unknown, "image");
        complain(format_args!("warning: {images} of the file cannot be found in the project"));
        taken.unknown_paths.iter().take(FIRST).for_each(|path| complain(format_args!("  {path}")));
        complain(format_args!("  hint: `vabal scan {}` takes in new images", args.project.display()));
    }
    if taken.left_out > 0 {
        complain(format_args!("warning: without a label in the file: {}", taken.left_out));
        taken.notes.iter().take(FIRST).for_each(|note| complain(format_args!("  {note}")));
    }
    let conflicts = project.counts()?.conflict;
    if conflicts > 0 {
        say(format_args!(
            "{} with two different answers: settle them in the page, under Review",
            several(conflicts, "image")
        ));
    }
    Ok(())
}
