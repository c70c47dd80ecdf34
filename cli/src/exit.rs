//! How a command ends: the exit codes scripts rely on, and the one type every failure becomes.
//!
//! All decisions about codes are in this file. Verification states bring their own (`chopmark_core::verify`).

use std::borrow::Cow;
use std::process::ExitCode;

use chopmark_core::bundle::BundleError;
use chopmark_core::statement::StatementId;
use chopmark_core::verify::ResultState;
use chopmark_gpu_verify::{EngineError, MeasureError};
use serde_json::{Value, json};

use crate::client::Problem;

/// The exit codes of every command. A code is never renamed or reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: verified, or done.
    Done,
    /// 1: a fault of this program or of this machine (disk full, no randomness).
    Internal,
    /// 2: the command line, the configuration or the statement asked for is not acceptable as it stands.
    Usage,
    /// 3: the bytes are not those registered, or a file changed while it was read.
    BytesDiffer,
    /// 4: no usable key, or the registry does not let this key or party do it.
    NotAuthorised,
    /// 5: the registry holds nothing of the kind.
    NotRegistered,
    /// 6: a signature, proof or key does not hold; a registry is not the one known by this name.
    ProofInvalid,
    /// 7: the licence is not in force.
    LicenceNotInForce,
    /// 8: the service could not be reached, or could not answer.
    Network,
    /// 9: refused by policy, or neither yes nor no: no trust, a file that cannot be read or registered.
    CouldNotCheck,
    /// 10: contradicts what the registry holds, or terms contradict those of what something was made from.
    Conflict,
    /// 130: stopped by the user.
    Interrupted,
}

impl Exit {
    /// The number the process ends with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::BytesDiffer => 3,
            Self::NotAuthorised => 4,
            Self::NotRegistered => 5,
            Self::ProofInvalid => 6,
            Self::LicenceNotInForce => 7,
            Self::Network => 8,
            Self::CouldNotCheck => 9,
            Self::Conflict => 10,
            Self::Interrupted => 130,
        }
    }

    /// How it ranks when a run over many artefacts ends in several ways: the worst wins. What can't be trusted comes
    /// first, what another run or another wording cures comes last.
    pub(crate) const fn severity(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 1,
            Self::NotAuthorised => 2,
            Self::Network => 3,
            Self::CouldNotCheck => 4,
            Self::NotRegistered => 5,
            Self::Conflict => 6,
            Self::LicenceNotInForce => 7,
            Self::BytesDiffer => 8,
            Self::ProofInvalid => 9,
            Self::Internal => 10,
            Self::Interrupted => 11,
        }
    }

    /// For an answer of the service that is not a success.
    pub(crate) const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 | 407 => Self::NotAuthorised,
            404 | 410 => Self::NotRegistered,
            409 => Self::Conflict,
            // Too slow or too many: the same request may succeed later.
            408 | 425 | 429 => Self::Network,
            400..500 => Self::Usage,
            _ => Self::Network,
        }
    }

    /// The result state that `verify` reports when it ends this way.
    pub(crate) const fn state(self) -> ResultState {
        match self {
            Self::Done => ResultState::Verified,
            Self::BytesDiffer => ResultState::BytesDiffer,
            Self::NotRegistered => ResultState::NotRegistered,
            Self::ProofInvalid => ResultState::ProofInvalid,
            Self::LicenceNotInForce => ResultState::LicenceNotInForce,
            Self::Internal
            | Self::Usage
            | Self::NotAuthorised
            | Self::Network
            | Self::CouldNotCheck
            | Self::Conflict
            | Self::Interrupted => ResultState::CouldNotCheck,
        }
    }
}

impl From<ResultState> for Exit {
    fn from(state: ResultState) -> Self {
        match state {
            ResultState::Verified => Self::Done,
            ResultState::BytesDiffer => Self::BytesDiffer,
            ResultState::NotRegistered => Self::NotRegistered,
            ResultState::ProofInvalid => Self::ProofInvalid,
            ResultState::LicenceNotInForce => Self::LicenceNotInForce,
            ResultState::CouldNotCheck => Self::CouldNotCheck,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// Stable name for scripts.
    pub(crate) code: Cow<'static, str>,
    /// What is wrong and what to do, for a person.
    pub(crate) message: String,
    /// JSON pointer into the user's own document, when that is what is wrong.
    pub(crate) pointer: Option<String>,
    /// What the service said, where it said something; boxed because failures are rare and results are many.
    pub(crate) problem: Option<Box<Problem>>,
}

impl Failure {
    /// A failure with its stable code and a sentence.
    pub(crate) fn new(exit: Exit, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { exit, code: code.into(), message: message.into(), pointer: None, problem: None }
    }

    /// The same failure, at a place of the document that was read.
    pub(crate) fn at(mut self, pointer: String) -> Self {
        self.pointer = Some(pointer);
        self
    }

    /// A fault of this program or machine.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, "internal", message)
    }

    /// Something on the command line or in a configuration file is not acceptable.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// Something the registry said does not hold.
    pub(crate) fn proof(message: impl Into<String>) -> Self {
        Self::new(Exit::ProofInvalid, "proof_invalid", message)
    }

    /// The same from an error.
    pub(crate) fn proof_of(error: impl std::fmt::Display) -> Self {
        Self::proof(error.to_string())
    }

    /// The statement that stands in the way of one that says the same, where that is why it was refused.
    pub(crate) fn existing(&self) -> Option<StatementId> {
        let problem = self.problem.as_ref().filter(|problem| problem.code.as_deref() == Some("already_registered"))?;
        problem.existing.as_deref()?.parse().ok()
    }

    /// Whether the service is there and asks to come again.
    pub(crate) fn asks_for_patience(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| matches!(problem.status, 429 | 503))
    }

