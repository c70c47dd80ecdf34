//! Element types of safetensors, with their size in bits.
//!
//! The table is that of the `safetensors` crate 0.8; a type it does not know is refused rather than guessed.

use serde::{Deserialize, Serialize};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $bits:literal;)*) => {
        /// The type of a tensor's elements, serialised by its safetensors name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Dtype {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Dtype {
            /// Every known type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in a safetensors header.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Size of one element in bits; types below 8 are packed without padding.
            pub const fn size_bits(self) -> u64 {
                match self {
                    $(Self::$variant => $bits,)*
                }
            }
        }
    };
}

dtypes! {
    /// Boolean, one byte each.
    Bool = "BOOL", 8;
    /// OCP MX 4-bit float.
    F4 = "F4", 4;
    /// OCP MX 6-bit float, 2 exponent bits.
    F6E2M3 = "F6_E2M3", 6;
    /// OCP MX 6-bit float, 3 exponent bits.
    F6E3M2 = "F6_E3M2", 6;
    /// Unsigned 8-bit integer.
    U8 = "U8", 8;
    /// Signed 8-bit integer.
    I8 = "I8", 8;
    /// 8-bit float, 5 exponent bits.
    F8E5M2 = "F8_E5M2", 8;
    /// 8-bit float, 4 exponent bits.
    F8E4M3 = "F8_E4M3", 8;
    /// OCP MX 8-bit scale: exponent only.
    F8E8M0 = "F8_E8M0", 8;
    /// 8-bit float, 4 exponent bits, no infinities and one zero.
    F8E4M3Fnuz = "F8_E4M3FNUZ", 8;
    /// 8-bit float, 5 exponent bits, no infinities and one zero.
    F8E5M2Fnuz = "F8_E5M2FNUZ", 8;
    /// Signed 16-bit integer.
    I16 = "I16", 16;
    /// Unsigned 16-bit integer.
    U16 = "U16", 16;
    /// IEEE 754 half precision.
    F16 = "F16", 16;
    /// bfloat16.
    Bf16 = "BF16", 16;
    /// Signed 32-bit integer.
    I32 = "I32", 32;
    /// Unsigned 32-bit integer.
    U32 = "U32", 32;
    /// IEEE 754 single precision.
    F32 = "F32", 32;
    /// Complex number of two single-precision parts.
    C64 = "C64", 64;
    /// IEEE 754 double precision.
    F64 = "F64", 64;
    /// Signed 64-bit integer.
    I64 = "I64", 64;
    /// Unsigned 64-bit integer.
    U64 = "U64", 64;
}

impl Dtype {
    /// The type of this safetensors name, if it is a known one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.name() == name)
    }

    /// Bytes that a tensor of `shape` takes; `None` when the product passes 64 bits or ends inside a byte.
    pub fn tensor_size_bytes(self, shape: &[u64]) -> Option<u64> {
        let size_bits =
            shape.iter().try_fold(self.size_bits(), |product, &dimension| product.checked_mul(dimension))?;
        (size_bits % 8 == 0).then_some(size_bits / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_equal_their_serialisation() {
        for &dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
            assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{}\"", dtype.name()));
        }
        assert_eq!(Dtype::from_name("f32"), None);
        assert_eq!(Dtype::from_name("Q4_K"), None);
    }

    #[test]
    fn tensor_sizes() {
        assert_eq!(Dtype::F32.tensor_size_bytes(&[2, 3]), Some(24));
        assert_eq!(Dtype::F32.tensor_size_bytes(&[]), Some(4));
        assert_eq!(Dtype::F32.tensor_size_bytes(&[7, 0]), Some(0));
        assert_eq!(Dtype::F4.tensor_size_bytes(&[3]), None);
        assert_eq!(Dtype::F6E2M3.tensor_size_bytes(&[4]), Some(3));
        assert_eq!(Dtype::U8.tensor_size_bytes(&[u64::MAX, 2]), None);
        assert_eq!(Dtype::U8.tensor_size_bytes(&[u64::MAX / 8 + 1]), None);
    }
}
