"""What a statement may say, kind by kind, as docs/formats/statement.md and manifest.md state it."""

import base64
import datetime
import hashlib
import re
import unicodedata

import ed25519
from strict_json import Fault, INTEGER_MAX, canonical

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:chopmark:predicate:{}:v1"
SIGNATURES_MAX = 64

# Officially assigned codes of ISO 3166-1 alpha-2 are 249; the tests use these, and no others that are assigned.
JURISDICTIONS = {"HK", "MO", "TW", "CN", "SG", "GB", "US", "DE", "JP"}
# The SPDX list has some 700 licences; the tests use these, and no others that are on it.
LICENCES = {"Apache-2.0", "MIT", "BSD-3-Clause", "GPL-2.0-only", "CC0-1.0"}
EXCEPTIONS = {"Classpath-exception-2.0"}

# Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt).
IGNORABLE = [
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]


def fail(at, reason):
    raise Fault(at, reason)


# Readers: each takes a value and its place, and returns what it means.


def text(value, at):
    return value if isinstance(value, str) else fail(at, "not a text")


def integer(value, at, smallest=0, largest=INTEGER_MAX):
    if isinstance(value, bool) or not isinstance(value, int):
        fail(at, "not an integer")
    return value if smallest <= value <= largest else fail(at, "out of range")


def items(value, at):
    return value if isinstance(value, list) else fail(at, "not an array")


def each(value, at, read):
    return [read(item, at + [position]) for position, item in enumerate(items(value, at))]


def members(value, at, required, optional=None):
    """The members of an object, each read; unknown and missing ones are faults, and so is `null` for an absent one."""
    if not isinstance(value, dict):
        fail(at, "not an object")
    readers = {**required, **(optional or {})}
    for name in value:
        if name not in readers:
            fail(at + [name], "an unknown member")
    found = {name: readers[name](value[name], at + [name]) for name in value}
    for name in required:
        if name not in value:
            fail(at, f"{name} is missing")
    return found


def shape(required, optional=None):
    """A reader of objects: what they need and what they may have, as two tables."""
    return lambda value, at: members(value, at, required, optional)


def some(read):
    return lambda value, at: each(value, at, read)


def pattern(form, check=lambda value: True):
    return lambda value, at: value if re.fullmatch(form, text(value, at)) and check(value) else fail(at, "not of its form")


def one_of(*words):
    return lambda value, at: value if value in words and isinstance(value, str) else fail(at, "no such word")


def truth(value, at):
    return value if isinstance(value, bool) else fail(at, "neither true nor false")


def any_value(value, at):
    return value


def digest(value, at):
    return value if re.fullmatch("[0-9a-f]{64}", text(value, at)) else fail(at, "not 64 lowercase hexadecimal digits")


commitment = digest


def moment(value, at):
    form = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
    if not re.fullmatch(form, text(value, at)):
        fail(at, "not a time in UTC milliseconds")
    try:
        return datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        fail(at, "no such time")


def padded_base64(value, at):
    if not re.fullmatch(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text(value, at)):
        fail(at, "not padded base64")
    data = base64.b64decode(value)
    return data if base64.b64encode(data).decode() == value else fail(at, "trailing bits that are not zero")


def public_key(value, at):
    data = padded_base64(value, at)
    return data if len(data) == 32 and ed25519.admit(data) else fail(at, "not a key that can be registered")


def key_id(data):
    return hashlib.sha256(data).hexdigest()


def verifier_key(value, at):
    """A C2SP verifier key: name, key id, and base64 of the algorithm's number with the public key."""
    name, plus, rest = text(value, at).partition("+")
    stated, other_plus, data = rest.partition("+")
    data = padded_base64(data, at)
    if not name or not plus or not other_plus or re.search(r"[\s\x00-\x1f\x7f-\x9f]", name) or len(data) != 33 or data[0] != 1:
        fail(at, "not a verifier key")
    if stated != hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] or not ed25519.admit(data[1:]):
        fail(at, "not a verifier key")
    return name


