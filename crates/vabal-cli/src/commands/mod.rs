//! One file per command.

pub mod demo;
pub mod export;
pub mod fetch;
pub mod import;
pub mod init;
pub mod label;
pub mod rank;
pub mod report;
pub mod run;
