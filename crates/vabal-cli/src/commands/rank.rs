//! `vabal rank`: what to label next, from arrays of the user's own model.
//!
//! Never here: how files hold arrays (`vabal_arrays`), how a strategy chooses (`vabal::query`).

mod in_parts;
pub(super) mod pool;
mod show;
mod streamed;
pub(crate) mod write;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use vabal::query::arrays::{Classes, Names, Pool};
use vabal::query::strategies::vabal_paper::{Bundle, KIND, Model, VabalPaper};
use vabal::query::{Needs, Query, Strategy, summary};
use vabal::{Error, Event, Flow, Result, STRATEGIES, Seed, Selection, config, files};

use crate::interrupt;
use crate::table::{self, Format};
use show::Show;

/// Choose what to label next from features and predictions of your own model
///
/// Arrays come from .npz, .npy, .parquet or .safetensors files, a row for each image, by their
/// names:
///
///   features          [n, d], of the last layer but one; or stage1, stage2, …, shallow to deep
///   probs             [n, C], class probabilities; or predicted [n], the class alone
///   mc_probs          [n, T, C], of T passes under dropout
///   committee_probs   [n, M, C], of M classifiers
///   labels            [n], whole numbers from 0
///   ids               [n], whole numbers or texts such as file names; else row numbers
///
/// Which of them are needed, the strategy says: docs/strategies.md. Without --labelled, rows whose
/// label is -1 are chosen from and the others are labelled; without labels, nothing is labelled
/// yet.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:\n  vabal rank --unlabelled pool.npz --labelled labelled.npz -n 500 --out picks.csv\n  \
    vabal rank --unlabelled features=f.npy probs=p.npy -n 100 --strategy entropy\n  \
    vabal rank --unlabelled all.npz -n 100 --strategy vabal-paper --model-out vae.safetensors"
)]
pub struct Rank {
    /// Files with the arrays to choose from; NAME=FILE says which array the one of a file is
    #[arg(long, alias = "unlabeled", required = true, num_args = 1.., value_name = "FILE")]
    pub unlabelled: Vec<OsString>,
    /// Files with the arrays of what is labelled, labels among them
    #[arg(long, alias = "labeled", num_args = 1.., value_name = "FILE")]
    pub labelled: Vec<OsString>,
    /// How many to choose
    #[arg(short, long = "number", value_name = "N")]
    pub n: usize,
    /// What chooses
    #[arg(long, value_name = "NAME", default_value = "vabal")]
    pub strategy: String,
    /// Override a setting of the strategy; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Of every random draw: the same seed chooses the same
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Number of classes; else the columns of the probabilities, else 1 + the largest label
    #[arg(long, value_name = "C")]
    pub classes: Option<usize>,
    /// File for the picks, .csv, .jsonl, .ndjson or .parquet; CSV on standard output if not given,
    /// or -
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// File to keep the fitted VAE in (safetensors)
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub model_out: Option<PathBuf>,
    /// Score with a VAE that was kept, and fit none
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    pub model: Option<PathBuf>,
    /// Print errors, and the picks where --out is not given
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print one JSON object a line for every event
    #[arg(long)]
    pub json: bool,
}

/// What chooses: a strategy, or a VAE that was fitted before.
enum Chooser {
    Strategy(Box<dyn Strategy>),
    Model(Box<Model>, VabalPaper),
}

impl Chooser {
    fn of(args: &Rank) -> Result<Self> {
        let spec = config::strategy(&args.strategy, &args.set)?;
        match (&args.model, spec.kind() == KIND) {
            (None, false) if args.model_out.is_some() => {
                Err(no_vae(args, "--model-out", "leave out --model-out, or choose the strategy vabal-paper"))
            }
            (None, _) => Ok(Self::Strategy(STRATEGIES.build(&spec)?)),
            (Some(path), true) => {
                let Bundle { settings, .. } = spec.settings()?;
                Ok(Self::Model(Box::new(Model::load(path)?), VabalPaper::new(settings)?))
            }
            (Some(_), false) => {
                Err(no_vae(args, "--model", "leave out --model, or choose the strategy vabal-paper"))
            }
        }
    }

    fn strategy(&self) -> &dyn Strategy {
        match self {
            Self::Strategy(strategy) => &**strategy,
            Self::Model(_, vabal) => vabal,
        }
    }

    fn select(&self, query: &Query<'_>, progress: &mut vabal::Progress<'_>) -> Result<Selection> {
        match self {
            Self::Strategy(strategy) => strategy.select(query, progress),
            Self::Model(model, _) => model.select(query, progress),
        }
    }
}

fn no_vae(args: &Rank, option: &str, hint: &str) -> Error {
    Error::input("the strategy has no VAE")
        .at(option)
        .expected("the strategy vabal-paper or vabal-official")
        .got(&args.strategy)
        .hint(hint)
        .into()
}

