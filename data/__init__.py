"""From a file to batches, and from vectors to files and back: the scripts learn, this reads and writes."""


class InputError(ValueError):
    """Bad input, told in one sentence that names the file, column, row or option and the way out.

    The scripts print the sentence and end with exit status 2; nothing else ever ends them so.
    """
