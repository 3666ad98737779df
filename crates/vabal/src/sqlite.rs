//! What the SQLite files of the library have in common: whose file it is, of which version, and
//! JSON in a column.
//!
//! Never here: what is in the files.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Cause, Error, Result};

/// For `map_err` on an operation of the store at `path`.
pub(crate) fn failed(path: impl AsRef<Path>) -> impl Fn(rusqlite::Error) -> Error {
    let path = path.as_ref().to_path_buf();
    move |source| {
        let (cause, hint) = reason(&source);
        Error::Store { path: path.clone(), source: source.into(), cause, hint }
    }
}

/// What a front end tells apart, and what the person can do about it.
fn reason(source: &rusqlite::Error) -> (Cause, &'static str) {
    use rusqlite::ErrorCode;
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            (Cause::Full, "free some space and run the same command again; it goes on where it stopped")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Cause::Busy, "another process is using this folder; wait for it, or choose another folder")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            Cause::Other,
            "the file is damaged, or is no store of vabal's; move it away, or choose another folder",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            (Cause::Forbidden, "the folder cannot be written; check its permissions, and do it again")
        }
        Some(ErrorCode::PermissionDenied) => {
            (Cause::Forbidden, "check the folder's permissions and free space")
        }
        _ => (Cause::Other, "check the folder's permissions and free space"),
    }
}

/// A kind of file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// "run store", "project".
    pub name: &'static str,
    /// What makes such a file, as in "a file that `vabal run` wrote".
    pub maker: &'static str,
    /// `PRAGMA application_id`.
    pub application: i64,
    /// The version that this code writes: `PRAGMA user_version`.
    pub version: i64,
    /// What to do about a file that is none of these, after "move it away, or ".
    pub otherwise: &'static str,
}

impl Kind {
    /// The version of the file's tables; `None` where it has none at all yet.
    ///
    /// # Errors
    /// A file that is damaged, of another kind, or newer than this code.
    pub fn version_of(&self, connection: &Connection, path: &Path) -> Result<Option<i64>> {
        let fail = failed(path);
        let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(&fail);
        let version = number("PRAGMA user_version")?;
        let application = number("PRAGMA application_id")?;
        if version == 0 && application == 0 && number("SELECT count(*) FROM sqlite_master")? == 0 {
            return Ok(None);
        }
        if application != self.application {
            return Err(Error::input(format!("this file is no {}", self.name))
                .at(path.display())
                .expected(format!("a file that {} wrote", self.maker))
                .hint(format!("move it away, or {}", self.otherwise))
                .into());
        }
        if version > self.version {
            return Err(Error::input(format!("the {} was written by a newer vabal", self.name))
                .at(path.display())
                .expected(format!("version {}", self.version))
                .got(format!("version {version}"))
                .hint(format!("update vabal, or {}", self.otherwise))
                .into());
        }
        Ok(Some(version))
    }

    /// WAL and FULL: a committed step survives a power cut, and a reader never waits.
    pub fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
        connection.execute_batch(settings)
    }

    /// A value out of a column of JSON.
    ///
    /// # Errors
    /// Text that is none: the file is damaged.
    pub fn parsed<T: DeserializeOwned>(&self, text: &str, path: &Path) -> Result<T> {
        serde_json::from_str(text).map_err(|error| {
            Error::input(format!("the {} holds a record that cannot be read", self.name))
                .at(path.display())
                .got(error)
                .hint(format!("the file is damaged; move it away, or {}", self.otherwise))
                .into()
        })
    }
}

/// A value for a column of JSON.
///
/// # Errors
/// A value that JSON does not know, such as a map whose keys are no text.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::input("a record cannot be written as JSON").got(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_failure_is_told_apart() {
        let cause = |code: i32| {
            failed("a")(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)).cause()
        };
        assert_eq!(cause(rusqlite::ffi::SQLITE_FULL), Cause::Full);
        assert_eq!(cause(rusqlite::ffi::SQLITE_BUSY), Cause::Busy);
        assert_eq!(cause(rusqlite::ffi::SQLITE_READONLY), Cause::Forbidden);
    }
}
