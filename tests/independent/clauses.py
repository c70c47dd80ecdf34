"""The rules between the clauses of a terms document, as docs/formats/terms.md states them, in its order."""

import calendar
import datetime
import unicodedata

from rules import fail, is_hidden, is_licence, licence
from terms import SECTIONS, WHOLE, divisions, minor_units, parts, parts_of_whole


# Sets: of places, and of activities as the first digits of class codes.


def area(codes_of_places):
    """Places as a set. The Mainland's cities of the Greater Bay Area are a place of their own."""
    found = set()
    for code in codes_of_places:
        if code == "WORLD":
            found |= {"everywhere else", "bay cities", "CN", "HK", "MO", "TW", "SG", "GB", "US", "DE", "JP"}
        elif code == "GBA":
            found |= {"HK", "MO", "bay cities"}
        else:
            found |= {code, "bay cities"} if code == "CN" else {code}
    return found


def whole_area(territory):
    return area(territory["include"]) - area(territory.get("exclude", []))


def prefixes(activities):
    found = []
    for code in activities:
        if code == "ALL" or code in SECTIONS:
            found += [f"{number:02}" for number in divisions(None if code == "ALL" else code)]
        else:
            found.append(code)
    return found


def covered(prefix, by):
    return any(prefix.startswith(wider) for wider in by)


def check_territory(territory, at):
    for position, code in enumerate(territory.get("exclude", [])):
        if not area([code]) <= area(territory["include"]):
            fail(at + ["exclude", position], "not within what is included")
    if not whole_area(territory):
        fail(at + ["exclude"], "nothing is left")


def check_field(field, at):
    include, exclude = prefixes(field["include"]), prefixes(field.get("exclude", []))
    for position, code in enumerate(field.get("exclude", [])):
        if not all(covered(prefix, include) for prefix in prefixes([code])):
            fail(at + ["exclude", position], "not within what is included")
    if all(covered(prefix, exclude) for prefix in include):
        fail(at + ["exclude"], "nothing is left")


def is_part_of_field(part, whole):
    inner, holes = prefixes(part["include"]), prefixes(part.get("exclude", []))
    outer, outer_holes = prefixes(whole["include"]), prefixes(whole.get("exclude", []))
    for prefix in inner:
        if covered(prefix, holes):
            continue
        if not covered(prefix, outer) or covered(prefix, outer_holes):
            return False
        if any(hole.startswith(prefix) and not covered(hole, holes) for hole in outer_holes):
            return False
    return True


# The rules between clauses.


def last_day_fits(start, duration):
    """Whether the term ends within the years that dates have."""
    years, months, weeks, days = parts(duration)
    year, month, day = map(int, start.split("-"))
    months += 12 * years + month - 1
    year, month = year + months // 12, months % 12 + 1
    if year > 9999:
        # Only 1 January of the year 10000 itself can still be the day after the last.
        return (year, month, day, weeks, days) == (10000, 1, 1, 0, 0)
    last = calendar.monthrange(year, month)[1]
    corresponding = datetime.date(year, month, min(day, last))
    more = 7 * weeks + days + (1 if day > last else 0) - 1
    return corresponding.toordinal() + more <= datetime.date.max.toordinal()


def passage(value, at, longest):
    hidden = lambda c: c != "\n" and (unicodedata.category(c) == "Cc" or is_hidden(c))
    if not value.strip() or value.strip() != value or len(value) > longest or any(map(hidden, value)):
        fail(at, "not a text that can be read")


def check_texts(found, at, longest):
    if not found:
        fail(at, "a text in one language is needed")
    for language in ("en", "zh-Hant", "zh-Hans"):
        if language in found:
            passage(found[language], at + [language], longest)


def check_term(terms, at):
    term, at = terms["term"], at + ["term"]
    if term["perpetual"] == ("duration" in term):
        fail(at + ["duration"], "perpetual, or for so long")
    if term["perpetual"] and "renewal" in term:
        fail(at + ["renewal"], "perpetual terms are not renewed")
    if "start" in term and "duration" in term and not last_day_fits(term["start"], term["duration"]):
        fail(at + ["duration"], "ends too late")
    if term.get("renewal", {}).get("mode") == "automatic" and "notice" not in term:
        fail(at + ["notice"], "which notice stops that?")


def days(value, month, year):
    years, months, weeks, more = parts(value)
    return years * year + months * month + weeks * 7 + more


