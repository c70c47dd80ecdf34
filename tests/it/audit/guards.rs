//! Changes to the schema: guards that sleep or are gone, functions replaced, rights given and taken, tables bent.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::{Change, assert_found, audited, change, flip};

fn changes_to_guards() -> Vec<Change> {
    let trigger = "trigger append_only_rows on log.entry";
    vec![
        change(
            "a trigger disabled",
            "ALTER TABLE log.entry DISABLE TRIGGER append_only_rows",
            "ALTER TABLE log.entry ENABLE ALWAYS TRIGGER append_only_rows",
            trigger,
            None,
        ),
        change(
            "a trigger that sleeps under session_replication_role",
            "ALTER TABLE log.entry ENABLE TRIGGER append_only_rows",
            "ALTER TABLE log.entry ENABLE ALWAYS TRIGGER append_only_rows",
            trigger,
            None,
        ),
        change(
            "a trigger dropped",
            "DROP TRIGGER append_only_table ON log.tile",
            "CREATE TRIGGER append_only_table BEFORE TRUNCATE ON log.tile FOR EACH STATEMENT EXECUTE FUNCTION \
             log.refuse_change(); ALTER TABLE log.tile ENABLE ALWAYS TRIGGER append_only_table",
            "trigger append_only_table on log.tile",
            None,
        ),
        change(
            "a trigger added",
            "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER quiet BEFORE INSERT ON log.document FOR EACH ROW EXECUTE FUNCTION public.nothing()",
            "DROP TRIGGER quiet ON log.document; DROP FUNCTION public.nothing()",
            "trigger quiet on log.document",
            None,
        ),
        change(
            "an event trigger disabled",
            "ALTER EVENT TRIGGER chopmark_guard_log_drop DISABLE",
            "ALTER EVENT TRIGGER chopmark_guard_log_drop ENABLE ALWAYS",
            "event trigger chopmark_guard_log_drop",
            None,
        ),
        change(
            "an event trigger dropped",
            "DROP EVENT TRIGGER chopmark_guard_log_alter",
            "CREATE EVENT TRIGGER chopmark_guard_log_alter ON ddl_command_end EXECUTE FUNCTION \
             public.chopmark_guard_log(); ALTER EVENT TRIGGER chopmark_guard_log_alter ENABLE ALWAYS",
            "event trigger chopmark_guard_log_alter",
            None,
        ),
        change(
            "an event trigger of somebody else",
            "CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RETURN; END'; \
             CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.watch()",
            "DROP EVENT TRIGGER watch; DROP FUNCTION public.watch()",
            "event trigger watch",
            None,
        ),
        change(
            "somebody else owns what event triggers call",
            "ALTER FUNCTION public.chopmark_guard_log() OWNER TO chopmark_owner",
            "ALTER FUNCTION public.chopmark_guard_log() OWNER TO CURRENT_USER",
            "event trigger chopmark_guard_log_alter",
            None,
        ),
        change(
            "a rule",
            "CREATE RULE quiet AS ON INSERT TO log.document DO INSTEAD NOTHING",
            "DROP RULE quiet ON log.document",
            "rule quiet on log.document",
            None,
        ),
        change(
            "guards that sleep in every session",
            "ALTER DATABASE chopmark SET session_replication_role = replica",
            "ALTER DATABASE chopmark RESET session_replication_role",
            "setting session_replication_role of everybody in database chopmark",
            None,
        ),
        change(
            "guards that let everything pass in every session",
            "ALTER DATABASE chopmark SET chopmark.migrating = 'on'",
            "ALTER DATABASE chopmark RESET chopmark.migrating",
            "setting chopmark.migrating of everybody in database chopmark",
            None,
        ),
        change(
            "row security that takes everybody for the service",
            "ALTER DATABASE chopmark SET chopmark.role = 'service'",
            "ALTER DATABASE chopmark RESET chopmark.role",
            "setting chopmark.role of everybody in database chopmark",
            None,
        ),
    ]
}

