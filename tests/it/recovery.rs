//! Every step of entering a statement fails: once, twice, with everything done but nobody told, and with nobody able to find
//! out. Whatever happens, what was acknowledged is in the log once, and an audit finds nothing.
//!
//! The incident: a log whose write failed, and whose recovery failed, too (Raio, 2025).

use std::collections::BTreeSet;

use chopmark_core::artefact::{Parent, ParentSource, Relation};
use chopmark_core::attestation::AttestationClaim;
use chopmark_core::code::ResidencyZone;
use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::licensing::{GrantClaim, LicenceEvent, LicenceStatusClaim, OfferClaim, TermsClaim};
use chopmark_core::manifest::Manifest;
use chopmark_core::party::{KeyEvent, KeyRole};
use chopmark_core::policy::{PolicyClaim, TrustAnchors};
use chopmark_core::statement::{Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::terms::Preset;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::Ground;

use crate::attest::key_event;
use crate::audit::registry_key;
use crate::harness::{Service, sql};
use crate::make::{Author, key, now, small_manifest};
use crate::power::comes;
use crate::proxy::{Cut, Proxy};
use crate::repeat::at_once;
use crate::replicas::{PATIENCE, Shared};
use crate::sealed::Payment;
use crate::shared::{self, check_receipt};

/// Entries before the first of a test: genesis and trust anchors.
const FOUNDING: usize = 2;

/// Entries of a full tile.
const TILE: usize = 256;

/// So many of them are entered at once, at a time when nothing fails.
const AT_ONCE: usize = 220;

/// How often the same statement is sent.
const TRIES_MAX: usize = 100;

/// Tables that the service may write and that no statement writes that is entered: who may read, who read, and reports.
const NOT_OF_ENTRIES: &str = "'vault.token', 'vault.challenge', 'vault.access', 'vault.access_pending', \
                              'vault.access_leaf', 'vault.access_state', 'vault.access_checkpoint', 'vault.access_tile', \
                              'vault.report', 'vault.report_sum'";

/// The database runs, and does not tell where the log is.
const HIDE_ENTRIES: &str = "SET chopmark.migrating = 'on'; REVOKE SELECT ON log.entry FROM chopmark_log";
const SHOW_ENTRIES: &str = "SET chopmark.migrating = 'on'; GRANT SELECT ON log.entry TO chopmark_log";

/// A client that sends a statement again until it is acknowledged, as clients should.
struct Client<'a> {
    service: &'a Service,
    log_key: VerifierKey,
    acknowledged: Vec<(StatementId, u64)>,
    refusals: usize,
}

impl<'a> Client<'a> {
    fn of(service: &'a Service) -> Self {
        Self { service, log_key: shared::registry(service).1, acknowledged: Vec::new(), refusals: 0 }
    }

    /// Enters a statement; the status of the acknowledgement, and how often it was sent in vain.
    #[track_caller]
    fn enter(&mut self, submission: &Submission) -> (u16, usize) {
        for refusals in 0..TRIES_MAX {
            let answer = self.service.post(&submission.to_request());
            match answer.status {
                200 | 201 => {
                    let index = check_receipt(&answer, &submission.entry, &self.log_key).0;
                    self.acknowledged.push((submission.statement.id, index));
                    self.refusals += refusals;
                    return (answer.status, refusals);
                }
                503 => {}
                _ => panic!("{} {}", answer.status, answer.text()),
            }
        }
        panic!("{} is never acknowledged: {}", submission.statement.id, self.service.errors());
    }

    /// A party, once it is entered.
    fn party(&mut self, label: &str) -> Author {
        let (author, party) = Author::new(&shared::registry(self.service).0, label, 1, 1);
        self.enter(&party);
        author
    }

    /// Everything acknowledged is there, once, where it was said to be, and nothing else is.
    fn check(&self, registry: &Shared) {
        let rows = registry.sql("SELECT encode(statement_id, 'hex') || ' ' || idx FROM log.entry ORDER BY idx");
        let found: Vec<&str> = rows.lines().skip(FOUNDING).collect();
        let mut acknowledged = self.acknowledged.clone();
        acknowledged.sort_by_key(|(_, index)| *index);
        let said: Vec<String> = acknowledged.iter().map(|(id, index)| format!("{} {index}", id.to_hex())).collect();
        assert_eq!(found, said);
        assert!(comes(PATIENCE, || self.service.get("/readyz").status == 200), "{}", self.service.errors());
        registry.audit();
    }
}

fn say(author: &Author, label: &str, claim: &Claim, manifest: Option<&Manifest>) -> Submission {
    let header = author.header(Issuer::Party(author.party), author.threshold, label);
    let payload = Statement::compose(label, &header, claim).unwrap();
    author.sign(payload, manifest.map(Manifest::to_canonical_bytes).into_iter().collect())
}

