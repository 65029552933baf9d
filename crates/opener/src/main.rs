//! Dispatches to `deepid_opener::cli`.

fn main() -> std::process::ExitCode {
    deepid_opener::cli::main()
}
