//! Parses the command line, runs the command, gives the exit code.

fn main() -> std::process::ExitCode {
    teamai::cli::main()
}
