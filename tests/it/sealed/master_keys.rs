//! Master keys in a file and in the environment: those of another registry are refused, a rotation that was cut short goes on,
//! and what was rotated away lets nobody in.

use std::fs;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{Payment, get_as, officer, token_of};
use crate::harness::{Home, Ran, Service, place};
use crate::make::Author;
use crate::shared;

const AMOUNT: &str = "71204455.18";

/// What says of a key in the file that no MAC counts under it.
const RETIRED: &str = " retired\n";

fn line(id: &str, byte: u8) -> String {
    format!("chopmark-vault-key-v1 {id} {}\n", BASE64.encode(&[byte; 32]))
}

/// Changes the lines of keys in a file, and keeps who may read it.
fn rewrite(path: &Path, change: impl FnOnce(Vec<String>) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let keys = text.split_inclusive('\n').filter(|line| line.starts_with("chopmark-")).map(str::to_owned).collect();
    fs::write(path, change(keys)).unwrap();
}

/// The one key of a new registry.
fn only_key(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split_inclusive('\n').find(|line| line.starts_with("chopmark-")).unwrap().to_owned()
}

fn id_of(line: &str) -> &str {
    line.split(' ').nth(1).unwrap()
}

fn rotate(service: &Service, more: &[&str], keys: Option<&str>) -> (i32, Value) {
    let home = Home::new();
    let data = service.directory.to_str().unwrap();
    let mut command = home.command(&[&["vault", "rotate", "--data-dir", data, "--json"], more].concat());
    if let Some(keys) = keys {
        command.env("CHOPMARK_VAULT_KEY", keys);
    }
    let ran = Ran::of(command.output().unwrap());
    (ran.code, ran.document())
}

fn shows(service: &Service, payment: &Payment, token: &str) -> u16 {
    let path = format!("/v1/statements/{}/openings?case_reference=C&purpose=P", payment.id);
    let answer = get_as(service, &path, token);
    assert_eq!(answer.text().contains(AMOUNT), answer.status == 200, "{}", answer.text());
    answer.status
}

fn sides(service: &Service) -> (Author, Author) {
    (shared::author(service, "payer under keys"), shared::author(service, "payee under keys"))
}

#[test]
fn a_master_key_of_another_registry_is_refused() {
    let place = place();
    let service = Service::start(place.path());
    let (payer, payee) = sides(&service);
    let payment = Payment::new(&payer, &payee, "own key", AMOUNT).entered(&service);
    let (path, data) = (service.directory.join("keys/vault.key"), service.directory.to_str().unwrap().to_owned());
    let (own, foreign) = (only_key(&path), line("foreign", 7));
    service.stop();
    let refused = |ran: Ran| {
        let words = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, 9, "{words}");
        assert!(words.contains(id_of(&own)) && words.contains("(foreign)"), "{words}");
    };
    let variables = [("CHOPMARK_VAULT_KEY", foreign.as_str())];
    refused(Service::try_start_with(place.path(), "data", &[], &variables).err().unwrap());
    rewrite(&path, |_| foreign.clone());
    refused(Service::try_start(place.path(), "data", &[]).err().unwrap());
    refused(Home::new().run(&["token", "new", "--role", "auditor", "--name", "desk", "--data-dir", &data]));
    refused(Home::new().run(&["vault", "rotate", "--data-dir", &data]));

    rewrite(&path, |_| own.clone());
    let service = Service::start(place.path());
    assert_eq!(shows(&service, &payment, &token_of(&service, &payer)), 200);
    // Put there while the service runs, it wraps nothing either; and the one before is back at once.
    rewrite(&path, |_| foreign.clone());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let other = Payment::new(&payer, &payee, "foreign key", AMOUNT);
    let answer = service.post(&other.submission.to_request());
    assert!(answer.status >= 500, "{}", answer.text());
    assert_eq!(service.sql("SELECT string_agg(id, ' ') FROM vault.wrapping_key").unwrap(), id_of(&own));
    rewrite(&path, |_| own.clone());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let other = other.entered(&service);
    assert_eq!(shows(&service, &other, &token_of(&service, &payee)), 200);
    service.stop();
}

#[test]
fn a_rotation_that_was_cut_short_goes_on_and_a_full_file_stays_readable() {
    let place = place();
    let service = Service::start(place.path());
    let (payer, payee) = sides(&service);
    let before = Payment::new(&payer, &payee, "before", AMOUNT).entered(&service);
    let path = service.directory.join("keys/vault.key");
    let (first, second) = (only_key(&path), line("second", 2));
    // The new key is in the file and in use, and what is under the one before is not moved yet.
    rewrite(&path, |keys| [vec![second.clone()], keys].concat().concat());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let meanwhile = Payment::new(&payer, &payee, "meanwhile", AMOUNT).entered(&service);
    let both = "SELECT count(DISTINCT key_id) FROM vault.opening";
    assert_eq!(service.sql(both).unwrap(), "2");
    let desk = officer(&service, "HK");
    let (code, rotated) = rotate(&service, &[], None);
    assert_eq!((code, &rotated["master_key"]), (0, &json!("second")), "{rotated}");
    assert_eq!(rotated["retired"], json!([id_of(&first)]));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("{second}{}{RETIRED}", first.trim_end()));
    assert_eq!(service.sql(both).unwrap(), "1");
    let all = |service: &Service| {
        for payment in [&before, &meanwhile] {
            assert_eq!(shows(service, payment, &desk), 200);
        }
    };
    all(&service);

    // As many keys as a file takes: it is not made unreadable, and older ones can go.
    let older = (0..14).map(|number| format!("{}{RETIRED}", line(&format!("older{number}"), number).trim_end()));
    let older: String = older.collect();
    rewrite(&path, |keys| format!("{}{older}", keys.concat()));
    let full = fs::read_to_string(&path).unwrap();
    let (code, refused) = rotate(&service, &[], None);
    assert_eq!(code, 2, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("--destroy-old"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), full);
    all(&service);
    let (code, rotated) = rotate(&service, &["--destroy-old"], None);
    assert_eq!((code, rotated["destroyed"].as_array().unwrap().len()), (0, 16), "{rotated}");
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    all(&service);
    service.stop();
    all(&Service::start(place.path()));
}

