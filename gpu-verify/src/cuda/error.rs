//! Why a GPU could not be used, or does not hold what it was said to hold.

/// Why there are no digests from the GPU. Names of tensors are shown escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// There is no driver on this machine.
    #[error("no NVIDIA driver was found (libcuda.so.1); install version 580 or newer")]
    NoDriver,
    /// The driver lacks something that every driver has had for years.
    #[error("the NVIDIA driver has no `{function}`; it is too old or only a stub: install one of version 580 or newer")]
    OldDriver {
        /// The function.
        function: &'static str,
    },
    /// There are not so many GPUs.
    #[error(
        "there is no NVIDIA GPU number {ordinal}: the driver shows {count}; see CUDA_VISIBLE_DEVICES and nvidia-smi"
    )]
    NoDevice {
        /// The number asked for, from 0.
        ordinal: u32,
        /// How many there are.
        count: u32,
    },
    /// The GPU lacks instructions that the kernels use.
    #[error("{name} has compute capability {major}.{minor}; at least 8.0 is needed")]
    OldDevice {
        /// The GPU.
        name: String,
        /// Its compute capability.
        major: i32,
        /// What stands after the point.
        minor: i32,
    },
    /// The GPU computed wrong digests.
    #[error("{name} gave a wrong digest for known bytes; have it, its memory and its driver checked, and use the CPU")]
    WrongAnswer {
        /// The GPU.
        name: String,
    },
    /// The GPU computed something else than the CPU.
    #[error(
        "{name} and the CPU do not agree on a part of what is in its memory: either somebody wrote to it meanwhile, or the \
         GPU, its memory or its driver is broken; nothing it computed was used"
    )]
    Disagrees {
        /// The GPU.
        name: String,
    },
    /// The driver refused or failed.
    #[error("the NVIDIA driver could not {what}: {fault}")]
    Call {
        /// What was tried.
        what: &'static str,
        /// The driver's name for what is wrong.
        fault: String,
    },
    /// An address that is not in the GPU's memory.
    #[error(
        "{name:?} at {address:#x} is not in the memory of GPU {ordinal}: {found}; give the address of a tensor there"
    )]
    NotResident {
        /// The tensor.
        name: String,
        /// The address.
        address: u64,
        /// The GPU.
        ordinal: u32,
        /// What is there instead.
        found: &'static str,
    },
    /// A tensor that goes on behind the end of its allocation.
    #[error("{name:?} is said to have {size_bytes} bytes, but only {available_bytes} are allocated from its start on")]
    TooShort {
        /// The tensor.
        name: String,
        /// The size it is said to have, in bytes.
        size_bytes: u64,
        /// The bytes that are allocated from its start on.
        available_bytes: u64,
    },
    /// A handle from another process that can't be opened.
    #[error(
        "the memory of {name:?} could not be opened ({fault}); the process that exported it must still run, in the same \
         container and on the same GPU, and have it from cudaMalloc"
    )]
    Handle {
        /// The tensor.
        name: String,
        /// The driver's name for what is wrong.
        fault: String,
    },
}

impl CudaError {
    /// Stable name of the error for scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoDriver | Self::OldDriver { .. } | Self::NoDevice { .. } | Self::OldDevice { .. } => {
                "engine_unavailable"
            }
            Self::WrongAnswer { .. } | Self::Disagrees { .. } | Self::Call { .. } => "engine_fault",
            Self::NotResident { .. } => "not_resident",
            Self::TooShort { .. } => "tensor_too_short",
            Self::Handle { .. } => "ipc_handle",
        }
    }
}
