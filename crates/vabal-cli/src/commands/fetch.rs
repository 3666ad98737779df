//! `vabal fetch NAME`: a data set or a pretrained network from its official address, verified,
//! resumed when broken off.
//!
//! Never here: reading the data, choosing the data folder.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use md5::{Digest, Md5};
use sha2::Sha256;
use vabal::data::source::FASHION_PACKAGE;
use vabal::progress::report;
use vabal::{Error, Event, Flow, Progress, Result};

use crate::output::complain;

/// Fetch a data set or a pretrained network from its official address
///
/// The download is verified, and goes on where it stopped when it broke off. Fashion-MNIST is not
/// fetched where the system's package dataset-fashion-mnist is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vabal fetch cifar10\n  vabal fetch fashion-mnist --dir /data\n  \
    vabal fetch resnet50     # then: vabal embed photos/ --backbone resnet50 --out pool.npz")]
pub struct Fetch {
    /// cifar10, cifar100 or fashion-mnist; resnet18 or resnet50
    pub name: String,
    /// Folder to put it below; the data folder if not given
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Address of a mirror that holds the same files
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// Print errors only
    #[arg(long)]
    pub quiet: bool,
}

/// What can be fetched.
struct Set {
    name: &'static str,
    base: &'static str,
    /// Names and the sums that their authors publish: MD5 of 32 digits, SHA-256 of 64.
    files: &'static [(&'static str, &'static str)],
    /// Where the system's package puts the same files.
    package: Option<&'static str>,
    /// Whether it is a pretrained network, in a folder with the others.
    backbone: bool,
}

impl Set {
    /// Where its files are, below the data folder.
    fn folder(&self, data_dir: &Path) -> PathBuf {
        data_dir.join(if self.backbone { "backbones" } else { self.name })
    }

    /// What one of its files is called there: a network as it is named.
    fn file(&self, name: &str) -> String {
        if self.backbone { format!("{}.onnx", self.name) } else { name.to_owned() }
    }
}

/// Of the ONNX Model Zoo, Apache 2.0; the sums are those of its Git LFS.
const ZOO: &str = "https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/validated/vision/classification/resnet/model";

const SETS: [Set; 5] = [
    Set {
        name: "cifar10",
        base: "https://www.cs.toronto.edu/~kriz",
        files: &[("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")],
        package: None,
        backbone: false,
    },
    Set {
        name: "cifar100",
        base: "https://www.cs.toronto.edu/~kriz",
        files: &[("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")],
        package: None,
        backbone: false,
    },
    Set {
        name: "fashion-mnist",
        base: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        files: &[
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ],
        package: Some(FASHION_PACKAGE),
        backbone: false,
    },
    Set {
        name: "resnet18",
        base: ZOO,
        files: &[("resnet18-v2-7.onnx", "3b4d048057854022232aa20bf68262e31718ab7119a17f920b8a2dc1433f824b")],
        package: None,
        backbone: true,
    },
    Set {
        name: "resnet50",
        base: ZOO,
        files: &[("resnet50-v1-12.onnx", "ab65bdc02c5b3123eb3cdf6dac01742438517d8635d4f233913b2be1c70db3b6")],
        package: None,
        backbone: true,
    },
];

/// The names of the pretrained networks that can be fetched.
pub fn backbones() -> impl Iterator<Item = &'static str> {
    SETS.iter().filter(|set| set.backbone).map(|set| set.name)
}

/// Where the file of a pretrained network is, once it is fetched.
pub fn backbone_file(name: &str, data_dir: &Path) -> Option<PathBuf> {
    let set = SETS.iter().find(|set| set.backbone && set.name == name)?;
    Some(set.folder(data_dir).join(set.file(set.name)))
}

/// Fetches what `args` names below `args.dir`, or else below `data_dir`.
///
/// # Errors
/// An unknown name, no network, a broken connection, a wrong checksum, a folder that cannot be
/// written, or [`Error::Stopped`].
pub fn run(args: &Fetch, data_dir: &Path, progress: &mut Progress<'_>) -> Result<()> {
    let Some(set) = SETS.iter().find(|set| set.name == args.name) else {
        let names = SETS.each_ref().map(|set| set.name);
        let complaint = Error::input("unknown data set or network")
            .expected(names.join(", "))
            .got(format!("\"{}\"", args.name));
        return Err(match vabal::error::nearest(&args.name, names) {
            Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
            None => complaint.hint("other data are read from where they are: set data.path"),
        }
        .into());
    };
    if let (Some(package), None, None) = (set.package, &args.dir, &args.from)
        && Path::new(package).is_dir()
    {
        let text = format!("{} is installed in {package}; nothing to fetch", set.name);
        return report(progress, Event::Note(&text));
    }
    let folder = set.folder(args.dir.as_deref().unwrap_or(data_dir));
    fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let base = args.from.as_deref().unwrap_or(set.base).trim_end_matches('/');
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .user_agent(concat!("vabal/", env!("CARGO_PKG_VERSION")))
        // The files are compressed already; a byte range of another encoding would be another file.
        .accept_encoding("identity")
        .build()
        .into();
    for (name, sum) in set.files {
        let url = format!("{base}/{name}");
        let target = folder.join(set.file(name));
        Download { agent: &agent, url: &url, target: &target, sum }.run(progress)?;
    }
    report(progress, Event::Note(&format!("{} is in {}", set.name, folder.display())))
}

