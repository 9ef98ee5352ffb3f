"""How the values of one column are written."""

from dataclasses import dataclass

MARK_NAMES = {",": "comma", ".": "point", " ": "blank", "'": "apostrophe"}
# The pairs of decimal mark and mark of thousands that numbers are written with.
MARKS = [(d, t) for d in (".", ",") for t in ("", ",", ".", " ", "'") if d != t]
ORDER_NAMES = {"dmy": "day first", "mdy": "month first", "ymd": "year first"}


@dataclass(frozen=True)
class Notation:
    """How the values of one column are written.

    Attributes:
        decimal: the decimal mark of numbers; thousands: the mark between their groups of digits,
            "" where there is none.
        unit: text that stands at every number, such as "€" or "%"; it is no part of the value.
        date_order: "dmy", "mdy" or "ymd", the order of day, month and year where all of them are
            numbers and no year of four digits comes first; else "".
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""
    date_order: str = ""

    def is_known(self):
        """Whether a notation out of a file is one of ours."""
        return (
            (self.decimal, self.thousands) in MARKS
            and self.date_order in ("", *ORDER_NAMES)
            and isinstance(self.unit, str)
        )

    def __str__(self):
        """What is peculiar, for the table of columns: ", decimal comma"."""
        parts = [f"decimal {MARK_NAMES[self.decimal]}"] if self.decimal != "." else []
        if self.thousands:
            parts.append(f"thousands {MARK_NAMES[self.thousands]}")
        if self.unit:
            parts.append(f"in {self.unit}")
        if self.date_order:
            parts.append(ORDER_NAMES[self.date_order])
        return "".join(f", {part}" for part in parts)


PLAIN = Notation()