def deceptive(character):
    """Whether a character can't be seen, changes the direction of others, or is drawn like another by width alone."""
    code, category = ord(character), unicodedata.category(character)
    return (
        category in ("Cc", "Co", "Zl", "Zp")
        or (category == "Zs" and character != " ")
        or any(low <= code <= high for low, high in IGNORABLE)
        or 0xFFF9 <= code <= 0xFFFD
        or code == 0x2800
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
        or (unicodedata.east_asian_width(character) == "F" and unicodedata.normalize("NFKC", character).isascii()
            and unicodedata.normalize("NFKC", character).isalnum())
    )


def name(value, at, longest=200):
    if not 1 <= len(text(value, at)) <= longest:
        fail(at, f"a name has 1 to {longest} characters")
    if value.startswith(" ") or value.endswith(" ") or "  " in value or any(map(deceptive, value)):
        fail(at, "a character that may not stand in a name")
    return value


def names(value, at):
    found = members(value, at, {}, dict.fromkeys(("en", "zh-Hant", "zh-Hans"), text))
    for language in ("en", "zh-Hant", "zh-Hans"):
        if language in found:
            name(found[language], at + [language])
    return found if found else fail(at, "a name in one language is needed")


def identifier_value(scheme, value, at):
    if scheme == "hk_brn":
        good = re.fullmatch("[0-9]{8}", value)
    elif scheme == "cn_uscc":
        alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
        good = len(value) == 18 and set(value) <= set(alphabet)
        if good:
            total = sum(alphabet.index(value[position]) * pow(3, position, 31) for position in range(17))
            good = alphabet.index(value[17]) == (31 - total % 31) % 31
    else:
        good = re.fullmatch("[0-9A-Z]{18}[0-9]{2}", value)
        good = good and int("".join(str(int(character, 36)) for character in value)) % 97 == 1
    return value if good else fail(at, f"not of scheme {scheme}")


def identifiers(value, at):
    schemes = one_of("hk_brn", "cn_uscc", "lei")
    found = each(value, at, lambda item, place: members(item, place, {"scheme": schemes, "value": text}))
    for position, item in enumerate(found):
        if item["scheme"] in [earlier["scheme"] for earlier in found[:position]]:
            fail(at + [position, "scheme"], "a scheme that already stands above")
        identifier_value(item["scheme"], item["value"], at + [position, "value"])
    return found


def key_set(value, at):
    found = members(value, at, {"keys": lambda keys, place: each(keys, place, public_key), "threshold": integer})
    ids = [key_id(key) for key in found["keys"]]
    if not 1 <= len(ids) <= 16 or ids != sorted(set(ids)):
        fail(at + ["keys"], "1 to 16 keys, ascending by id")
    integer(found["threshold"], at + ["threshold"], 1, len(ids))
    return found


def jurisdiction(value, at):
    return value if text(value, at) in JURISDICTIONS else fail(at, "no assigned code")


def variant(value, at, readers):
    """An object with one member, whose name says what it is."""
    if not isinstance(value, dict) or len(value) != 1:
        fail(at, "an object with one member is needed")
    [(word, content)] = value.items()
    if word not in readers:
        fail(at, "no such member")
    return word, readers[word](content, at + [word])


IP_TYPES = one_of(
    "copyright", "patent_right", "know_how", "performers_economic_right", "layout_design", "plant_variety_right",
    "registered_design", "registered_trade_mark",
)
ZONES = one_of("HK", "CN-GBA", "CN", "WORLD")
ROLES = one_of("root", "signing")


# Kinds: each checks a claim and returns (documents it names, keys it introduces).