    /// The user asked to stop.
    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted", "interrupted; nothing was left half-done, run it again to go on")
    }

    /// A local file could not be read or written.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(Exit::Internal, "file", format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The `error` member of a JSON document.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Value::Object(members), Some(pointer)) = (&mut error, &self.pointer) {
            members.insert("pointer".to_owned(), pointer.as_str().into());
        }
        if let (Value::Object(members), Some(problem)) = (&mut error, &self.problem) {
            members.insert("status".to_owned(), problem.status.into());
            for (name, value) in
                [("document", &problem.document), ("pointer", &problem.pointer), ("existing", &problem.existing)]
            {
                if let Some(value) = value {
                    members.insert(name.to_owned(), value.as_str().into());
                }
            }
        }
        error
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        let exit = match error {
            MeasureError::Interrupted => return Self::interrupted(),
            MeasureError::NotFound { .. } | MeasureError::Revision { .. } => Exit::Usage,
            MeasureError::Engine(_) => Exit::Internal,
            MeasureError::FileChanged { .. } | MeasureError::ImageDigest { .. } => Exit::BytesDiffer,
            _ => Exit::CouldNotCheck,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let exit = match error {
            EngineError::Threads(_) | EngineError::Fault(_) => Exit::Internal,
            EngineError::NotBuilt { .. } | EngineError::NoDevice { .. } => Exit::Usage,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let message = error.to_string();
        match error {
            BundleError::Invalid { .. } => Self::new(Exit::ProofInvalid, "bundle_invalid", message),
            BundleError::NoTrust { .. } => Self::new(Exit::CouldNotCheck, "no_trust", message),
            BundleError::Policy(_) => Self::new(Exit::CouldNotCheck, "refused_by_policy", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chopmark_gpu_verify::EngineFault;

    use super::*;

    const ALL: [(Exit, u8); 12] = [
        (Exit::Done, 0),
        (Exit::Internal, 1),
        (Exit::Usage, 2),
        (Exit::BytesDiffer, 3),
        (Exit::NotAuthorised, 4),
        (Exit::NotRegistered, 5),
        (Exit::ProofInvalid, 6),
        (Exit::LicenceNotInForce, 7),
        (Exit::Network, 8),
        (Exit::CouldNotCheck, 9),
        (Exit::Conflict, 10),
        (Exit::Interrupted, 130),
    ];

    #[test]
    fn codes_are_the_published_ones() {
        for (exit, code) in ALL {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn the_worst_of_many_is_the_published_one() {
        let mut ranked = ALL;
        ranked.sort_by_key(|(exit, _)| core::cmp::Reverse(exit.severity()));
        assert_eq!(ranked.map(|(_, code)| code), [130, 1, 6, 3, 7, 10, 5, 9, 8, 4, 2, 0]);
    }

    #[test]
    fn result_states_end_with_their_own_code() {
        for (exit, _) in ALL {
            let state = exit.state();
            assert_eq!(Exit::from(state).code(), state.exit_code(), "{state:?}");
            if state != ResultState::CouldNotCheck {
                assert_eq!(Exit::from(state), exit);
            }
        }
    }

    #[test]
    fn answers_of_the_service_map_to_one_code_each() {
        for (status, exit) in [
            (400, Exit::Usage),
            (401, Exit::NotAuthorised),
            (403, Exit::NotAuthorised),
            (404, Exit::NotRegistered),
            (409, Exit::Conflict),
            (413, Exit::Usage),
            (422, Exit::Usage),
            (429, Exit::Network),
            (302, Exit::Network),
            (500, Exit::Network),
            (503, Exit::Network),
        ] {
            assert_eq!(Exit::of_status(status), exit, "{status}");
        }
    }

    #[test]
    fn measuring_and_bundles_fail_with_their_codes() {
        let path = PathBuf::from("m");
        let failure = |error: MeasureError| Failure::from(error);
        assert_eq!(failure(MeasureError::NotFound { path: path.clone() }).exit, Exit::Usage);
        let changed = failure(MeasureError::FileChanged { path: path.clone(), how: "it vanished" });
        assert_eq!((changed.exit, &*changed.code), (Exit::BytesDiffer, "file_changed"));
        assert_eq!(failure(MeasureError::SymbolicLink { path }).exit, Exit::CouldNotCheck);
        assert_eq!(failure(MeasureError::Interrupted).exit, Exit::Interrupted);
        let fault = EngineFault { engine: "wgpu", reason: "a bit flipped".to_owned() };
        for failure in [failure(MeasureError::Engine(fault.clone())), Failure::from(EngineError::Fault(fault))] {
            assert_eq!((failure.exit, &*failure.code), (Exit::Internal, "engine_fault"));
        }
        let not_built = Failure::from(EngineError::NotBuilt { engine: "wgpu", feature: "gpu" });
        assert_eq!((not_built.exit, &*not_built.code), (Exit::Usage, "engine_unavailable"));
        let no_trust = BundleError::NoTrust { origin: "a".into() };
        assert_eq!(Failure::from(no_trust).exit, Exit::CouldNotCheck);
        let invalid = BundleError::Invalid { place: "p".into(), reason: "r".into() };
        assert_eq!(Failure::from(invalid).exit, Exit::ProofInvalid);
    }
}
