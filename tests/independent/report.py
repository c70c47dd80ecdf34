"""Adds a report on expenditure up again, from its JSON and with nothing of the program that made it.

Follows docs/formats/expenditure.md. Checks that every sum of the breakdown is that of the level below and, at the bottom, of the
lines; that the rows of the eight types are; and that foreign payments convert as they say. Prints the totals.
"""

import json
import sys
from decimal import ROUND_DOWN, Decimal

KINDS = ["deduction", "receipt", "withholding", "concession"]
CENT = Decimal("0.01")


def money(text):
    value = Decimal(text)
    assert value == value.quantize(CENT) and "E" not in text.upper(), text
    return value


def add(sums, more):
    return {kind: sums[kind] + more[kind] for kind in KINDS}


def nothing():
    return {kind: Decimal("0.00") for kind in KINDS}


def totals_of(node):
    return {kind: money(node["totals"][kind]) for kind in KINDS}


def check(node, at):
    """The sum of a node, which is that of the nodes below."""
    below = node.get("below", [])
    own = totals_of(node)
    if below:
        found = nothing()
        for child in below:
            found = add(found, check(child, at + [str(child.get("key"))]))
        assert found == own, f"{'/'.join(at)}: {own} is not the sum {found} of what is below"
    return own


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file, parse_float=lambda text: sys.exit(f"a float: {text}"))["report"]
    lines = report["lines"]
    sums = nothing()
    for line in lines:
        amount = money(line["amount"])
        if line["kind"] in sums:
            sums[line["kind"]] += amount
        else:
            assert line["kind"] == "denied" and amount == 0, line["line"]
    assert check(report["breakdown"], []) == sums, "the whole is not the sum of the lines"

    types = {}
    for row in report["ip_types"]:
        own = sum(
            (
                money(line["amount"])
                for line in lines
                if line["kind"] == "deduction"
                and line["section"].startswith("16E")
                and line["ip_type"] == row["ip_type"]
                and line["year"] == row["year"]
            ),
            Decimal("0.00"),
        )
        assert money(row["deduction"]) == own, row
        assert int(row["value"]) == int(own), row
        if own:
            types[row["ip_type"]] = row["value"]

    converted = 0
    for payment in report["payments"]:
        if payment.get("hkd") is None:
            continue
        net = Decimal(payment["gross"]) - Decimal(payment.get("credited") or "0")
        rate = payment.get("rate")
        if rate is None:
            assert payment["currency"] == "HKD", payment["document"]
            hkd = net
        elif rate["to"] == "HKD":
            hkd = net * Decimal(rate["rate"]) / Decimal(rate["units"])
        else:
            hkd = net * Decimal(rate["units"]) / Decimal(rate["rate"])
        assert hkd.quantize(CENT, rounding=ROUND_DOWN) == money(payment["hkd"]), payment["document"]
        converted += 1

    totals = {kind: str(sums[kind]) for kind in KINDS}
    print(json.dumps({"lines": len(lines), "payments_converted": converted, "totals": totals, "ip_types": types}))


main()
