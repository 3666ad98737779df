//! `vabal import`: labels from a file or from class folders into a project.
//!
//! Never here: what files look like, which image a line means; that is `vabal::project`.

use std::path::PathBuf;

use vabal::project::Project;
use vabal::project::exchange::{self, Format, Reading};
use vabal::{Error, Result};

use crate::bar::watched;
use crate::output::{complain, say, several};
use crate::user;

/// Take labels from a file or from class folders into a project
///
/// Images are found by their content where the file says it, else by their path; a name without
/// folders will do where one image alone has it. A path with other folders is reported and not
/// used, unless --by-name is given. Nothing is overwritten: a label that differs from what somebody
/// else said is kept beside it and shown as a conflict, and of one person the newer answer counts.
/// The same file again adds nothing. Columns of CSV and keys of JSON lines: path or file name,
/// class or label; also person, at, seconds and hash, in any order.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vabal import steel labels.csv\n  vabal import steel sorted-by-hand/\n  \
    vabal import steel project-1.json --person ann --question class --image-key photo\n  \
    vabal import steel predictions.csv --as suggestions"
)]
pub struct Import {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// The file (.csv, .tsv, .jsonl, .ndjson, .json of Label Studio), or a folder with a folder for
    /// each class
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the file holds: labels, if not given, or suggestions, which another model made: a class
    /// with its probability, a column with a probability for each class, or the predictions of
    /// Label Studio. They are shown until the next training and never count as labels
    #[arg(long = "as", value_name = "WHAT")]
    pub what: Option<String>,
    /// What the file is, where its ending does not say: csv, jsonl or label-studio
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// The question of Label Studio, the column or the key whose answers are the classes, where
    /// there are several
    #[arg(long, value_name = "NAME")]
    pub question: Option<String>,
    /// The key under which a task of Label Studio has its image, where there are several
    #[arg(long, value_name = "KEY")]
    pub image_key: Option<String>,
    /// Use labels of which only the file's name fits, and one image alone has it
    #[arg(long)]
    pub by_name: bool,
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

/// Whether a file holds suggestions, not labels.
fn holds_suggestions(what: Option<&str>) -> Result<bool> {
    match what {
        None | Some("labels") => Ok(false),
        Some("suggestions") => Ok(true),
        Some(other) => Err(Error::input("unknown kind of contents")
            .at("--as")
            .expected("labels or suggestions")
            .got(other)
            .hint("labels are what people said, suggestions what a model says")
            .into()),
    }
}

fn no_folders(folder: &std::path::Path) -> Error {
    Error::input("suggestions are not read from class folders")
        .at(folder.display())
        .expected("a file: .csv, .tsv, .jsonl, .ndjson or .json of Label Studio")
        .got("a folder")
        .hint("write path and class into a CSV file, or import the folders as labels")
        .into()
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
    let suggestions = holds_suggestions(args.what.as_deref())?;
    let reading = Reading { question: args.question.clone(), image: args.image_key.clone(), suggestions };
    let person = args.person.clone().or_else(user).unwrap_or_else(|| "import".into());
    let taken = watched(args.quiet || args.json, |progress| {
        let labels = match args.file.is_dir() {
            true if suggestions => return Err(no_folders(&args.file)),
            true => exchange::folders::read(&args.file, progress)?,
            false => exchange::read_file(&args.file, format, &reading)?,
        };
        if suggestions {
            let name = args.file.file_name().map(|name| name.to_string_lossy().into_owned());
            return project.suggest(&labels, &name.unwrap_or_default(), args.by_name, progress);
        }
        project.take_in_by(&labels, &person, args.by_name, progress)
    })?;
    if args.json {
        say(serde_json::to_string(&taken).unwrap_or_default());
        return Ok(());
    }
    if args.quiet {
        return Ok(());
    }
    if suggestions {
        say(format_args!("{} with a suggestion", several(taken.added, "image")));
        say("  shown until the next training of this project; never counted as labels");
    } else {
        say(format_args!("{} added, {} there already", several(taken.added, "answer"), taken.same));
    }
    if taken.remarks > 0 {
        say(format_args!("{} with a note or a flag", several(taken.remarks, "image")));
    }
    if taken.guides > 0 {
        say(format_args!("{} of classes", several(taken.guides, "description or example")));
    }
    if !taken.new_classes.is_empty() {
        say(format_args!("new classes: {}", taken.new_classes.join(", ")));
    }
    if !taken.suspicious.is_empty() {
        let names: Vec<String> = taken.suspicious.iter().map(|name| format!("\"{name}\"")).collect();
        complain(format_args!(
            "warning: {} is a class now, and programs write that where a value is missing",
            names.join(", ")
        ));
        complain("  hint: if that is not a class, merge it into another or rename it on the page");
    }
    let first =
        |lines: &[String]| lines.iter().take(FIRST).for_each(|line| complain(format_args!("  {line}")));
    if taken.unknown > 0 {
        let images = several(taken.unknown, "image");
        complain(format_args!("warning: {images} of the file cannot be found in the project"));
        first(&taken.unknown_paths);
        if taken.by_name > 0 {
            complain(format_args!(
                "  hint: --by-name uses the names of files alone, here of {}",
                taken.by_name
            ));
        }
        complain(format_args!("  hint: `vabal scan {}` takes in new images", args.project.display()));
    }
    if taken.conflicts > 0 {
        complain(format_args!("warning: the file has two classes for {}", several(taken.conflicts, "image")));
        first(&taken.conflict_paths);
    }
    if taken.older > 0 {
        complain(format_args!(
            "warning: left out {}, older than what the same person or a review said since",
            several(taken.older, "answer")
        ));
    }
    if !taken.left_out.is_empty() {
        let what = if suggestions { "suggestion" } else { "label" };
        complain(format_args!(
            "warning: entries of the file that give no {what}: {}",
            taken.left_out.values().sum::<usize>()
        ));
        for (why, count) in &taken.left_out {
            complain(format_args!("  {count}: {why}"));
        }
        let notes: Vec<&str> = taken.notes.iter().take(FIRST).map(String::as_str).collect();
        if !notes.is_empty() {
            complain(format_args!("  the first: {}", notes.join("; ")));
        }
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
