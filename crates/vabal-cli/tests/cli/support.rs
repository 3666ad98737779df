//! A tiny data set, a tiny configuration, and the command itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder of its own for one test, with data and a configuration that take a second in all.
pub struct Place {
    folder: TempDir,
}

pub const STRATEGIES: &str = "[\"random\", \"entropy\", \"vabal\"]";

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write_images("train", 90);
        place.write_images("t10k", 30);
        place.configure(&format!("strategies = {STRATEGIES}"));
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// Three classes of 12 × 12 images: a bright square in one of three places, with some noise.
    fn write_images(&self, part: &str, n: u32) {
        let (mut images, mut labels) = (vec![0, 0, 8, 3], vec![0, 0, 8, 1]);
        for size in [n, 12, 12] {
            images.extend(size.to_be_bytes());
        }
        labels.extend(n.to_be_bytes());
        for image in 0..n {
            // Two of five images are of class 0, so that the others are rare.
            let label = [0_u32, 1, 0, 2, 0][image as usize % 5];
            labels.push(label as u8);
            for pixel in 0..144_u32 {
                let (y, x) = (pixel / 12, pixel % 12);
                let inside = y / 4 == label && (2..8).contains(&x);
                let noise = (image * 31 + pixel * 17 + image * pixel) % 97;
                images.push((noise + if inside { 150 } else { 0 }) as u8);
            }
        }
        fs::write(self.path().join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(self.path().join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }

    /// Writes `tiny.toml`: the lines given, and a network of a few weights.
    pub fn configure(&self, lines: &str) {
        let text = format!(
            "preset = \"quick\"\nseeds = [1, 2]\n{lines}\n\
             [rounds]\ninitial = 12\nbudget = 8\ncount = 3\n\
             [data]\nkind = \"idx\"\npath = '{}'\n\
             [classifier]\nwidth = 2\nepochs = 2\nminimum_steps = 0\nbatch = 8\n\
             [strategy.vabal-official]\nepochs = 2\ndraws = 5\n",
            self.path().display()
        );
        fs::write(self.path().join("tiny.toml"), text).unwrap();
    }

    /// `vabal run tiny.toml --out out` and further arguments, not started yet.
    pub fn run(&self, args: &[&str]) -> Command {
        let mut command = self.vabal(&["run", "tiny.toml", "--out", "out"]);
        command.args(args);
        command
    }

    /// `vabal` with arguments, in this folder.
    pub fn vabal(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vabal"));
        command.args(args).current_dir(self.path()).env("VABAL_DATA", self.path().join("data"));
        command
    }

    /// Runs a line of arguments, which has to succeed: what it prints.
    pub fn runs(&self, line: &str) -> String {
        succeeded(self.vabal(&line.split(' ').collect::<Vec<_>>()).output().unwrap())
    }

    /// Runs a line of arguments, which has to be refused: the error.
    pub fn refuses(&self, line: &str) -> String {
        refused(self, &mut self.vabal(&line.split(' ').collect::<Vec<_>>()))
    }

    /// Text with this folder's name taken out.
    pub fn tidy(&self, text: &str) -> String {
        text.replace(&self.path().display().to_string(), "PLACE")
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard error of a command that must fail with exit code 2 and one error that says what to do.
pub fn refused(place: &Place, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stderr = place.tidy(&text(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("\n  hint: ").count(), 1, "{stderr}");
    stderr
}

pub fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}
