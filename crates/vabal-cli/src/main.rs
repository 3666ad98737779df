//! The command `vabal`: reads the arguments, calls the library, prints its errors once.
//!
//! Never here, or in any file beside it: what the library can do for every front end.

mod bar;
mod browser;
mod commands;
mod data_dir;
mod interrupt;
mod output;
mod place;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use vabal::Error;

/// A training step takes and gives back the same few large buffers again and again: the system's
/// allocator returns them to the kernel each time, which then clears every page anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Chooses which images to label next when classes are imbalanced and labels are few
#[derive(Parser)]
#[command(
    name = "vabal",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  vabal init steel --images photos/\n  vabal label steel\n  vabal demo\n  vabal rank --unlabelled pool.npz --labelled labelled.npz -n 500 --out picks.csv\n  \
                  vabal run experiments/cifar10-plus-1.toml --device cuda\n  \
                  vabal report runs/cifar10-plus-1 --out report.html"
)]
enum Command {
    Init(commands::init::Init),
    Label(commands::label::Label),
    Scan(commands::init::Scan),
    Train(commands::train::Train),
    Query(commands::query::Query),
    Status(commands::status::Show),
    Set(commands::set::Set),
    Predict(commands::predict::Predict),
    Import(commands::import::Import),
    Export(commands::export::Export),
    Run(commands::run::Run),
    Demo(commands::demo::Demo),
    Fetch(commands::fetch::Fetch),
    Embed(commands::embed::Embed),
    Backbone(commands::backbone::Backbones),
    Rank(commands::rank::Rank),
    Plan(commands::scale::PlanArgs),
    Score(commands::scale::Score),
    Pick(commands::scale::Pick),
    Shortlist(commands::scale::ShortlistArgs),
    Report(commands::report::Report),
}

/// The name of the user, as the system has it.
fn user() -> Option<String> {
    let name = ["USER", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.trim().is_empty())
}

fn main() -> ExitCode {
    // This thread works too, instead of sleeping until the others have done each of thousands of
    // small tasks.
    if let Err(error) = rayon::ThreadPoolBuilder::new().use_current_thread().build_global() {
        output::complain(format!("warning: working on one core alone: {error}"));
    }
    let command = Command::parse();
    let stopped = match &command {
        Command::Rank(_)
        | Command::Plan(_)
        | Command::Score(_)
        | Command::Pick(_)
        | Command::Shortlist(_)
        | Command::Import(_)
        | Command::Export(_)
        | Command::Predict(_) => "stopped; nothing was written".to_owned(),
        Command::Train(_) => "stopped; model, suggestions and queue are as they were".to_owned(),
        Command::Init(args) => format!(
            "stopped; the images that were looked at are kept: go on with `vabal scan {}`",
            args.project.display()
        ),
        _ => "stopped; what was finished is kept, and the same command goes on from there".to_owned(),
    };
    let result = match command {
        Command::Init(args) => commands::init::init(&args),
        Command::Label(args) => commands::label::run(&args),
        Command::Scan(args) => commands::init::scan(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Query(args) => commands::query::run(&args),
        Command::Set(args) => commands::set::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Fetch(args) => {
            commands::fetch::run(&args, &data_dir::data_dir(), &mut commands::fetch::bar(args.quiet))
        }
        Command::Embed(args) => commands::embed::run(&args),
        Command::Backbone(args) => commands::backbone::run(&args),
        Command::Rank(args) => commands::rank::run(&args),
        Command::Plan(args) => commands::scale::plan(&args),
        Command::Score(args) => commands::scale::score(&args),
        Command::Pick(args) => commands::scale::pick(&args),
        Command::Shortlist(args) => commands::scale::shortlist(&args),
        Command::Report(args) => commands::report::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ Error::Stopped) => {
            output::complain(stopped);
            ExitCode::from(error.exit_code())
        }
        Err(error) => {
            output::complain(format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