/// Reads the arrays, chooses, writes.
///
/// # Errors
/// What the library says; files that cannot be read or written, arrays that are missing or
/// disagree.
pub fn run(args: &Rank) -> Result<()> {
    if args.n == 0 {
        return Err(Error::input("no rows asked for")
            .at("-n")
            .expected("1 or more")
            .got(0)
            .hint("say how many to choose: -n 100")
            .into());
    }
    let chooser = Chooser::of(args)?;
    let out = args.out.as_deref().filter(|out| *out != Path::new("-"));
    let format = out.map_or(Ok(Format::Csv), Format::of)?;
    for path in out.iter().copied().chain(args.model_out.as_deref()) {
        write::check_place(path, args)?;
    }
    let stop = interrupt::flag()?;
    let mut show = Show::new(args.quiet, args.json);
    let mut progress = |event: Event<'_>| {
        show.event(&event);
        if stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    };
    let chosen = choose(args, &chooser, &mut progress);
    show.clear();
    let Chosen { names, selection, facts } = chosen?;
    show.result(&facts, &selection);
    let picks = write::Picks { names, selection: &selection }.columns();
    let mut all: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    match out {
        Some(path) => all.push((path.into(), table::bytes(format, &picks)?)),
        None => show.picks(&picks)?,
    }
    if let Some(path) = &args.model_out {
        let model = selection.model.clone().ok_or_else(|| {
            Error::input("no VAE was fitted").at("--model-out").hint("give a pool that holds something")
        })?;
        all.push((path.clone(), model));
    }
    files::write_all(all.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice())))?;
    show.finished(selection.ids.len(), out, args.model_out.as_deref());
    Ok(())
}

/// What a person is told of a selection.
#[derive(Debug)]
struct Facts {
    unlabelled: usize,
    labelled: usize,
    strategy: String,
    seed: u64,
    classes: Vec<summary::Class>,
}

struct Chosen {
    names: Names,
    selection: Selection,
    facts: Facts,
}

fn nothing(labelled: usize) -> Error {
    Error::input("there is no row to choose from")
        .at("--unlabelled")
        .expected("at least 1 row, without a label where --labelled is not given")
        .got(format!("0 rows, and {labelled} with a label"))
        .hint("give −1 (or NaN) as the label of rows to choose from, or the labelled rows as --labelled")
        .into()
}

fn choose(args: &Rank, chooser: &Chooser, progress: &mut vabal::Progress<'_>) -> Result<Chosen> {
    if let Some(chosen) = streamed::choose(args, progress)? {
        return Ok(chosen);
    }
    if let Some(chosen) = in_parts::choose(args, progress)? {
        return Ok(chosen);
    }
    let pool = pool(args, chooser, progress)?;
    let (name, cold) = match pool.cold_start(chooser.strategy(), progress)? {
        Some((name, strategy)) => (name, Some(Chooser::Strategy(strategy))),
        None => (args.strategy.as_str(), None),
    };
    let chooser = cold.as_ref().unwrap_or(chooser);
    let strategy = chooser.strategy();
    let (needs, of_labelled) = (strategy.needs(), strategy.needs_of_labelled());
    pool.require(name, needs, of_labelled)?;
    if pool.candidates() == 0 {
        return Err(nothing(pool.labels().len()));
    }
    // Probabilities and predictions, where there are some, also tell what a selection means.
    let also = Needs::PROBABILITIES.and(Needs::PREDICTED);
    let signals = pool.signals_for(strategy, also, progress)?;
    let query = pool.query(&signals, args.n, Seed::new(args.seed));
    let hint = |error: Error| error.or_hint("docs/formats.md says what arrays look like");
    query.check(strategy).map_err(hint)?;
    let selection = chooser.select(&query, progress).map_err(hint)?;
    let facts = Facts {
        unlabelled: pool.candidates(),
        labelled: pool.labels().len(),
        strategy: name.to_owned(),
        seed: args.seed,
        classes: summary::classes(&query, &selection)?,
    };
    Ok(Chosen { names: pool.names(&selection.ids), selection, facts })
}

/// Of two groups of files, or of one, split by its labels; with as many classes as told, or as the
/// VAE has.
fn pool(args: &Rank, chooser: &Chooser, progress: &mut vabal::Progress<'_>) -> Result<Pool> {
    let of_model = match chooser {
        Chooser::Strategy(_) => None,
        Chooser::Model(model, _) => Some(model.classes()),
    };
    let classes = args.classes.or(of_model).map_or(Classes::Guess, Classes::Count);
    let labelled = (!args.labelled.is_empty()).then(|| pool::group(&args.labelled)).transpose()?;
    Pool::new(pool::group(&args.unlabelled)?, labelled, &classes, progress)
}
