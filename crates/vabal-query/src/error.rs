//! What went wrong, said once: what, where, expected, got, and a hint.
//!
//! Every fallible function of the library returns [`Error`]. A front end prints it with
//! [`std::fmt::Display`] and exits with [`Error::exit_code`]. Nothing in this room prints or
//! panics.
//!
//! ```
//! use vabal_query::Error;
//!
//! let error: Error = Error::input("label out of range")
//!     .at("labels.csv, line 7")
//!     .expected("0 to 9")
//!     .got(12)
//!     .hint("classes count from 0")
//!     .into();
//! assert_eq!(error.exit_code(), 2);
//! assert!(error.to_string().contains("expected: 0 to 9"));
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every way the library can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something the caller gave is wrong: data, settings, arguments.
    #[error("{0}")]
    Input(Box<Complaint>),
    /// The operating system refused: reading, writing, no space left.
    #[error("cannot {action} {}\n  got: {source}\n  hint: {}", path.display(), io_hint(source))]
    Io {
        /// What was tried, as a verb: "read", "write", "create".
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file that a run or a project is kept in cannot be used.
    #[error("the store {} cannot be used\n  got: {source}\n  hint: {hint}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What went wrong, as far as a front end tells causes apart.
        cause: Cause,
        /// What the person can do about it.
        hint: &'static str,
    },
    /// Training produced a loss that is not a number.
    #[error(
        "training diverged: the loss of the {network} became {loss}\n  where: step {step}, learning rate {learning_rate}\n  \
         expected: a finite loss\n  hint: lower the learning rate (a run needs another --out for that, as its folder keeps to its configuration), or look \
         for constant or non-finite inputs"
    )]
    Diverged {
        /// "classifier" or "VAE".
        network: &'static str,
        /// The optimiser step, counted from 1.
        step: usize,
        /// The learning rate of that step.
        learning_rate: f64,
        /// The loss itself: NaN or infinite.
        loss: f64,
    },
    /// The caller answered [`crate::Flow::Stop`] (Ctrl-C, a stop button). What was finished is
    /// kept.
    #[error("stopped on request; what was finished is kept")]
    Stopped,
}

/// A complaint about something the caller gave. Built by [`Error::input`] and the methods below.
/// Serialised, it is an object of what, where, expected, got and hint, without those that there are
/// not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Complaint {
    what: String,
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// What a front end that goes on after an error tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What the caller gave.
    Caller,
    /// No space is left on the disk.
    Full,
    /// Another process holds what is needed.
    Busy,
    /// Nothing may be written, or read, there.
    Forbidden,
    /// A file or folder is not there.
    Missing,
    /// The caller stopped it.
    Stopped,
    /// Anything else.
    Other,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let lines =
            [("where", &self.place), ("expected", &self.expected), ("got", &self.got), ("hint", &self.hint)];
        for (name, text) in lines {
            if let Some(text) = text {
                write!(f, "\n  {name}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

impl Complaint {
    /// Where it is: a file and a record, a row, a line, a key.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// The same, said in other words.
    #[must_use]
    pub fn said(mut self, what: impl fmt::Display) -> Self {
        self.what = what.to_string();
        self
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.expected = Some(expected.to_string());
        self
    }

    /// What was found instead.
    #[must_use]
    pub fn got(mut self, got: impl fmt::Display) -> Self {
        self.got = Some(got.to_string());
        self
    }

    /// What the person can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl From<Complaint> for Error {
    fn from(complaint: Complaint) -> Self {
        Error::Input(Box::new(complaint))
    }
}

impl Error {
    /// Begins a complaint about something the caller gave: `Error::input("label out of
    /// range").at("a.bin, record 7").expected("0 to 9").got(12).into()`.
    #[must_use]
    pub fn input(what: impl fmt::Display) -> Complaint {
        Complaint { what: what.to_string(), place: None, expected: None, got: None, hint: None }
    }

    /// For `map_err` on an operation of the file system.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }

    /// The same error with its place one level deeper: "epochs" below "classifier" is
    /// "classifier.epochs".
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        match self {
            Error::Input(mut complaint) => {
                complaint.place = Some(match complaint.place.take() {
                    Some(place) => format!("{prefix}.{place}"),
                    None => prefix.to_string(),
                });
                Error::Input(complaint)
            }
            other => other,
        }
    }

    /// The same error with its place within something larger: "line 3" inside "a.csv" is "a.csv,
    /// line 3".
    #[must_use]
    pub fn inside(self, whole: impl fmt::Display) -> Self {
        match self {
            Error::Input(mut complaint) => {
                complaint.place = Some(match complaint.place.take() {
                    Some(place) => format!("{whole}, {place}"),
                    None => whole.to_string(),
                });
                Error::Input(complaint)
            }
            other => other,
        }
    }

    /// The same error with this hint where it has none.
    #[must_use]
    pub fn or_hint(self, hint: &str) -> Self {
        match self {
            Error::Input(complaint) if complaint.hint.is_none() => {
                Error::Input(Box::new(complaint.hint(hint)))
            }
            other => other,
        }
    }

    /// What went wrong, as far as a front end tells causes apart.
    #[must_use]
    pub fn cause(&self) -> Cause {
        use std::io::ErrorKind;
        match self {
            Error::Input(_) => Cause::Caller,
            Error::Stopped => Cause::Stopped,
            Error::Diverged { .. } => Cause::Other,
            Error::Io { source, .. } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Cause::Full,
                ErrorKind::ResourceBusy | ErrorKind::WouldBlock => Cause::Busy,
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Cause::Forbidden,
                ErrorKind::NotFound => Cause::Missing,
                _ => Cause::Other,
            },
            Error::Store { cause, .. } => *cause,
        }
    }

    /// The same as a complaint, whatever the kind: for front ends that show its parts apart.
    #[must_use]
    pub fn complaint(&self) -> Complaint {
        let whole = |what: &str, at: &Path, got: &dyn fmt::Display, hint: &str| {
            Error::input(what).at(at.display()).got(got).hint(hint)
        };
        match self {
            Error::Input(complaint) => (**complaint).clone(),
            Error::Io { action, path, source } => {
                whole(&format!("cannot {action} a file"), path, source, io_hint(source))
            }
            Error::Store { path, source, hint, .. } => whole("the store cannot be used", path, source, hint),
            other => Error::input(other),
        }
    }

    /// Whether there is no space left: the same can be done again when there is some.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.cause() == Cause::Full
    }

    /// The process exit code that says the same: 2, or 130 where the person stopped it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Stopped => 130,
            _ => 2,
        }
    }
}

