//! `vabal label`: the page in the browser, and the server behind it.
//!
//! Never here: what the server answers; that is the crate `vabal-web`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vabal::project::learn::{self, Context};
use vabal::project::{Project, map, status};
use vabal::{Error, Result};
use vabal_web::{Options, Server, Work};

use super::machine::Machine;
use crate::browser::RedirectFile;
use crate::output::{complain, say};
use crate::{interrupt, user};

/// Label images in the browser
///
/// Serves the page on this machine and opens it. The address has a token without which nobody gets
/// in; it stays the same, kept in the project's folder for its owner alone. Every answer is on the
/// disk before the page moves on. When enough is labelled, a model is trained in the background and
/// says what to ask next. Several people can label at once: each opens the address and gives their
/// name. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal label steel\n  vabal label steel --port 9000 --no-open\n  \
    vabal label steel --host 0.0.0.0     # everybody in the network who has the address\n  \
    vabal label steel --allow-host lab.example --base-path /steel     # behind a proxy")]
pub struct Label {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// Name or address to serve at; others than this machine can connect if it is not 127.0.0.1
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to serve at, 0 for any that is free; 8765 or the next that is free if not given
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Further name by which the page may be opened, that of a proxy: NAME or NAME:PORT; may be
    /// given more than once
    #[arg(long, value_name = "NAME")]
    pub allow_host: Vec<String>,
    /// Path below which a proxy shows the page, such as /steel
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    pub base_path: String,
    /// Do not open the browser
    #[arg(long)]
    pub no_open: bool,
    /// Whose answers these are, as the page offers it; the name of the user if not given
    #[arg(long, value_name = "NAME")]
    pub person: Option<String>,
    #[command(flatten)]
    pub machine: Machine,
}

/// Serves the page until Ctrl-C.
///
/// # Errors
/// What the library and the server say.
pub fn run(args: &Label) -> Result<()> {
    let context = args.machine.context(false)?;
    // Not kept open: where the folder cannot be written, and later can, one such connection would
    // keep all from writing.
    let (before, name) = {
        let project = Project::open(&args.project)?;
        (project.counts()?, project.settings()?.name)
    };
    let options = Options {
        project: args.project.clone(),
        host: args.host.clone(),
        port: args.port,
        allowed: args.allow_host.clone(),
        base_path: args.base_path.clone(),
        token: None,
        person: args.person.clone().or_else(user),
    };
    let server = Server::bind(options, work(context))?;
    let stop = interrupt::flag()?;
    say(format_args!("{name}: {} of {} images labelled", before.labelled, before.images));
    if !server.is_local() {
        complain(
            "warning: everybody in the network can connect, and who has this address can see all images and \
             label them\n  hint: give it only to people who may; what is sent is not encrypted",
        );
    }
    let address = server.address().to_owned();
    say(format_args!("\n  {address}\n"));
    if !server.others().is_empty() {
        say(format_args!("For others:\n\n  {}\n", server.others().join("\n  ")));
    }
    if !server.is_local() {
        say("Any address of this machine will do; another name only with --allow-host NAME.\n");
    }
    say("Every answer is on the disk before the page moves on. Ctrl-C ends.");
    let door = if args.no_open { None } else { open(&args.project, &address) };
    server.run(&|| stop.load(Ordering::SeqCst));
    drop(door);
    let after = Project::open(&args.project)?.counts()?;
    say(format_args!(
        "\nended; {} of {} images labelled, all kept in {}",
        after.labelled,
        after.images,
        args.project.display()
    ));
    say(format_args!("\nNext: vabal label {} to go on", args.project.display()));
    Ok(())
}

fn open(folder: &Path, address: &str) -> Option<RedirectFile> {
    RedirectFile::open(folder, address)
        .map_err(|error| {
            complain(format_args!("note: no browser was opened ({error}); open the address above"))
        })
        .ok()
}

/// What the server has done in the background.
fn work(context: Context) -> Work {
    let context = Arc::new(context);
    let [for_map, for_making] = [Arc::clone(&context), Arc::clone(&context)];
    let same = Arc::clone(&context);
    Work {
        learn: Arc::new(move |project, progress| match learn::round(project, &context, progress)? {
            // The first questions are there: now what the first training will want.
            0 => learn::prepare(project, &context, progress),
            _ => Ok(()),
        }),
        map: Arc::new(move |project| map::find(project, &for_map)),
        make_map: Arc::new(move |project, progress| map::make(project, &for_making, progress)),
        alike: Arc::new(move |project, image| learn::alike(project, image, &same)),
        cold_start: true,
        status: Arc::new(|project| {
            serde_json::to_value(status::of(project)?).map_err(|error| Error::input(error).into())
        }),
    }
}