#[test]
fn keys_in_the_environment_are_rotated_by_hand() {
    let place = place();
    let (first, second) = (line("first", 1), line("second", 2));
    let start =
        |keys: &str| Service::try_start_with(place.path(), "data", &[], &[("CHOPMARK_VAULT_KEY", keys)]).unwrap();
    let service = start(&first);
    let (payer, payee) = sides(&service);
    let before = Payment::new(&payer, &payee, "before", AMOUNT).entered(&service);
    assert!(!service.directory.join("keys/vault.key").exists());
    let (code, refused) = rotate(&service, &[], Some(&first));
    assert_eq!(code, 2, "{refused}");
    service.stop();
    // The service is the first that has the new key.
    let both = format!("{second}{first}");
    let service = start(&both);
    let meanwhile = Payment::new(&payer, &payee, "meanwhile", AMOUNT).entered(&service);
    let (code, refused) = rotate(&service, &["--destroy-old"], Some(&both));
    assert_eq!(code, 2, "{refused}");
    assert_eq!(service.sql("SELECT count(*) FROM vault.wrapping_key WHERE retired_at IS NULL").unwrap(), "2");
    let (code, rotated) = rotate(&service, &[], Some(&both));
    assert_eq!((code, &rotated["master_key"], &rotated["retired"]), (0, &json!("second"), &json!(["first"])));
    service.stop();
    let service = start(&second);
    let token = token_of(&service, &payer);
    for payment in [&before, &meanwhile] {
        assert_eq!(shows(&service, payment, &token), 200);
    }
    service.stop();
}

/// Whoever has an older master key makes rows with right MACs under it; here, rows as they were under it are put back.
#[test]
fn nothing_counts_under_a_key_that_was_rotated_away() {
    let place = place();
    let service = Service::start(place.path());
    let (payer, payee) = sides(&service);
    let payment = Payment::new(&payer, &payee, "older key", AMOUNT).entered(&service);
    let desk = officer(&service, "HK");
    let own = token_of(&service, &payer);
    let keep = "DROP TABLE IF EXISTS public.older_token, public.older_reader;
                CREATE TABLE public.older_token AS SELECT id, mac_key, mac FROM vault.token;
                CREATE TABLE public.older_reader AS SELECT statement, party, mac_key, mac FROM vault.reader";
    let put_back = "UPDATE vault.token SET mac_key = older.mac_key, mac = older.mac FROM public.older_token AS older
                        WHERE older.id = token.id;
                    UPDATE vault.reader SET mac_key = older.mac_key, mac = older.mac FROM public.older_reader AS older
                        WHERE older.statement = reader.statement AND older.party = reader.party";
    let both = |service: &Service| [shows(service, &payment, &desk), shows(service, &payment, &own)];

    service.sql(keep).unwrap();
    let (code, rotated) = rotate(&service, &[], None);
    assert_eq!((code, &rotated["refused"]), (0, &json!(0)), "{rotated}");
    assert_eq!(both(&service), [200, 200], "who was let in before is let in now");
    service.sql(put_back).unwrap();
    assert_eq!(both(&service), [401, 401]);
    let (new_desk, new_own) = (officer(&service, "HK"), token_of(&service, &payer));
    assert_eq!([shows(&service, &payment, &new_desk), shows(&service, &payment, &new_own)], [404, 404], "no readers");
    service.stop();
    // As after a restoration from before the rotation: the log says who reads. Tokens are made anew.
    let service = Service::start(place.path());
    assert_eq!(both(&service), [401, 401]);
    assert_eq!([shows(&service, &payment, &new_desk), shows(&service, &payment, &new_own)], [200, 200]);

    // A key that is destroyed is forgotten by the service that knows it, too.
    service.sql(keep).unwrap();
    let (code, rotated) = rotate(&service, &["--destroy-old"], None);
    assert_eq!((code, &rotated["refused"]), (0, &json!(2)), "the two tokens that were put back: {rotated}");
    assert_eq!(shows(&service, &payment, &new_desk), 200);
    service.sql(put_back).unwrap();
    assert_eq!([shows(&service, &payment, &new_desk), shows(&service, &payment, &new_own)], [401, 401]);
    service.stop();
}
