//! The binary: everything is in the library.

fn main() -> std::process::ExitCode {
    rhombus_sync::cli::main()
}
