//! `vabal export`: the labels of a project as a file, or its labelled images as folders.
//!
//! Never here: what files and folders look like; that is `vabal::project::exchange`.

use std::path::PathBuf;

use clap::ValueEnum;
use vabal::project::exchange::{Detail, Format, Layout, Means, columns};
use vabal::project::learn::Context;
use vabal::project::{Exported, Project, Shape};
use vabal::{Device, Error, Result};
use vabal_arrays::Data;

use super::backbone;
use crate::bar::watched;
use crate::output::{say, several};

/// Write the labels of a project as a file, or its labelled images as folders
///
/// Files hold a line for each labelled image, or with --full every answer that was ever given, from
/// which `vabal import` makes the same project again. Folders hold copies of the labelled images,
/// each with its own name, a list of where each came from, and a data sheet. With --model the
/// newest model goes with it, as safetensors and as ONNX. What is written is whole or not there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal export steel --format csv --out labels.csv\n  \
    vabal export steel --format folders --out data-set --model\n  \
    vabal export steel --format image-folder --out data-set --link\n  \
    vabal export steel --format yolo-classify --out data-set\n  \
    vabal export steel --format jsonl --full --out backup.jsonl")]
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
    /// Link the images instead of copying them: hard, the same file on the same disk, or soft
    #[arg(long, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "hard")]
    pub link: Option<Link>,
    /// The newest model too: into the folder, or beside the file
    #[arg(long)]
    pub model: bool,
    /// Every answer, also those taken back (csv, jsonl, parquet)
    #[arg(long, alias = "answers")]
    pub full: bool,
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
    /// Hugging Face's image folder, with metadata
    #[value(alias = "hugging-face")]
    ImageFolder,
    /// train/ and val/ with a folder for each class, for YOLO
    #[value(alias = "yolo")]
    YoloClassify,
}

/// How images come into folders without being copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// Another name of the same file, on the same disk
    Hard,
    /// A link that names the file
    Soft,
}

/// Writes the export.
///
/// # Errors
/// What the library says: nothing labelled, no model, a place that cannot be written.
pub fn run(args: &Export) -> Result<()> {
    let misfit = |option: &str, expected: &str, hint: &str| {
        Error::input(format!("{option} does not fit this format"))
            .at("--format")
            .expected(expected)
            .hint(hint)
    };
    let detail = if args.full { Detail::Answers } else { Detail::Labels };
    let means = match args.link {
        None => Means::Copy,
        Some(Link::Hard) => Means::HardLink,
        Some(Link::Soft) => Means::SymLink,
    };
    let shape = match args.format {
        Kind::Csv => Some(Shape::File(Format::Csv, detail)),
        Kind::Jsonl => Some(Shape::File(Format::JsonLines, detail)),
        Kind::LabelStudio => Some(Shape::File(Format::LabelStudio, detail)),
        Kind::Folders => Some(Shape::Folders(Layout::Classes, means)),
        Kind::ImageFolder => Some(Shape::Folders(Layout::HuggingFace, means)),
        Kind::YoloClassify => Some(Shape::Folders(Layout::Yolo, means)),
        Kind::Parquet => None,
    };
    let folders = matches!(shape, Some(Shape::Folders(..)));
    if args.link.is_some() && !folders {
        let hint = "leave --link out: files hold no images";
        return Err(misfit("--link", "folders, image-folder or yolo-classify", hint).into());
    }
    if args.full && (folders || args.format == Kind::LabelStudio) {
        return Err(misfit("--full", "csv, jsonl or parquet", "leave --full out, or write jsonl").into());
    }
    let project = Project::open(&args.project)?;
    let context = args.model.then(|| Context::new(Device::Cpu, Box::new(backbone::open)));
    let written = match shape {
        Some(shape) => {
            watched(args.quiet, |progress| project.export(shape, context.as_ref(), &args.out, progress))?
        }
        None => parquet(args, &project, detail, context.as_ref())?,
    };
    let Exported { images, mut files } = written;
    if let Some(path) = &args.sheet {
        vabal::files::write(path, project.sheet(&project.rows()?)?.as_bytes())?;
        files.push(path.clone());
    }
    if !args.quiet {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        say(format_args!("{} in {}", several(images, "labelled image"), files.join(", ")));
    }
    Ok(())
}

fn parquet(args: &Export, project: &Project, detail: Detail, model: Option<&Context>) -> Result<Exported> {
    let rows = project.rows()?;
    let data = |column| match column {
        columns::Column::Whole(values) => Data::Whole(values),
        columns::Column::Real(values) => Data::Real(values),
        columns::Column::Text(values) => Data::Texts(values),
    };
    let table: Vec<(&str, Data)> =
        columns::table(&rows, detail).into_iter().map(|(name, column)| (name, data(column))).collect();
    project.export_bytes(&rows, &vabal_arrays::write_parquet(&table)?, model, &args.out)
}