fn changes_to_rights() -> Vec<Change> {
    vec![
        change(
            "a grant on a table",
            "GRANT UPDATE ON log.entry TO chopmark_app",
            "REVOKE UPDATE ON log.entry FROM chopmark_app",
            "table log.entry",
            None,
        ),
        change(
            "a grant on a column",
            "GRANT UPDATE (body) ON log.entry TO chopmark_log",
            "REVOKE UPDATE (body) ON log.entry FROM chopmark_log",
            "column log.entry.body",
            None,
        ),
        change(
            "a grant on a schema to everybody",
            "GRANT CREATE ON SCHEMA view TO PUBLIC",
            "REVOKE CREATE ON SCHEMA view FROM PUBLIC",
            "schema view",
            None,
        ),
        change(
            "a right taken, so that the service can't even read",
            "REVOKE SELECT ON log.entry FROM chopmark_log",
            "GRANT SELECT ON log.entry TO chopmark_log",
            "table log.entry",
            None,
        ),
        change(
            "an owner",
            "ALTER TABLE log.tile OWNER TO chopmark_view",
            "ALTER TABLE log.tile OWNER TO chopmark_owner; GRANT SELECT, INSERT ON log.tile TO chopmark_log",
            "table log.tile",
            None,
        ),
        change(
            "a membership",
            "GRANT chopmark_owner TO chopmark_app",
            "REVOKE chopmark_owner FROM chopmark_app",
            "membership of role chopmark_app in chopmark_owner",
            None,
        ),
        change(
            "a member that nobody knows",
            "CREATE ROLE mallory LOGIN; GRANT chopmark_owner TO mallory",
            "DROP ROLE mallory",
            "membership of role mallory in chopmark_owner",
            None,
        ),
        change(
            "a right to put guards to sleep",
            "GRANT SET ON PARAMETER session_replication_role TO chopmark_app",
            "REVOKE SET ON PARAMETER session_replication_role FROM chopmark_app",
            "parameter session_replication_role",
            None,
        ),
        change(
            "a role",
            "ALTER ROLE chopmark_view BYPASSRLS",
            "ALTER ROLE chopmark_view NOBYPASSRLS",
            "role chopmark_view",
            None,
        ),
    ]
}

fn changes_to_tables() -> Vec<Change> {
    vec![
        change(
            "a constraint gone",
            "ALTER TABLE log.checkpoint DROP CONSTRAINT checkpoint_size_check",
            "ALTER TABLE log.checkpoint ADD CONSTRAINT checkpoint_size_check CHECK (size >= 2)",
            "constraint checkpoint_size_check on log.checkpoint",
            None,
        ),
        change(
            "nothing unique any more",
            "ALTER TABLE log.entry DROP CONSTRAINT entry_statement_id_key",
            "ALTER TABLE log.entry ADD CONSTRAINT entry_statement_id_key UNIQUE (statement_id)",
            "entry_statement_id_key on log.entry",
            None,
        ),
        change(
            "a default",
            "ALTER TABLE log.entry ALTER recorded_at SET DEFAULT now()",
            "ALTER TABLE log.entry ALTER recorded_at DROP DEFAULT",
            "column log.entry.recorded_at",
            None,
        ),
        change(
            "rows read from elsewhere",
            "CREATE TABLE public.more () INHERITS (log.document)",
            "DROP TABLE public.more",
            "inherits from log.document",
            None,
        ),
        change("one table more", "CREATE TABLE log.more (a int)", "DROP TABLE log.more", "log.more", None),
        change(
            "rows hidden from the service",
            "ALTER TABLE log.checkpoint ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE log.checkpoint DISABLE ROW LEVEL SECURITY",
            "log.checkpoint",
            None,
        ),
        change(
            "an index of a read table gone",
            "DROP INDEX view.artefact_page_terms",
            "CREATE INDEX artefact_page_terms ON view.artefact_page USING gin (terms)",
            "index artefact_page_terms on view.artefact_page",
            None,
        ),
    ]
}

#[test]
fn every_change_to_guards_rights_and_tables_is_found_and_named() {
    let audited = audited();
    let groups = [changes_to_guards(), changes_to_rights(), changes_to_tables()];
    for Change { what, statements, undo, object, index } in groups.iter().flatten() {
        audited.alter(statements);
        let found = audited.audit(&[]);
        audited.alter(undo);
        assert_found(&found, object, *index, what);
    }
    audited.assert_clean();

    // A guard that lets everything pass, under the name and in the place of the one that lets nothing.
    for function in ["log.refuse_change()", "public.chopmark_guard_log()"] {
        let honest = audited.sql(&format!("SELECT pg_get_functiondef('{function}'::regprocedure)"));
        let returns = if function.starts_with("log") { "trigger" } else { "event_trigger" };
        audited.alter(&format!(
            "CREATE OR REPLACE FUNCTION {function} RETURNS {returns} LANGUAGE plpgsql AS 'BEGIN RETURN{}; END'",
            if returns == "trigger" { " NEW" } else { "" }
        ));
        assert_found(&audited.audit(&[]), &format!("function {function}"), None, "a guard replaced");
        audited.alter(&honest);
    }
    audited.assert_clean();
}

