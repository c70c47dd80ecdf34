//! Tests of what not every machine has. Where it is missing they say so in the form that `.ci/run` counts; where the variable
//! says `required`, they fail.

use std::io::Write as _;

/// Whether such a test can go on.
#[track_caller]
pub(crate) fn can_test(what: &str, variable: &str, is_there: bool) -> bool {
    let is_required = std::env::var_os(variable).is_some_and(|value| value == "required");
    assert!(
        is_there || !is_required,
        "{what}: what that needs is missing, and {variable} says that it has to be there"
    );
    if !is_there {
        // Past what the test runner keeps to itself.
        let _ = std::io::stderr().write_all(format!("\nSKIPPED: {what}\n").as_bytes());
    }
    is_there
}
