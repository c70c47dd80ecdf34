-- What the schema consists of, one object a row, in words that do not change from one PostgreSQL version to the next.
-- Grants are those to others than the owner; MAINTAIN is new in 17, constraints of type n (NOT NULL) in 18.
WITH space AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname IN ('log', 'view', 'vault')
), relation AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
           format('%s.%s', s.nspname, c.relname) AS name
    FROM pg_class c JOIN space s ON s.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 'I', 't', 'c')
), described (object, owner, acl, description) AS (
    SELECT format('schema %s', nspname), nspowner, coalesce(nspacl, acldefault('n', nspowner)),
           format('owner %s', pg_get_userbyid(nspowner))
    FROM space
    UNION ALL
    SELECT format('%s %s', CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'relation' END, name),
           relowner, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)),
           format('owner %s, kind %s, persistence %s, row security %s, forced %s', pg_get_userbyid(relowner), relkind,
                  relpersistence, relrowsecurity, relforcerowsecurity)
    FROM relation
    UNION ALL
    SELECT format('column %s.%s', r.name, a.attname), r.relowner, a.attacl,
           format('%s%s%s%s', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                  ' default ' || pg_get_expr(d.adbin, d.adrelid),
                  CASE WHEN a.attgenerated <> '' OR a.attidentity <> '' THEN ' generated' ELSE '' END)
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('function %s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.proowner,
           coalesce(p.proacl, acldefault('f', p.proowner)),
           format('%slanguage %s, returns %s, security definer %s, settings %s, source with SHA-256 %s',
                  CASE WHEN n.nspname = 'public' THEN '' ELSE format('owner %s, ', pg_get_userbyid(p.proowner)) END,
                  l.lanname, format_type(p.prorettype, NULL), p.prosecdef, coalesce(p.proconfig::text, 'none'),
                  encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    WHERE n.nspname IN ('log', 'view', 'vault') OR (n.nspname = 'public' AND p.proname LIKE 'chopmark%')
    UNION ALL
    SELECT format('constraint %s on %s', c.conname, r.name), r.relowner, NULL,
           format('%s, validated %s', pg_get_constraintdef(c.oid), c.convalidated)
    FROM pg_constraint c JOIN relation r ON r.oid = c.conrelid WHERE c.contype NOT IN ('n', 't')
    UNION ALL
    SELECT format('index %s on %s', i.relname, r.name), r.relowner, NULL,
           format('%s, valid %s', pg_get_indexdef(x.indexrelid), x.indisvalid AND x.indisready AND x.indislive)
    FROM pg_index x JOIN relation r ON r.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
    UNION ALL
    SELECT format('trigger %s on %s', t.tgname, r.name), r.relowner, NULL,
           format('%s: %s', CASE t.tgenabled WHEN 'A' THEN 'fires always' WHEN 'O' THEN 'fires unless replicating'
                  WHEN 'R' THEN 'fires only when replicating' ELSE 'is disabled' END, pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT format('event trigger %s', e.evtname), e.evtowner, NULL,
           format('%s: on %s%s, calls %s, which a superuser owns: %s',
                  CASE e.evtenabled WHEN 'A' THEN 'fires always' WHEN 'O' THEN 'fires unless replicating'
                  WHEN 'R' THEN 'fires only when replicating' ELSE 'is disabled' END,
                  e.evtevent, ' for ' || e.evttags::text, e.evtfoid::regprocedure, o.rolsuper)
    FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_roles o ON o.oid = p.proowner
    UNION ALL
    SELECT format('rule %s on %s', w.rulename, r.name), r.relowner, NULL, pg_get_ruledef(w.oid)
    FROM pg_rewrite w JOIN relation r ON r.oid = w.ev_class
    UNION ALL
    SELECT format('row policy %s on %s', p.polname, r.name), r.relowner, NULL,
           regexp_replace(format('for %s using %s with check %s', p.polcmd, pg_get_expr(p.polqual, p.polrelid),
                  pg_get_expr(p.polwithcheck, p.polrelid)), '\s+', ' ', 'g')
    FROM pg_policy p JOIN relation r ON r.oid = p.polrelid
    UNION ALL
    SELECT format('table %s, which inherits from %s', h.inhrelid::regclass, r.name), r.relowner, NULL, 'its rows are read with those of the other'
    FROM pg_inherits h JOIN relation r ON r.oid = h.inhparent
    UNION ALL
    SELECT format('default privileges of %s in schema %s for %s', pg_get_userbyid(a.defaclrole), s.nspname, a.defaclobjtype),
           a.defaclrole, a.defaclacl, ''
    FROM pg_default_acl a JOIN space s ON s.oid = a.defaclnamespace
    UNION ALL
    SELECT format('role %s', rolname), oid, NULL,
           format('login %s, superuser %s, bypasses row security %s, makes roles %s, makes databases %s, replicates %s',
                  rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication)
    FROM pg_roles WHERE rolname IN ('chopmark_owner', 'chopmark_log', 'chopmark_view', 'chopmark_vault', 'chopmark_app')
    UNION ALL
    -- Superusers may do everything without being members, and whoever audits knows as whom.
    SELECT DISTINCT format('membership of role %s in %s', m.rolname, g.rolname), 0::oid, NULL::aclitem[], 'it may do what that role may'
    FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid
    WHERE m.rolname IN ('chopmark_owner', 'chopmark_log', 'chopmark_view', 'chopmark_vault', 'chopmark_app')
        OR (g.rolname IN ('chopmark_owner', 'chopmark_log', 'chopmark_view', 'chopmark_vault', 'chopmark_app')
            AND NOT m.rolsuper AND m.rolname <> session_user)
    UNION ALL
    SELECT format('setting %s of %s', split_part(setting, '=', 1),
                  concat_ws(' in ', CASE s.setrole WHEN 0 THEN 'everybody' ELSE 'role ' || pg_get_userbyid(s.setrole) END,
                            'database ' || d.datname)),
           0::oid, NULL, setting
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS setting LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
      AND (lower(split_part(setting, '=', 1)) IN ('session_replication_role', 'event_triggers', 'row_security')
           OR lower(setting) LIKE 'chopmark.%')
    UNION ALL
    -- Wherever they come from: a file of the server, its command line. Not every version has event_triggers.
    SELECT format('setting %s of this very session', name), 0::oid, NULL, current_setting(name)
    FROM (VALUES ('session_replication_role', 'origin'), ('row_security', 'on'), ('event_triggers', 'on'), ('chopmark.migrating', ''),
                 ('chopmark.role', ''), ('chopmark.bound_to', ''), ('chopmark.token', '')) AS plain (name, value)
    WHERE coalesce(current_setting(name, true), value) <> value
    UNION ALL
    -- The owner of all of them is the superuser that the cluster was made with.
    SELECT format('parameter %s', parname), 10::oid, paracl, 'is not for everybody to set'
    FROM pg_parameter_acl WHERE parname IN ('session_replication_role', 'event_triggers', 'row_security') OR parname LIKE 'chopmark.%'
)
SELECT object, concat_ws(', ', nullif(description, ''), (
           SELECT 'grants ' || string_agg(grant_, ', ' ORDER BY grant_ COLLATE "C") FROM (
               SELECT format('%s to %s%s', privilege_type, CASE grantee WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(grantee)::text END,
                             CASE WHEN is_grantable THEN ' with grant option' ELSE '' END) AS grant_
               FROM aclexplode(acl) WHERE grantee <> owner AND privilege_type <> 'MAINTAIN'
           ) AS granted
       )) AS description
FROM described ORDER BY object COLLATE "C"
