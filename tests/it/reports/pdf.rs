//! Reports as PDF, read with Poppler: archivable and tagged, fonts embedded, every text as it is and none of it obeyed.
//!
//! Where Poppler or the fonts are missing nothing is tested, and `CHOPMARK_TEST_PDF=required` makes that a failure.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::Note;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::books::{Books, Company, figures};
use super::exports::root_of;
use super::{ask, service};
use crate::harness::{Answer, Home, Ran, Service, can_test, is_required, place};
use crate::sealed::{get_as, token_of};
use crate::shared;

/// Runs one of Poppler's programs on a file and reads what it prints.
fn poppler(program: &str, arguments: &[&str], file: &Path, output: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).arg(file).args(output).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}; scripts/install-pdf-tools.sh installs it"));
    assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    // `pdfinfo -struct` writes headings as they are in the file, which is UTF-16.
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// Without spaces and ends of lines, which are where there is room.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

fn is_possible() -> bool {
    // What is missing then, Poppler or a font, fails by itself.
    can_test("reports as PDF", false, is_required("CHOPMARK_TEST_PDF"))
}

/// Checks that a file claims to be an archivable and tagged document of this title, has its fonts with it, and no empty page;
/// and how many pages it has.
fn archivable(file: &Path, title: &str) -> usize {
    let facts = poppler("pdfinfo", &[], file, &[]);
    assert!(facts.contains(title), "{facts}");
    let fact = |name: &str| facts.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    assert_eq!((fact("Tagged:"), fact("JavaScript:"), fact("Encrypted:")), ("yes", "no", "no"), "{facts}");
    assert!(fact("Page size:").ends_with("(A4)"), "{facts}");
    assert!(fact("CreationDate:").contains("May  2") && fact("CreationDate:").contains("2026"), "{facts}");
    for claim in ["<pdfaid:part>2</pdfaid:part>", "<pdfaid:conformance>A</pdfaid:conformance>", "<pdfuaid:part>1<"] {
        assert!(poppler("pdfinfo", &["-meta"], file, &[]).contains(claim), "{claim}");
    }
    assert!(poppler("pdfinfo", &["-struct"], file, &[]).contains("TH "), "headers of tables are tagged");
    let fonts = poppler("pdffonts", &[], file, &[]);
    let fonts: Vec<&str> = fonts.lines().skip(2).collect();
    assert!(!fonts.is_empty());
    for font in fonts {
        // Embedded, in part, with what each glyph means.
        assert!(font.contains("NotoSansCJK") && font.contains(" yes yes yes "), "{font}");
    }

    let pages: usize = fact("Pages:").parse().unwrap();
    let images = file.with_file_name("page");
    poppler("pdftoppm", &["-r", "72", "-gray"], file, &[images.to_str().unwrap()]);
    for page in 1..=pages {
        let width = pages.to_string().len();
        let image = fs::read(file.with_file_name(format!("page-{page:0width$}.pgm"))).unwrap();
        // The line at the foot is on each; a page has more.
        let rows = image.chunks(842).filter(|row| row.iter().any(|pixel| *pixel < 0xb0)).count();
        assert!(rows > 10, "page {page} is empty");
    }
    pages
}

