"""A PostgreSQL server of one's own: on a free port, in a temporary folder, gone afterwards."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

PASSWORD = "s3cr:t/%@"  # what must be escaped in a URL


def programs():
    """The folder of `initdb` and `postgres`, None where there are none."""
    on_path = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    folders = [*on_path, *installed[::-1]]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextlib.contextmanager
def running_postgres():
    """Yield a server: port, user, password, url (with the password), bare_url, process."""
    bin_folder, folder = programs(), Path(tempfile.mkdtemp(prefix="postgres-"))
    owner = {}
    if os.geteuid() == 0:  # it refuses to run as root
        names = [entry.pw_name for entry in pwd.getpwall()]
        account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    where = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **owner}
    (folder / "password").write_text(PASSWORD)
    os.chmod(folder / "password", 0o644)
    data = folder / "data"
    subprocess.run(
        [bin_folder / "initdb", "-D", data, "-U", "tester", "-A", "scram-sha-256",
         "--pwfile", folder / "password", "--encoding", "UTF8", "--no-locale", "--no-sync"],
        check=True, **where,
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [bin_folder / "postgres", "-D", data, "-p", str(port), "-k", folder,
         "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
        **where,
    )  # fmt: skip
    try:
        while subprocess.run(
            [bin_folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
        ).returncode:
            assert process.poll() is None, "PostgreSQL did not start"
            time.sleep(0.1)
        address = f"127.0.0.1:{port}/postgres"
        yield SimpleNamespace(
            port=port,
            process=process,
            bare_url=f"postgresql://tester@{address}",
            url=f"postgresql://tester:s3cr%3At%2F%25%40@{address}",
        )
    finally:
        process.send_signal(signal.SIGINT)  # a fast shutdown
        process.wait()
        shutil.rmtree(folder)
