//! Changes to the schema: guards that sleep or are gone, functions replaced, rights given and taken, tables bent.

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
