//! One file per command.

pub mod demo;
pub mod fetch;
pub mod init;
pub mod label;
pub mod rank;
pub mod report;
pub mod run;
