"""Kinds about expenditure, as docs/formats/statement.md states them: seven of them, facts of payments, sealed figures."""

import calendar
from decimal import Decimal

from rules import IP_TYPES, KINDS, PREDICATE, SEALED, commitment, digest, fail, integer, jurisdiction, members, name
from rules import names, one_of, pattern, shape, some, truth, variant
from terms import currency, minor_units

COVERED_MAX = 64


# Values.


def is_day(value):
    year, month, day = map(int, value.split("-"))
    return 2000 <= year <= 2099 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def are_years(value):
    first, second = map(int, value.split("/"))
    return (first + 1) % 100 == second


def decimal(places):
    return rf"(0|[1-9][0-9]{{0,17}})(\.[0-9]{{1,{places}}})?"


day = pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}", is_day)
# There is a 29 February in some years.
day_of_year = pattern("[0-9]{2}-[0-9]{2}", lambda value: is_day(f"2000-{value}"))
year = pattern("20[0-9]{2}/[0-9]{2}", are_years)
fraction = pattern(decimal(8), lambda value: Decimal(value) <= 1)
share = pattern(decimal(8), lambda value: 0 < Decimal(value) <= 1)
published = pattern(decimal(12), lambda value: Decimal(value) > 0)
exchange = pattern(decimal(8), lambda value: Decimal(value) > 0)
sum_paid = pattern(decimal(4))
# A number below 1 is a fraction of the whole, one from 1 on a percentage: only what is above 100 is more than all.
cap = pattern(f"none|{decimal(8)}%?", lambda value: value == "none" or Decimal(value.rstrip("%")) <= 100)
outside = shape({"name": name, "jurisdiction": jurisdiction})
side = lambda value, at: variant(value, at, {"party": digest, "outside": outside})


# Payments.

TRANSFERS = ("purchase", "disposal")
CREDITS = ("credit_note", "refund")
RESEARCH = ("rnd_type_a", "rnd_type_b")
NATURES = (*TRANSFERS, "upfront_fee", "royalty", "registration", *RESEARCH, *CREDITS)

# Facts of a payment: of which natures, and what they are.
DETAILS = {
    "share": (TRANSFERS, share),
    "funding": (["purchase"], one_of("own", "recourse", "non_recourse")),
    "licensed_back": (["purchase"], truth),
    "acquires": (["purchase"], one_of("ownership", "licence")),
    "fraction": (["purchase"], fraction),
    "early_termination": (["purchase"], truth),
    "term_years": (["upfront_fee"], lambda value, at: integer(value, at, 1, 100)),
    "used_in": (["royalty"], one_of("hk", "abroad")),
    "film": (["royalty"], truth),
    "ever_hk_owned": (["royalty"], truth),
    "treaty_cap": (["royalty"], cap),
    "place": (["rnd_type_a"], one_of("hk", "overseas")),
    "proportion": (["rnd_type_a"], fraction),
    "vested": (RESEARCH, truth),
    "for_another": (RESEARCH, truth),
    "performed_by": (RESEARCH, one_of("self", "rd_institution", "designated_institution", "other")),
    "avoidance": (RESEARCH, truth),
}

# Figures: of which natures, where not of all, and whether they are at most the amount.
FIGURES = {
    "amount": (NATURES, True),
    "currency": (NATURES, False),
    "withheld": (["royalty"], True),
    "fx_rate": (NATURES, False),
    "fees": (["purchase"], False),
    "met_by_others": (RESEARCH, True),
}

PAYMENT = (
    {
        "nature": one_of(*NATURES),
        "payer": side,
        "payee": side,
        "document": name,
        "on": day,
        "sealed": shape(dict.fromkeys(FIGURES, commitment)),
    },
    {
        "file": digest,
        "asset": digest,
        "counter_asset": digest,
        "ip_type": IP_TYPES,
        "licence": digest,
        "artefact": digest,
        "credits": digest,
        "details": shape({}, {member: read for member, (_, read) in DETAILS.items()}),
    },
)


def expenditure(claim, at):
    found = members(claim, at, *PAYMENT)
    nature, asset, other = found["nature"], found.get("asset"), found.get("counter_asset")
    for is_wrong, member in (
        (found["payer"] == found["payee"], "payee"),
        (nature in (*TRANSFERS, "registration") and not asset, "asset"),
        (nature == "upfront_fee" and not asset and "ip_type" not in found, "ip_type"),
        (asset and "ip_type" in found, "ip_type"),
        (other and nature not in TRANSFERS, "counter_asset"),
        (other and other == asset, "counter_asset"),
        ((nature in CREDITS) != ("credits" in found), "credits"),
        (nature in CREDITS and asset, "asset"),
        (nature in CREDITS and "ip_type" in found, "ip_type"),
    ):
        if is_wrong:
            fail(at + [member], f"not so with the nature {nature}")
    for member, (natures, _) in DETAILS.items():
        if member in found.get("details", {}) and nature not in natures:
            fail(at + ["details", member], f"not of the nature {nature}")
    if nature == "rnd_type_b" and found.get("details", {}).get("performed_by") == "rd_institution":
        fail(at + ["details", "performed_by"], "paid to an institution that is not designated: type A")


