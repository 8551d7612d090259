//! The binary that Lambda runs.

fn main() -> Result<(), lambda_runtime::Error> {
    dispatcher::lambda::serve()
}
