//! Element types of weight files, with their sizes.
//!
//! The tables are those of the `safetensors` crate 0.8 and of ggml (`ggml.h`, `ggml-common.h`; as in the Python package
//! `gguf` 0.19); a type neither knows is refused rather than guessed.

use serde::{Deserialize, Serialize};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $elements:literal in $bits:literal;)*) => {
        /// The type of a tensor's elements, serialised by its safetensors name, or by ggml's where it is ggml's alone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Dtype {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Dtype {
            /// Every known type.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in a safetensors header, or ggml's.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Elements that are stored together: 1, or the size of a quantised block.
            pub const fn block_elements(self) -> u64 {
                match self {
                    $(Self::$variant => $elements,)*
                }
            }

            /// Size of one block in bits; single elements below 8 are packed without padding.
            pub const fn block_bits(self) -> u64 {
                match self {
                    $(Self::$variant => $bits,)*
                }
            }
        }
    };
}

dtypes! {
    /// Boolean, one byte each.
    Bool = "BOOL", 1 in 8;
    /// OCP MX 4-bit float.
    F4 = "F4", 1 in 4;
    /// OCP MX 6-bit float, 2 exponent bits.
    F6E2M3 = "F6_E2M3", 1 in 6;
    /// OCP MX 6-bit float, 3 exponent bits.
    F6E3M2 = "F6_E3M2", 1 in 6;
    /// Unsigned 8-bit integer.
    U8 = "U8", 1 in 8;
    /// Signed 8-bit integer.
    I8 = "I8", 1 in 8;
    /// 8-bit float, 5 exponent bits.
    F8E5M2 = "F8_E5M2", 1 in 8;
    /// 8-bit float, 4 exponent bits.
    F8E4M3 = "F8_E4M3", 1 in 8;
    /// OCP MX 8-bit scale: exponent only.
    F8E8M0 = "F8_E8M0", 1 in 8;
    /// 8-bit float, 4 exponent bits, no infinities and one zero.
    F8E4M3Fnuz = "F8_E4M3FNUZ", 1 in 8;
    /// 8-bit float, 5 exponent bits, no infinities and one zero.
    F8E5M2Fnuz = "F8_E5M2FNUZ", 1 in 8;
    /// Signed 16-bit integer.
    I16 = "I16", 1 in 16;
    /// Unsigned 16-bit integer.
    U16 = "U16", 1 in 16;
    /// IEEE 754 half precision.
    F16 = "F16", 1 in 16;
    /// bfloat16.
    Bf16 = "BF16", 1 in 16;
    /// Signed 32-bit integer.
    I32 = "I32", 1 in 32;
    /// Unsigned 32-bit integer.
    U32 = "U32", 1 in 32;
    /// IEEE 754 single precision.
    F32 = "F32", 1 in 32;
    /// Complex number of two single-precision parts.
    C64 = "C64", 1 in 64;
    /// IEEE 754 double precision.
    F64 = "F64", 1 in 64;
    /// Signed 64-bit integer.
    I64 = "I64", 1 in 64;
    /// Unsigned 64-bit integer.
    U64 = "U64", 1 in 64;
    /// ggml: 4-bit blocks with a scale.
    Q4_0 = "Q4_0", 32 in 144;
    /// ggml: 4-bit blocks with scale and minimum.
    Q4_1 = "Q4_1", 32 in 160;
    /// ggml: 5-bit blocks with a scale.
    Q5_0 = "Q5_0", 32 in 176;
    /// ggml: 5-bit blocks with scale and minimum.
    Q5_1 = "Q5_1", 32 in 192;
    /// ggml: 8-bit blocks with a scale.
    Q8_0 = "Q8_0", 32 in 272;
    /// ggml: 8-bit blocks with scale and sum.
    Q8_1 = "Q8_1", 32 in 320;
    /// ggml: 2-bit super-blocks.
    Q2K = "Q2_K", 256 in 672;
    /// ggml: 3-bit super-blocks.
    Q3K = "Q3_K", 256 in 880;
    /// ggml: 4-bit super-blocks.
    Q4K = "Q4_K", 256 in 1152;
    /// ggml: 5-bit super-blocks.
    Q5K = "Q5_K", 256 in 1408;
    /// ggml: 6-bit super-blocks.
    Q6K = "Q6_K", 256 in 1680;
    /// ggml: 8-bit super-blocks.
    Q8K = "Q8_K", 256 in 2336;
    /// ggml: 2-bit blocks by codebook, smallest.
    Iq2Xxs = "IQ2_XXS", 256 in 528;
    /// ggml: 2-bit blocks by codebook, extra small.
    Iq2Xs = "IQ2_XS", 256 in 592;
    /// ggml: 3-bit blocks by codebook, smallest.
    Iq3Xxs = "IQ3_XXS", 256 in 784;
    /// ggml: 1-bit blocks by codebook, small.
    Iq1S = "IQ1_S", 256 in 400;
    /// ggml: 4-bit blocks, not linear.
    Iq4Nl = "IQ4_NL", 32 in 144;
    /// ggml: 3-bit blocks by codebook, small.
    Iq3S = "IQ3_S", 256 in 880;
    /// ggml: 2-bit blocks by codebook, small.
    Iq2S = "IQ2_S", 256 in 656;
    /// ggml: 4-bit super-blocks, not linear.
    Iq4Xs = "IQ4_XS", 256 in 1088;
    /// ggml: 1-bit blocks by codebook, medium.
    Iq1M = "IQ1_M", 256 in 448;
    /// ggml: Ternary blocks, five to a byte.
    Tq1_0 = "TQ1_0", 256 in 432;
    /// ggml: Ternary blocks, four to a byte.
    Tq2_0 = "TQ2_0", 256 in 528;
    /// ggml: OCP MX blocks of 4-bit floats with a shared exponent.
    Mxfp4 = "MXFP4", 32 in 136;
    /// ggml: NVIDIA blocks of 4-bit floats with 8-bit float scales.
    Nvfp4 = "NVFP4", 64 in 288;
    /// ggml: 1-bit blocks with a scale.
    Q1_0 = "Q1_0", 128 in 144;
}

