//! What the pages say, read from the pages themselves: every text as it is, and nothing that it asks for.
//!
//! Without the fonts nothing is tested, and `CHOPMARK_TEST_PDF=required` makes that a failure.

use serde_json::json;
use typst::layout::{Frame, FrameItem};
use zeroize::Zeroizing;

use super::*;
use crate::reports::kept::Kept;
use crate::server::FONTS;

fn fonts() -> Option<Fonts> {
    let found = Fonts::find(std::path::Path::new(FONTS));
    let is_required = std::env::var_os("CHOPMARK_TEST_PDF").is_some_and(|value| value == "required");
    if let (Err(reason), true) = (&found, is_required) {
        panic!("{reason}; scripts/install-pdf-tools.sh installs them");
    }
    found.ok()
}

fn turn(fonts: Fonts) -> Turn {
    Turn { fonts: Arc::new(fonts), _turn: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap() }
}

/// A report with one line about an asset of this title, and so many copies of the line.
fn report(title: &str, copies: usize) -> Kept {
    let line = json!({
        "line": 1, "year": "2026/27", "kind": "deduction", "amount": "-1234567.50", "section": "16EA", "ip_type": "copyright",
        "asset": { "title": { "zh-Hant": title }, "jurisdiction": "HK" }, "entries": [4, 7], "flags": ["UNCONFIRMED"],
        "payment": { "nature": "purchase", "date": "2026-11-12", "counterparty": { "name": title }, "document": title,
                     "gross": "1000.00", "currency": "USD", "hkd": "7800.00", "status": "active" },
    });
    let file = json!({
        "note": "origin\n\n— key", "schema": "chopmark.report.ip-expenditure/v1",
        "report": {
            "taxpayer": { "name": { "en": title }, "brn": "12345678" }, "size": 9,
            "checkpoint": { "origin": "example.hk/log", "size": 9 }, "query": { "years": ["2026/27"] },
            "lines": vec![line; copies], "payments": [{ "index": 7, "date": "2026-05-02" }],
            "flags": [{ "code": "UNCONFIRMED", "year": "2026/27", "entries": [7] }],
            "breakdown": { "level": "jurisdiction", "key": "HK", "totals": { "deduction": "-1234567.50" } },
        },
    });
    let file = Zeroizing::new(file.to_string().into_bytes());
    Kept { id: chopmark_core::digest::Sha256Digest::of(&file), file }
}

fn write(press: &Turn, kept: &Kept, language: Language) -> Result<Vec<u8>, ApiError> {
    press.write(kept.id, &kept.content()?, language)
}

/// All text of the pages, without spaces: lines end where there is room.
fn read(fonts: &Fonts, kept: &Kept, language: Language) -> String {
    fn collect(frame: &Frame, said: &mut String) {
        for (_, item) in frame.items() {
            match item {
                FrameItem::Text(item) => said.push_str(&item.text),
                FrameItem::Group(group) => collect(&group.frame, said),
                _ => {}
            }
        }
    }
    let document = document::of(kept.id, &kept.content().unwrap(), language, fonts);
    let pages = set(fonts, &document).unwrap();
    let mut said = String::new();
    for page in pages.pages() {
        collect(&page.frame, &mut said);
    }
    said.split_whitespace().collect()
}

#[test]
fn texts_are_never_markup() {
    let Some(fonts) = fonts() else { return };
    for title in [
        "#image(\"http://canary.example/x.png\")",
        "#read(\"/etc/passwd\")",
        "#import \"@preview/a:0.1.0\": *",
        "#panic(\"no\")",
        "$x^2$ *bold* _thin_ `raw` = Heading",
        "<label> @reference https://canary.example/ // comment /* comment */",
        "\\u{41} ~ -- --- ... \"quoted\" 'too' [content] #[content]",
        "中文#h(1cm)軟件版權",
        "averyveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword",
    ] {
        let expected: String = title.split_whitespace().collect();
        for language in Language::ALL {
            let said = read(&fonts, &report(title, 1), language);
            // The taxpayer, twice; the other side; the asset; the document.
            assert!(said.matches(&expected).count() >= 5, "{title}: {said}");
        }
    }
}

#[test]
fn pages_say_money_dates_and_flags_in_words() {
    let Some(fonts) = fonts() else { return };
    for (language, date, flag) in [
        (Language::English, "12Nov2026", "onlyonesideattested"),
        (Language::TraditionalChinese, "2026年11月12日", "只有一方證明"),
        (Language::SimplifiedChinese, "2026年11月12日", "只有一方证明"),
    ] {
        let said = read(&fonts, &report("甲", 1), language);
        for text in [date, flag, "-HK$1,234,567.50", "HK$7,800.00", "1,000.00", "UNCONFIRMED", "2026/27", "16EA"] {
            assert!(said.contains(text), "{text}: {said}");
        }
        for (name, digest) in fonts.files() {
            assert!(said.contains(name) && said.contains(&digest.to_string()), "{said}");
        }
    }
}

#[test]
fn what_cannot_be_seen_is_named() {
    let Some(fonts) = fonts() else { return };
    for (text, shown) in [
        ("軟件 é Ω", "軟件 é Ω"),
        ("a\u{1f600}b", "a[U+1F600]b"),
        ("a\u{202e}b\u{200b}", "a[U+202E]b[U+200B]"),
        ("\u{e000}\u{0}\t\n", "[U+E000][U+0000][U+0009]\n"),
        ("\u{feff}\u{fffe}\u{fffd}", "[U+FEFF][U+FFFE][U+FFFD]"),
    ] {
        assert_eq!(fonts.showable(text), shown);
    }
    let odd = "\u{1f600}\u{e000}\u{202e}\u{7f}\u{fe0f}\u{e0100}\u{fdfd} ญ़ x\u{301} ㍿½ﬁ";
    write(&turn(fonts), &report(odd, 1), Language::English).unwrap();
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    let Some(fonts) = fonts() else { return };
    let (press, kept) = (turn(fonts), report("甲", 10));
    let bytes = write(&press, &kept, Language::English).unwrap();
    assert_eq!(write(&press, &kept, Language::English).unwrap(), bytes);
    assert_eq!(write(&turn(self::fonts().unwrap()), &kept, Language::English).unwrap(), bytes);
    assert_ne!(write(&press, &kept, Language::SimplifiedChinese).unwrap(), bytes);
    let error = write(&press, &report("甲", LINES_MAX + 1), Language::English).unwrap_err();
    assert_eq!((error.0.status, error.0.code.as_str()), (422, "report_too_large"));
}

#[test]
fn without_fonts_it_says_what_to_install() {
    let empty = tempfile::tempdir().unwrap();
    let press = Press::new(empty.path().to_owned());
    let error = actix_web::rt::System::new().block_on(press.turn()).err().unwrap();
    assert_eq!((error.0.status, error.0.code.as_str()), (503, "fonts_missing"));
    assert!(error.0.detail.contains("fonts-noto-cjk") && error.0.detail.contains("--fonts"), "{}", error.0.detail);
}
