"""Says of each submission whether its form and its signatures are good, without a line of the code under test.

Standard input: one line of JSON with the public keys that are registered (`keys`, base64) and some parties (`parties`, by
id: `threshold`, `key_head`, and of its current `keys` which role each has), then one submission a line, a colon and its
bytes in base64. Standard output: one line of JSON for each.
"""

import base64
import hashlib
import json
import re
import sys

import ed25519
import expenditure
import licensing
import rules
import sealed
import strict_json
from strict_json import Fault

PAYLOAD_TYPE = "application/vnd.in-toto+json"
ENTRY_BYTES_MAX = 65_535
DOCUMENTS_MAX = 4


class Refused(Exception):
    """One stable code, the document that is meant, and the place in it."""

    def __init__(self, code, document, pointer):
        super().__init__(code)
        self.answer = {"verdict": "refused", "code": code, "document": document, "pointer": pointer}


def in_document(code, document, check, *arguments):
    """Runs a check; its fault is a refusal with this code in this document."""
    try:
        return check(*arguments)
    except Fault as fault:
        raise Refused(code, document, fault.pointer) from fault


def any_base64(value, at):
    """Base64 in one of the two alphabets, padded or not."""
    standard, url_safe = r"[A-Za-z0-9+/]*={0,2}", r"[A-Za-z0-9_-]*={0,2}"
    if not re.fullmatch(standard, rules.text(value, at)) and not re.fullmatch(url_safe, value):
        raise Fault(at, "not base64")
    bare = value.rstrip("=").replace("-", "+").replace("_", "/")
    padded = bare + "=" * (-len(bare) % 4)
    if "=" in value and len(value) != len(padded):
        raise Fault(at, "badly padded")
    return rules.padded_base64(padded, at)


def envelope(value):
    """The payload and the signatures (key id, signature, position as sent)."""
    signature = {"keyid": rules.digest, "sig": rules.text}
    found = rules.members(
        value,
        [],
        {
            "payloadType": rules.text,
            "payload": rules.text,
            "signatures": lambda inner, at: rules.each(inner, at, lambda i, p: rules.members(i, p, signature)),
        },
    )
    if found["payloadType"] != PAYLOAD_TYPE:
        raise Fault(["payloadType"], "another type")
    payload = any_base64(found["payload"], ["payload"])
    if not 1 <= len(found["signatures"]) <= rules.SIGNATURES_MAX:
        raise Fault(["signatures"], "1 to 64 signatures")
    signatures = []
    for position, stated in enumerate(found["signatures"]):
        at = ["signatures", position]
        data = any_base64(stated["sig"], at + ["sig"])
        if len(data) != 64:
            raise Fault(at + ["sig"], "a signature has 64 bytes")
        if stated["keyid"] in [key for key, _, _ in signatures]:
            raise Fault(at + ["keyid"], "this key has already signed")
        signatures.append((stated["keyid"], data, position))
    return payload, sorted(signatures)


def stored(payload, signatures):
    """The one spelling that a log holds."""
    written = ",".join(
        f'{{"keyid":"{key}","sig":"{base64.b64encode(data).decode()}"}}' for key, data, _ in signatures
    )
    text = base64.b64encode(payload).decode()
    return f'{{"payloadType":"{PAYLOAD_TYPE}","payload":"{text}","signatures":[{written}]}}'.encode()


def check_signatures(payload, signatures, groups, keys):
    encoding = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
    listed = {key for group in groups for key in group["keys"]}
    for key, data, position in signatures:
        at = f"/envelope/signatures/{position}"
        if key not in listed:
            raise Refused("signer_not_listed", "request", at + "/keyid")
        if key not in keys:
            raise Refused("unknown_key", "request", at + "/keyid")
        if not ed25519.verify(keys[key], encoding, data):
            raise Refused("signature_invalid", "request", at + "/sig")
    for position, group in enumerate(groups):
        if len([key for key, _, _ in signatures if key in group["keys"]]) < group["threshold"]:
            raise Refused("threshold_not_met", "payload", f"/predicate/signers/{position}/threshold")