/// ggml's types by their number in a file (`enum ggml_type`).
const GGML_IDS: [(u32, Dtype); 34] = [
    (0, Dtype::F32),
    (1, Dtype::F16),
    (2, Dtype::Q4_0),
    (3, Dtype::Q4_1),
    (6, Dtype::Q5_0),
    (7, Dtype::Q5_1),
    (8, Dtype::Q8_0),
    (9, Dtype::Q8_1),
    (10, Dtype::Q2K),
    (11, Dtype::Q3K),
    (12, Dtype::Q4K),
    (13, Dtype::Q5K),
    (14, Dtype::Q6K),
    (15, Dtype::Q8K),
    (16, Dtype::Iq2Xxs),
    (17, Dtype::Iq2Xs),
    (18, Dtype::Iq3Xxs),
    (19, Dtype::Iq1S),
    (20, Dtype::Iq4Nl),
    (21, Dtype::Iq3S),
    (22, Dtype::Iq2S),
    (23, Dtype::Iq4Xs),
    (24, Dtype::I8),
    (25, Dtype::I16),
    (26, Dtype::I32),
    (27, Dtype::I64),
    (28, Dtype::F64),
    (29, Dtype::Iq1M),
    (30, Dtype::Bf16),
    (34, Dtype::Tq1_0),
    (35, Dtype::Tq2_0),
    (39, Dtype::Mxfp4),
    (40, Dtype::Nvfp4),
    (41, Dtype::Q1_0),
];

/// Numbers of types that ggml has removed, with the names they had.
const GGML_REMOVED: [(u32, &str); 8] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
];

