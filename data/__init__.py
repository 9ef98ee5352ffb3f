"""From a file to batches, and from vectors to files and back: it reads and writes, never learns."""


class InputError(ValueError):
    """Bad input, told in one sentence that names the file, column, row or option and the way out.

    The scripts print the sentence and end with exit status 2; nothing else ever ends them so.
    """


def one_line(text):
    """The text for the screen: a name from a table may hold newlines, control codes, anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
