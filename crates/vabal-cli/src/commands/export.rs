//! `vabal export`: the labels of a project as a file, or its labelled images as folders.
//!
//! Never here: what files and folders look like; that is `vabal::project::exchange`.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use vabal::project::exchange::label_studio::{LOCAL_FILES, Writing};
use vabal::project::exchange::{
    Detail, Layout, Means, Sheet, columns, csv, json_lines, label_studio, layout,
};
use vabal::project::{Project, RoundState};
use vabal::{Error, Flow, Result, files};

use crate::arrays::parquet::{self, Data};
use crate::bar::Bar;
use crate::interrupt;
use crate::output::say;

/// Write the labels of a project as a file, or its labelled images as folders
///
/// Files hold a line for each labelled image, or with --answers every answer that was ever given, from which
/// `vabal import` makes the same project again. Folders hold copies of the images, each with its own name, a list
/// of where each came from, and a data sheet. What is written is whole or not there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal export steel --format csv --out labels.csv\n  \
    vabal export steel --format folders --out sorted --link hard\n  \
    vabal export steel --format jsonl --answers --out backup.jsonl\n  \
    vabal export steel --format hugging-face --out data-set --sheet sheet.md")]
pub struct Export {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// What to write
    #[arg(long, value_name = "FORMAT")]
    pub format: Kind,
    /// File or folder to write
    #[arg(long, value_name = "PATH")]
    pub out: PathBuf,
    /// Every answer, also those taken back (csv, jsonl, parquet)
    #[arg(long)]
    pub answers: bool,
    /// Link images instead of copying them (folders, hugging-face)
    #[arg(long, value_name = "LINK")]
    pub link: Option<Link>,
    /// Also write a data sheet to this file; folders have one
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A line for each image, with commas between
    Csv,
    /// A JSON object a line
    Jsonl,
    /// A table for pandas, polars and others
    Parquet,
    /// Tasks with annotations, for Label Studio
    LabelStudio,
    /// A folder for each class
    Folders,
    /// The image folder of Hugging Face's data sets
    HuggingFace,
}

/// How images come into folders without being copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// Another name of the same file, on the same disk
    Hard,
    /// A link that names the file
    Soft,
}

/// The data sheet's name in folders.
const SHEET: &str = "DATASHEET.md";

/// Writes the export.
///
/// # Errors
/// What the library says: nothing labelled, a place that cannot be written.
pub fn run(args: &Export) -> Result<()> {
    let folders = matches!(args.format, Kind::Folders | Kind::HuggingFace);
    let alone = |option: &str, what: &str, good: &str| {
        Error::input(format!("{option} does not fit this format")).at("--format").expected(good).hint(what)
    };
    if args.link.is_some() && !folders {
        return Err(
            alone("--link", "leave --link out: files hold no images", "folders or hugging-face").into()
        );
    }
    if args.answers && (folders || args.format == Kind::LabelStudio) {
        return Err(alone("--answers", "leave --answers out, or write jsonl", "csv, jsonl or parquet").into());
    }
    let project = Project::open(&args.project)?;
    let rows = project.rows()?;
    let sheet = sheet(&project)?.write(&rows);
    if let Some(path) = &args.sheet {
        files::write(path, sheet.as_bytes())?;
    }
    let detail = if args.answers { Detail::Answers } else { Detail::Labels };
    let written = match args.format {
        Kind::Csv => csv::write(&rows, detail).into_bytes(),
        Kind::Jsonl => json_lines::write(&rows, &project.listed_classes()?, detail).into_bytes(),
        Kind::LabelStudio => {
            let settings = project.settings()?;
            let folder = project.images_folder()?;
            let name =
                folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let prefix = format!("{LOCAL_FILES}{name}/");
            label_studio::write(&rows, &Writing { prefix: &prefix, model: &settings.strategy }).into_bytes()
        }
        Kind::Parquet => {
            let data = |column| match column {
                columns::Column::Whole(values) => Data::Whole(values),
                columns::Column::Real(values) => Data::Real(values),
                columns::Column::Text(values) => Data::Texts(values),
            };
            let table = columns::table(&rows, detail);
            let table: Vec<(&str, Data)> =
                table.into_iter().map(|(name, column)| (name, data(column))).collect();
            parquet::write(&table).map_err(|error| {
                Error::from(
                    Error::input("texts that are too long for Parquet")
                        .got(error)
                        .hint("write .csv or .jsonl instead"),
                )
            })?
        }
        Kind::Folders | Kind::HuggingFace => return copy(args, &project, &rows, &sheet),
    };
    files::write(&args.out, &written)?;
    tell(args, &args.out, rows.iter().filter(|row| row.class.is_some()).count(), "labelled images");
    Ok(())
}

fn copy(args: &Export, project: &Project, rows: &[vabal::project::exchange::Row], sheet: &str) -> Result<()> {
    let lie = if args.format == Kind::Folders { Layout::Classes } else { Layout::HuggingFace };
    let means = match args.link {
        None => Means::Copy,
        Some(Link::Hard) => Means::HardLink,
        Some(Link::Soft) => Means::SymLink,
    };
    let stop = interrupt::flag()?;
    let bar = Bar::new(args.quiet);
    let written = layout::write(
        rows,
        &project.images_folder()?,
        &args.out,
        (lie, means),
        &[(SHEET, sheet.as_bytes())],
        &mut |event| {
            bar.show(&event);
            if stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
        },
    );
    bar.clear();
    tell(args, &args.out, written?.images, "images");
    Ok(())
}

fn tell(args: &Export, out: &Path, n: usize, what: &str) {
    if !args.quiet {
        say(format_args!("{n} {what} in {}", out.display()));
    }
}

/// What the data sheet says beside the labels.
fn sheet(project: &Project) -> Result<Sheet> {
    let settings = project.settings()?;
    let rounds = project.rounds()?;
    let done = rounds.iter().filter(|round| round.round > 0 && round.state == RoundState::Done).count();
    Ok(Sheet {
        name: settings.name,
        folder: settings.images,
        classes: project.classes()?.into_iter().map(|class| class.name).collect(),
        strategy: settings.strategy,
        rounds: done,
        missing: project.counts()?.missing,
        ..Sheet::default()
    })
}
