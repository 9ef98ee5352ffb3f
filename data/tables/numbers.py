"""Numbers as people write them: 1.234,56 € and (1,234) and 12 %, and the readings of a column.

A mark may group digits or begin a fraction, so a text alone often leaves two readings open.
`number_readings` gives all that a column allows; `data.tables.recognition` chooses.
"""

import collections
import re
import unicodedata

import numpy as np

from data.tables.notation import MARKS, Notation

# Currencies that are written in letters; signs such as $ and € are known to Unicode.
CURRENCY = re.compile(
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MAD|"
    "MXN|MYR|NGN|NOK|NZD|PEN|PHP|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR|"
    r"S?Fr\.?|Rs\.?|[Kk]r\.?|RM|(?:R|US|A|C|S|HK|NT|NZ|MX)\$"
)
# Other blanks, apostrophes and signs of minus become those that the patterns know.
SAME = str.maketrans(
    dict.fromkeys("\t\u00a0\u2007\u2009\u202f", " ") | {"’": "'", "−": "-", "–": "-"}
)
WRITTEN = re.compile(
    r"""(?P<open>\()?\ *(?P<sign>[+-])?\ *(?P<before>[^\d\s.,'()+-][^\d\s,'()+-]{0,4})?\ *
    (?P<inner>[+-])?(?P<body>(?:\d|[.,](?=\d))(?:[\d.,'\ ]*\d)?[.,]?(?:[eE][+-]?\d{1,3})?)\ *
    (?P<after>%|‰|\+|°\ ?[CF]?|[^\W\d_][^\d\s()+-]{0,11}[23]?(?:\ [^\W\d_]{1,8})?|[^\w\s()+-])?\ *
    (?P<last>-)?\ *(?P<close>\))?""",
    re.X,
)
NINES = str.maketrans("012345678", "9" * 9)


def take_apart(text):
    """(sign, digits with their marks, unit) of a number as people write it; None for other text.

    The sign may come last, as SAP writes it; parentheses, as accountants write them, are a sign.
    """
    match = WRITTEN.fullmatch(text.translate(SAME).strip(" "))
    if match is None:
        return None
    before, after = match["before"] or "", match["after"] or ""
    signs = [mark for name in ("open", "sign", "inner", "last") if (mark := match[name])]
    if len(signs) > 1 or bool(match["open"]) != bool(match["close"]) or (before and after):
        return None
    if before and not _is_currency(before):
        return None
    if after and not (after[0] in "%‰+°" or after[0].isalpha() or _is_currency(after)):
        return None
    return "" if signs in ([], ["+"]) else "-", match["body"], before or after


def _is_currency(text):
    return bool(CURRENCY.fullmatch(text)) or (len(text) == 1 and unicodedata.category(text) == "Sc")


def _pattern(decimal, thousands):
    """The numbers of one reading."""
    whole, fraction = "[0-9]+", re.escape(decimal)
    if thousands:
        whole = f"[1-9][0-9]{{0,2}}(?:{re.escape(thousands)}[0-9]{{3}})+|{whole}"
    if thousands == ",":  # 12,34,567 in India
        whole = f"[1-9][0-9]?(?:,[0-9]{{2}})+,[0-9]{{3}}|{whole}"
    return re.compile(
        f"(?:(?:{whole})(?:{fraction}[0-9]*)?|{fraction}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?"
    )


PATTERNS = {marks: _pattern(*marks) for marks in MARKS}


def read_numbers(texts, notation):
    """float64 [len(texts)], NaN where a text is no number of this notation."""
    pattern = PATTERNS[notation.decimal, notation.thousands]
    numbers = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        parts = take_apart(text)
        if parts is None or parts[2] != notation.unit or not pattern.fullmatch(parts[1]):
            continue
        body = parts[1].replace(notation.thousands, "") if notation.thousands else parts[1]
        numbers[i] = float(parts[0] + body.replace(notation.decimal, "."))
    return numbers


def number_readings(texts):
    """How the numbers of a column may be read, where some of its values are no numbers, too.

    Args:
        texts: list of str, distinct.

    Returns:
        list of (Notation, bool [len(texts)], which texts are numbers in it, bool, whether they
        are whole numbers). Notations that mean the same for these texts are in it once; all have
        the unit that most numbers have. Digits that begin with 0 as codes do are no number.
    """
    apart = [take_apart(text) for text in texts]
    units = collections.Counter(parts[2] for parts in apart if parts)
    if not units:
        return []
    unit = units.most_common(1)[0][0]
    shapes = [_shape(parts[1]) if parts and parts[2] == unit else None for parts in apart]
    distinct = set(shapes) - {None}
    readings = []
    for (decimal, thousands), pattern in PATTERNS.items():
        fitting = {s for s in distinct if pattern.fullmatch(s) and not re.match("09", s)}
        if thousands and not any(thousands in shape for shape in fitting):
            continue
        whole = not any(decimal in shape or "e" in shape for shape in fitting)
        if whole and decimal == "," and thousands != ".":
            continue  # as with a decimal point
        if fitting:
            fits = np.array([shape in fitting for shape in shapes], bool)
            readings.append((Notation(decimal, thousands, unit), fits, whole))
    return readings


def _shape(body):
    """What matters to `PATTERNS`: 1.234,50 -> 9.999,99; only a 0 at the beginning stays."""
    shape = body.lower().translate(NINES)
    return "0" + shape[1:] if body[0] == "0" else shape
