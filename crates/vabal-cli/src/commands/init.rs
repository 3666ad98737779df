//! `vabal init`: a folder of images becomes a project.
//!
//! Never here: what a project is; that is [`vabal::project`].

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use vabal::project::{Imported, Project, Settings};
use vabal::{Error, Flow, Result};

use super::set::pairs;
use crate::bar::Bar;
use crate::interrupt;
use crate::output::{complain, say};

/// Make a labelling project of a folder of images
///
/// The project is a folder with one SQLite file. Images stay where they are and are only looked at:
/// JPEG, PNG, BMP, WebP and TIFF, in DIR and all folders below it. A part of them, drawn at random,
/// is set aside to measure accuracy honestly. Classes can be added, renamed and merged later, on
/// the page.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal init steel --images photos/\n  \
    vabal init steel --images photos/ --classes crazing,inclusion,patches\n  \
    vabal init cells --images slides/ --set backbone=model.onnx --set holdout=0.1\n\n\
    Settings, and what they are if not set:\n  \
    name           the folder's name  what the page is headed with\n  \
    strategy       vabal              what chooses: any name of docs/strategies.md\n  \
    backbone       auto               pretrained network whose features are learnt from: auto, an ONNX\n  \
                                      file; none trains a network from scratch, in a minute, not a second\n  \
    first          10                 labels before the first training\n  \
    retrain_every  10                 new labels between trainings\n  \
    budget         100                images chosen at a time\n  \
    size           0                  pixels, high and wide, of what the network sees; 0: what suits it\n  \
    holdout        0.2                share of the images set aside to measure accuracy\n  \
    answers_wanted 1                  how many people answer each image\n  \
    and balanced, colour, passes, holdout_target, holdout_every, seed, hide_suggestions\n\n\
    All but holdout and seed can be changed later: vabal set PROJECT KEY=VALUE")]
pub struct Init {
    /// Folder of the project, made if it is not there
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// Folder of the images
    #[arg(long, value_name = "DIR")]
    pub images: PathBuf,
    /// Names of the classes, with commas between; a name with a comma in it stands in quotes:
    /// 'a,"b, c"'
    #[arg(long, value_name = "A,B,C")]
    pub classes: Vec<String>,
    /// Set a setting of the project; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print errors only
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Look at the folder of images again: take in new ones, find moved ones
///
/// Images that were moved or renamed are found by their content and keep their labels. Images that
/// are gone are kept as missing, and are back when their file is. Nothing is deleted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal scan steel\n  vabal scan steel --images /mnt/new-disk/photos")]
pub struct Scan {
    /// Folder of the project
    #[arg(value_name = "PROJECT")]
    pub project: PathBuf,
    /// Where the folder of images is now, if it was moved
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Print errors only
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Makes the project, looks at every image, says what was found.
///
/// # Errors
/// What the library says: a project that is there already, no such folder, settings that are none.
pub fn init(args: &Init) -> Result<()> {
    if Project::open(&args.project).is_ok() {
        let there = args.project.display();
        return Err(Error::input("there is a project in this folder already")
            .at(&there)
            .hint(format!(
                "go on with `vabal label {there}`, take in new images with `vabal scan {there}`, change settings with \
                 `vabal set {there}`, or choose another folder"
            ))
            .into());
    }
    let settings =
        Settings::default().changed(&Value::Object(pairs(&args.set, "--set", "--set retrain_every=100")?));
    let settings = settings.map_err(|error| error.or_hint("`vabal init --help` lists the settings"))?;
    let mut classes = Vec::new();
    for text in &args.classes {
        classes.extend(names(text)?);
    }
    let mut project = Project::create(&args.project, &args.images, &classes, settings)?;
    look(&mut project, &args.project, args.quiet, args.json, true)
}

/// The values of a line of CSV: commas between, quotes around a value that has one.
fn names(line: &str) -> Result<Vec<String>> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => name.push('"'),
            '"' if quoted || name.trim().is_empty() => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            _ => name.push(c),
        }
    }
    if quoted {
        return Err(Error::input("a quote is not closed")
            .at("--classes")
            .expected("names with commas between, in quotes where they have a comma themselves: 'a,\"b, c\"'")
            .got(line)
            .hint("close it; in a shell, single quotes stand around the whole")
            .into());
    }
    names.push(name);
    Ok(names)
}

