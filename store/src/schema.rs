//! The tables as diesel sees them; the migrations are the definition, with comments on what each is for. Those of schema
//! `view` carry no schema here: it is every session's search path; `nonce` and `artefact_conflict` are only ever unnested.

diesel::table! {
    log.log_state (id) {
        id -> SmallInt,
        size -> BigInt,
        root -> Binary,
    }
}

diesel::table! {
    log.entry (idx) {
        idx -> BigInt,
        statement_id -> Binary,
        leaf_hash -> Binary,
        kind -> Text,
        issuer -> Binary,
        recorded_at -> Timestamptz,
        body -> Binary,
    }
}

diesel::table! {
    log.tile (level, n) {
        level -> SmallInt,
        n -> BigInt,
        hashes -> Binary,
    }
}

diesel::table! {
    log.checkpoint (size) {
        size -> BigInt,
        root -> Binary,
        note -> Text,
    }
}

diesel::table! {
    log.document (sha256) {
        sha256 -> Binary,
        body -> Binary,
    }
}

diesel::table! {
    policy (idx) {
        idx -> BigInt,
        statement_id -> Binary,
        anchors -> Jsonb,
    }
}

diesel::table! {
    party (id) {
        id -> Binary,
        idx -> BigInt,
        name -> Jsonb,
        identifiers -> Jsonb,
        jurisdiction -> Nullable<Text>,
        threshold -> BigInt,
        key_head -> Binary,
        key_seq -> BigInt,
        verified_from -> Nullable<BigInt>,
    }
}

diesel::table! {
    key (id) {
        id -> Binary,
        public_key -> Binary,
        party -> Binary,
        role -> Text,
        valid_from -> BigInt,
        valid_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    key_event (party, seq) {
        party -> Binary,
        seq -> BigInt,
        event -> Binary,
        idx -> BigInt,
    }
}

diesel::table! {
    artefact (id) {
        id -> Binary,
        idx -> BigInt,
        owner -> Binary,
        manifest -> Binary,
        version -> Text,
    }
}

diesel::table! {
    verified_name (skeleton, party) {
        skeleton -> Text,
        party -> Binary,
    }
}

diesel::table! {
    endorsement (statement, issuer) {
        statement -> Binary,
        issuer -> Binary,
        id -> Binary,
        idx -> BigInt,
    }
}

diesel::table! {
    following (id) {
        id -> SmallInt,
        applied_size -> BigInt,
    }
}

diesel::table! {
    artefact_page (idx) {
        idx -> BigInt,
        id -> Binary,
        owner -> Binary,
        kind -> Text,
        jurisdiction -> Text,
        residency_zone -> Text,
        licences -> Array<Text>,
        supersedes -> Nullable<Binary>,
        recorded_at -> Timestamptz,
        terms -> Array<Text>,
        claim -> Jsonb,
    }
}

diesel::table! {
    artefact_digest (digest, idx) {
        digest -> Binary,
        idx -> BigInt,
    }
}

diesel::table! {
    artefact_parent (child, position) {
        child -> BigInt,
        position -> SmallInt,
        relation -> Text,
        parent -> Nullable<BigInt>,
        digest -> Nullable<Binary>,
        origin -> Nullable<Text>,
        foreign_artefact -> Nullable<Binary>,
    }
}

diesel::table! {
    attestation (idx) {
        idx -> BigInt,
        id -> Binary,
        issuer -> Binary,
        about -> Binary,
        claim -> Jsonb,
    }
}

diesel::table! {
    party_page (idx) {
        idx -> BigInt,
        id -> Binary,
        jurisdiction -> Nullable<Text>,
        recorded_at -> Timestamptz,
        terms -> Array<Text>,
        skeletons -> Array<Text>,
    }
}

diesel::table! {
    terms (id, issuer) {
        id -> Binary,
        issuer -> Binary,
        statement -> Binary,
        idx -> BigInt,
        body -> Binary,
    }
}

diesel::table! {
    offer (id) {
        id -> Binary,
        idx -> BigInt,
        licensor -> Binary,
        licensee -> Nullable<Binary>,
        issued_at -> Timestamptz,
        expires_at -> Timestamptz,
        claim -> Jsonb,
    }
}

diesel::table! {
    offer_artefact (artefact, idx) {
        artefact -> Binary,
        idx -> BigInt,
    }
}

diesel::table! {
    licence (id) {
        id -> Binary,
        idx -> BigInt,
        offer -> Nullable<Binary>,
        licensor -> Binary,
        licensee -> Binary,
        starts_on -> Text,
        ends_on -> Nullable<Text>,
        is_exclusive -> Bool,
        claim -> Jsonb,
        status -> Text,
        since -> Text,
        event_seq -> BigInt,
        event_head -> Binary,
    }
}

diesel::table! {
    licence_artefact (artefact, idx) {
        artefact -> Binary,
        idx -> BigInt,
    }
}

diesel::table! {
    licence_event (licence, seq) {
        licence -> Binary,
        seq -> BigInt,
        id -> Binary,
        idx -> BigInt,
        issuer -> Binary,
        status -> Text,
        reason -> Nullable<Text>,
        since -> Text,
    }
}

diesel::table! {
    evidence (id) {
        id -> Binary,
        idx -> BigInt,
        kind -> Text,
        issuer -> Binary,
        signers -> Jsonb,
        subject -> Jsonb,
        subject_sha256 -> Binary,
        head -> Binary,
        is_reversed -> Bool,
    }
}

diesel::table! {
    evidence_version (idx) {
        idx -> BigInt,
        id -> Binary,
        entry -> Binary,
        assets -> Nullable<Array<Binary>>,
    }
}

diesel::table! {
    evidence_party (party, idx) {
        party -> Binary,
        idx -> BigInt,
        kind -> Text,
        currency -> Nullable<Text>,
        brn -> Nullable<Text>,
        signs -> Bool,
    }
}

diesel::table! {
    artefact_verdict (idx) {
        idx -> BigInt,
        verdict -> Jsonb,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    artefact,
    artefact_digest,
    artefact_page,
    artefact_parent,
    attestation,
    evidence_party,
    party,
    party_page
);
diesel::allow_tables_to_appear_in_same_query!(checkpoint, log_state);
diesel::allow_tables_to_appear_in_same_query!(licence, licence_artefact, licence_event);
diesel::allow_tables_to_appear_in_same_query!(offer, offer_artefact);
