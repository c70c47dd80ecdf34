//! NVIDIA GPUs through their own driver, which is looked for at run time: without one there is an error and never a panic.
//!
//! Two ways: [`Cuda`] is an engine like the others, for bytes in the machine's memory; [`hash_resident`] hashes what lies in
//! the GPU's memory already, in place. Both run the kernels of `kernels/`, compiled beforehand (`scripts/cuda-kernels.sh`).

mod driver;
mod engine;
mod error;
mod kernels;
mod rates;
mod resident;
mod slot;

pub use self::engine::{Cuda, CudaSettings};
pub use self::error::CudaError;
pub use self::kernels::{Gpu, Kept, devices};
pub use self::rates::{CudaRates, Rate, rates};
pub use self::resident::{
    IPC_HANDLE_SIZE_BYTES, Place, Resident, ResidentDigests, Sampled, hash_resident, hash_resident_sampled,
};

#[cfg(test)]
pub(crate) mod tests;
