"""The shape of a terms document, as docs/formats/terms.md states it: values, and objects as tables of their members."""

import calendar
import re

from rules import ZONES, commitment, each, fail, integer, jurisdiction, members, one_of, pattern, shape, some, text
from rules import truth

# Minor units of ISO 4217; the tests use these currencies, and no others that are listed.
CURRENCIES = {"HKD": 2, "CNY": 2, "USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}
WHOLE = 10**8
CODES_MAX = 256

# Sections of ISIC, Revision 4, with their first and last division; 04 and 34 are not assigned.
SECTIONS = dict(
    A=(1, 3), B=(5, 9), C=(10, 33), D=(35, 35), E=(36, 39), F=(41, 43), G=(45, 47), H=(49, 53), I=(55, 56), J=(58, 63),
    K=(64, 66), L=(68, 68), M=(69, 75), N=(77, 82), O=(84, 84), P=(85, 85), Q=(86, 88), R=(90, 93), S=(94, 96),
    T=(97, 98), U=(99, 99),
)


# Values.


def codes(read, fewest=0):
    def reader(value, at):
        found = each(value, at, read)
        if not fewest <= len(found) <= CODES_MAX or any(code in found[:place] for place, code in enumerate(found)):
            fail(at, "too few, too many, or one twice")
        return found

    return reader


def is_date(value):
    year, month, day = map(int, value.split("-"))
    return year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


date = pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}", is_date)
LENGTH = r"P(?=[0-9])([1-9][0-9]{0,3}Y)?([1-9][0-9]{0,3}M)?([1-9][0-9]{0,3}W)?([1-9][0-9]{0,3}D)?"


def parts(value):
    """Years, months, weeks, days."""
    return [int(part[:-1]) if part else 0 for part in re.fullmatch(LENGTH, value).groups()]


def is_length(value):
    years, months, weeks, days = parts(value)
    return not weeks or (years, months, days) == (0, 0, 0)


length = pattern(LENGTH, is_length)
amount = pattern(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,4})?")
rate = pattern(r"(0|[1-9][0-9]?)(\.[0-9]{0,7}[1-9])?")
count = pattern("[1-9][0-9]{0,17}")
currency = one_of(*CURRENCIES)
article = pattern(r"[1-9][0-9]{0,2}[A-Z]?(\([0-9a-z]{1,3}\))*", lambda value: len(value) <= 20)
catalogue_number = pattern("[0-9]{6}[XJ]")
approval_number = pattern("[A-Z0-9-]{4,40}")
place = lambda value, at: value if value in ("GBA", "WORLD") and isinstance(value, str) else jurisdiction(value, at)


def activity(value, at):
    if text(value, at) == "ALL" or value in SECTIONS:
        return value
    return value if re.fullmatch("[0-9]{2,4}", value) and int(value[:2]) in divisions() else fail(at, "no activity")


def divisions(section=None):
    bounds = SECTIONS.values() if section is None else [SECTIONS[section]]
    return [number for first, last in bounds for number in range(first, last + 1) if number not in (4, 34)]


def texts(value, at):
    return members(value, at, {}, dict.fromkeys(("en", "zh-Hant", "zh-Hans"), text))


def parts_of_whole(value):
    whole, _, fraction = value.partition(".")
    return int(whole) * WHOLE + int(fraction.ljust(8, "0"))


def minor_units(value, money):
    """The amount in minor units; none where it has another number of digits than its currency."""
    whole, point, fraction = value.partition(".")
    return int(whole + fraction) if len(fraction) == CURRENCIES[money] else None


# Shapes: each object as two tables, what it needs and what it may have.


