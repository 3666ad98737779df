//! The words of a project that are the same in the store, in JSON and in files: acts, sources,
//! states.
//!
//! Never here: what they mean for each other.

/// An enum that is one word in JSON and in SQLite.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$of])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// The word for it, in JSON as in the store.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                match value.as_str()? {
                    $($word => Ok(Self::$variant),)+
                    other => Err(rusqlite::types::FromSqlError::Other(format!("unknown word \"{other}\"").into())),
                }
            }
        }

        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(self.word().into())
            }
        }
    };
}
pub(super) use words;

words! {
    /// What a person does with an image.
    Act {
        /// Says its class.
        Label = "label",
        /// Puts it off: it comes back when nothing else is left.
        Later = "later",
        /// Takes it out of the data set.
        Discard = "discard",
        /// Cannot tell.
        Unsure = "unsure",
        /// Takes an earlier answer back.
        Undo = "undo",
    }
}

words! {
    /// Where an answer came from.
    Source {
        /// Given to a question.
        Page = "page",
        /// Read from a file.
        Import = "import",
        /// Given to another image with the same content.
        Duplicate = "duplicate",
        /// Given in the review: settles the image, whatever others said before.
        Review = "review",
    }
}

words! {
    /// What is known of an image.
    State {
        /// Nobody has said anything.
        Open = "open",
        /// Everybody who said so says the same class.
        Labelled = "labelled",
        /// Put off.
        Later = "later",
        /// Somebody could not tell.
        Unsure = "unsure",
        /// Taken out.
        Discarded = "discarded",
        /// Two persons say different things.
        Conflict = "conflict",
    }
}
