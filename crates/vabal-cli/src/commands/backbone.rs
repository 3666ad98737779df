//! `vabal backbone`: which pretrained network gives the features, and what is read of its file.
//!
//! A file that the program does not know is opened in a process of its own first: what it makes
//! that process do, it cannot do to this one. Never here: how a network is run; that is
//! [`vabal::backbone`].

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vabal::backbone::{self, AUTO, Backbone, EMBEDDED, Layout, Pooling, Settings, Spec, Wish};
use vabal::error::unknown;
use vabal::{Error, Result};

use super::fetch;
use crate::data_dir::data_dir;
use crate::output::say;

/// Show the pretrained networks that give features of images
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal backbone show\n  vabal backbone show model.onnx")]
pub struct Backbones {
    #[command(subcommand)]
    pub what: What,
}

/// What of it.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    Show(Show),
}

/// Show what is read of a backbone: its input, its output, how images are normalised
///
/// The network is run once on a black image.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal backbone show\n  vabal backbone show model.onnx\n  \
    vabal backbone show dinov2.onnx --size 224 --pooling class")]
pub struct Show {
    /// ONNX file, or a name: efficientnet-lite0, which is inside the program, or one of `vabal
    /// fetch`
    #[arg(value_name = "BACKBONE", default_value = EMBEDDED)]
    pub backbone: String,
    #[command(flatten)]
    pub wishes: Wishes,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Open the file in this very process, with these settings as JSON, and say nothing
    #[arg(long, hide = true, value_name = "SETTINGS")]
    pub here: Option<String>,
}

/// What is said of a backbone that its file does not say.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Wishes {
    /// Height and width of its input, in pixels; 224 if neither file nor you say it
    #[arg(long, value_name = "PIXELS", help_heading = "Backbone")]
    pub size: Option<usize>,
    /// Where its input has the channels: nchw or nhwc
    #[arg(long, value_name = "LAYOUT", value_parser = layout, help_heading = "Backbone")]
    pub layout: Option<Layout>,
    /// Name of the value to take as features; before the classifier's last layer if not given
    #[arg(long, value_name = "NAME", help_heading = "Backbone")]
    pub output: Option<String>,
    /// How several vectors of an image become one: none, mean or class
    #[arg(long, value_name = "POOLING", value_parser = pooling, help_heading = "Backbone")]
    pub pooling: Option<Pooling>,
    /// Mean of red, green and blue, of values from 0 to 1; ImageNet's if neither file nor you say
    /// it
    #[arg(long, value_name = "R,G,B", value_parser = colours, help_heading = "Backbone", allow_hyphen_values = true)]
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue, likewise
    #[arg(long, value_name = "R,G,B", value_parser = colours, help_heading = "Backbone")]
    pub std: Option<[f32; 3]>,
}

impl Wishes {
    /// The same for the library.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let Self { size, layout, output, pooling, mean, std } = self.clone();
        Settings { size, layout, output, pooling, mean, std }
    }
}

fn layout(text: &str) -> std::result::Result<Layout, String> {
    serde_json::from_value(text.into()).map_err(|_| "nchw or nhwc".to_owned())
}

fn pooling(text: &str) -> std::result::Result<Pooling, String> {
    serde_json::from_value(text.into()).map_err(|_| "none, mean or class".to_owned())
}

fn colours(text: &str) -> std::result::Result<[f32; 3], String> {
    let values: Vec<f32> = text.split(',').map_while(|value| value.trim().parse().ok()).collect();
    match values[..] {
        [one] => Ok([one; 3]),
        [r, g, b] => Ok([r, g, b]),
        _ => Err("three numbers with commas between, or one for all".to_owned()),
    }
}

/// Opens a backbone by name or file. A file is opened in another process first.
///
/// # Errors
/// What the library says; a file that brings down the process that opens it first.
pub fn open(wish: &Wish) -> Result<Backbone> {
    found(wish).map_err(|error| error.or_hint("`vabal backbone show --help` lists what can be set"))
}

fn found(wish: &Wish) -> Result<Backbone> {
    let Wish { name, settings, .. } = wish;
    if [AUTO, EMBEDDED].contains(&name.as_str()) {
        return backbone::open(wish);
    }
    let fetched = fetch::backbone_file(name, &data_dir());
    if let Some(file) = fetched.as_deref().filter(|file| !file.exists()) {
        return Err(Error::input("this backbone is not on this machine yet")
            .at(name)
            .got(format!("no file {}", file.display()))
            .hint(format!("vabal fetch {name}"))
            .into());
    }
    let path = fetched.as_deref().unwrap_or(Path::new(name));
    if !path.exists() && path.extension().is_none() {
        let known: Vec<&str> = [AUTO, EMBEDDED].into_iter().chain(fetch::backbones()).collect();
        let otherwise = "export your network as ONNX, with torch.onnx.export for example, and give the file";
        return Err(unknown("backbone", name, &known, otherwise).into());
    }
    try_apart(path, settings)?;
    Backbone::open(path, settings)
}

