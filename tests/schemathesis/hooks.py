"""What the API fuzzer can't guess: names of things that are there, and statements that are really signed.

Schemathesis makes requests from the OpenAPI document alone, so almost all that are well formed name nothing and get 404.
Some of those are given real names here, from the file named in CHOPMARK_FUZZ_MATERIAL; which ones follows from their
own bytes, so that a seed says everything. Requests that are meant to be refused are left alone. Every answer is counted,
and the counts are written beside the material, for the test to look at.
"""

import atexit
import json
import os
import zlib

import schemathesis

with open(os.environ["CHOPMARK_FUZZ_MATERIAL"], encoding="utf-8") as file:
    MATERIAL = json.load(file)

COUNTS = {}
SENT = {"bodies": 0, "logins": 0}


def dice(value):
    """A number that follows from the value."""
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass"))


def pick(things, number):
    return things[number % len(things)]


def names(label):
    """Things that a path names; for what lies below a page, the things that have such a page."""
    while label not in MATERIAL["names"]:
        label, _, _ = label.rpartition("/")
    return MATERIAL["names"][label]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes some of the requests that may succeed succeed."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    label = case.operation.label
    number = dice((case.path_parameters, case.query, case.body))
    if number % 4 == 0:
        return
    for name in list(case.path_parameters or {}):
        case.path_parameters[name] = pick(names(label), number // 4)
    for name in list(case.query or {}):
        if name in MATERIAL["queries"]:
            case.query[name] = pick(MATERIAL["queries"][name], number // 4)
        elif name not in ("q", "limit") and number % 3:
            del case.query[name]
    if label in MATERIAL["tokens"]:
        case.headers = {**(case.headers or {}), "Authorization": "Bearer " + MATERIAL["tokens"][label]}
    if label == "GET /v1/statements/{id}/openings":
        case.query = {"case_reference": "IRD/1", "purpose": "audit", "field": pick(["amount", "/amount", "fee"], number)}
    if label.startswith("GET /v1/reports/"):
        case.query = {**(case.query or {}), "case_reference": "IRD/1", "purpose": "audit"}
    if "n" in (case.path_parameters or {}):
        case.path_parameters["n"] = number % 3
    if label == "POST /v1/reports/ip-expenditure":
        case.body = pick(MATERIAL["reports"], number // 4)
    if label == "POST /v1/tokens":
        # Each is good once.
        case.body = pick(MATERIAL["logins"], SENT["logins"])
        SENT["logins"] += 1
    if label == "POST /v1/statements":
        # In order, so that new ones are entered and old ones come again.
        case.body = pick(MATERIAL["bodies"], SENT["bodies"] * 2 // 3)
        SENT["bodies"] += 1


@schemathesis.hook
def after_call(context, case, response):
    statuses = COUNTS.setdefault(case.operation.label, {})
    statuses[response.status_code] = statuses.get(response.status_code, 0) + 1


@atexit.register
def write_counts():
    with open(os.environ["CHOPMARK_FUZZ_MATERIAL"] + ".counts", "w", encoding="utf-8") as file:
        json.dump(COUNTS, file)