def check_exclusivity(terms, at):
    kind, scope = terms["exclusivity"]["kind"], terms["exclusivity"].get("scope")
    if terms["grant"]["grant_type"] == "assignment" and kind != "exclusive":
        fail(at + ["exclusivity", "kind"], "an assignment is exclusive")
    if scope is None:
        return
    at = at + ["exclusivity", "scope"]
    if kind == "non_exclusive":
        fail(at, "no exclusive part")
    for position, right in enumerate(scope.get("rights", [])):
        if right not in terms["grant"]["rights"]:
            fail(at + ["rights", position], "not granted")
    if "territory" in scope:
        check_territory(scope["territory"], at + ["territory"])
        if not whole_area(scope["territory"]) <= whole_area(terms["territory"]):
            fail(at + ["territory"], "beyond the territory")
    if "field" in scope:
        check_field(scope["field"], at + ["field"])
        if not is_part_of_field(scope["field"], terms["field"]):
            fail(at + ["field"], "beyond the field")
    whole = terms["term"].get("duration")
    if "duration" in scope and whole and days(scope["duration"], 28, 365) > days(whole, 31, 366):
        fail(at + ["duration"], "longer than the term")


def check_sublicensing(terms, at):
    depth = terms["sublicensing"].get("max_depth")
    if depth == 0 or (depth is not None and terms["sublicensing"]["permission"] == "none"):
        fail(at + ["sublicensing", "max_depth"], "no depth")


def check_metric(terms, at):
    metrics = terms.get("metric", [])
    if len(metrics) > 32:
        fail(at + ["metric"], "too many")
    priced = [paid.get("unit") for paid in terms.get("consideration", [])]
    for position, found in enumerate(metrics):
        here, unit = at + ["metric", position], found["metric"]
        if (unit, found.get("period")) in [(other["metric"], other.get("period")) for other in metrics[:position]]:
            fail(here + ["metric"], "stands above already")
        if "period" in found and unit not in ("api_call", "token", "compute_hour"):
            fail(here + ["period"], "not counted in a period")
        if "cap" not in found and found["overage"] != "billed":
            fail(here + ["cap"], "a cap is needed")
        if found["overage"] == "billed" and unit not in priced:
            fail(here + ["overage"], "billed by what?")


def check_derivatives(terms, at):
    found = terms["derivatives"]
    if not found["allowed"]:
        for position, right in enumerate(terms["grant"]["rights"]):
            if right in ("modify", "finetune", "quantize", "merge"):
                fail(at + ["grant", "rights", position], "makes derivatives")
        for member, nothing in (("approval_required", False), ("share_alike", "none"), ("lineage_disclosure", False)):
            if found[member] != nothing:
                fail(at + ["derivatives", member], "there are none")
    compatible, at = found.get("compatible_terms", []), at + ["derivatives", "compatible_terms"]
    if found["share_alike"] == "none" and compatible:
        fail(at, "without share-alike")
    for position, expression in enumerate(compatible):
        if not is_licence(expression) or " " in expression:
            fail(at + [position], "not one licence in canonical spelling")


def check_copies(terms, at):
    restrictions, copies = terms["use_restrictions"], terms["redistribution"]
    if restrictions["propagates"] and not restrictions["codes"]:
        fail(at + ["use_restrictions", "propagates"], "nothing to hand on")
    if bool(copies["forms"]) != ("distribute" in terms["grant"]["rights"]):
        fail(at + ["redistribution", "forms"], "forms and the right go together")
    if "notice_text" in copies:
        if not copies["attribution_required"]:
            fail(at + ["redistribution", "notice_text"], "need not be given")
        check_texts(copies["notice_text"], at + ["redistribution", "notice_text"], 1000)


# Which members a kind of consideration needs, and which it may have besides.
NEEDS = {
    "upfront_lump_sum": ("amount", "recoupable"),
    "milestone": ("amount milestone", "recoupable"),
    "recurring": ("amount every", "ceiling recoupable"),
    "rev_share": ("rate every base", "ceiling"),
    "per_unit": ("amount every unit", "ceiling"),
    "min_guarantee": ("amount every", "recoupable"),
    "ip_purchase": ("amount", ""),
}


def check_paid(paid, at):
    required, optional = (words.split() for words in NEEDS[paid["kind"]])

    def check(member, holder, at):
        if (member in required and member not in holder) or (member not in required + optional and member in holder):
            fail(at + [member], "this kind needs it, or has none")

    schedule = paid.get("schedule", {})
    for member in ("every", "milestone"):
        check(member, schedule, at + ["schedule"])
    for member in ("base", "unit", "recoupable"):
        check(member, paid, at)
    if "schedule" in paid and not schedule:
        fail(at + ["schedule"], "says nothing")
    if "on" in schedule and ("milestone" in schedule or "every" in schedule):
        fail(at + ["schedule", "on"], "exclude each other")
    if ("figures" in paid) == ("sealed" in paid):
        fail(at, "figures or sealed")
    if "figures" in paid:
        check_figures(paid, paid["figures"], check, at + ["figures"])


