"""Strict JSON, as docs/formats/index.md says: one meaning per document, and the place of the first fault.

Written from that page and RFC 8259, and not on top of Python's json module, which lets through what is refused here:
members that occur twice, NaN, lone surrogates, and bytes that are not UTF-8.
"""

import re
import unicodedata

ORDINARY = re.compile(r'[^"\\\x00-\x1f]*')
DEPTH_MAX = 32
INTEGER_MAX = 2**53 - 1
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Fault(Exception):
    """What is wrong, and where: a list of member names and positions."""

    def __init__(self, place, reason):
        super().__init__(reason)
        self.place = list(place)
        self.reason = reason

    @property
    def pointer(self):
        """The place as a JSON pointer (RFC 6901)."""
        return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in self.place)


class Reader:
    """Reads one document. `place` is the member or element being read, so a fault can always say where it is."""

    def __init__(self, text):
        self.text = text
        self.at = 0
        self.place = []

    def fail(self, reason):
        raise Fault(self.place, f"{reason} at character {self.at}")

    def peek(self):
        return self.text[self.at : self.at + 1]

    def skip_space(self):
        while self.peek() and self.peek() in " \t\n\r":
            self.at += 1

    def value(self, depth):
        if depth > DEPTH_MAX:
            self.fail("nested too deeply")
        self.skip_space()
        start = self.peek()
        if start == "{":
            return self.members(depth)
        if start == "[":
            return self.items(depth)
        if start == '"':
            return self.checked(self.string())
        for word, meaning in (("null", None), ("true", True), ("false", False)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        if start and start in "-0123456789":
            return self.number()
        self.fail("no value")

    def checked(self, text):
        if not unicodedata.is_normalized("NFC", text):
            self.fail("not in normal form C")
        if "\0" in text:
            self.fail("U+0000")
        return text

    def number(self):
        start = self.at
        if self.peek() == "-":
            self.at += 1
        digits = self.at
        while self.peek() and self.peek() in "0123456789":
            self.at += 1
        written = self.text[digits : self.at]
        if not written or (len(written) > 1 and written[0] == "0"):
            self.fail("not a number")
        if self.peek() and self.peek() in ".eE":
            self.fail("not an integer")
        if self.text[start : self.at] == "-0":
            self.fail("negative zero is no integer")
        number = int(self.text[start : self.at])
        if abs(number) > INTEGER_MAX:
            self.fail("an integer beyond 2^53 - 1")
        return number

    def string(self):
        self.at += 1
        parts = []
        while True:
            run = ORDINARY.match(self.text, self.at)
            parts.append(run.group())
            self.at = run.end()
            character = self.peek()
            if character == "":
                self.fail("a string without end")
            self.at += 1
            if character == '"':
                return "".join(parts)
            if character != "\\":
                self.fail("a control character in a string")
            parts.append(self.escape())

    def escape(self):
        character = self.peek()
        self.at += 1
        if character in ESCAPES and character:
            return ESCAPES[character]
        if character != "u":
            self.fail("no such escape")
        unit = self.code_unit()
        if 0xDC00 <= unit <= 0xDFFF:
            self.fail("a trailing surrogate alone")
        if not 0xD800 <= unit <= 0xDBFF:
            return chr(unit)
        if self.text[self.at : self.at + 2] != "\\u":
            self.fail("a leading surrogate alone")
        self.at += 2
        low = self.code_unit()
        if not 0xDC00 <= low <= 0xDFFF:
            self.fail("a leading surrogate alone")
        return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))

    def code_unit(self):
        digits = self.text[self.at : self.at + 4]
        if len(digits) != 4 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            self.fail("not four hexadecimal digits")
        self.at += 4
        return int(digits, 16)

    def items(self, depth):
        self.at += 1
        found = []
        self.skip_space()
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            self.place.append(len(found))
            found.append(self.value(depth + 1))
            self.place.pop()
            self.skip_space()
            separator = self.peek()
            self.at += 1
            if separator == "]":
                return found
            if separator != ",":
                self.place.append(len(found))
                self.fail("neither a comma nor the end of the array")

    def members(self, depth):
        self.at += 1
        found = {}
        self.skip_space()
        if self.peek() == "}":
            self.at += 1
            return found
        while True:
            self.skip_space()
            if self.peek() != '"':
                self.fail("no member name")
            name = self.string()
            self.place.append(name)
            self.checked(name)
            if name in found:
                self.fail("this member occurs twice")
            self.skip_space()
            if self.peek() != ":":
                self.fail("no colon")
            self.at += 1
            found[name] = self.value(depth + 1)
            self.place.pop()
            self.skip_space()
            separator = self.peek()
            self.at += 1
            if separator == "}":
                return found
            if separator != ",":
                self.fail("neither a comma nor the end of the object")


def read(data):
    """The value that these bytes are, or a Fault."""
    try:
        text, fault = data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        # Whatever is wrong before that place is found first; reading then ends there.
        text, fault = data[: error.start].decode("utf-8"), error
    reader = Reader(text)
    value = reader.value(0)
    reader.skip_space()
    if fault is not None or reader.at != len(text):
        raise Fault([], "more after the document")
    return value


def canonical(value):
    """The bytes of a value in canonical form (RFC 8785); there are no floating point numbers here."""
    return spell(value).encode("utf-8")


def spell(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[" + ",".join(spell(item) for item in value) + "]"
    names = sorted(value, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(quote(name) + ":" + spell(value[name]) for name in names) + "}"


def quote(text):
    short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(short.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in text) + '"'