RIGHTS = one_of(
    "use", "reproduce", "modify", "distribute", "make_available", "host_as_service", "train", "finetune", "distill",
    "quantize", "merge", "evaluate", "embed",
)
PERMISSION = one_of("none", "affiliates", "with_consent", "free")
METRICS = one_of(
    "seats", "devices", "cores", "concurrent", "api_call", "token", "compute_hour", "monthly_active_users"
)
RESTRICTIONS = one_of(
    "commercial", "production", "competing_model", "benchmark_publication", "reverse_engineering", "unlawful",
    "harm_minors", "disinformation", "personal_data_misuse", "harassment", "undisclosed_generation", "impersonation",
    "automated_decisions", "discrimination", "exploit_vulnerable", "medical_advice", "justice_migration",
    "surveillance", "biometric_identification", "social_scoring", "military", "weapons", "violence",
    "critical_infrastructure", "malware", "sexual_content",
)
GROUNDS = one_of(
    "breach", "use_restriction", "non_payment", "insolvency", "change_of_control", "challenge", "patent_litigation",
    "illegality", "licensee_convenience", "licensor_convenience",
)
TERRITORY = shape({"include": codes(place, 1)}, {"exclude": codes(place)})
FIELD = shape({"isic_revision": one_of("4"), "include": codes(activity, 1)}, {"exclude": codes(activity)})
TIER = shape({}, {"above_amount": amount, "above_units": count, "rate": rate, "amount": amount})
FIGURES = shape({}, {"amount": amount, "rate": rate, "tiers": some(TIER), "ceiling": amount})
SEALED = ("amount", "rate", "tiers", "ceiling")
MILESTONES = one_of("signature", "delivery", "acceptance", "commercial_launch", "regulatory_approval")
CONSIDERATION = shape(
    {
        "kind": one_of(
            "upfront_lump_sum", "milestone", "recurring", "rev_share", "per_unit", "min_guarantee", "ip_purchase"
        ),
        "currency": currency,
    },
    {
        "figures": FIGURES,
        "sealed": shape(dict.fromkeys(SEALED, commitment)),
        "schedule": shape({}, {"on": date, "milestone": MILESTONES, "every": length, "within": length}),
        "base": one_of("gross", "net"),
        "unit": METRICS,
        "recoupable": truth,
    },
)
ENDING = shape({"effect": one_of("survive", "wind_down", "terminate")}, {"period": length})
FORUMS = one_of("courts", "hkiac", "cietac_hong_kong", "cietac", "scia", "siac", "icc", "lcia", "wipo")
TERMS = shape(
    {
        "schema": one_of("chopmark.terms/v1"),
        "grant": shape(
            {"grant_type": one_of("licence", "sublicence", "assignment", "option"), "rights": codes(RIGHTS, 1)}
        ),
        "exclusivity": shape(
            {"kind": one_of("exclusive", "sole", "non_exclusive")},
            {
                "scope": shape(
                    {}, {"rights": codes(RIGHTS, 1), "territory": TERRITORY, "field": FIELD, "duration": length}
                )
            },
        ),
        "sublicensing": shape(
            {"permission": PERMISSION, "transferable": PERMISSION},
            {"max_depth": lambda value, at: integer(value, at, 0, 255)},
        ),
        "territory": TERRITORY,
        "field": FIELD,
        "term": shape(
            {"perpetual": truth},
            {
                "start": date,
                "duration": length,
                "renewal": shape({"mode": one_of("automatic", "by_agreement", "licensee_option"), "period": length}),
                "notice": length,
                "cure_period": length,
            },
        ),
        "derivatives": shape(
            {
                "allowed": truth,
                "approval_required": truth,
                "share_alike": one_of("none", "file", "library", "work", "network"),
                "lineage_disclosure": truth,
            },
            {"compatible_terms": codes(text)},
        ),
        "outputs": shape(
            {"owner": one_of("licensee", "licensor", "shared", "unclaimed"), "may_train_on_outputs": truth}
        ),
        "use_restrictions": shape({"codes": codes(RESTRICTIONS), "propagates": truth}),
        "redistribution": shape(
            {"forms": codes(one_of("source", "weights")), "attribution_required": truth}, {"notice_text": texts}
        ),
        "termination": shape({"grounds": codes(GROUNDS), "sublicences": ENDING, "derivatives": ENDING}),
    },
    {
        # Its own rules are those of any licence, and are looked at with the others.
        "licence": shape({"expression": text, "license_list_version": text}),
        "metric": some(
            shape(
                {"metric": METRICS, "overage": one_of("forbidden", "by_agreement", "billed")},
                {"cap": count, "period": length},
            )
        ),
        "consideration": some(CONSIDERATION),
        "law": shape(
            {
                "governing_law": jurisdiction,
                "forum": FORUMS,
                "seat": jurisdiction,
                "prevailing_language": one_of("en", "zh-Hant", "zh-Hans"),
            }
        ),
        "audit": shape({}, {"cadence": length, "statement_due": length, "lookback": length}),
        "tax": shape(
            {"payee_residence": jurisdiction, "associate": truth, "gross_up": truth},
            {"withholding_rate_claimed": rate, "treaty": shape({"with": jurisdiction, "article": article})},
        ),
        "compliance": shape(
            {"data_residency": codes(ZONES, 1), "personal_data_present": truth},
            {
                "technology_export": shape(
                    {"class": one_of("free", "restricted", "prohibited")},
                    {"catalogue_number": catalogue_number, "approval_number": approval_number},
                )
            },
        ),
        "rider": texts,
    },
)