#[test]
fn pages_say_what_the_report_says_in_three_languages() {
    if !is_possible() {
        return;
    }
    let service = service();
    // Whoever obeyed a title would come here.
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let title = format!(
        "軟件版權 #image(\"http://{}/canary.png\") $x^2$ #read(\"/etc/passwd\") *bold*",
        canary.local_addr().unwrap()
    );
    let taxpayer = "#panic(\"taxpayer\") _林氏_人工智能有限公司";
    let (company, seller) = (Company::new(service, taxpayer), Company::new(service, "賣方 = <label> @reference"));
    let mut books = Books::of(service, &company);
    books.profile();
    let right = books.asset(&title);
    books.purchase(&seller, right, "#import \"@preview/a:0.1.0\": *", &figures("1000000.01", "HKD"));
    books.used(right, "2026/27", "1");
    let royalty = books.royalty("Outside // Inc \u{1f600}", "US", "`INV`-1", &figures("12.34", "HKD"));
    books.correct_royalty(royalty, "Outside // Inc \u{1f600}", "US", "`INV`-1", &figures("1056.78", "HKD"));
    let token = token_of(service, &company.author);
    let view = ask(service, &token, &json!({ "query": { "taxpayer": company.author.party.to_hex() } })).json();
    let id = view["id"].as_str().unwrap();
    let report: Value = get_as(service, &format!("/v1/reports/{id}"), &token).json();
    let report = &report["report"];
    let get = |path: &str| {
        let answer = get_as(service, &format!("/v1/reports/{id}/{path}"), &token);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text_lossy());
        answer
    };

    for (lang, words) in [
        ("en", ["Report on expenditure on intellectual property", "2 May 2026", "Provenance", "deduction"]),
        ("zh-Hant", ["知識產權支出報告", "2026年5月2日", "來源", "扣除"]),
        ("zh-Hans", ["知识产权支出报告", "2026年5月2日", "来源", "扣除"]),
    ] {
        let query = format!("format=pdf&lang={lang}");
        let answer = get(&format!("export?{query}"));
        assert_eq!(answer.header("content-type"), Some("application/pdf"));
        assert!(answer.header("content-disposition").unwrap().contains(".pdf"));
        let place = place();
        let file = place.path().join("report.pdf");
        fs::write(&file, &answer.body).unwrap();

        let text = dense(&poppler("pdftotext", &["-layout"], &file, &["-"]));
        let raw = dense(&poppler("pdftotext", &["-raw"], &file, &["-"]));
        for expected in words.iter().copied().chain([
            id,
            taxpayer,
            &title,
            "賣方 = <label> @reference",
            "#import \"@preview/a:0.1.0\": *",
            "Outside // Inc [U+1F600]",
            "`INV`-1",
            "HK$1,000,000.01",
            "HK$1,056.78",
            "2026/27",
            "UNCONFIRMED",
            "NotoSansCJK-Regular.ttc",
            "NotoSansCJK-Bold.ttc",
            report["rules_digest"].as_str().unwrap(),
            report["checkpoint"]["root"].as_str().unwrap(),
        ]) {
            assert!(raw.contains(&dense(expected)) || text.contains(&dense(expected)), "{lang}: {expected}: {raw}");
        }

        let pages = archivable(&file, words[0]);
        assert!(raw.contains(&format!("1/{pages}")) && raw.contains(&format!("{pages}/{pages}")), "{raw}");

        let note = Note::parse(get(&format!("export/signature?{query}")).text()).unwrap();
        let (reference, key) = shared::registry(service);
        assert_eq!(note.verify(core::slice::from_ref(&key)).unwrap().len(), 1);
        let digest = BASE64.encode(Sha256Digest::of(&answer.body).as_bytes());
        let (origin, size, root) = (reference.origin, &view["size"], root_of(report));
        let text = format!("chopmark/report-export/v2\n{origin}\n{id}\n{size}\n{root}\npdf {lang}\n{digest}\n");
        assert_eq!(note.text(), text);

        if lang != "zh-Hant" {
            continue;
        }
        // Written again, and the same bytes.
        let home = Home::inside(place.path());
        let taxpayer = company.author.party.to_hex();
        let mut command = home.command(&["report", "ip-expenditure", "--taxpayer", &taxpayer, "--format", "pdf"]);
        command.args(["--lang", lang, "--as-of", &view["size"].to_string(), "--out", "d", "--url", service.url()]);
        let ran = Ran::of(command.env("CHOPMARK_TOKEN", &token).output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(fs::read(home.file("d/ip-all.pdf")).unwrap(), answer.body);
        assert!(home.file("d/ip-all.pdf.sig").is_file(), "checked and kept");
    }
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody came for the picture");
}

#[test]
fn without_fonts_the_service_starts_and_says_what_to_install() {
    let place = place();
    let fonts = place.path().join("no-fonts");
    let service = Service::try_start(place.path(), "data", &["--fonts", fonts.to_str().unwrap()]).unwrap();
    let company = Company::new(&service, "Without fonts");
    let token = token_of(&service, &company.author);
    let view = ask(&service, &token, &json!({ "query": { "taxpayer": company.author.party.to_hex() } })).json();
    let export = |format: &str| -> Answer {
        get_as(&service, &format!("/v1/reports/{}/export?format={format}", view["id"].as_str().unwrap()), &token)
    };
    let refused = export("pdf");
    assert_eq!(refused.status, 503, "{}", refused.text_lossy());
    assert_eq!(refused.problem()["code"], "fonts_missing");
    assert!(refused.text().contains("fonts-noto-cjk"), "{}", refused.text());
    assert_eq!(export("xlsx").status, 200);
}
