//! The tables as diesel sees them (`view.nonce` is only ever unnested); the migrations are the definition, with comments on what each is for.

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
    view.policy (idx) {
        idx -> BigInt,
        statement_id -> Binary,
        anchors -> Jsonb,
    }
}

diesel::table! {
    view.party (id) {
        id -> Binary,
        idx -> BigInt,
        name -> Jsonb,
        identifiers -> Jsonb,
        jurisdiction -> Nullable<Text>,
        threshold -> BigInt,
        key_head -> Binary,
        key_seq -> BigInt,
    }
}

diesel::table! {
    view.key (id) {
        id -> Binary,
        public_key -> Binary,
        party -> Binary,
        role -> Text,
        valid_from -> BigInt,
        valid_until -> Nullable<BigInt>,
    }
}

diesel::table! {
    view.key_event (party, seq) {
        party -> Binary,
        seq -> BigInt,
        event -> Binary,
        idx -> BigInt,
    }
}

diesel::table! {
    view.artefact (id) {
        id -> Binary,
        idx -> BigInt,
        owner -> Binary,
        manifest -> Binary,
        version -> Text,
        claim -> Jsonb,
    }
}

diesel::table! {
    view.artefact_digest (digest, idx) {
        digest -> Binary,
        idx -> BigInt,
        artefact -> Binary,
    }
}