/// The longest that a file may take to be opened and run once.
const LONGEST: Duration = Duration::from_secs(120);
/// The most memory that it may take beside the size of the file, in bytes.
const MOST_MEMORY: u64 = 8 << 30;
/// The exit code of a process that has taken more.
const TOO_MUCH: i32 = 3;

/// Opens a file and runs it once in another process.
fn try_apart(path: &Path, settings: &Settings) -> Result<()> {
    let program = std::env::current_exe().map_err(Error::io("find", Path::new("the program itself")))?;
    let mut child = Command::new(&program)
        .args(["backbone", "show", "--here"])
        .arg(serde_json::json!(settings).to_string())
        .arg("--")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io("start", &program))?;
    let start = Instant::now();
    let ended = loop {
        match child.try_wait().map_err(Error::io("wait for", &program))? {
            Some(status) => break Some(status),
            None if start.elapsed() > LONGEST => {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    if ended.is_some_and(|status| status.success() || status.code() == Some(2)) {
        // What it complains of is complained of once more in this process, which now may open the
        // file.
        return Ok(());
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // The reason is a help, and not what matters.
        let _ = stderr.read_to_string(&mut said);
    }
    let reason = match ended {
        None => format!("it was not through after {} seconds", LONGEST.as_secs()),
        Some(status) if status.code() == Some(TOO_MUCH) => {
            format!("it takes more than {} GiB of memory", MOST_MEMORY >> 30)
        }
        Some(status) => {
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            format!("it ended the process that opened it: {status}; {last}")
        }
    };
    Err(Error::input("this backbone cannot be used")
        .at(path.display())
        .expected("a network on images as an ONNX file")
        .got(reason)
        .hint("the file may be damaged: export it again")
        .into())
}

/// Ends this process once it has taken too long, which the process that waits for it sees to unless
/// it was killed, or too much memory, where the system tells how much it has.
fn watch() {
    let start = Instant::now();
    std::thread::spawn(move || {
        loop {
            if start.elapsed() > LONGEST + Duration::from_secs(5) {
                std::process::exit(TOO_MUCH);
            }
            let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
            match pages {
                None => std::thread::sleep(Duration::from_secs(1)),
                // Pages are no smaller on any system that has this file.
                Some(pages) if pages * 4096 > MOST_MEMORY => std::process::exit(TOO_MUCH),
                Some(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    });
}

/// What there is beside the network inside the program, in one line.
pub fn others() -> String {
    let names = fetch::backbones().map(|name| {
        let here = fetch::backbone_file(name, &data_dir()).is_some_and(|file| file.exists());
        if here { format!("{name} (fetched)") } else { name.to_owned() }
    });
    format!("other backbones: an ONNX file, or by `vabal fetch`: {}", names.collect::<Vec<_>>().join(", "))
}

/// Images are larger than this, where nothing is known of them.
const LARGE: usize = 1000;

/// Shows a backbone.
///
/// # Errors
/// As [`open`].
pub fn run(args: &Backbones) -> Result<()> {
    let What::Show(args) = &args.what;
    if let Some(settings) = &args.here {
        watch();
        let settings = serde_json::from_str(settings).map_err(Error::input)?;
        Backbone::open(&PathBuf::from(&args.backbone), &settings)?;
        return Ok(());
    }
    let wish = Wish { name: args.backbone.clone(), settings: args.wishes.settings(), side: LARGE };
    let backbone = open(&wish)?;
    let spec = backbone.spec();
    if args.json {
        say(serde_json::json!(spec));
    } else {
        lines(spec).iter().for_each(say);
        if args.backbone == EMBEDDED {
            say(format_args!("\n{}", others()));
        }
    }
    Ok(())
}

/// What is known of a backbone, a line each.
fn lines(spec: &Spec) -> Vec<String> {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let colours = |values: [f32; 3]| match values {
        [r, g, b] if r == g && g == b => r.to_string(),
        values => values.map(|value| value.to_string()).join(", "),
    };
    let pooled = match spec.pooling {
        Pooling::None => String::new(),
        Pooling::Mean => ", mean over places".to_owned(),
        Pooling::Class => ", the first token".to_owned(),
    };
    let mut lines = vec![
        spec.name.clone(),
        format!("  sha256         {}", spec.sha256),
        format!(
            "  input          {}: {} × {} pixels, {} channels, {}, {}",
            spec.input,
            spec.height,
            spec.width,
            spec.channels,
            word(serde_json::json!(spec.layout)),
            match spec.batch {
                1 => "one image at a time".to_owned(),
                n => format!("{n} images at a time"),
            }
        ),
        format!(
            "  normalisation  (pixel / 255 − mean) / std: mean {}, std {}",
            colours(spec.normalisation.mean),
            colours(spec.normalisation.std)
        ),
        format!("  output         {}: {:?}{pooled}", spec.output, spec.shape),
    ];
    if let Some(kind) = &spec.cut {
        lines.push(format!("  cut off        the last {kind}, the classifier's"));
    }
    lines.push(format!("  features       {}", spec.features));
    lines
}
