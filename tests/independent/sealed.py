"""Sealed fields, as docs/confidential.md and docs/formats/terms.md state them: openings and what they are openings of."""

import hashlib
import re

from rules import KINDS, PREDICATE, ZONES, any_value, digest, each, fail, members, padded_base64, text
from strict_json import Fault, canonical

OPENINGS_MAX = 512
VALUE_BYTES_MAX = 16 * 1024


def field(value, at):
    good = len(text(value, at)) <= 200 and re.fullmatch(r"(/[A-Za-z0-9_-]+)+", value)
    return value if good else fail(at, "not a pointer to a field")


def opening(value, at):
    found = members(value, at, {"field": field, "salt": text}, {"value": any_value})
    try:
        salt = padded_base64(found["salt"], at)
    except Fault:
        salt = b""
    if len(salt) != 32 or len(canonical(found.get("value", ""))) > VALUE_BYTES_MAX:
        fail(at, "32 bytes of salt, and no more than 16 KiB")
    return {**found, "salt": salt}


def openings(value, at):
    return members(value, at, {"zone": ZONES, "fields": lambda inner, place: each(inner, place, opening)})


def commit(place, found):
    """SHA-256 over the domain and every part behind its length."""
    value = b"\1" + canonical(found["value"]) if "value" in found else b"\0"
    parts = [part.encode() for part in place + [found["field"]]] + [found["salt"], value]
    written = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(b"chopmark/field/v1\0" + written).hexdigest()


def wrong(confidential, sent):
    """The code and the place of what is wrong with openings; None where nothing is."""
    fields = confidential["fields"]
    if sent is None:
        return ("opening_missing", "/openings") if fields else None
    if fields and not sent["fields"]:
        return None
    opened = {}
    for position, found in enumerate(sent["fields"]):
        at = f"/openings/fields/{position}"
        if found["field"] not in fields or found["field"] in opened:
            return "opening_unreferenced", f"{at}/field"
        if found["salt"] in [other["salt"] for other in opened.values()]:
            return "commitment_mismatch", f"{at}/salt"
        if commit(confidential["place"], found) != fields[found["field"]]:
            return "commitment_mismatch", at
        opened[found["field"]] = found
    if len(opened) < len(fields):
        return "opening_missing", "/openings/fields"
    if opened:
        try:
            confidential["check"]({name: found["value"] for name, found in opened.items() if "value" in found})
        except Fault:
            return "invalid_statement", "/openings/fields"
    return None


# The kind that is about sealed values.


def erased(claim, at):
    found = members(claim, at, {"statement": digest, "fields": lambda inner, place: each(inner, place, field)})
    if not 1 <= len(found["fields"]) <= OPENINGS_MAX or found["fields"] != sorted(set(found["fields"])):
        fail(at + ["fields"], "1 to 512 fields, ascending")
    return [], []


KINDS[PREDICATE.format("erased")] = erased