/// Statements that together write every table that entering writes.
fn one_of_everything(client: &mut Client<'_>) {
    let (owner, other) = (client.party("recovery owner"), client.party("recovery other"));
    let operator: StatementId =
        client.service.get("/v1/registry").json()["operator"].as_str().unwrap().parse().unwrap();
    let keys = vec![registry_key(client.service, "operator.key")];
    let operator = Author { registry: owner.registry.clone(), keys, threshold: 1, party: operator };
    let first = owner.artefact("recovery first");
    let artefact = first.statement.id;
    client.enter(&first);

    // The same files again, made from the first: a conflict, a parent, a verdict on both licences.
    let manifest = small_manifest("recovery first");
    let parents = vec![Parent { relation: Relation::Finetune, source: ParentSource::Artefact(artefact) }];
    let copy = Claim::Artefact(Author::claim("copy", "1", &manifest, parents));
    client.enter(&say(&other, "recovery copy", &copy, Some(&manifest)));
    let matching = AttestationClaim::BytesMatch {
        artefact,
        manifest: manifest.digest(),
        zone: ResidencyZone::World,
        tool: "chopmark".to_owned(),
    };
    client.enter(&say(&other, "recovery attestation", &Claim::Attestation(matching), None));
    let endorsement = Claim::Endorsement(EndorsementClaim { statement: artefact });
    client.enter(&say(&other, "recovery endorsement", &endorsement, None));
    let verified = AttestationClaim::PartyVerified { party: owner.party, identifiers: Vec::new() };
    client.enter(&say(&operator, "recovery verified", &Claim::Attestation(verified), None));
    let anchors = PolicyClaim::TrustAnchors(TrustAnchors { witnesses: Vec::new(), quorum: 0 });
    client.enter(&say(&operator, "recovery anchors", &Claim::Policy(anchors), None));

    let terms = Preset::CommercialPerSeat.terms().unwrap();
    let terms_id = terms.id().unwrap();
    client.enter(&say(&owner, "recovery terms", &Claim::Terms(TermsClaim(Box::new(terms))), None));
    let (artefacts, under, expires_at) = (vec![artefact], Vec::new(), now().plus_days(10));
    let offer =
        OfferClaim { artefacts: artefacts.clone(), terms: terms_id, licensee: None, expires_at, under: under.clone() };
    let offer = say(&owner, "recovery offer", &Claim::Offer(offer), None);
    client.enter(&offer);
    let grant = GrantClaim {
        offer: Some(offer.statement.id),
        licensor: owner.party,
        licensee: other.party,
        artefacts,
        terms: terms_id,
        starts_on: Date::in_hong_kong(now()),
        under,
    };
    let grant = say(&other, "recovery grant", &Claim::Grant(grant), None);
    client.enter(&grant);
    let licence = grant.statement.id;
    let (status, reason) = (LicenceEvent::Suspended, Some(Ground::Breach));
    let suspended = LicenceStatusClaim { licence, seq: 1, prev: licence, status, reason };
    client.enter(&say(&owner, "recovery suspended", &Claim::LicenceStatus(suspended), None));

    client.enter(&Payment::new(&other, &owner, "recovery payment", "1200.00").submission);
    // Last, for what it signs from now on has to name this.
    let new = key("recovery new key");
    let event = KeyEvent::Add { public_key: PublicKey::from(&new), role: KeyRole::Signing };
    client.enter(&key_event(&other, 1, event, &[&other.keys[0], &new], "recovery key"));
    // Many at once, and one by one where the tile is full.
    let many: Vec<_> = (0..AT_ONCE).map(|number| owner.artefact(&format!("recovery {number}"))).collect();
    let requests: Vec<_> = many.iter().map(Submission::to_request).collect();
    let entered = at_once(client.service, &requests, |number, answer| {
        assert_eq!(answer.status, 201, "{}", answer.text());
        (many[number].statement.id, check_receipt(&answer, &many[number].entry, &client.log_key).0)
    });
    client.acknowledged.extend(entered);
    for number in client.acknowledged.len() + FOUNDING..=TILE {
        client.enter(&owner.artefact(&format!("recovery, the tile, {number}")));
    }
}

/// Has each of these tables refuse two rows, and then none; and two commits fail that were sent with everything written.
fn inject(registry: &Shared, tables: &[String]) {
    let mut statements = "SET chopmark.migrating = 'on';
        CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            -- What a sequence gave is given, also where the transaction comes to nothing.
            IF nextval(('public.' || TG_NAME)::regclass) <= 2 THEN RAISE EXCEPTION 'injected into %', TG_RELID::regclass; END IF;
            RETURN NEW;
        END $$;
        CREATE SEQUENCE public.injected_commit;
        CREATE CONSTRAINT TRIGGER injected_commit AFTER INSERT ON log.entry DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION public.fail();"
        .to_owned();
    statements.extend(tables.iter().enumerate().map(|(number, table)| {
        format!(
            "CREATE SEQUENCE public.injected_{number};
             CREATE TRIGGER injected_{number} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION public.fail();"
        )
    }));
    registry.sql(&statements);
}

