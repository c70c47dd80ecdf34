//! Master keys: 32 bytes each with an id, one a line, the one in use first. Those that a rotation has done with say so.

use std::time::{Duration, Instant};

use chopmark_core::base64;
use data_encoding::{BASE32_NOPAD, BASE64};
use zeroize::Zeroizing;

/// First word of the line of a master key; its id and 32 bytes in padded base64 follow.
pub const MASTER_KEY_FORMAT: &str = "chopmark-vault-key-v1";

/// Last word of the line of a key that a rotation has done with: it opens what is wrapped by it, in an older backup, and no MAC
/// counts under it.
pub const MASTER_KEY_RETIRED: &str = "retired";

/// Most master keys at a time: the one in use, and older ones that older backups need.
const KEYS_MAX: usize = 16;

/// For how long a key that is no longer in the file opens what was read just before it went.
const GONE_KEPT_FOR: Duration = Duration::from_mins(1);

/// Master keys, the one in use first. Wiped from memory when dropped.
#[derive(Clone)]
pub struct MasterKeys(Vec<MasterKey>);

#[derive(Clone)]
pub(super) struct MasterKey {
    pub(super) id: String,
    pub(super) key: Zeroizing<[u8; 32]>,
    /// Whether no MAC counts under it.
    pub(super) is_retired: bool,
    /// Since when it is in the file no more.
    gone_at: Option<Instant>,
}

impl MasterKeys {
    /// Reads lines `chopmark-vault-key-v1 <id> <base64>`, those of retired keys with the word `retired` behind; empty ones and
    /// comments (`#`) say nothing.
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
            let (id, key, is_retired) = match words.as_slice() {
                [MASTER_KEY_FORMAT, id, key] => (id, key, false),
                [MASTER_KEY_FORMAT, id, key, MASTER_KEY_RETIRED] => (id, key, true),
                _ => return Err(refuse(&format!("is not `{MASTER_KEY_FORMAT} <id> <32 bytes in base64>`"))),
            };
            if is_retired && keys.is_empty() {
                return Err(refuse("has a retired key first; put the one in use before it"));
            }
            let is_id =
                (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !is_id || keys.iter().any(|other| other.id == *id) {
                return Err(refuse("has an id that is not 1 to 32 letters, digits and `_`, or stands twice"));
            }
            let bytes = base64::decode(&BASE64, key).map(Zeroizing::new).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
            let key = bytes.ok_or_else(|| refuse("has a key that is not 32 bytes in padded base64"))?;
            keys.push(MasterKey { id: (*id).to_owned(), key, is_retired, gone_at: None });
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

    /// These, as they are in the file now, and behind them, retired, those that went from it a moment ago.
    pub(super) fn with_older(mut self, older: &Self, now: Instant) -> Self {
        for key in &older.0 {
            let gone_at = key.gone_at.unwrap_or(now);
            if self.find(&key.id).is_none() && now.duration_since(gone_at) < GONE_KEPT_FOR {
                self.0.push(MasterKey { is_retired: true, gone_at: Some(gone_at), ..key.clone() });
            }
        }
        self
    }

    /// Id of the one in use.
    pub fn current_id(&self) -> &str {
        self.0.first().map_or("", |key| &key.id)
    }

    /// Ids of all that are in the file.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|key| key.gone_at.is_none()).map(|key| key.id.as_str())
    }

    /// Ids of those under which no MAC counts.
    pub(super) fn retired_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|key| key.is_retired).map(|key| key.id.as_str())
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

    #[test]
    fn a_retired_key_says_so_and_one_that_went_is_forgotten() {
        let [first, second, third] = [1, 2, 3].map(|number: u8| MasterKeys::line([number; 10], &[number; 32]));
        let retired = |line: &str| format!("{} {MASTER_KEY_RETIRED}\n", line.trim());
        let keys = MasterKeys::parse(&format!("{}{}{}", *first, retired(&second), *third)).unwrap();
        assert_eq!(keys.retired_ids().collect::<Vec<_>>(), [keys.ids().nth(1).unwrap()]);
        let error = MasterKeys::parse(&format!("{}{}", retired(&first), *second)).err().unwrap();
        assert!(error.contains("line 1 has a retired key first"), "{error}");
        assert!(MasterKeys::parse(&format!("{} gone", first.trim())).is_err());

        let begun = Instant::now();
        let read = |lines: &str| MasterKeys::parse(lines).unwrap();
        let known = read(&second).with_older(&read(&first), begun);
        assert_eq!((known.ids().count(), known.all().count(), known.retired_ids().count()), (1, 2, 1));
        // It is gone since then, however often the file is read, and back when it is in the file again.
        let later = |after: Duration| read(&second).with_older(&known, begun + after).all().count();
        let almost = GONE_KEPT_FOR.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!((later(almost), later(GONE_KEPT_FOR)), (2, 1));
        let back = read(&format!("{}{}", *second, *first)).with_older(&known, begun);
        assert_eq!((back.ids().count(), back.retired_ids().count()), (2, 0));
    }
}
