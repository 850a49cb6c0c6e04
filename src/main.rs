//! kubetriage: see the library for what it does; this only runs the command line.

fn main() -> kubetriage::cli::Exit {
    kubetriage::cli::main()
}
