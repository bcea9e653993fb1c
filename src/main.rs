//! The binary: parses what was typed and hands it to the commands.

use std::process::ExitCode;

use antiphon::cli::{Cli, run};
use clap::Parser;

fn main() -> ExitCode {
    run(&Cli::parse())
}
