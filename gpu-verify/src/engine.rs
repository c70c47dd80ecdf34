//! Which engine hashes: chosen by name, or by a rule that says why. Nothing is measured.

use core::fmt;
use core::str::FromStr;

use crate::hasher::Hasher;
use crate::portable::Portable;
use crate::rayon::Rayon;

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// By the rule of [`Engine::auto`].
    #[default]
    Auto,
    /// The single-threaded reference.
    Portable,
    /// All cores.
    Rayon,
}

impl EngineChoice {
    /// Every choice, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Portable, Self::Rayon];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Portable => "portable",
            Self::Rayon => "rayon",
        }
    }
}

impl fmt::Display for EngineChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no engine of this name; choose auto, portable or rayon")]
pub struct UnknownEngine;

impl FromStr for EngineChoice {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.name() == name).ok_or(UnknownEngine)
    }
}

/// The engine asked for could not start.
#[derive(Debug, thiserror::Error)]
#[error("the engine `rayon` could not start its threads: {0}; raise the limit on threads or use `--engine portable`")]
pub struct EngineError(#[from] ::rayon::ThreadPoolBuildError);

/// A running engine and the reason it was chosen.
pub struct Engine {
    hasher: Box<dyn Hasher + Send>,
    reason: String,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("name", &self.hasher.name()).field("reason", &self.reason).finish()
    }
}

impl Engine {
    /// The fastest engine this build and machine have: `rayon`, or `portable` where threads are refused.
    pub fn auto() -> Self {
        match Rayon::new(0) {
            Ok(rayon) => {
                let threads = rayon.threads();
                let reason =
                    format!("auto: rayon on {threads} threads, one per available core; this build has no GPU engine");
                Self { hasher: Box::new(rayon), reason }
            }
            Err(fault) => Self {
                hasher: Box::new(Portable),
                reason: format!("auto: portable, because threads were refused ({fault})"),
            },
        }
    }

    /// The engine asked for.
    ///
    /// # Errors
    /// [`EngineError`] when it cannot start. [`EngineChoice::Auto`] always finds one that can.
    pub fn choose(choice: EngineChoice) -> Result<Self, EngineError> {
        Ok(match choice {
            EngineChoice::Auto => Self::auto(),
            EngineChoice::Portable => Self { hasher: Box::new(Portable), reason: "portable: asked for".to_owned() },
            EngineChoice::Rayon => {
                let rayon = Rayon::new(0)?;
                let reason = format!("rayon: asked for, on {} threads", rayon.threads());
                Self { hasher: Box::new(rayon), reason }
            }
        })
    }

    /// The engine itself.
    pub fn hasher(&self) -> &dyn Hasher {
        &*self.hasher
    }

    /// Why this one, in words for `--verbose`.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_made_by_name_and_explained() {
        for choice in EngineChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            let engine = Engine::choose(choice).unwrap();
            assert!(engine.reason().starts_with(choice.name()), "{}", engine.reason());
        }
        assert_eq!(Engine::choose(EngineChoice::Portable).unwrap().hasher().name(), "portable");
        assert_eq!(Engine::auto().hasher().name(), "rayon");
        assert_eq!("cuda".parse::<EngineChoice>(), Err(UnknownEngine));
    }
}