/// Whether there have to be event triggers is said by whoever audits: whatever in the database could tell can be changed.
#[test]
fn event_triggers_are_missed_unless_the_auditor_expects_none() {
    let audited = audited();
    let guards = "CREATE EVENT TRIGGER chopmark_guard_log_drop ON sql_drop EXECUTE FUNCTION public.chopmark_guard_log(); \
         CREATE EVENT TRIGGER chopmark_guard_log_alter ON ddl_command_end EXECUTE FUNCTION public.chopmark_guard_log(); \
         ALTER EVENT TRIGGER chopmark_guard_log_drop ENABLE ALWAYS; ALTER EVENT TRIGGER chopmark_guard_log_alter ENABLE ALWAYS";
    audited.alter(
        "DROP EVENT TRIGGER chopmark_guard_log_drop; DROP EVENT TRIGGER chopmark_guard_log_alter; \
         ALTER FUNCTION public.chopmark_guard_log() OWNER TO chopmark_owner",
    );
    let (found, expecting_none) = (audited.audit(&[]), audited.audit(&["--without-event-triggers"]));
    audited.alter(&format!("ALTER FUNCTION public.chopmark_guard_log() OWNER TO CURRENT_USER; {guards}"));
    assert_found(&found, "event trigger chopmark_guard_log_alter", None, "both event triggers gone");
    assert_eq!(expecting_none.0, 0, "{}", expecting_none.1);

    audited.sql("CREATE ROLE registry LOGIN; GRANT chopmark_owner, chopmark_app TO registry");
    let (found, known) = (audited.audit(&[]), audited.audit(&["--database-user", "registry"]));
    audited.sql("DROP ROLE registry");
    assert_found(&found, "membership of role registry in chopmark_app", None, "a user that nobody has named");
    assert_eq!(known.0, 0, "{}", known.1);
    audited.assert_clean();
}

/// What a session starts with may come from a file that no table of the database shows.
#[test]
fn settings_of_the_server_are_found_and_named() {
    let audited = audited();
    let file = audited.service.directory.join("postgres/data/postgresql.conf");
    let honest = fs::read_to_string(&file).unwrap();
    let reload = |text: &str, name: &str, value: &str| {
        fs::write(&file, text).unwrap();
        audited.sql("SELECT pg_reload_conf()");
        let begun = Instant::now();
        while audited.sql(&format!("SELECT coalesce(current_setting('{name}', true), '')")) != value {
            assert!(begun.elapsed() < Duration::from_mins(1), "{name} never is {value}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    for (name, value, usual) in [("session_replication_role", "replica", "origin"), ("chopmark.migrating", "on", "")] {
        reload(&format!("{honest}\n{name} = '{value}'\n"), name, value);
        let found = audited.audit(&[]);
        reload(&honest, name, usual);
        assert_found(&found, &format!("setting {name} of this very session"), None, "a setting of the server");
    }
    audited.assert_clean();
}

/// A step nobody has applied neither stops an audit nor hides what else was done.
#[test]
fn a_step_that_was_never_applied_is_named_after_what_was_rewritten() {
    let audited = audited();
    let step = "29990101000000";
    let update = format!("UPDATE log.entry SET {} WHERE idx = 51", flip("body", 99));
    audited.sql(&format!("INSERT INTO public.__diesel_schema_migrations (version) VALUES ('{step}')"));
    let forged = audited.audit(&[]);
    audited.change(&update);
    let rewritten = audited.audit(&[]);
    audited.change(&update);
    audited.alter("CREATE TABLE log.more (a int)");
    let (code, newer) = audited.audit(&[]);
    audited.alter("DROP TABLE log.more");
    audited.sql(&format!("DELETE FROM public.__diesel_schema_migrations WHERE version = '{step}'"));
    assert_found(&forged, &format!("schema step {step}"), None, "a step that is only listed");
    assert_found(&rewritten, "log.entry 51", Some(51), "a body, behind a step that is only listed");
    assert!(code == 8 && newer["error"]["message"].as_str().unwrap().contains(step), "{newer}");
    audited.assert_clean();
}

/// Guards fire under `session_replication_role = replica`, too; a superuser has to bend them first, and the change to a
/// row is named before the bent guard.
#[test]
fn replication_is_no_way_past_the_guards_that_stays_unseen() {
    let audited = audited();
    let update = format!("UPDATE log.entry SET {} WHERE idx = 50", flip("body", 99));
    let refused = audited.service.sql(&format!("SET session_replication_role = replica; {update}"));
    assert!(refused.unwrap_err().contains("append-only"));
    audited.alter("ALTER TABLE log.entry ENABLE TRIGGER append_only_rows");
    audited.sql(&format!("SET session_replication_role = replica; {update}"));
    assert_found(&audited.audit(&[]), "log.entry 50", Some(50), "a body, past the guard");
    audited.sql(&format!("SET session_replication_role = replica; {update}"));
    assert_found(
        &audited.audit(&[]),
        "trigger append_only_rows on log.entry",
        None,
        "the body is back, the guard bent",
    );
    audited.alter("ALTER TABLE log.entry ENABLE ALWAYS TRIGGER append_only_rows");
    audited.assert_clean();
}

/// What is dropped whole is named, too, although hardly anything can be read any more.
#[test]
fn a_dropped_table_is_named() {
    let audited = audited();
    audited.alter("ALTER TABLE log.entry RENAME TO gone");
    assert_found(&audited.audit(&[]), "log.entry", None, "a table renamed away");
    audited.alter("ALTER TABLE log.gone RENAME TO entry");
    audited.alter("ALTER TABLE view.party RENAME TO gone");
    assert_found(&audited.audit(&[]), "view.party", None, "a read table renamed away");
    audited.alter("ALTER TABLE view.gone RENAME TO party");
    audited.assert_clean();
}
