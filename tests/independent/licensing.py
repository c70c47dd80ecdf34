"""Kinds about licences, as docs/formats/statement.md states them: terms, offer, grant, licence_status."""

import clauses
import terms as document
from rules import KINDS, PREDICATE, SEALED, SUBJECTS, digest, each, fail, integer, members, moment, one_of


def ids(value, at):
    return each(value, at, digest)


def check_ids(found, member, most, at):
    listed = found.get(member, [])
    if len(listed) > most:
        fail(at + [member], "too many")
    for position in range(1, len(listed)):
        if listed[position - 1] >= listed[position]:
            fail(at + [member, position], "not ascending")


def terms(claim, at):
    clauses.check(document.TERMS(claim, at), at)
    return [], []


def normal(value, optional_lists=("exclude", "metric", "compatible_terms", "consideration", "tiers")):
    """Without optional lists that are empty: what the id is a digest of."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: normal(inner) for name, inner in value.items() if inner != [] or name not in optional_lists}


def sealed_fields(found):
    """The sealed fields with their commitments, in order."""
    return [
        (f"/consideration/{position}/{figure}", paid["sealed"][figure])
        for position, paid in enumerate(found.get("consideration", []))
        if "sealed" in paid
        for figure in document.SEALED
    ]


def check_figures(found, opened):
    """What the openings say has to be what could be said openly. A fault's place does not matter to anybody."""
    opened_terms = dict(found)
    opened_terms["consideration"] = []
    for position, paid in enumerate(found.get("consideration", [])):
        paid = dict(paid)
        if "sealed" in paid:
            del paid["sealed"]
            values = ((figure, opened.get(f"/consideration/{position}/{figure}")) for figure in document.SEALED)
            paid["figures"] = document.FIGURES({figure: value for figure, value in values if value is not None}, [])
        opened_terms["consideration"].append(paid)
    clauses.check(opened_terms, [])


OFFER = ({"artefacts": ids, "terms": digest, "expires_at": moment}, {"licensee": digest, "under": ids})
GRANT = (
    {"licensor": digest, "licensee": digest, "artefacts": ids, "terms": digest, "starts_on": document.date},
    {"offer": digest, "under": ids},
)


def offer(claim, at):
    found = members(claim, at, *OFFER)
    if not found["artefacts"]:
        fail(at + ["artefacts"], "at least one")
    check_ids(found, "artefacts", 64, at)
    check_ids(found, "under", 8, at)
    return [], []


def grant(claim, at):
    found = members(claim, at, *GRANT)
    if not found["artefacts"]:
        fail(at + ["artefacts"], "at least one")
    if found["licensor"] == found["licensee"]:
        fail(at + ["licensee"], "nobody licenses itself")
    check_ids(found, "artefacts", 64, at)
    check_ids(found, "under", 8, at)
    return [], []


def licence_status(claim, at):
    status = one_of("suspended", "reinstated", "terminated")
    required = {"licence": digest, "seq": integer, "prev": digest, "status": status}
    found = members(claim, at, required, {"reason": document.GROUNDS})
    if (found["status"] == "reinstated") == ("reason" in found):
        fail(at + ["reason"], "a ground for ending it, and none for taking it up again")
    return [], []


KINDS.update({PREDICATE.format(kind.__name__): kind for kind in (terms, offer, grant, licence_status)})
SEALED[PREDICATE.format("terms")] = (sealed_fields, check_figures)
SUBJECTS[PREDICATE.format("terms")] = normal
