//! The `laura-migrate` command: arguments in, exit code out.
fn main() {}
