//! `vabal query`: what a project asks next, as a file.
//!
//! Never here: how it was chosen; that is [`vabal::project::learn`].

use std::path::PathBuf;

use vabal::project::Project;
use vabal::{Error, Result};
use vabal_arrays::Data;

use crate::output::{complain, say, several};
use crate::table;

/// List the images that a project wants labelled next
///
/// The queue as the last training left it, without what was labelled since: for each image its
/// rank, what the model takes it for and how sure it is, its score, and why it is asked. Nothing is
/// trained, and nobody is handed anything: the page asks the same images. Without --out it is
/// printed as CSV.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal query steel -n 100 --out next.csv\n  vabal query steel -n 10\n\n\
    Columns: rank, path, suggestion, confidence, score, reasons. With a column class filled in, `vabal import` \
    takes the file in.")]
pub struct Query {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// Images at most
    #[arg(short, value_name = "N", default_value_t = 100)]
    pub n: usize,
    /// File to write, ending in .csv, .jsonl, .ndjson or .parquet
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// Writes the queue.
///
/// # Errors
/// A queue that is empty; what the library says.
pub fn run(args: &Query) -> Result<()> {
    let project = Project::open(&args.project)?;
    let asked = project.queue(args.n.max(1))?;
    if asked.is_empty() {
        let what = match project.newest_round()? {
            None => "nothing was chosen yet",
            Some(_) => "every image that was chosen is answered",
        };
        return Err(Error::input(what)
            .at(args.project.display())
            .hint(format!("`vabal train {}` chooses what to ask next", args.project.display()))
            .into());
    }
    let classes = project.classes()?;
    let name = |id| classes.iter().find(|class| class.id == id).map_or("", |class| class.name.as_str());
    let texts = |of: &dyn Fn(&vabal::project::Image) -> String| {
        Data::Texts(asked.iter().map(|asked| of(&asked.image)).collect())
    };
    let reals = |of: &dyn Fn(&vabal::project::Asked) -> f64| Data::Real(asked.iter().map(of).collect());
    let columns = [
        ("rank", Data::Whole((1..=asked.len() as i64).collect())),
        ("path", texts(&|image| image.path.clone())),
        ("suggestion", texts(&|image| image.suggestion.map_or("", |guess| name(guess.class)).to_owned())),
        (
            "confidence",
            reals(&|asked| asked.image.suggestion.map_or(f64::NAN, |s| super::rounded(s.confidence))),
        ),
        ("score", reals(&|asked| asked.score)),
        (
            "reasons",
            texts(&|image| {
                image.why.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; ")
            }),
        ),
    ];
    let Some(out) = &args.out else {
        say(table::csv(&columns).trim_end());
        return Ok(());
    };
    table::write(out, &columns)?;
    if !args.quiet {
        say(format_args!("{} in {}", several(asked.len(), "image"), out.display()));
        if asked.len() < args.n {
            complain(format_args!(
                "note: no more are chosen\n  hint: `vabal train {}` chooses anew, by what is labelled then",
                args.project.display()
            ));
        }
    }
    Ok(())
}
