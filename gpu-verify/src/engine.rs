//! Which engine hashes: chosen by name, or by a rule that says why. Nothing is measured.

use core::fmt;
use core::str::FromStr;
#[cfg(any(feature = "gpu", feature = "cuda"))]
use std::sync::Arc;

#[cfg(any(feature = "gpu", feature = "cuda"))]
use crate::checked::{Checked, promise};
#[cfg(feature = "cuda")]
use crate::cuda::{Cuda, CudaError, CudaSettings, Gpu};
use crate::hasher::{EngineFault, Hasher};
#[cfg(any(feature = "gpu", feature = "cuda"))]
use crate::machine::cores;
use crate::portable::Portable;
use crate::rayon::Rayon;

/// What the user asked for. Every name is known to every build, so that scripts need not know how one was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// By the rule of [`Engine::auto`].
    #[default]
    Auto,
    /// The single-threaded reference.
    Portable,
    /// All cores.
    Rayon,
    /// A GPU through Vulkan, Metal or Direct3D 12; needs the feature `gpu`.
    Wgpu,
    /// An NVIDIA GPU through its own driver; needs the feature `cuda`.
    Cuda,
}

impl EngineChoice {
    /// Every choice, in the order of help texts.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Portable, Self::Rayon, Self::Wgpu, Self::Cuda];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Portable => "portable",
            Self::Rayon => "rayon",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
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
#[error("there is no engine of this name; choose auto, portable, rayon, wgpu or cuda")]
pub struct UnknownEngine;

impl FromStr for EngineChoice {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.name() == name).ok_or(UnknownEngine)
    }
}

/// The engine asked for could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The operating system refused the threads.
    #[error(
        "the engine `rayon` could not start its threads: {0}; raise the limit on threads or use `--engine portable`"
    )]
    Threads(#[from] ::rayon::ThreadPoolBuildError),
    /// This program was built without the engine.
    #[error(
        "this program was built without the engine `{engine}`; use `--engine rayon`, or build it with `--features {feature}`"
    )]
    NotBuilt {
        /// Name of the engine.
        engine: &'static str,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
    /// This machine has no device or driver for the engine.
    #[error("the engine `{engine}` cannot work on this machine: {reason}")]
    NoDevice {
        /// Name of the engine.
        engine: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The engine's first results were wrong.
    #[error(transparent)]
    Fault(#[from] EngineFault),
}

impl EngineError {
    /// Stable name of the error for scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Threads(_) => "internal",
            Self::NotBuilt { .. } | Self::NoDevice { .. } => "engine_unavailable",
            Self::Fault(_) => "engine_fault",
        }
    }
}

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
    /// The engine for this machine: `rayon`, or `portable` where threads are refused.
    ///
    /// Never a GPU: bytes of a file have to be copied on the CPU before a GPU can hash them, which takes as much of it as
    /// hashing them there and then (docs/hashing-engines.md). Who knows better names the engine.
    pub fn auto() -> Self {
        match Rayon::new(0) {
            Ok(rayon) => {
                let reason = format!(
                    "auto: rayon on {} threads, one per available core; a GPU is used only when asked for, since copying \
                     a file to it takes the CPU as long as hashing",
                    rayon.threads()
                );
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
        match choice {
            EngineChoice::Auto => Ok(Self::auto()),
            EngineChoice::Portable => Ok(Self { hasher: Box::new(Portable), reason: "portable: asked for".to_owned() }),
            EngineChoice::Rayon => {
                let rayon = Rayon::new(0)?;
                let reason = format!("rayon: asked for, on {} threads", rayon.threads());
                Ok(Self { hasher: Box::new(rayon), reason })
            }
            #[cfg(feature = "gpu")]
            EngineChoice::Wgpu => {
                let engine = crate::wgpu::Wgpu::start()?;
                let device = engine.adapter().to_string();
                Self::checked(engine, &device)
            }
            #[cfg(not(feature = "gpu"))]
            EngineChoice::Wgpu => Err(EngineError::NotBuilt { engine: "wgpu", feature: "gpu" }),
            #[cfg(feature = "cuda")]
            EngineChoice::Cuda => Self::cuda(),
            #[cfg(not(feature = "cuda"))]
            EngineChoice::Cuda => Err(EngineError::NotBuilt { engine: "cuda", feature: "cuda" }),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda() -> Result<Self, EngineError> {
        let failed = |error: CudaError| {
            let (engine, reason) = ("cuda", error.to_string());
            match error {
                CudaError::WrongAnswer { .. } => EngineError::Fault(EngineFault { engine, reason }),
                _ => EngineError::NoDevice { engine, reason },
            }
        };
        let gpu = Gpu::open(0).map_err(failed)?;
        let cuda = Cuda::new(&gpu, CudaSettings::default()).map_err(failed)?;
        let device = format!("{} with {} threads that copy to it", gpu.name(), cuda.copy_threads());
        Self::checked(cuda, &device)
    }

    /// A GPU engine behind its checks.
    #[cfg(any(feature = "gpu", feature = "cuda"))]
    fn checked<E: Hasher + Send + 'static>(engine: E, device: &str) -> Result<Self, EngineError> {
        // As many threads more as wait for the device at a time, so that every core has something to do meanwhile.
        let cpu = Rayon::new(cores().saturating_add(engine.files_in_parallel()))?;
        let hasher = Checked::start(engine, Arc::new(cpu))?;
        let reason = format!("{}: asked for, on {device}; {}", hasher.name(), promise());
        Ok(Self { hasher: Box::new(hasher), reason })
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
            match Engine::choose(choice) {
                Ok(engine) => assert!(engine.reason().starts_with(choice.name()), "{}", engine.reason()),
                Err(error) => {
                    assert!(matches!(choice, EngineChoice::Wgpu | EngineChoice::Cuda), "{error}");
                    assert_eq!(error.code(), "engine_unavailable", "{error}");
                    let (words, is_built) = (error.to_string(), matches!(error, EngineError::NoDevice { .. }));
                    assert!(words.contains(choice.name()), "{words}");
                    assert!(is_built || words.contains("--engine rayon"), "{words}");
                }
            }
        }
        assert_eq!(Engine::choose(EngineChoice::Portable).unwrap().hasher().name(), "portable");
        assert_eq!(Engine::auto().hasher().name(), "rayon");
        assert_eq!("abacus".parse::<EngineChoice>(), Err(UnknownEngine));
    }
}
