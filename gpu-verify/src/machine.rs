//! What this machine has for hashing, and what this build could make of it. Nothing is measured or taken into use here.

use core::fmt;
use std::thread;

/// A GPU, or something that acts as one, as the driver of its graphics interface describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// Name of the device.
    pub name: String,
    /// The driver and its version.
    pub driver: String,
    /// The interface to it: `vulkan`, `metal` or `dx12`.
    pub backend: &'static str,
    /// What it is: `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// Largest buffer, in bytes.
    pub buffer_size_bytes_max: u64,
    /// Largest buffer that a kernel sees, in bytes.
    pub binding_size_bytes_max: u64,
    /// Memory that the invocations of a workgroup share, in bytes.
    pub workgroup_storage_size_bytes_max: u32,
    /// Windows that the engine `wgpu` would work with, in bytes; `None` where the limits are too low for it.
    pub window_size_bytes: Option<usize>,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {}, {})", self.name, self.kind, self.backend, self.driver)
    }
}

/// A GPU, as the CUDA driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaDevice {
    /// Name of the device.
    pub name: String,
    /// Version of CUDA that the driver speaks, such as `13.0`.
    pub driver: String,
    /// Compute capability, such as `9.0`.
    pub capability: String,
    /// Its memory, in bytes.
    pub memory_size_bytes: u64,
}

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The instruction sets of this processor that hashing makes use of, by the names the kernel gives them.
pub fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let known = [
        ("sse2", is_x86_feature_detected!("sse2")),
        ("sse4.1", is_x86_feature_detected!("sse4.1")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("sha", is_x86_feature_detected!("sha")),
    ];
    #[cfg(target_arch = "aarch64")]
    let known = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let known: [(&str, bool); 0] = [];
    known.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

/// The adapters of this machine, in the order in which the engine `wgpu` tries them; `None` in a build without that engine.
#[cfg(feature = "gpu")]
pub fn adapters() -> Option<Vec<Adapter>> {
    Some(crate::wgpu::adapters())
}

/// The adapters of this machine, in the order in which the engine `wgpu` tries them; `None` in a build without that engine.
#[cfg(not(feature = "gpu"))]
pub fn adapters() -> Option<Vec<Adapter>> {
    None
}

/// The GPUs that the CUDA driver finds, or why there is no driver; `None` in a build without the engine `cuda`.
#[cfg(feature = "cuda")]
pub fn cuda_devices() -> Option<Result<Vec<CudaDevice>, String>> {
    Some(crate::cuda::devices().map_err(|error| error.to_string()))
}

/// The GPUs that the CUDA driver finds, or why there is no driver; `None` in a build without the engine `cuda`.
#[cfg(not(feature = "cuda"))]
pub fn cuda_devices() -> Option<Result<Vec<CudaDevice>, String>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_processor_and_what_the_build_has() {
        assert!(cores() > 0);
        #[cfg(target_arch = "x86_64")]
        assert!(cpu_features().contains(&"sse2"), "every x86-64 processor has it");
        assert_eq!(adapters().is_some(), cfg!(feature = "gpu"));
        assert_eq!(cuda_devices().is_some(), cfg!(feature = "cuda"));
    }
}