/// Looks at the folder of images again.
///
/// # Errors
/// What the library says.
pub fn scan(args: &Scan) -> Result<()> {
    let mut project = Project::open(&args.project)?;
    if let Some(images) = &args.images {
        project.set_images(images)?;
    }
    look(&mut project, &args.project, args.quiet, args.json, false)
}

fn look(project: &mut Project, folder: &Path, quiet: bool, json: bool, new: bool) -> Result<()> {
    let stop = interrupt::flag()?;
    let bar = Bar::new(quiet || json);
    let imported = project.import(&mut |event| {
        bar.show(&event);
        if stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    });
    bar.clear();
    let imported = imported?;
    let (counts, classes) = (project.counts()?, project.classes()?);
    if counts.images == 0 {
        return Err(Error::input("there is no image in this folder")
            .at(project.images_folder()?.display())
            .expected("JPEG, PNG, BMP, WebP or TIFF files, in it or below")
            .hint(format!("put images there and run `vabal scan {}`", folder.display()))
            .into());
    }
    if json {
        say(
            json!({ "project": folder, "images": project.images_folder()?, "counts": counts, "imported": imported }),
        );
        return Ok(());
    }
    if quiet {
        return Ok(());
    }
    for line in lines(&imported, counts.images, copies(project)?) {
        say(line);
    }
    for bad in imported.bad.iter().take(BAD) {
        complain(format_args!("warning: left out {}: {}", bad.path, bad.reason));
    }
    if imported.bad.len() > BAD {
        complain(format_args!("warning: and {} more; --json lists all", imported.bad.len() - BAD));
    }
    if new {
        let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        match names.len() {
            0 => say("no classes yet: add them on the page"),
            n => say(format_args!("{n} classes: {}", names.join(", "))),
        }
        say(format_args!("\nNext: vabal label {}", folder.display()));
    }
    Ok(())
}

/// What was found, a line each.
fn lines(imported: &Imported, images: usize, copies: usize) -> Vec<String> {
    let mut lines = vec![match images {
        1 => "1 image".to_owned(),
        n => format!("{n} images"),
    }];
    let parts = [
        (imported.added, "new"),
        (imported.moved, "found at another place, with their labels"),
        (imported.changed, "saved anew, with their labels"),
        (imported.missing, "missing: their labels are kept, and count again when the files are back"),
        (copies, "exact copies of others, which are asked once"),
        (imported.others, "other files passed over"),
        (imported.bad.len(), "files that cannot be used"),
    ];
    lines.extend(parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("  {n} {what}")));
    lines
}

/// Images of whose content there is an earlier one.
fn copies(project: &Project) -> Result<usize> {
    let (mut copies, mut after) = (0, None);
    loop {
        let page = project.duplicates(false, after.as_deref(), Some(1000))?;
        copies += page.groups.iter().map(|group| group.count - 1).sum::<usize>();
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(copies),
        }
    }
}

/// Files that cannot be read and are named.
const BAD: usize = 10;

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_with_a_comma_stands_in_quotes() {
        assert_eq!(names("a, b").unwrap(), ["a", " b"]);
        assert_eq!(names("a,\"b, c\",d").unwrap(), ["a", "b, c", "d"]);
        assert_eq!(names("a, \"b, \"\"c\"\"\"").unwrap(), ["a", " b, \"c\""]);
        assert_eq!(names("5\" pipe").unwrap(), ["5\" pipe"]);
        assert!(names("a,\"b").is_err());
        assert_eq!(names("").unwrap(), [""]);
    }
}