def check_figures(paid, figures, check, at):
    money, kind = paid["currency"], paid["kind"]
    for member in ("amount", "rate", "ceiling"):
        check(member, figures, at)
    for member in ("amount", "ceiling"):
        check_digits(figures, member, money, at)
    tiers = figures.get("tiers", [])
    if tiers and kind not in ("rev_share", "per_unit"):
        fail(at + ["tiers"], "this kind has none")
    if len(tiers) > 32:
        fail(at + ["tiers"], "too many")
    threshold, value, wrong = (
        ("above_amount", "rate", ("above_units", "amount")) if kind == "rev_share"
        else ("above_units", "amount", ("above_amount", "rate"))
    )
    last = -1
    for position, tier in enumerate(tiers):
        here = at + ["tiers", position]
        for member in wrong:
            if member in tier:
                fail(here + [member], "not for this kind")
        if value not in tier:
            fail(here + [value], "needed")
        for member in ("above_amount", "amount"):
            check_digits(tier, member, money, here)
        if threshold not in tier:
            fail(here + [threshold], "needed")
        start = minor_units(tier[threshold], money) if threshold == "above_amount" else int(tier[threshold])
        if start <= last:
            fail(here + [threshold], "tiers ascend")
        last = start
    if share(paid) > WHOLE:
        fail(at + ["rate"], "more than all")


def check_digits(holder, member, money, at):
    if member in holder and minor_units(holder[member], money) is None:
        fail(at + [member], "other digits than its currency has")


def share(paid):
    """The largest share of revenue at any tier; 0 where that is sealed or none is paid."""
    if paid["kind"] != "rev_share":
        return 0
    figures = paid.get("figures", {})
    rates = [figures.get("rate")] + [tier.get("rate") for tier in figures.get("tiers", [])]
    return max([parts_of_whole(rate) for rate in rates if rate is not None], default=0)


def check_consideration(terms, at):
    paid_for, royalties = terms.get("consideration", []), has_royalties(terms)
    if len(paid_for) > 64:
        fail(at + ["consideration"], "too many")
    for position, paid in enumerate(paid_for):
        here = at + ["consideration", position]
        check_paid(paid, here)
        if paid["kind"] == "ip_purchase" and terms["grant"]["grant_type"] != "assignment":
            fail(here + ["kind"], "for an assignment only")
        if "unit" in paid and paid["unit"] not in [metric["metric"] for metric in terms.get("metric", [])]:
            fail(here + ["unit"], "not among the metrics")
        if (paid["kind"] == "min_guarantee" or paid.get("recoupable") is True) and not royalties:
            fail(here + ["kind"], "there are no royalties")
    if sum(map(share, paid_for)) > WHOLE:
        fail(at + ["consideration"], "more than all")


def has_royalties(terms):
    return any(paid["kind"] in ("rev_share", "per_unit") for paid in terms.get("consideration", []))


def check_money(terms, at):
    if terms.get("consideration") and "law" not in terms:
        fail(at + ["law"], "which law?")
    audit = terms.get("audit")
    if has_royalties(terms) and "cadence" not in (audit or {}):
        fail(at + ["audit", "cadence"], "how often?")
    if audit == {}:
        fail(at + ["audit"], "says nothing")
    if audit is not None and "statement_due" in audit and "cadence" not in audit:
        fail(at + ["audit", "statement_due"], "no reports")
    tax = terms.get("tax")
    if tax is None:
        return
    at = at + ["tax"]
    if not terms.get("consideration"):
        fail(at, "nothing is paid")
    claimed, treaty = tax.get("withholding_rate_claimed"), tax.get("treaty")
    if (claimed is not None and parts_of_whole(claimed) > WHOLE) or (treaty is not None and claimed is None):
        fail(at + ["withholding_rate_claimed"], "at most all, and needed under a treaty")
    if treaty is not None and treaty["with"] == tax["payee_residence"]:
        fail(at + ["treaty", "with"], "the other state")


def check_end(terms, at):
    for member in ("sublicences", "derivatives"):
        ending = terms["termination"][member]
        if (ending["effect"] == "wind_down") != ("period" in ending):
            fail(at + ["termination", member, "period"], "with wound down, and only then")
    export = terms.get("compliance", {}).get("technology_export")
    if export is not None:
        letter = {"free": "", "restricted": "X", "prohibited": "J"}[export["class"]]
        if export.get("catalogue_number", "")[-1:] != letter:
            fail(at + ["compliance", "technology_export", "catalogue_number"], "not as the class says")


def check(terms, at):
    """The rules between clauses."""
    if "licence" in terms:
        licence(terms["licence"], at + ["licence"])
    check_territory(terms["territory"], at + ["territory"])
    check_field(terms["field"], at + ["field"])
    for rule in (
        check_term, check_exclusivity, check_sublicensing, check_metric, check_derivatives, check_copies,
        check_consideration, check_money, check_end,
    ):
        rule(terms, at)
    if "rider" in terms:
        check_texts(terms["rider"], at + ["rider"], 4000)
