//! The number of an image in the store.
//!
//! Never here: rows of image sets ([`Id`](crate::Id)); [`learn`](super::learn) maps one to the
//! other.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// The number of an image of a project in SQLite, for life, from 1. It is not the row of an image
/// set, which is an [`Id`](crate::Id): a project reads some of its images, in any order.
///
/// ```
/// use vabal::project::ImageId;
///
/// assert_eq!("7".parse(), Ok(ImageId(7)));
/// assert_eq!(ImageId(7).to_string(), "7");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub i64);

impl Display for ImageId {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImageId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl FromSql for ImageId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

impl ToSql for ImageId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}
