//! The list of tensors that another process exported (`docs/resident.md`): strict, with limits.

use std::collections::HashSet;
use std::path::Path;

use chopmark_core::manifest::{TENSORS_MAX, check_tensor_name};
use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::files;

/// Most bytes of the list: about 400 for each of as many tensors as a manifest may have.
const LIST_SIZE_BYTES_MAX: usize = 64 << 20;
/// Size of a CUDA IPC handle in bytes.
const HANDLE_SIZE_BYTES: usize = 64;

/// Where tensors are.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "cuda", test)), expect(dead_code, reason = "there is nothing to hash with"))]
pub(super) struct Handles {
    /// Number of the GPU.
    pub(super) gpu: u32,
    /// The tensors, none named twice.
    pub(super) tensors: Vec<Exported>,
}

/// One tensor: contiguous bytes in memory of another process.
#[derive(Debug)]
#[cfg_attr(not(any(feature = "cuda", test)), expect(dead_code, reason = "there is nothing to hash with"))]
pub(super) struct Exported {
    pub(super) name: String,
    pub(super) handle: [u8; HANDLE_SIZE_BYTES],
    pub(super) offset_bytes: u64,
    pub(super) size_bytes: u64,
}

#[derive(Deserialize)]
enum Schema {
    #[serde(rename = "chopmark.cuda-ipc/v1")]
    V1,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[expect(dead_code, reason = "there is one")]
    schema: Schema,
    gpu: u32,
    tensors: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    handle: String,
    offset_bytes: u64,
    size_bytes: u64,
}

impl Handles {
    /// Reads a list.
    ///
    /// # Errors
    /// A usage failure when it can't be read, `handles_invalid` for anything but a list as documented.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = files::read(path, LIST_SIZE_BYTES_MAX)
            .map_err(|error| Failure::usage(format!("cannot read the handles {}: {error}", path.display())))?;
        Self::parse(&bytes).map_err(|reason| {
            Failure::new(Exit::Usage, "handles_invalid", format!("{} is no list of handles: {reason}", path.display()))
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Document { gpu, tensors, .. } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if tensors.len() > TENSORS_MAX {
            return Err(format!("it names more than {TENSORS_MAX} tensors"));
        }
        let mut names = HashSet::with_capacity(tensors.len());
        let mut exported = Vec::with_capacity(tensors.len());
        for Entry { name, handle, offset_bytes, size_bytes } in tensors {
            check_tensor_name(&name).map_err(|fault| format!("the name {name:?} {fault}"))?;
            let handle = HEXLOWER
                .decode(handle.as_bytes())
                .ok()
                .and_then(|handle| handle.try_into().ok())
                .ok_or_else(|| format!("the handle of {name:?} is not {HANDLE_SIZE_BYTES} bytes in hexadecimal"))?;
            if offset_bytes.checked_add(size_bytes).is_none() {
                return Err(format!("{name:?} has no end"));
            }
            if !names.insert(name.clone()) {
                return Err(format!("{name:?} is named twice"));
            }
            exported.push(Exported { name, handle, offset_bytes, size_bytes });
        }
        Ok(Self { gpu, tensors: exported })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(schema: &str, tensors: &[(&str, &str, u64, u64)]) -> Vec<u8> {
        let tensors: Vec<_> = tensors
            .iter()
            .map(|(name, handle, offset, size)| {
                serde_json::json!({ "name": name, "handle": handle, "offset_bytes": offset, "size_bytes": size })
            })
            .collect();
        serde_json::json!({ "schema": schema, "gpu": 0, "tensors": tensors }).to_string().into_bytes()
    }

    #[test]
    fn lists_are_read_strictly() {
        let handle = "ab".repeat(64);
        let read = Handles::parse(&document("chopmark.cuda-ipc/v1", &[("a", &handle, 5, 7)])).unwrap();
        assert_eq!((read.gpu, read.tensors.len()), (0, 1));
        let tensor = &read.tensors[0];
        assert_eq!((tensor.name.as_str(), tensor.offset_bytes, tensor.size_bytes), ("a", 5, 7));
        assert_eq!(tensor.handle, [0xab; 64]);

        let refused =
            |schema: &str, tensors: &[(&str, &str, u64, u64)]| Handles::parse(&document(schema, tensors)).unwrap_err();
        let v1 = "chopmark.cuda-ipc/v1";
        assert!(refused("chopmark.cuda-ipc/v2", &[]).contains("v2"));
        assert!(refused(v1, &[("a", &handle, 0, 1), ("a", &handle, 1, 1)]).contains("named twice"));
        assert!(refused(v1, &[("a", &handle[2..], 0, 1)]).contains("64 bytes"));
        assert!(refused(v1, &[("a", &handle.to_uppercase(), 0, 1)]).contains("64 bytes"));
        assert!(refused(v1, &[("a", &handle, u64::MAX, 1)]).contains("no end"));
        assert!(refused(v1, &[("", &handle, 0, 1)]).contains("name"));
        assert!(Handles::parse(b"{}").is_err() && Handles::parse(b"[]").is_err() && Handles::parse(b"").is_err());
    }
}