fn io_hint(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::NotFound => "check the path; relative paths start from the current folder",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "check the permissions, or choose another folder"
        }
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            "a file is where a folder should be, or the other way round; choose another path"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space and run the same command again; nothing that was finished is lost"
        }
        ErrorKind::InvalidData => {
            "the file is damaged, or is text that is not UTF-8; repair it or get it again"
        }
        ErrorKind::UnexpectedEof => "the file ends too early; get it again",
        _ => "fix what the system names and run the same command again; nothing that was finished is lost",
    }
}

/// The known name nearest to `unknown`, when one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&unknown.to_lowercase(), &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len().max(unknown.len()) / 3)
        .map(|(_, name)| name)
}

/// A complaint about a name that is not one of `known`: with the nearest as the hint, or
/// `otherwise`.
#[must_use]
pub fn unknown(what: &str, name: &str, known: &[&str], otherwise: impl fmt::Display) -> Complaint {
    let complaint =
        Error::input(format!("unknown {what}")).expected(known.join(", ")).got(format!("\"{name}\""));
    match nearest(name, known.iter().copied()) {
        Some(near) => complaint.hint(format!("did you mean \"{near}\"?")),
        None => complaint.hint(otherwise),
    }
}

/// Checks that the value of a setting is within its range.
///
/// # Errors
/// A value that is not, by its key; NaN never is.
pub fn within<T: PartialOrd + fmt::Display>(
    key: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("{} to {}", range.start(), range.end());
    Err(Error::input("a setting is out of range").at(key).expected(expected).got(value).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_reads_what_where_expected_got_hint() {
        let error: Error = Error::input("label out of range")
            .at("a.bin, record 7")
            .expected("0 to 9")
            .got(12)
            .hint("check the file")
            .into();
        assert_eq!(
            error.to_string(),
            "label out of range\n  where: a.bin, record 7\n  expected: 0 to 9\n  got: 12\n  hint: check the file"
        );
        assert_eq!(error.exit_code(), 2);
        assert_eq!(Error::Stopped.exit_code(), 130);
    }

    #[test]
    fn causes_are_told_apart_wherever_they_arise() {
        use std::io::ErrorKind;
        let io = |kind: ErrorKind| Error::io("write", "a")(kind.into()).cause();
        let store = |cause| Error::Store { path: "a".into(), source: "b".into(), cause, hint: "c" }.cause();
        assert_eq!((io(ErrorKind::StorageFull), store(Cause::Full)), (Cause::Full, Cause::Full));
        assert_eq!((io(ErrorKind::WouldBlock), store(Cause::Busy)), (Cause::Busy, Cause::Busy));
        assert_eq!(io(ErrorKind::ReadOnlyFilesystem), Cause::Forbidden);
        assert_eq!((io(ErrorKind::NotFound), Error::Stopped.cause()), (Cause::Missing, Cause::Stopped));
    }

    #[test]
    fn a_hint_is_added_only_where_there_is_none() {
        let hint = |error: Complaint| Error::from(error).or_hint("look there").to_string();
        assert_eq!(hint(Error::input("wrong")), "wrong\n  hint: look there");
        assert_eq!(hint(Error::input("wrong").hint("look here")), "wrong\n  hint: look here");
        assert!(matches!(Error::Stopped.or_hint("look there"), Error::Stopped));
    }

    #[test]
    fn a_place_can_be_put_inside_another() {
        let place = |error: Complaint| Error::from(error).inside("a.csv").to_string();
        assert_eq!(place(Error::input("wrong").at("line 3")), "wrong\n  where: a.csv, line 3");
        assert_eq!(place(Error::input("wrong")), "wrong\n  where: a.csv");
        assert!(matches!(Error::Stopped.inside("a.csv"), Error::Stopped));
    }

    #[test]
    fn hints_of_the_file_system_fit_reading_and_writing_alike() {
        use std::io::ErrorKind;
        let hint = |kind: ErrorKind| Error::io("read", "a.toml")(kind.into()).to_string();
        assert!(hint(ErrorKind::InvalidData).contains("not UTF-8"));
        // Only some commands go on where they stopped.
        for kind in
            [ErrorKind::InvalidData, ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::FileTooLarge]
        {
            let text = hint(kind);
            assert!(text.contains("\n  hint: ") && !text.contains("goes on"), "{text}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let known = ["epochs", "batch", "learning_rate"];
        assert_eq!(nearest("epoch", known), Some("epochs"));
        assert_eq!(nearest("learningrate", known), Some("learning_rate"));
        assert_eq!(nearest("zebra", known), None);
    }
}
