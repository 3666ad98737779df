//! `vabal report`: one page from run folders, and the same as tables and figures beside it.
//!
//! Never here: what the report holds; that is [`vabal::experiment::report`].

use std::path::{Path, PathBuf};

use vabal::Result;
use vabal::experiment::report;

use crate::output::say;

/// Write a report of one or several runs: a page, tables and figures
///
/// The page needs nothing but itself: no network, no data set, no script. Beside it goes a folder
/// with the same numbers as CSV and Markdown, and with every figure as SVG and PNG (300 dots to the
/// inch, for columns of 85 and 174 mm). Folders that differ only in their name, strategies, seeds
/// and device are joined into one experiment; others stand side by side. Unfinished runs are shown
/// as far as they got.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal report runs/neu --out neu.html\n  \
                  vabal report runs/seeds-1-2 runs/seed-3 --out all.html --files figures")]
pub struct Report {
    /// Folders that `vabal run` wrote
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// The page to write
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Folder for tables and figures; beside the page and named after it (report-files) if not
    /// given
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Writes the report and says where.
///
/// # Errors
/// What [`write`] says.
pub fn run(args: &Report) -> Result<()> {
    let files = args.files.clone().unwrap_or_else(|| report::files_beside(&args.out));
    let count = write(&args.folders, &args.out, &files)?;
    if !args.quiet {
        say(args.out.display());
        say(format_args!("{count} tables and figures in {}", files.display()));
    }
    Ok(())
}

/// Writes the report of `folders` to the page `out` and the folder `files`; how many files that
/// holds.
///
/// # Errors
/// A folder that holds no run, the same run in two folders, a place that cannot be written.
pub fn write(folders: &[PathBuf], out: &Path, files: &Path) -> Result<usize> {
    report::check_place(out, files)?;
    let experiments = report::read(folders)?;
    // Its last part names it on the page, so that the page says nothing of where it was made.
    let name = files.file_name().map_or_else(|| files.display().to_string(), |n| n.to_string_lossy().into());
    let made = report::make(&experiments, &name)?;
    report::write(&made, out, files)?;
    Ok(made.files.len())
}
