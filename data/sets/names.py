"""Names from a table -> names of files, safe on every system."""

import re
import unicodedata

from data.files import sha256

_STEM_BYTES = 100
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d) *(\.|$)", re.IGNORECASE)


def file_names(names):
    """Return a file stem for each name: dict[str, str], safe on every system, no two alike.

    Letters and digits of any script, space, `_`, `-` and `.` stay; everything else, also a
    leading dot, hyphen or space, a trailing dot or space, and the first letter of a Windows
    device name, becomes percent-encoded UTF-8. Names over 100 bytes are cut. Where a cut or a
    system that ignores case or Unicode normalisation could make two names alike, both end in `~`
    and a hash of the name. The result depends on the set of names, not on their order.
    """
    stems = {name: _stem(name) for name in names}
    alike = {}
    for name, stem in stems.items():
        folded = unicodedata.normalize("NFKC", stem.upper().casefold())
        alike.setdefault(unicodedata.normalize("NFKC", folded.casefold()), []).append(name)
    for group in alike.values():
        for name in group:
            long = len(stems[name].encode()) > _STEM_BYTES
            if long or len(group) > 1:
                stems[name] = _cut(stems[name]) + "~" + sha256(utf8(name))[:16]
    return stems


def _stem(name):
    characters = list(unicodedata.normalize("NFC", name))
    stem = [
        c if c in " _-." or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd"
        else _percent(c)
        for c in characters
    ]  # fmt: skip
    if not stem:
        return "%"  # no other name gives a lone percent sign
    if characters[0] in " -." or _DEVICES.match(name):
        stem[0] = _percent(characters[0])
    if characters[-1] in " .":
        stem[-1] = _percent(characters[-1])
    if "".join(stem).lower().endswith(".npy"):  # np.load would mix up "a" and "a.npy"
        stem[-4] = _percent(".")
    return "".join(stem)


def _cut(stem):
    kept = stem.encode()[: _STEM_BYTES - 17].decode(errors="ignore")
    return re.sub(r"%[0-9A-F]?$", "", kept)


def _percent(character):
    return "".join(f"%{byte:02X}" for byte in utf8(character))


def utf8(text):
    return text.encode("utf-8", "surrogatepass")
