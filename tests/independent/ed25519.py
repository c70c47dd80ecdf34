"""Ed25519 (RFC 8032) with the strictness that docs/formats/statement.md asks for, in plain integers.

Slow and not for secrets: it checks signatures and nothing else. Formulas are those of RFC 8032, section 5.1.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def add(p, q):
    """Sum of two points in extended coordinates (X, Y, Z, T)."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def double(p):
    a = p[0] * p[0] % P
    b = p[1] * p[1] % P
    c = 2 * p[2] * p[2] % P
    h = a + b
    e = h - (p[0] + p[1]) ** 2 % P
    g = a - b
    f = c + g
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def table(p):
    """The multiples 0 to 15 of 16^n times a point, for each of the 64 hexadecimal digits of a scalar."""
    rows = []
    for _ in range(64):
        row = [NEUTRAL]
        for _ in range(15):
            row.append(add(row[-1], p))
        rows.append(row)
        p = add(row[-1], p)
    return rows


def multiply(scalar, rows):
    """Scalar times the point that these are the multiples of."""
    result = NEUTRAL
    for position, row in enumerate(rows):
        digit = scalar >> 4 * position & 15
        if digit:
            result = add(result, row[digit])
    return result


def equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def is_small(p):
    """Whether the order of the point divides 8."""
    return equal(double(double(double(p))), NEUTRAL)


def decode(data):
    """The point with this encoding; None where there is none, or where the encoding is not the canonical one."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P != 0:
        x = x * ROOT_OF_MINUS_ONE % P
        if (v * x * x - u) % P != 0:
            return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    return decode(y.to_bytes(32, "little"))


BASE = table(base_point())
ADMITTED = {}


def admit(data):
    """The multiples of a public key that may be registered, or None: canonical, of prime order."""
    if data not in ADMITTED:
        point = decode(data)
        multiples = table(point) if point is not None and not is_small(point) else None
        good = multiples is not None and equal(multiply(L, multiples), NEUTRAL)
        ADMITTED[data] = multiples if good else None
    return ADMITTED[data]


def verify(public, message, signature):
    """Strict verification, one by one: S below L, R canonical and not of small order, S·B = R + k·A."""
    a, r = admit(public), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or is_small(r) or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % L
    return equal(multiply(s, BASE), add(r, multiply(k, a)))
