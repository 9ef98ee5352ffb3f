"""Putting a finished folder in place: one run at a time, in one step, and never a mixture.

A run works in a hidden folder beside its output (`saved_embeddings/.campaigns/` for
`saved_embeddings/campaigns/`), on the same disk, so that the finished folder can be swapped in by
a single system call. Whenever a run is killed, readers of the output find the previous complete
set or the new complete set; what the killed run left behind is removed by the next one.

What a run replaces is kept in the working folder, as `replaced/`, until a later run replaces
something again.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from data import InputError, one_line
from data.files import sync
from data.tables.sources import find_files, fingerprint

FORMAT = "keras-entity-embeddings"  # the mark in embeddings.json by which a set is known as ours
# What is in a working folder, beside its lock.
_OURS = {"staging", "previous", "replaced", "checkpoint", "cache"}
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file managers leave, nobody's work


def check_output(output):
    """Refuse an output folder whose replacement would destroy something that is not ours.

    A new set replaces the whole folder. That is allowed where nothing is, where an empty folder
    is, and where a set of ours is: a folder with our embeddings.json (or, on a table that only
    reuses vectors, embed_model/embeddings.json) and no file besides those that the set lists.
    A symbolic link is followed: the folder it points to is replaced and the link stays.

    Raises `InputError` in all other cases.
    """
    target = Path(output).resolve()
    way_out = "move it elsewhere or give another --output"
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise InputError(f"{output} is a file, not a folder: {way_out}")
    if os.path.ismount(target):
        raise InputError(
            f"{output} is a mount point, which cannot be replaced: give a folder in it"
        )
    with _writing_errors(output):
        if not any(name not in LITTER for name in os.listdir(target)):
            return
    listed = _listed_files(target)
    if not listed:
        raise InputError(f"{output} exists and is not a set of embeddings: {way_out}")
    for path in target.rglob("*"):
        name = path.relative_to(target).as_posix()
        if path.name in LITTER or name in listed or (path.is_dir() and not path.is_symlink()):
            continue
        raise InputError(f"{output} holds {name!r}, which is not part of the set: {way_out}")


def is_in_a_set(path):
    """Whether a file would lie in the folder of a saved set, where the next run replaces all."""
    folders = Path(path).resolve().parents
    return any(_listed_files(folder) for folder in folders[:3])


def _listed_files(target):
    """The files that belong to the set in the folder `target`: empty if there is no set."""
    listed = set()
    for prefix in ("", "embed_model/"):
        try:
            manifest = json.loads((target / prefix / "embeddings.json").read_bytes())
            if manifest["format"] == FORMAT:
                listed |= {prefix + name for name in ("embeddings.json", *manifest["files"])}
                listed.add("report.html")  # beside embed_model/ alone no manifest lists it
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue  # missing or not ours
    return listed


@contextlib.contextmanager
def working_folder(output, chief=True):
    """Yield the hidden working folder beside `output`, locked for this process alone.

    For `saved_embeddings/campaigns` it is `saved_embeddings/.campaigns/`. What a killed run left
    in its `staging/` is removed; a set that was caught between two renames (see `publish`) is put
    back. Other contents, such as checkpoints, stay for whoever wants to resume. At the end the
    folder is removed unless something besides the lock is left in it.

    The kernel releases the lock when the process ends, however it ends. Deleting the folder at
    any time is safe: at worst the run under way stops.

    Of several workers only the chief works there; the others get a temporary folder.

    Raises `InputError` when `check_output` does, when another run holds the lock, and in place of
    an `OSError` that says that nothing can be written there (no permission, disk full).
    """
    if not chief:
        with tempfile.TemporaryDirectory() as work:
            yield Path(work)
        return
    check_output(output)
    target = Path(output).resolve()
    working = target.parent / f".{target.name}"
    with _writing_errors(output):
        lock = _lock(working, output)
    try:
        with _writing_errors(output):
            _recover(working, target)
        with _writing_errors(output, working):
            yield working
    finally:
        with contextlib.suppress(OSError):
            if os.listdir(working) == ["lock"]:
                os.unlink(working / "lock")  # while still locked, so that nobody can hold it
                os.rmdir(working)
        os.close(lock)


def publish(staging, output):
    """Put the folder `staging`, sealed and inside `working_folder(output)`, in place of `output`.

    One atomic step: a rename where there is no previous output, otherwise an exchange of the two
    (renameat2 on Linux, renamex_np on macOS). Where the system has no exchange, two renames, and
    `working_folder` puts the previous set back if the process dies between them.

    Returns:
        the folder in which the previous set is kept until a publication replaces something again,
        or None where nothing is lost: there was no set, or all of its files are in the new one.

    Raises `InputError` when `output` has become something that `check_output` refuses, when the
    working folder has been taken from this process, or when the system refuses the exchange; the
    new set then stays in `staging` until the next run.
    """
    target, staging = Path(output).resolve(), Path(staging)
    check_output(output)
    _check_still_ours(staging.parent, output)
    previous, kept = staging.parent / "previous", staging.parent / "replaced"
    loses, coming = _loses(target, staging), staging
    try:
        if loses:  # exchanged from where it shall be kept, so that it is there in the same step
            shutil.rmtree(kept, ignore_errors=True)
            os.rename(staging, kept)
            coming = kept
        _replace(coming, target, previous)
    except OSError as error:
        if coming == kept:
            os.rename(kept, staging)
        raise InputError(
            f"{output} could not be replaced ({error.strerror or error}): "
            f"move the finished set from {staging} yourself before the next run"
        ) from error
    if loses and previous.exists():
        os.rename(previous, kept)
    sync(target.parent)
    sync(staging.parent)
    for leftover in (staging, previous):  # what cannot be removed now is removed by the next run
        shutil.rmtree(leftover, ignore_errors=True)
    return kept if loses else None


def _loses(target, staging):
    """Whether the set in `target` has a file that is not also one of `staging`, beside what is
    written anew for every set that another script completes."""
    files = (path for path in target.rglob("*") if path.is_file() and path.name not in LITTER)
    for path in files:
        name = path.relative_to(target)
        if str(name) not in ("embeddings.json", "report.html") and not (
            (staging / name).exists() and os.path.samefile(path, staging / name)
        ):
            return True
    return False


def check_same_table(output, settings, replace=False):
    """Refuse to replace a set of another table: two folders may both have a train.csv.

    A table is the same where its files have the same paths, or the same content.

    Args:
        settings: of `data.tables.settings.settings_of`; replace: do it all the same.

    Raises:
        InputError: it names the table whose set is there.
    """
    for folder in (Path(output), Path(output) / "embed_model"):
        theirs, digests = _recorded_table(folder)
        if replace or theirs in (None, settings["data"]):
            continue
        if digests is None or _digests(settings["data"]) != digests:
            raise InputError(
                f"--output: {output} holds a set of another table, "
                f"{one_line(', '.join(theirs))[:200]}; give another --output, or --replace to "
                "give it up."
            )


def _recorded_table(folder):
    """(the files of a set's table, their sha256 or None), or (None, None) without a set."""
    try:
        manifest = json.loads((folder / "embeddings.json").read_bytes())
        files, sources = manifest["options"]["data"], manifest["split"]["sources"]["data"]
        return [str(name) for name in files], [source.get("sha256") for source in sources]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, None


def _digests(sources):
    """sha256 of the files of a table; None of one that cannot be read, and of a database."""
    try:
        return [entry.get("sha256") for entry in fingerprint(find_files(sources))]
    except (InputError, OSError):
        return None


def stage_copy(output, staging):
    """Fill the new folder `staging` with the present set at `output`, without its embed_model/.

    The files are hard links where the disk knows them, so that a set of any size costs nothing:
    unlink a file before writing it anew, or the present set changes with it.
    """

    def link(source, copy):
        try:
            os.link(source, copy)
        except OSError:
            shutil.copy2(source, copy)

    def not_carried(folder, names):
        top = Path(folder) == Path(output)
        return [name for name in names if name in LITTER or (top and name == "embed_model")]

    if os.path.isdir(output):
        shutil.copytree(output, staging, copy_function=link, ignore=not_carried)
    else:
        os.mkdir(staging)


def _replace(staging, target, previous):
    if not os.path.lexists(target):
        os.rename(staging, target)
    elif not _exchange(staging, target):
        os.rename(target, previous)
        try:
            os.rename(staging, target)
        except OSError:
            os.rename(previous, target)
            raise


def _exchange(one, other):
    """Exchange two folders in one atomic step; False where system or disk cannot."""
    libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    one, other = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(one, other, ctypes.c_uint(2))  # RENAME_SWAP
    elif sys.platform == "linux" and hasattr(libc, "renameat2"):
        here = ctypes.c_int(-100)  # AT_FDCWD
        failed = libc.renameat2(here, one, here, other, ctypes.c_uint(2))  # RENAME_EXCHANGE
    else:
        return False
    number = ctypes.get_errno()
    if failed and number not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
        raise OSError(number, os.strerror(number), os.fsdecode(other))
    return not failed


def _recover(working, target):
    previous, kept = working / "previous", working / "replaced"
    if os.path.isdir(previous) and not os.path.lexists(target):
        os.rename(previous, target)
    elif os.path.isdir(previous) and not os.path.lexists(kept):
        os.rename(previous, kept)
    for leftover in (working / "staging", previous):
        if os.path.lexists(leftover):
            shutil.rmtree(leftover)


def _lock(working, output):
    """Return the open, locked file `lock` in the folder `working`, which is made if missing."""
    while True:
        os.makedirs(working, exist_ok=True)
        present = set(os.listdir(working))
        if "lock" not in present and present - _OURS - LITTER:  # ~/.config for --output ~/config
            raise InputError(
                f"{working}, where this would work, is not ours: give another --output"
            )
        try:
            lock = os.open(working / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the run before us has just tidied up
            continue
        try:
            _lock_file(lock)
            if os.path.samestat(os.fstat(lock), os.stat(working / "lock")):
                os.truncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
                return lock
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(lock)
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise InputError(
                    f"another run is writing to {output}: wait for it or give another --output"
                ) from error
            raise
        os.close(lock)  # it was removed before we had it: again


def _lock_file(descriptor):
    if os.name == "nt":
        import msvcrt

        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond the content, which stays readable
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _check_still_ours(working, output):
    try:
        owner = (working / "lock").read_text()
    except FileNotFoundError:
        owner = None
    if owner != str(os.getpid()):
        raise InputError(f"the working folder {working} of {output} was removed: start again")


@contextlib.contextmanager
def _writing_errors(output, working=None):
    """Tell in one sentence why `output` cannot be written; errors of other files pass."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        if full:
            way_out = "free some space or give an --output on another disk"
        elif working is None or (denied and Path(str(error.filename)).is_relative_to(working)):
            way_out = "give an --output that you may write to"
        elif not working.exists():
            way_out = f"the working folder {working} was removed: start again"
        else:
            raise
        raise InputError(f"cannot write {output} ({error.strerror or error}): {way_out}") from error
