"""The colours of pictures and page, in light and dark: they stand here, and only here."""

# name -> (on white paper and in pictures, in the dark). Low and high are told apart by people who
# are blind to red and green too.
COLOURS = {
    "page": ("#f6f6f3", "#14171a"),
    "card": ("#ffffff", "#1c2024"),
    "ink": ("#1d2126", "#e8eaec"),
    "soft": ("#5c636b", "#a0a8b0"),
    "line": ("#e2e2dd", "#30363c"),
    "accent": ("#1f5fa8", "#7fb4f2"),
    "wash": ("#eaf1f9", "#203248"),
    "low": ("#1f5fa8", "#6aa9f0"),
    "middle": ("#cfcfca", "#767c83"),
    "high": ("#c4500f", "#ff9a52"),
    "rim": ("#3a3f45", "#0b0d0f"),
}


def light(name):
    """The colour of that name on white paper: "#rrggbb"."""
    return COLOURS[name][0]


def style_variables():
    """The colours as CSS: custom properties --page, --card and so on."""
    lines = (f"  --{name}: light-dark({day}, {night});" for name, (day, night) in COLOURS.items())
    return ":root {\n" + "\n".join(lines) + "\n}\n"
