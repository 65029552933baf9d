//! Dispatches to `deepid_edge::cli`.

fn main() -> std::process::ExitCode {
    deepid_edge::cli::main()
}