def check_signers(signatures, groups, parties):
    """Whether those may sign who do, and whether they are enough; key events, which ask for more, are not judged here."""
    if groups[0]["party"] not in parties:
        return
    signing = {key for key, _, _ in signatures}
    for position, group in enumerate(groups):
        refuse = lambda code, member: Refused(code, "payload", f"/predicate/signers/{position}/{member}")
        party = parties.get(group["party"])
        if party is None:
            raise refuse("unknown_issuer", "party")
        if group["key_head"] != party["key_head"]:
            raise refuse("stale_key_head", "key_head")
        if any(key not in party["keys"] for key in group["keys"]):
            raise refuse("not_authorised", "keys")
        # A threshold below the party's is for a signing key, which then signs, or root keys sign that need none.
        if group["threshold"] < party["threshold"]:
            listed = [party["keys"][key] for key in group["keys"]]
            signed = [party["keys"][key] for key in group["keys"] if key in signing]
            enough = "signing" in signed or signed.count("root") >= party["threshold"]
            if "signing" not in listed or not enough:
                raise refuse("threshold_not_met", "threshold")


def request(value):
    documents = lambda inner, at: rules.each(inner, at, rules.text)
    optional = {"documents": documents, "openings": sealed.openings}
    found = rules.members(value, [], {"envelope": rules.any_value}, optional)
    if len(found.get("documents", [])) > DOCUMENTS_MAX:
        raise Fault(["documents"], "too many documents")
    return found


def judge(body, registered, parties):
    found = in_document("malformed_request", "request", lambda: request(strict_json.read(body)))
    try:
        payload, signatures = envelope(found["envelope"])
    except Fault as fault:
        raise Refused("malformed_envelope", "request", "/envelope" + fault.pointer) from fault
    documents = in_document(
        "malformed_request", "request", rules.each, found.get("documents", []), ["documents"], rules.padded_base64
    )
    entry = stored(payload, signatures)
    if len(entry) > ENTRY_BYTES_MAX:
        raise Refused("entry_too_large", "request", "/envelope")
    groups, named, introduced, confidential = in_document(
        "invalid_statement", "payload", lambda: rules.statement(strict_json.read(payload))
    )
    if len(found.get("openings", {"fields": []})["fields"]) > sealed.OPENINGS_MAX:
        raise Refused("malformed_request", "request", "/openings/fields")
    sizes = {}
    for position, data in enumerate(documents):
        where, own = f"documents/{position}", hashlib.sha256(data).hexdigest()
        if own not in named:
            raise Refused("document_unreferenced", where, "")
        sizes[own] = in_document("document_invalid", where, lambda data=data: rules.manifest(strict_json.read(data), data))
    for wanted in named:
        if wanted not in sizes:
            raise Refused("document_missing", "request", "/documents")
        stated = strict_json.read(payload)["predicate"]["claim"]["manifest"]
        if (stated["files"], stated["content_size_bytes"]) != sizes[wanted]:
            raise Refused("document_invalid", "payload", "/predicate/claim/manifest")
    wrong = sealed.wrong(confidential, found.get("openings"))
    if wrong:
        raise Refused(wrong[0], "request", wrong[1])
    keys = {**registered, **{rules.key_id(key): key for key in introduced}}
    check_signatures(payload, signatures, groups, keys)
    check_signers(signatures, groups, parties)
    identity = hashlib.sha256(payload).digest()
    return {
        "verdict": "accepted",
        "statement_id": identity.hex(),
        "shown": base64.b32encode(identity).decode().lower()[:20],
        "leaf_hash": hashlib.sha256(b"\0" + entry).hexdigest(),
    }


def main():
    first, *lines = sys.stdin.buffer.read().split(b"\n")
    known = json.loads(first)
    registered = {rules.key_id(key): key for key in map(base64.b64decode, known["keys"])}
    for line in filter(None, lines):
        try:
            answer = judge(base64.b64decode(line[1:]), registered, known["parties"])
        except Refused as refused:
            answer = refused.answer
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
