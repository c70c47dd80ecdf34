//! The fonts that PDFs are set in: Noto Sans CJK, as Debian's package `fonts-noto-cjk` has it, with Latin letters and every
//! Chinese character in one face for each form of Chinese. They stay in memory, about 40 MB.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::tax::words::Language;
use typst::foundations::Bytes;
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;

/// The two weights, each a collection of faces.
const FILES: [&str; 2] = ["NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"];

/// Face for Traditional Chinese.
const TRADITIONAL: &str = "Noto Sans CJK TC";

/// Face for Simplified Chinese.
const SIMPLIFIED: &str = "Noto Sans CJK SC";

/// How deep below the directory a font may lie, so that links in a circle end.
const DEPTH_MAX: usize = 6;

/// Largest file that is read as a font; those of Debian have 20 MB.
const FONT_BYTES_MAX: u64 = 64 << 20;

/// Fonts, in memory.
pub struct Fonts {
    book: LazyHash<FontBook>,
    faces: Vec<Font>,
    files: Vec<(&'static str, Sha256Digest)>,
    /// What every face has.
    characters: HashSet<u32>,
}

impl Fonts {
    /// Reads the fonts from wherever they lie below a directory.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn find(directory: &Path) -> Result<Self, String> {
        let (mut faces, mut files) = (Vec::new(), Vec::new());
        for name in FILES {
            let path = search(directory, name, DEPTH_MAX)
                .ok_or_else(|| format!("there is no {name} below {}", directory.display()))?;
            let bytes = read(&path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
            files.push((name, Sha256Digest::of(&bytes)));
            let known = |font: &Font| [TRADITIONAL, SIMPLIFIED].contains(&font.info().family.as_str());
            faces.extend(Font::iter(Bytes::new(bytes)).filter(known));
        }
        for family in [TRADITIONAL, SIMPLIFIED] {
            if faces.iter().filter(|font| font.info().family == family).count() != FILES.len() {
                return Err(format!("the fonts below {} have no {family} in both weights", directory.display()));
            }
        }
        let covered = faces.iter().map(|font| font.info().coverage.iter().collect::<HashSet<u32>>());
        let characters = covered.reduce(|all, face| all.intersection(&face).copied().collect()).unwrap_or_default();
        Ok(Self { book: LazyHash::new(FontBook::from_fonts(&faces)), faces, files, characters })
    }

    /// The faces by what they are.
    pub fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    /// A face of the book.
    pub fn face(&self, index: usize) -> Option<&Font> {
        self.faces.get(index)
    }

    /// The files and their digests.
    pub fn files(&self) -> &[(&'static str, Sha256Digest)] {
        &self.files
    }

    /// The face for a language.
    pub const fn family(language: Language) -> &'static str {
        match language {
            Language::English | Language::TraditionalChinese => TRADITIONAL,
            Language::SimplifiedChinese => SIMPLIFIED,
        }
    }

    /// A text with every character that could not be seen as its number, `[U+1F600]`: those that the fonts don't have, that are
    /// invisible, or that mean nothing outside one company. An archived document must not have them.
    pub fn showable(&self, text: &str) -> String {
        let can_show = |character: char| {
            character == '\n' || (!is_unseen(character) && self.characters.contains(&character.into()))
        };
        let number = |character: char| format!("[U+{:04X}]", u32::from(character));
        text.chars().fold(String::with_capacity(text.len()), |shown, character| {
            if can_show(character) { shown + character.encode_utf8(&mut [0; 4]) } else { shown + &number(character) }
        })
    }
}

/// Controls, private use, and what only changes how others look.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..)
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(character, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}')
}

fn search(directory: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let path = directory.join(name);
    if path.is_file() {
        return Some(path);
    }
    let depth = depth.checked_sub(1)?;
    let mut below: Vec<PathBuf> = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    // In one order everywhere, so that the same directory gives the same font.
    below.sort();
    below.iter().filter(|path| path.is_dir()).find_map(|path| search(path, name, depth))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FONT_BYTES_MAX {
        return Err(std::io::Error::other("it is too large for a font"));
    }
    fs::read(path)
}
