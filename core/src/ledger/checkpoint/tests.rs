use super::*;
use crate::ledger::fixtures::signer;
use crate::ledger::tree::leaf_hash;

const EMPTY_ROOT: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

/// The examples of the tlog-checkpoint and tlog-cosignature specifications (no verifier key is published for them).
#[test]
fn published_checkpoints_are_read() {
    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let note = Note::parse(note).unwrap();
    let names: Vec<_> = note.signatures().iter().map(|line| (line.name(), line.signature().len())).collect();
    assert_eq!(names, [("example.com/behind-the-sofa", 64), ("witness.example.com/w1", 8 + 64)]);
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.size()), ("example.com/behind-the-sofa", 20_852_163));
    assert_eq!(checkpoint.root().to_hex()[..8], *"0ac5186a");
    assert_eq!(checkpoint.to_string(), note.text());
}

#[test]
fn a_checkpoint_has_one_spelling() {
    let line = |line, expected| CheckpointError::Line { line, expected };
    let (origin, size) = ("the log's origin, without control characters", "the size, a decimal without leading zeroes");
    let (root, extension) = ("the root hash, 44 characters of base64", "an extension line, which is not empty");
    let refused = [
        (String::new(), NoteError::Text.into()),
        (format!("log.example\n2\n{EMPTY_ROOT}"), NoteError::Text.into()),
        ("\n".to_owned(), line(2, size)),
        ("log.example\n".to_owned(), line(2, size)),
        (format!("\n2\n{EMPTY_ROOT}\n"), line(1, origin)),
        (format!("log\texample\n2\n{EMPTY_ROOT}\n"), line(1, origin)),
        (format!("log.example\n02\n{EMPTY_ROOT}\n"), line(2, size)),
        (format!("log.example\n+2\n{EMPTY_ROOT}\n"), line(2, size)),
        (format!("log.example\n-2\n{EMPTY_ROOT}\n"), line(2, size)),
        (format!("log.example\n2 \n{EMPTY_ROOT}\n"), line(2, size)),
        (format!("log.example\n\n{EMPTY_ROOT}\n"), line(2, size)),
        (format!("log.example\n18446744073709551616\n{EMPTY_ROOT}\n"), line(2, size)),
        ("log.example\n2\n".to_owned(), line(3, root)),
        ("log.example\n2\nAAAA\n".to_owned(), line(3, root)),
        (format!("log.example\n2\n{}\n", EMPTY_ROOT.trim_end_matches('=')), line(3, root)),
        (format!("log.example\n2\n{}\n", EMPTY_ROOT.replace("FU=", "FV=")), line(3, root)),
        (format!("log.example\n2\n {EMPTY_ROOT}\n"), line(3, root)),
        (format!("log.example\n2\n{EMPTY_ROOT}\n\n"), line(4, extension)),
        (format!("log.example\n2\n{EMPTY_ROOT}\nmore\n\nmore\n"), line(5, extension)),
        ("log.example\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n".to_owned(), CheckpointError::EmptyRoot),
    ];
    for (text, error) in refused {
        assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
    }
    for text in [
        format!("log.example\n0\n{EMPTY_ROOT}\n"),
        format!("an origin with spaces\n18446744073709551615\n{EMPTY_ROOT}\n"),
        format!("登記處\n2\n{EMPTY_ROOT}\nextension one\n two\n"),
    ] {
        assert_eq!(Checkpoint::parse(&text).unwrap().to_string(), text);
    }
    let extended = Checkpoint::parse(&format!("log.example\n2\n{EMPTY_ROOT}\none\ntwo\n")).unwrap();
    assert_eq!(extended.extensions(), ["one", "two"]);
}

#[test]
fn what_is_signed_opens_with_the_logs_key_only() {
    let (log, other) = (signer("log.example", 1), signer("other.example", 2));
    let checkpoint = Checkpoint::new("log.example", 2, leaf_hash(b"root")).unwrap();
    let note = sign_checkpoint(&checkpoint, &[log]).unwrap();
    let (log, log_renamed) = (signer("log.example", 1), signer("other.example", 1));
    let key = |signer: &super::super::note::NoteSigner| signer.verifier_key().clone();
    assert_eq!(open_checkpoint(&note, &[key(&log)]), Ok(checkpoint.clone()));
    assert_eq!(open_checkpoint(&note, &[key(&other), key(&log)]), Ok(checkpoint.clone()));
    for keys in [vec![], vec![key(&other)], vec![key(&log_renamed)]] {
        assert_eq!(open_checkpoint(&note, &keys), Err(NoteError::NoKnownKey.into()));
    }

    // A key trusted for another log signs this log's name: every signature verifies, and still it is refused.
    let forged = Note::sign(checkpoint.to_string(), [&other]).unwrap().to_string();
    let refused = Err(CheckpointError::OriginNotSigned { origin: "log.example".to_owned() });
    assert_eq!(open_checkpoint(&forged, &[key(&other)]), refused);
    assert_eq!(open_checkpoint(&forged, &[key(&log), key(&other)]), refused);

    // Signed by the right key, but no checkpoint.
    let text = Note::sign("log.example\n".to_owned(), [&log]).unwrap().to_string();
    assert!(matches!(open_checkpoint(&text, &[key(&log)]), Err(CheckpointError::Line { line: 2, .. })));
}

#[test]
fn several_keys_of_one_log_sign_side_by_side() {
    let signers = [signer("log.example", 1), signer("log.example", 2)];
    let checkpoint = Checkpoint::new("log.example", 7, leaf_hash(b"root")).unwrap();
    let note = sign_checkpoint(&checkpoint, &signers).unwrap();
    assert_eq!(Note::parse(&note).unwrap().signatures().len(), 2);
    for signer in &signers {
        assert_eq!(open_checkpoint(&note, &[signer.verifier_key().clone()]).as_ref(), Ok(&checkpoint));
    }
}

#[test]
fn what_must_not_be_signed_is_refused() {
    let log = [signer("log.example", 1)];
    let checkpoint = |origin: &str, size| Checkpoint::new(origin, size, leaf_hash(b"root")).unwrap();
    assert_eq!(sign_checkpoint(&checkpoint("log.example", 1), &log), Err(CheckpointError::BeforeGenesis { size: 1 }));
    let empty = Checkpoint::new("log.example", 0, empty_root()).unwrap();
    assert_eq!(sign_checkpoint(&empty, &log), Err(CheckpointError::BeforeGenesis { size: 0 }));
    assert_eq!(
        sign_checkpoint(&checkpoint("other.example", 2), &log),
        Err(CheckpointError::SignerName { name: "log.example".to_owned(), origin: "other.example".to_owned() })
    );
    assert_eq!(sign_checkpoint(&checkpoint("log.example", 2), &[]), Err(NoteError::Unsigned.into()));
    assert_eq!(Checkpoint::new("log.example", 0, leaf_hash(b"root")), Err(CheckpointError::EmptyRoot));
    for origin in ["", "two\nlines", "null\0"] {
        assert!(matches!(Checkpoint::new(origin, 2, leaf_hash(b"")), Err(CheckpointError::Line { line: 1, .. })));
    }
}
