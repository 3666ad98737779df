//! A person's labelling project.

pub mod exchange;
