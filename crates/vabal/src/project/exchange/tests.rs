//! Labels in and out: what is written comes back to the byte, what others write is understood, and
//! nothing that a file may hold makes a reader panic.

mod contents;
mod errors;
mod exports;
mod matches;
mod round_trips;
mod suggestions;

use sha2::{Digest as _, Sha256};

use super::*;

/// An image with a label, as a project that asked once has it.
pub(super) fn labelled(path: &str, class: &str, number: i64) -> Row {
    let answer = Answer {
        answer: number,
        person: Some("Ada".into()),
        at: Some(1_700_000_000_000 + number),
        act: Act::Label,
        class: Some(class.into()),
        undoes: None,
        seconds: Some(1.5),
        suggested: None,
        source: Source::Page,
        token: None,
    };
    Row {
        path: path.into(),
        hash: sum(path.as_bytes()),
        state: State::Labelled,
        class: Some(class.into()),
        holdout: false,
        suggestion: None,
        note: Note::default(),
        history: vec![answer],
    }
}

pub(super) fn sum(bytes: &[u8]) -> String {
    folders::hex(Sha256::new_with_prefix(bytes))
}

pub(super) fn class(name: &str) -> Class {
    Class { name: name.into(), ..Class::default() }
}