impl Dtype {
    /// The type of this safetensors name, if it is a known one.
    pub fn from_safetensors_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.is_safetensors() && dtype.name() == name)
    }

    /// The type of this number in a GGUF file, if it is a current one.
    pub fn from_ggml_id(id: u32) -> Option<Self> {
        GGML_IDS.iter().find(|(known, _)| *known == id).map(|(_, dtype)| *dtype)
    }

    /// The name that a number had before ggml removed its type.
    pub fn removed_from_ggml(id: u32) -> Option<&'static str> {
        GGML_REMOVED.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
    }

    /// Whether a safetensors file can have the type.
    pub const fn is_safetensors(self) -> bool {
        self.block_elements() == 1
    }

    /// Whether a GGUF file can have the type.
    pub fn is_ggml(self) -> bool {
        GGML_IDS.iter().any(|(_, dtype)| *dtype == self)
    }

    /// Bytes that a tensor of `shape` takes, outermost dimension first; `None` when the product passes 64 bits, ends
    /// inside a byte, or when rows (the innermost dimension) end inside a block.
    pub fn tensor_size_bytes(self, shape: &[u64]) -> Option<u64> {
        let row_elements = shape.last().copied().unwrap_or(1);
        if !row_elements.is_multiple_of(self.block_elements()) {
            return None;
        }
        let row_bits = (row_elements / self.block_elements()).checked_mul(self.block_bits())?;
        let rows = shape.split_last().map_or(&[][..], |(_, outer)| outer);
        let size_bits = rows.iter().try_fold(row_bits, |product, &dimension| product.checked_mul(dimension))?;
        size_bits.is_multiple_of(8).then_some(size_bits / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_equal_their_serialisation() {
        for &dtype in Dtype::ALL {
            assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{}\"", dtype.name()));
            assert_eq!(Dtype::from_safetensors_name(dtype.name()), dtype.is_safetensors().then_some(dtype));
            assert!(dtype.is_safetensors() || dtype.is_ggml(), "{dtype:?}");
        }
        assert_eq!(Dtype::from_safetensors_name("f32"), None);
        assert_eq!(Dtype::from_safetensors_name("Q4_K"), None);
    }

    #[test]
    fn every_number_of_ggml_is_current_removed_or_unknown() {
        let numbers = |is: fn(u32) -> bool| (0..1000).filter(|id| is(*id)).count();
        assert_eq!(numbers(|id| Dtype::from_ggml_id(id).is_some()), GGML_IDS.len());
        assert_eq!(numbers(|id| Dtype::removed_from_ggml(id).is_some()), GGML_REMOVED.len());
        assert_eq!(numbers(|id| Dtype::from_ggml_id(id).is_some() && Dtype::removed_from_ggml(id).is_some()), 0);
        assert_eq!(Dtype::from_ggml_id(12), Some(Dtype::Q4K));
        assert_eq!(Dtype::removed_from_ggml(4), Some("Q4_2"));
        assert_eq!((Dtype::from_ggml_id(42), Dtype::removed_from_ggml(42)), (None, None));
    }

    #[test]
    fn tensor_sizes() {
        assert_eq!(Dtype::F32.tensor_size_bytes(&[2, 3]), Some(24));
        assert_eq!(Dtype::F32.tensor_size_bytes(&[]), Some(4));
        assert_eq!(Dtype::F32.tensor_size_bytes(&[7, 0]), Some(0));
        assert_eq!(Dtype::F4.tensor_size_bytes(&[3]), None);
        assert_eq!(Dtype::F4.tensor_size_bytes(&[2, 3]), Some(3));
        assert_eq!(Dtype::F6E2M3.tensor_size_bytes(&[4]), Some(3));
        assert_eq!(Dtype::U8.tensor_size_bytes(&[u64::MAX, 2]), None);
        assert_eq!(Dtype::U8.tensor_size_bytes(&[u64::MAX / 8 + 1]), None);
        assert_eq!(Dtype::Q4K.tensor_size_bytes(&[3, 512]), Some(3 * 2 * 144));
        assert_eq!(Dtype::Q4K.tensor_size_bytes(&[512, 3]), None, "rows hold whole blocks");
        assert_eq!(Dtype::Q4K.tensor_size_bytes(&[]), None);
        assert_eq!(Dtype::Q8_0.tensor_size_bytes(&[2, 0]), Some(0));
    }
}
