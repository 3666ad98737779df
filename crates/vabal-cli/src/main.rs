//! The command `vabal`: reads the arguments, calls the library, prints its errors once.

mod commands;
mod data_dir;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "vabal", version, about = "Chooses which images to label next")]
enum Command {
    Fetch(commands::fetch::Fetch),
}

#[expect(clippy::print_stderr, reason = "the program's one place for errors")]
fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Fetch(args) => {
            commands::fetch::run(&args, &data_dir::data_dir(), &mut commands::fetch::bar())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
