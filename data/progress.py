"""What is said while a script runs: notes, and the progress of anything that takes longer than two
seconds, as a bar on a terminal and as lines in a log."""

import sys
import time

from data import one_line


def show_note(note):
    """Print what was done about something odd, if anything."""
    if note:
        print(f"note: {one_line(note)}")


class Progress:
    """A bar on a terminal that moves in place; elsewhere a line every ten seconds.

    Nothing appears in the first two seconds. The time left assumes that the speed stays as it is.

    Args:
        label: what is going on, such as ``"reading"``.
        unit: what is counted, such as ``"rows"``.
    """

    def __init__(self, label, unit="rows"):
        self.label, self.unit = one_line(label), unit
        self.start = time.monotonic()
        self.shown = self.start + 2.0
        self.width = 0
        self.terminal = sys.stdout.isatty()

    def __call__(self, done, share=None, note=""):
        """Show `done` units; `share` (0 to 1, where known) adds a bar and the time left."""
        now = time.monotonic()
        if now < self.shown:
            return
        self.shown = now + (0.2 if self.terminal else 10.0)
        text = f"{self.label}: {done:,} {self.unit}"
        if share:
            share = min(share, 1.0)
            left = (now - self.start) * (1 - share) / share
            bar = "#" * int(20 * share)
            text = f"{self.label} [{bar:<20}] {done:,} {self.unit}, {left:.0f} s left"
        self._write(text + note, end="" if self.terminal else "\n")

    def done(self, text=None):
        """Clear the bar; leave `text` as the last line."""
        if self.width:
            self._write("", end="\r")
            self.width = 0
        if text:
            print(one_line(text), flush=True)

    def _write(self, text, end):
        if self.terminal:
            text, padding = text[:100], self.width
            self.width = len(text)
            text = "\r" + text.ljust(padding)
        print(text, end=end, flush=True)