def policy(claim, at):
    descriptor = {
        "origin": text,
        "log_key": text,
        "operator_name": names,
        "operator_keys": key_set,
        "party_registration": one_of("open"),
    }
    anchors = {"witnesses": some(text), "quorum": integer}
    word, found = variant(claim, at, {"descriptor": shape(descriptor), "trust_anchors": shape(anchors)})
    at = at + [word]
    if word == "descriptor":
        origin = found["origin"]
        if not re.fullmatch(r"[A-Za-z0-9._~:-][A-Za-z0-9._~/:-]{0,199}", origin) or origin[-1] == "/" or "://" in origin:
            fail(at + ["origin"], "not an origin")
        if verifier_key(found["log_key"], at + ["log_key"]) != origin:
            fail(at + ["log_key"], "not the origin's key")
        return [], found["operator_keys"]["keys"]
    witnesses = found["witnesses"]
    if len(witnesses) > 32:
        fail(at + ["witnesses"], "at most 32 witnesses")
    for position, witness in enumerate(witnesses):
        verifier_key(witness, at + ["witnesses", position])
    if witnesses != sorted(set(witnesses)):
        fail(at + ["witnesses"], "not ascending")
    integer(found["quorum"], at + ["quorum"], 0, len(witnesses))
    return [], []


def party(claim, at):
    required = {"name": names, "jurisdiction": jurisdiction, "root_keys": key_set}
    found = members(claim, at, required, {"identifiers": identifiers})
    return [], found["root_keys"]["keys"]


def key(claim, at):
    events = {
        "add": shape({"public_key": public_key, "role": ROLES}),
        "rotate": shape({"replaced": digest, "public_key": public_key, "role": ROLES}),
        "revoke": shape({"key": digest, "reason": one_of("compromised", "lost", "retired")}),
    }
    event = lambda value, place: variant(value, place, events)
    found = members(claim, at, {"seq": integer, "prev": digest, "event": event})
    integer(found["seq"], at + ["seq"], 1)
    new = found["event"][1].get("public_key")
    return [], [new] if new else []


def licence(value, at):
    found = members(value, at, {"expression": text, "license_list_version": text})
    if not is_licence(found["expression"]):
        fail(at + ["expression"], "not an expression in canonical spelling")
    if not re.fullmatch("[0-9.]{1,16}", found["license_list_version"]):
        fail(at + ["license_list_version"], "not a version")
    return found


