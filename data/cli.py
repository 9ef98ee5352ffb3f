"""The command line of both scripts: their options, TensorFlow's start, and how a run ends."""

import argparse
import contextlib
import ctypes
import difflib
import errno
import faulthandler
import importlib
import os
import re
import shlex
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from data import InputError, LostWorker, one_line, without_passwords
from data.sets.names import file_names
from data.tables.settings import SPLIT_OPTIONS, TABLE_OPTIONS, option
from data.tables.sources import table_name

HERE = Path(__file__).resolve().parents[1]
SAVED = HERE / "saved_embeddings"
SHIPPED = {"data": [str(HERE / "data/campaigns/campaigns.csv.gz")], "target": "profit"}


class LateImport:
    """A module that is imported when it is first used: TensorFlow takes seconds to import."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


class Parser(argparse.ArgumentParser):
    """One whose messages are a sentence, without the usage, and hold no password, wherever the
    address of a database stands."""

    def error(self, message):
        message = without_passwords(message) + self._nearest(message)
        self.exit(2, f"{self.prog}: error: {message}\n")

    def _nearest(self, message):
        """What may have been meant by an option that is unknown."""
        _, unknown, rest = message.partition("unrecognized arguments: ")
        wrong = rest.split(" ")[0].partition("=")[0]
        if not unknown or not wrong.startswith("-"):
            return ""
        known = re.findall(r"--[a-z-]+", self.format_usage())
        near = difflib.get_close_matches("--" + wrong.lstrip("-").replace("_", "-"), known, 1, 0.5)
        return f"; did you mean {near[0]}?" if near else ""


def parser_of_both(description, example, add_own=None):
    """The command line of a script, argparse.ArgumentParser.

    Args:
        description: its docstring, of which the first sentence is shown.
        add_own: function of a parser that adds options which the other script does not have.
    """
    parser = Parser(
        description=description.partition("\n\n")[0],
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if add_own:
        add_own(parser)
    add_options(parser)
    return parser


def output_folder(options):
    """(name of the table, folder to save in); without --data it is the shipped table."""
    if options.data is None:
        options.data = SHIPPED["data"]
        options.target = options.target or SHIPPED["target"]
    name = table_name(options.data, options.sql)
    return name, options.output or SAVED / file_names([name])[name]


def add_options(parser):
    """The options that both scripts share."""

    table = parser.add_argument_group("the table")
    for name, keywords in TABLE_OPTIONS.items():
        table.add_argument(option(name), **keywords)
    split = parser.add_argument_group("the split (default: 80/10/10 at random)")
    for name, keywords in SPLIT_OPTIONS.items():
        split.add_argument(option(name), **keywords)
    training = parser.add_argument_group("training (defaults: by the table's length)")
    training.add_argument(
        "--epochs",
        type=positive(int),
        metavar="N",
        help="passes over the training rows, at most; cross-fitting and the last fit come on top",
    )
    training.add_argument(
        "--batch-size", type=positive(int), metavar="ROWS", help="rows of a training step"
    )
    training.add_argument(
        "--learning-rate", type=positive(float), metavar="RATE", help="at its highest"
    )
    training.add_argument(
        "--seed",
        type=seed_number,
        default=0,
        metavar="N",
        help="of the initial weights, the shuffling and, for a table that is read anew, the split "
        "(default: 0)",
    )
    training.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last epoch that the same command, interrupted, has saved",
    )
    parser.add_argument(
        "--no-report",
        action="store_true",
        help="write no report.html, pictures/ and importance.csv, which takes some seconds less",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to save (default: saved_embeddings/<table name>, or the set that is taken up)",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace a set of another table, or a file that holds no predictions, at --output",
    )


def command(script, *arguments):
    """A command line that runs a script of this folder from the current one."""
    here = Path.cwd()
    path = Path(script) if here == HERE else HERE / script
    if path.is_relative_to(here):
        path = path.relative_to(here)
    python = "python" if shutil.which("python") else sys.executable
    return shlex.join([python, str(path), *map(str, arguments)])


def refuse_ignored(parser, options, used, why):
    """Raise InputError about the first option that was given and would do nothing.

    Args:
        options: of `parser`; used: names of options that do something; why: the others do not.
    """
    for name, value in vars(options).items():
        if name not in used and value != parser.get_default(name):
            spelling = "--frozen or --fine-tune" if name == "vectors" else option(name)
            raise InputError(f"{spelling}: {why}; leave it out.")


def positive(kind):
    """An argparse type: a number above zero."""

    def convert(text):
        with contextlib.suppress(ValueError):
            if 0 < (value := kind(text)) < float("inf"):
                return value
        whole = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"give {whole} above 0, not '{text}'")

    return convert


def seed_number(text):
    """An argparse type: a whole number that NumPy and Keras take as a seed."""
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) < 2**32:
            return value
    raise argparse.ArgumentTypeError(f"give a whole number from 0 to {2**32 - 1}, not '{text}'")


def start_tensorflow(several=False):
    """Import TensorFlow, which takes seconds, without the lines that it writes at its start.

    Returns:
        the strategy that joins several workers, once they are all there; else None
    """
    keep_freed_memory()
    with quiet_stderr():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else None
        tf.zeros(1)
    warnings.filterwarnings("ignore", module=r"keras\.")  # about names of columns, for one
    return strategy


@contextlib.contextmanager
def quiet_stderr():
    """Keep what compiled code writes to stderr, and show it only where the block fails.

    If it aborts the process, Python's fault handler tells where.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    faulthandler.enable(screen)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(screen, kept.read())
            raise
        finally:
            os.dup2(screen, 2)
            faulthandler.disable()
            os.close(screen)


def keep_freed_memory():
    """Let the C library keep the memory that a training step frees for the next step.

    glibc gives it back to the system, which then clears each page anew: 40 % of an epoch's time
    on two cores. See mallopt(3); elsewhere all stays as it is.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # as malloc.h numbers them
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 32 << 20)  # bytes; the most that glibc allows
        mallopt(trim_threshold, 256 << 20)
        mallopt(top_pad, 16 << 20)


def fail(reason, status=2):
    """End the script with one sentence, however long the names in it are."""
    reason = without_passwords(one_line(str(reason)))
    if len(reason) > 2000:
        reason = f"{reason[:1000]} ... {reason[-300:]}"
    print(f"{Path(sys.argv[0]).name}: error: {reason}", file=sys.stderr)
    sys.exit(status)


def run(main):
    """Run a script: bad input ends with exit status 2 and one sentence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without Unicode must not end a run
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
    except InputError as error:
        fail(error)
    except LostWorker as error:
        fail(error, status=1)
    except KeyboardInterrupt as interrupt:
        way_on = "; ".join(["interrupted", *getattr(interrupt, "__notes__", [])])
        print(f"\n{Path(sys.argv[0]).name}: {way_on}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever read our lines, such as head, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except MemoryError:
        fail("out of memory; give fewer rows or columns, or a smaller --batch-size.")
    except Exception as error:
        # TensorFlow and HDF5 make errors of their own of a full disk; their text tells.
        if os.strerror(errno.ENOSPC) in str(error):
            fail("the disk is full: free some space or give an --output on another disk; "
                 "the previous output is as it was.")  # fmt: skip
        if not isinstance(error, OSError) or error.errno is None:
            raise
        fail(f"{error.filename or 'a file'}: {error.strerror}; the previous output is as it was.")
