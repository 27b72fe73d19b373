//! The program `postrider`: daemon and command line.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(postrider::cli::main())
}