/// A bar of bytes on standard error where that is a terminal; notes as lines; nothing of both when
/// `quiet`.
pub fn bar(quiet: bool) -> impl FnMut(Event<'_>) -> Flow {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    move |event| {
        match event {
            Event::Progress { done, total, .. } => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Event::Note(text) | Event::Warning(text) if !quiet => bar.suspend(|| complain(text)),
            _ => {}
        }
        Flow::Continue
    }
}

/// One file on its way.
struct Download<'a> {
    agent: &'a ureq::Agent,
    url: &'a str,
    target: &'a Path,
    sum: &'a str,
}

/// How an attempt ended.
enum Attempt {
    /// Every byte is in the partial file.
    Whole,
    /// It broke off when there were this many bytes more than there had been before.
    Broken(u64, String),
}

impl Download<'_> {
    fn algorithm(&self) -> Algorithm {
        if self.sum.len() == 32 { Algorithm::Md5 } else { Algorithm::Sha256 }
    }

    fn run(&self, progress: &mut Progress<'_>) -> Result<()> {
        if self.target.is_file() {
            return self.check_present(progress);
        }
        let part = PathBuf::from(format!("{}.part", self.target.display()));
        loop {
            match self.attempt(&part, progress)? {
                Attempt::Whole => break,
                // As long as each attempt brings something, the end is nearer.
                Attempt::Broken(new, _) if new > 0 => {}
                Attempt::Broken(_, reason) => return Err(self.unreachable(&reason, &part)),
            }
        }
        let found = digest(&part, self.algorithm())?;
        if found != self.sum {
            fs::remove_file(&part).map_err(Error::io("remove", &part))?;
            return Err(Error::input("the download has the wrong checksum; it was removed")
                .at(self.url)
                .expected(format!("{} {}", self.algorithm(), self.sum))
                .got(found)
                .hint("run the same command again; if it stays, the file at this address has changed")
                .into());
        }
        let file = OpenOptions::new().append(true).open(&part).map_err(Error::io("read", &part))?;
        file.sync_all().map_err(Error::io("write", &part))?;
        fs::rename(&part, self.target).map_err(Error::io("create", self.target))
    }

    fn check_present(&self, progress: &mut Progress<'_>) -> Result<()> {
        let found = digest(self.target, self.algorithm())?;
        if found == self.sum {
            let text = format!("{} is already there, and whole", self.target.display());
            return report(progress, Event::Note(&text));
        }
        Err(Error::input("a file is there with another checksum")
            .at(self.target.display())
            .expected(format!("{} {}", self.algorithm(), self.sum))
            .got(found)
            .hint("move it away and run the same command again")
            .into())
    }

    /// Asks for what is missing of `part` and appends it.
    fn attempt(&self, part: &Path, progress: &mut Progress<'_>) -> Result<Attempt> {
        let before = fs::metadata(part).map_or(0, |data| data.len());
        let mut have = before;
        let mut request = self.agent.get(self.url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error) => return Ok(Attempt::Broken(0, error.to_string())),
        };
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let range = header("content-range").and_then(parse_range);
        let total = match (response.status().as_u16(), range) {
            (200, _) => {
                // The server does not resume: from the start again.
                have = 0;
                length
            }
            (206, Some((start, total))) if start == have => Some(total),
            // Nothing is left to send: the checksum tells whether that is right.
            (416, _) if have > 0 => return Ok(Attempt::Whole),
            (status, _) => {
                let reason = response.status().canonical_reason().unwrap_or_default();
                return Ok(Attempt::Broken(0, format!("the server answered {status} {reason}")));
            }
        };
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(have == 0)
            .append(have > 0)
            .open(part)
            .map_err(Error::io("create", part))?;
        let mut content = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match content.read(&mut buffer) {
                Ok(n) => n,
                Err(error) => return Ok(Attempt::Broken(have.saturating_sub(before), error.to_string())),
            };
            if n == 0 {
                break;
            }
            file.write_all(&buffer[..n]).map_err(Error::io("write", part))?;
            have += n as u64;
            let (done, total) = (have as usize, total.unwrap_or(have) as usize);
            let event =
                Event::Progress { phase: "fetch", done, total: total.max(1), unit: "byte", loss: None };
            report(progress, event)?;
        }
        match total {
            Some(total) if have < total => Ok(Attempt::Broken(
                have.saturating_sub(before),
                format!("the connection ended at {have} of {total} bytes"),
            )),
            _ => Ok(Attempt::Whole),
        }
    }

    fn unreachable(&self, reason: &str, part: &Path) -> Error {
        let kept = fs::metadata(part).map_or(0, |data| data.len());
        let resume = if kept > 0 {
            format!("run the same command again, it goes on after {kept} bytes; or get")
        } else {
            "run the same command again with a network; or get".into()
        };
        Error::input("a file could not be fetched")
            .at(self.url)
            .got(reason)
            .hint(format!("{resume} the file elsewhere and put it at {}", self.target.display()))
            .into()
    }
}

/// Start and total of `bytes START-END/TOTAL`.
fn parse_range(header: &str) -> Option<(u64, u64)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
}

/// What a sum is of.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Md5,
    Sha256,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        })
    }
}

/// The sum of a file, in hexadecimal digits.
fn digest(path: &Path, algorithm: Algorithm) -> Result<String> {
    match algorithm {
        Algorithm::Md5 => digest_by(path, Md5::new()),
        Algorithm::Sha256 => digest_by(path, Sha256::new()),
    }
}

fn digest_by(path: &Path, mut hash: impl Digest) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io("read", path))?;
        if n == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests;