def check_payment(claim, opened):
    """An amount in a currency, other figures where the nature has them, and a rate where one is needed."""
    money = currency(opened.get("/currency"), [])
    paid = units(opened.get("/amount"), money)
    for figure, (natures, is_part) in FIGURES.items():
        value = opened.get(f"/{figure}")
        if value is None or figure == "currency":
            continue
        if claim["nature"] not in natures:
            fail([], f"{figure} is not of this nature")
        if figure == "fx_rate":
            exchange(value, [])
            if money == "HKD":
                fail([], "nothing is exchanged")
        elif units(value, money) > paid and is_part:
            fail([], f"{figure} is more than was paid")


def units(value, money):
    found = minor_units(sum_paid(value, []), money)
    return found if found is not None else fail([], "other digits than its currency has")


# The other kinds.

ASSET = (
    {"title": names, "ip_type": IP_TYPES, "jurisdiction": jurisdiction, "registered": truth},
    {
        "registration_number": name,
        "registered_on": day,
        "protection_ends": day,
        "software": truth,
        "artefacts": some(digest),
        "lapse": shape(
            {"on": day, "cause": one_of("expired", "refused", "revoked", "invalidated", "surrendered")}
        ),
        "title_left": shape({"on": day, "to": side}),
        "succession": shape({"on": day, "predecessor": side}, {"year_end": day_of_year}),
    },
)
USE = (
    {
        "asset": digest,
        "year": year,
        "by": one_of("self", "licensee_hk", "licensee_abroad"),
        "sealed": shape({"fraction": commitment}),
    },
    {"taxed_in_hk": truth},
)
RELATION = (
    {
        "other": side,
        "relation": one_of("controls", "controlled_by", "common_control", "partner", "trust"),
        "from": day,
    },
    {"until": day},
)
TAX_PROFILE = (
    {
        "from": year,
        "entity": one_of("corporation", "unincorporated"),
        "year_end": day_of_year,
        "trade": one_of("wholly_hk", "partly_hk"),
        "two_tier": truth,
    },
    {
        "brn": pattern("[0-9]{8}"),
        "file_number": pattern("[0-9]{2}/[0-9]{8}"),
        "hk_proportion": fraction,
        "commenced": day,
        "ceased": day,
    },
)
FX_RATE = {"from": currency, "units": published, "to": currency, "rate": published, "source": name, "date": day}
REASONS = one_of("amount", "date", "classification", "reference", "duplicate", "not_incurred", "later_event")


def check_days(found, first, last, at):
    """Written so, days are in the order of the calendar."""
    if first in found and last in found and found[last] < found[first]:
        fail(at + [last], f"before {first}")


def asset(claim, at):
    found = members(claim, at, *ASSET)
    if "software" in found and found["ip_type"] != "copyright":
        fail(at + ["software"], "only a copyright is in software or not")
    check_days(found, "registered_on", "protection_ends", at)
    covered = found.get("artefacts", [])
    if len(covered) > COVERED_MAX or covered != sorted(set(covered)):
        fail(at + ["artefacts"], "at most 64 ids, ascending")


def use(claim, at):
    found = members(claim, at, *USE)
    if "taxed_in_hk" in found and found["by"] != "licensee_abroad":
        fail(at + ["taxed_in_hk"], "only of a licensee abroad")


def check_use(claim, opened):
    fraction(opened.get("/fraction"), [])


def relation(claim, at):
    check_days(members(claim, at, *RELATION), "from", "until", at)


def tax_profile(claim, at):
    found = members(claim, at, *TAX_PROFILE)
    if "hk_proportion" in found and found["trade"] != "partly_hk":
        fail(at + ["hk_proportion"], "only of a trade partly elsewhere")
    check_days(found, "commenced", "ceased", at)


def fx_rate(claim, at):
    found = members(claim, at, FX_RATE)
    if (found["from"] == "HKD") == (found["to"] == "HKD"):
        fail(at + ["to"], "one of the two is HKD")


ENTRIES = {kind.__name__: kind for kind in (asset, expenditure, use)}


def correction(claim, at):
    replacement = lambda value, place: variant(value, place, ENTRIES)
    required = {"entry": digest, "prev": digest, "reason": REASONS}
    members(claim, at, required, {"replacement": replacement})


# What is sealed of an entry, in order, and what that has to be.
FIELDS = {"expenditure": (tuple(FIGURES), check_payment), "use": (("fraction",), check_use)}


def sealed_fields(word, claim):
    return [(f"/{field}", claim["sealed"][field]) for field in FIELDS[word][0]] if word in FIELDS else []


def replaced(claim):
    """The sort of entry that stands in the place of another, and its claim; none of it in a reversal."""
    [found] = claim.get("replacement", {"nothing": None}).items()
    return found


def check_replaced(claim, opened):
    word, inner = replaced(claim)
    FIELDS[word][1](inner, opened)


def alone(check):
    """A kind that names no document and introduces no key."""

    def kind(claim, at):
        check(claim, at)
        return [], []

    return kind


for kind in (asset, expenditure, use, relation, tax_profile, fx_rate, correction):
    KINDS[PREDICATE.format(kind.__name__)] = alone(kind)
for word, (_, check) in FIELDS.items():
    SEALED[PREDICATE.format(word)] = (lambda claim, word=word: sealed_fields(word, claim), check)
SEALED[PREDICATE.format("correction")] = (lambda claim: sealed_fields(*replaced(claim)), check_replaced)
