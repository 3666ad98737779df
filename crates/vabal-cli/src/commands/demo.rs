//! `vabal demo`: the whole loop on the embedded set, and its report.

use vabal::Result;
use vabal::config::Config;
use vabal::experiment;

use super::report;
use super::run::{Shared, execute};

const CONFIG: &str = include_str!("demo.toml");

/// Run the whole loop on a small embedded set, in a minute
///
/// Clothes of Fashion-MNIST, one class common and nine rare: random, entropy, margin and vabal ask
/// for labels in turn, a linear classifier learns from features of the pretrained network inside
/// the program, and a report compares them. Needs no network connection and no data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal demo\n  vabal demo --out my-demo --set 'seeds=[1, 2, 3, 4, 5]'")]
pub struct Demo {
    #[command(flatten)]
    pub shared: Shared,
}

/// Runs the demo.
///
/// # Errors
/// What the library says.
pub fn run(args: &Demo) -> Result<()> {
    let config = Config::parse(CONFIG, "the demo's configuration", "demo", &args.shared.set)?;
    if let Some((out, mut screen)) = execute(&config, &args.shared)? {
        let page = out.join("report.html");
        let files = experiment::report::files_beside(&page);
        report::write(&[out], &page, &files)?;
        screen.reported(&page, &files);
    }
    Ok(())
}