/// Takes that back, so that an audit finds the schema as it should be.
fn withdraw(registry: &Shared, tables: &[String]) {
    let mut statements = "SET chopmark.migrating = 'on'; SET client_min_messages = warning;
        DROP TRIGGER injected_commit ON log.entry; DROP SEQUENCE public.injected_commit;"
        .to_owned();
    statements.extend(tables.iter().enumerate().map(|(number, table)| {
        format!("DROP TRIGGER injected_{number} ON {table}; DROP SEQUENCE public.injected_{number};")
    }));
    registry.sql(&(statements + "DROP FUNCTION public.fail();"));
}

#[test]
fn every_table_that_an_entry_writes_may_fail_twice_and_so_may_the_commit() {
    let registry = Shared::found();
    let service = registry.replica("first");
    let tables: Vec<String> = registry
        .sql(&format!(
            "SELECT table_name FROM (
                 SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS table_name
                 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE n.nspname IN ('log', 'view', 'vault') AND c.relkind = 'r') AS of_ours
             WHERE has_any_column_privilege('chopmark_app', oid, 'INSERT, UPDATE')
               AND table_name NOT IN ({NOT_OF_ENTRIES}) ORDER BY table_name"
        ))
        .lines()
        .map(str::to_owned)
        .collect();
    inject(&registry, &tables);
    let mut client = Client::of(&service);
    one_of_everything(&mut client);

    // Each has refused twice and then taken something; what is only searched follows behind.
    let steps: Vec<(String, &str)> = (0..tables.len())
        .map(|number| number.to_string())
        .zip(tables.iter().map(String::as_str))
        .chain([("commit".to_owned(), "the commit")])
        .collect();
    let untried = || -> BTreeSet<&str> {
        let is_untried = |number: &str| {
            registry.sql(&format!("SELECT NOT is_called OR last_value < 3 FROM public.injected_{number}")) == "t"
        };
        steps.iter().filter(|(number, _)| is_untried(number)).map(|(_, name)| *name).collect()
    };
    comes(PATIENCE, || untried().is_empty());
    assert_eq!(untried(), BTreeSet::new(), "{}", service.errors());
    withdraw(&registry, &tables);
    client.check(&registry);
    println!(
        "{} steps failed twice each, {} statements were refused {} times and then entered, once",
        steps.len(),
        client.acknowledged.len(),
        client.refusals
    );
    assert!(tables.len() > 30 && client.refusals > 0, "{tables:?}");
    service.stop();
    registry.stop();
}

#[test]
fn a_statement_whose_connection_is_cut_anywhere_is_entered_once() {
    let registry = Shared::found();
    let socket = registry.sql(
        "SELECT btrim(current_setting('unix_socket_directories'), '\"') || '/.s.PGSQL.' || current_setting('port')",
    );
    let proxy = Proxy::to(socket.as_ref());
    let url = proxy.url("chopmark", "replicas");
    let service = Service::try_start(registry.place.path(), "first", &["--database-url", &url]).unwrap();
    let mut client = Client::of(&service);
    let author = client.party("recovery cut");
    let mut number = 0;
    let mut next = || {
        number += 1;
        author.artefact(&format!("recovery cut {number}"))
    };

    // The service tries again by itself; what was done and not heard of it finds.
    for (cuts, status) in [
        (&[Cut::BeforeCommit][..], 201),
        (&[Cut::BeforeCommit, Cut::BeforeCommit], 201),
        (&[Cut::AfterCommit], 200),
        (&[Cut::BeforeCommit, Cut::AfterCommit], 200),
    ] {
        for _ in 0..5 {
            for cut in cuts {
                proxy.cut(*cut);
            }
            assert_eq!(client.enter(&next()), (status, 0), "{cuts:?}");
            assert!(!proxy.spare(), "{cuts:?}: the service took another way");
            assert_eq!(client.enter(&next()), (201, 0), "after {cuts:?}");
        }
    }

    // The same at every message of a transaction, until there are no more.
    let messages = (1..1_000)
        .take_while(|number| {
            proxy.cut(Cut::AtMessage(*number));
            assert_eq!(client.enter(&next()), (201, 0), "message {number}");
            !proxy.spare()
        })
        .count();
    println!("cut at each of {messages} messages");
    assert!(messages > 10, "{messages}");

    // And where it can't find out, because the database does not show it the log, it says so until it can.
    for (cut, status) in [(Cut::BeforeCommit, 201), (Cut::AfterCommit, 200)] {
        let url = registry.url.clone();
        proxy.cut_beside(cut, move || {
            sql(&url, HIDE_ENTRIES).unwrap();
        });
        let submission = next();
        for _ in 0..2 {
            let answer = service.post(&submission.to_request());
            assert_eq!((answer.status, &answer.problem()["code"]), (503, &"database_unavailable".into()), "{cut:?}");
        }
        assert!(service.errors().contains("permission denied"), "{}", service.errors());
        registry.sql(SHOW_ENTRIES);
        assert_eq!(client.enter(&submission).0, status, "{cut:?}");
        assert_eq!(client.enter(&next()).0, 201);
    }
    client.check(&registry);
    service.stop();
    registry.stop();
}
