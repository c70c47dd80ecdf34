//! What rows of a list name that is not on the list: artefacts of the registry, asked for before anything is sent.

use std::collections::BTreeMap;

use chopmark_core::artefact::ParentSource;

use super::super::parent_source;
use super::super::session::Session;
use super::list::{Fault, Row, Source};
use crate::exit::{Exit, Failure};

/// Why it is not known what rows name.
pub(super) enum Unresolved {
    /// The row names nothing that is there.
    Fault(Fault),
    /// Nobody can say: that is no fault of the list.
    Failure(Failure),
}

/// Asks once about every artefact that rows name by id.
///
/// # Errors
/// The first name that can't be used, or why nobody can say.
pub(super) fn resolve(session: &Session, rows: &[Row]) -> Result<BTreeMap<String, ParentSource>, Unresolved> {
    let mut known = BTreeMap::new();
    for row in rows {
        let parents = row.parents.iter().enumerate().map(|(at, (_, source))| (format!("/parents/{at}/id"), source));
        let supersedes = row.supersedes.iter().map(|source| ("/supersedes/id".to_owned(), source));
        for (pointer, source) in parents.chain(supersedes) {
            let Source::Id(id) = source else { continue };
            let fault = |reason: String| Fault { line: row.line, pointer: pointer.clone(), reason };
            if pointer.starts_with("/supersedes") && id.starts_with("sha256:") {
                let reason = "only a registered artefact can be superseded; give its id".to_owned();
                return Err(Unresolved::Fault(fault(reason)));
            }
            if !known.contains_key(id) {
                let found = parent_source(&session.client, id).map_err(|failure| match failure.exit {
                    Exit::NotRegistered | Exit::Usage => Unresolved::Fault(fault(failure.message)),
                    _ => Unresolved::Failure(failure),
                })?;
                known.insert(id.clone(), found);
            }
        }
    }
    Ok(known)
}