def is_licence(expression):
    """The grammar of SPDX 2.3, annex D, over the few identifiers above, words one space apart."""
    tokens = re.findall(r"[()]|[^ ()]+", expression)
    spelled = " ".join(tokens).replace("( ", "(").replace(" )", ")")
    if spelled != expression or len(expression.encode()) > 1000:
        return False

    def compound(tokens):
        while True:
            if tokens[:1] == ["("]:
                tokens = compound(tokens[1:])
                if tokens is None or tokens[:1] != [")"]:
                    return None
                tokens = tokens[1:]
            elif tokens and (tokens[0] in LICENCES or re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", tokens[0])):
                tokens = tokens[1:]
                if tokens[:1] == ["WITH"]:
                    if len(tokens) < 2 or tokens[1] not in EXCEPTIONS:
                        return None
                    tokens = tokens[2:]
            else:
                return None
            if tokens[:1] not in (["AND"], ["OR"]):
                return tokens
            tokens = tokens[1:]

    return compound(tokens) == []


def parent(value, at):
    foreign = lambda inner, place: members(inner, place, {"origin": text, "artefact": digest})
    relation = one_of("finetune", "adapter", "merge", "quantized", "derived")
    found = members(value, at, {"relation": relation}, {"artefact": digest, "digest": digest, "foreign": foreign})
    return found if len(found) == 2 else fail(at, "exactly one of artefact, digest, foreign")


def artefact(claim, at):
    manifest = lambda value, place: members(
        value, place, {"sha256": digest, "files": integer, "content_size_bytes": integer}
    )
    required = {
        "name": names,
        "version": lambda value, place: name(value, place, 64),
        "kind": one_of("model", "software", "dataset"),
        "ip_type": IP_TYPES,
        "manifest": manifest,
        "author_jurisdiction": jurisdiction,
        "residency_zone": ZONES,
        "licence": licence,
    }
    parents = lambda value, place: each(value, place, parent)
    found = members(claim, at, required, {"parents": parents, "supersedes": digest})
    if found["manifest"]["files"] < 1:
        fail(at + ["manifest", "files"], "at least one file")
    sources = [next((word, stated[word]) for word in stated if word != "relation") for stated in found.get("parents", [])]
    if len(sources) > 64:
        fail(at + ["parents"], "at most 64 parents")
    for position, (word, source) in enumerate(sources):
        if (word, source) in sources[:position]:
            fail(at + ["parents", position, word], "a parent that already stands above")
        if word == "foreign":
            name(source["origin"], at + ["parents", position, "foreign", "origin"])
    return [found["manifest"]["sha256"]], []


def attestation(claim, at):
    schemes = ("hk_brn", "cn_uscc", "lei")
    word, found = variant(
        claim,
        at,
        {
            "party_verified": shape({"party": digest, "identifiers": some(one_of(*schemes))}),
            "party_unverified": shape({"party": digest}),
            "bytes_match": shape({"artefact": digest, "manifest": digest, "zone": ZONES, "tool": name}),
        },
    )
    looked_up = [schemes.index(scheme) for scheme in found.get("identifiers", [])]
    if looked_up != sorted(set(looked_up)):
        fail(at + [word, "identifiers"], "not in the order of the schemes")
    return [], []


def endorsement(claim, at):
    members(claim, at, {"statement": digest})
    return [], []


KINDS = {PREDICATE.format(k.__name__): k for k in (policy, party, key, artefact, attestation, endorsement)}
# Of kinds with sealed fields: what they are, and what their values have to be (licensing.py, expenditure.py).
SEALED = {}
# Of kinds whose subject is not the claim as it is written: what it is instead.
SUBJECTS = {}


# The statement around the claim.


def signer_group(value, at):
    head = lambda inner, place: None if inner is None else digest(inner, place)
    return members(
        value,
        at,
        {
            "party": issuer,
            "key_head": head,
            "keys": lambda keys, place: each(keys, place, digest),
            "threshold": integer,
        },
    )


def issuer(value, at):
    return value if value == "self" else digest(value, at)


def nonce(value, at):
    return value if re.fullmatch("([0-9a-f]{2}){16,32}", text(value, at)) else fail(at, "not 16 to 32 bytes")


def check_groups(groups, at, first_party):
    if not groups or groups[0]["party"] != first_party:
        fail(at, "the first group is the issuer's")
    if sum(len(group["keys"]) for group in groups) > SIGNATURES_MAX:
        fail(at, "too many keys")
    for position, group in enumerate(groups):
        here, earlier = at + [position], groups[:position]
        if group["party"] in [other["party"] for other in earlier]:
            fail(here + ["party"], "a second group of this party")
        if position > 0 and group["party"] == "self":
            fail(here + ["party"], "only the first group can be self")
        if (group["key_head"] is None) != (group["party"] == "self"):
            fail(here + ["key_head"], "null for self and for nobody else")
        if not group["keys"] or group["keys"] != sorted(set(group["keys"])):
            fail(here + ["keys"], "key ids, ascending")
        if any(key in other["keys"] for other in earlier for key in group["keys"]):
            fail(here + ["keys"], "a key of two parties")
        integer(group["threshold"], here + ["threshold"], 1, len(group["keys"]))


def statement(value):
    """Checks a payload; returns its signer groups, the documents it names, the keys it introduces, its sealed fields."""
    subject = lambda item, at: members(
        item, at, {"name": text, "digest": lambda inner, place: members(inner, place, {"sha256": digest})}
    )
    outer = {
        "_type": text,
        "subject": lambda inner, place: each(inner, place, subject),
        "predicateType": text,
        "predicate": any_value,
    }
    found = members(value, [], outer)
    if found["_type"] != STATEMENT_TYPE:
        fail(["_type"], "not an in-toto statement")
    if len(found["subject"]) != 1:
        fail(["subject"], "exactly one subject")
    if not 1 <= len(found["subject"][0]["name"]) <= 200:
        fail(["subject", 0, "name"], "a label of 1 to 200 characters")
    place = ["predicate"]
    registry = lambda inner, at: members(inner, at, {"origin": text, "genesis": digest})
    header = members(
        found["predicate"],
        place,
        {
            "issuer": issuer,
            "issued_at": moment,
            "not_after": moment,
            "nonce": nonce,
            "signers": lambda inner, at: each(inner, at, signer_group),
            "claim": any_value,
        },
        {"registry": registry},
    )
    kind = KINDS.get(found["predicateType"]) or fail(["predicateType"], "no such kind")
    documents, keys = kind(header["claim"], place + ["claim"])
    founds = kind is policy and "descriptor" in header["claim"]
    if ("registry" not in header) != founds:
        fail(place + ["registry"], "named by all statements but the first")
    if (header["issuer"] == "self") != (founds or kind is party):
        fail(place + ["issuer"], "self for what creates a party and for nothing else")
    if header["not_after"] <= header["issued_at"]:
        fail(place + ["not_after"], "later than issued_at")
    check_groups(header["signers"], place + ["signers"], header["issuer"])
    written = SUBJECTS.get(found["predicateType"], lambda claim: claim)(header["claim"])
    expected = documents[0] if documents else hashlib.sha256(canonical(written)).hexdigest()
    if found["subject"][0]["digest"]["sha256"] != expected:
        fail(["subject", 0, "digest", "sha256"], "not what the statement is about")
    fields, check_opened = SEALED.get(found["predicateType"], (lambda claim: [], None))
    where = header.get("registry", {"origin": "", "genesis": ""})
    bound_to = [f"{where['origin']} {where['genesis']}", found["predicateType"], header["issuer"], header["nonce"]]
    sealed = {
        "place": bound_to,
        "fields": dict(fields(header["claim"])),
        "check": lambda opened: check_opened(header["claim"], opened),
    }
    return header["signers"], documents, keys, sealed


# The manifest, but for the index of weights, which none of the tests' manifests has.


def path(value, at):
    segments = text(value, at).split("/")
    good = (
        len(value.encode()) <= 1024
        and len(segments) <= 64
        and all(segment not in ("", ".", "..") and len(segment.encode()) <= 255 for segment in segments)
        and "\\" not in value
        and not any(unicodedata.category(c) == "Cc" or (deceptive(c) and is_hidden(c)) for c in value)
    )
    return value if good else fail(at, "not a path")


def is_hidden(character):
    code = ord(character)
    ignorable = any(low <= code <= high for low, high in IGNORABLE)
    return ignorable or unicodedata.category(character) in ("Zl", "Zp") or code == 0x2800 or 0xFFF9 <= code <= 0xFFFB


def excluded(file_path):
    segments = file_path.split("/")
    return (
        any(segment in (".git", "__pycache__", ".DS_Store") for segment in segments)
        or "/.cache/huggingface/" in f"/{file_path}/"
        or segments[-1] == "model.sig"
        or segments[-1].endswith((".chop", ".b3tree"))
    )


def manifest(value, data):
    """Checks a manifest; returns the number of its files and of their bytes."""
    one_file = {"path": path, "size_bytes": integer, "sha256": digest, "blake3": digest}
    found = members(
        value,
        [],
        {
            "schema": one_of("chopmark.manifest/v1"),
            "exclusions": one_of("chopmark-exclude/v1", "none"),
            "files": lambda inner, at: each(inner, at, lambda item, place: members(item, place, one_file)),
        },
    )
    files = found["files"]
    paths = [item["path"].encode() for item in files]
    if not files:
        fail(["files"], "names no file")
    for position, item in enumerate(files):
        here = ["files", position, "path"]
        if position and paths[position - 1] >= paths[position]:
            fail(here, "not in order")
        if found["exclusions"] != "none" and excluded(item["path"]):
            fail(here, "left out by the profile")
        if any(paths[position].startswith(other + b"/") for other in paths[:position]):
            fail(here, "below another path that is a file")
    if canonical(value) != data:
        fail([], "not in canonical form")
    return len(files), sum(item["size_bytes"] for item in files)
