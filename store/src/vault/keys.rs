//! Master keys: 32 bytes each with an id, one a line, the one in use first.

use chopmark_core::base64;
use data_encoding::{BASE32_NOPAD, BASE64};
use zeroize::Zeroizing;

/// First word of the line of a master key; its id and 32 bytes in padded base64 follow.
pub const MASTER_KEY_FORMAT: &str = "chopmark-vault-key-v1";

/// Most master keys at a time: the one in use, and those of rotations that are not finished.
const KEYS_MAX: usize = 16;

/// Master keys, the one in use first. Wiped from memory when dropped.
#[derive(Clone)]
pub struct MasterKeys(Vec<MasterKey>);

#[derive(Clone)]
pub(super) struct MasterKey {
    pub(super) id: String,
    pub(super) key: Zeroizing<[u8; 32]>,
}

impl MasterKeys {
    /// Reads lines `chopmark-vault-key-v1 <id> <base64>`; empty ones and comments (`#`) say nothing.
    ///
    /// # Errors
    /// A sentence naming the line, and never what is in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |reason: &str| format!("line {number} {reason}");
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [MASTER_KEY_FORMAT, id, key] = words.as_slice() else {
                return Err(refuse(&format!("is not `{MASTER_KEY_FORMAT} <id> <32 bytes in base64>`")));
            };
            let is_id =
                (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_id || keys.iter().any(|other| other.id == *id) {
                return Err(refuse("has an id that is not 1 to 32 letters, digits and `_`, or stands twice"));
            }
            let bytes = base64::decode(&BASE64, key).map(Zeroizing::new).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
            let key = bytes.ok_or_else(|| refuse("has a key that is not 32 bytes in padded base64"))?;
            keys.push(MasterKey { id: (*id).to_owned(), key });
        }
        match keys.len() {
            0 => Err("there is no master key".to_owned()),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(format!("there are more than {KEYS_MAX} master keys")),
        }
    }

    /// The line of a new master key, from random bytes.
    pub fn line(id: [u8; 10], key: &[u8; 32]) -> Zeroizing<String> {
        let id = BASE32_NOPAD.encode(&id).to_ascii_lowercase();
        Zeroizing::new(format!("{MASTER_KEY_FORMAT} {id} {}\n", *Zeroizing::new(BASE64.encode(key))))
    }

    /// These, and behind them those of others that are not among them.
    pub(super) fn with_older(mut self, older: Self) -> Self {
        for key in older.0 {
            if self.find(&key.id).is_none() {
                self.0.push(key);
            }
        }
        self
    }

    /// Id of the one in use.
    pub fn current_id(&self) -> &str {
        self.0.first().map_or("", |key| &key.id)
    }

    /// Ids of all.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    pub(super) fn current(&self) -> Option<&MasterKey> {
        self.0.first()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &MasterKey> {
        self.0.iter()
    }

    pub(super) fn find(&self, id: &str) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_a_bad_line_is_named_without_its_content() {
        let text = format!("# two\n{}\n{}", *MasterKeys::line([1; 10], &[1; 32]), *MasterKeys::line([2; 10], &[2; 32]));
        let keys = MasterKeys::parse(&text).unwrap();
        assert_eq!((keys.ids().count(), keys.current().unwrap().key[0]), (2, 1));
        assert_eq!(keys.find(keys.ids().nth(1).unwrap()).unwrap().key[31], 2);
        for bad in [
            "",
            "chopmark-vault-key-v1 a",
            "chopmark-vault-key-v1 a SECRET",
            "chopmark-vault-key-v1 a-b AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            "chopmark-key-v1 a AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
            &format!("{0}{0}", *MasterKeys::line([1; 10], &[1; 32])),
        ] {
            let error = MasterKeys::parse(bad).err().unwrap();
            assert!(!error.contains("SECRET") && !error.contains("AQEB"), "{error}");
        }
    }
}
