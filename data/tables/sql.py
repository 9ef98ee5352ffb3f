"""SQL databases through SQLAlchemy: from a URL and a query to rows, and passwords that stay hidden.

Only SELECT is sent, in a transaction that the database knows to be read-only where it can.
"""

import contextlib
import difflib
import os
import re
import sqlite3
from urllib.parse import quote

from data import InputError, without_passwords

PASSWORD = "DATABASE_PASSWORD"  # in the environment
ADDRESS = re.compile(r"[a-z][\w+.-]+://", re.I)
OTHER_SCHEMES = re.compile(r"(https?|ftps?|sftp|s3a?|gs|gcs|abfss?|az|hdfs|file)://", re.I)
SECRET = re.compile("pass(word|wd)?$|pwd|secret|token|odbc_connect", re.I)
NOT_BARE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.S)
WRITING = re.compile(
    r"\b(insert|update|delete|merge|into|drop|alter|create|truncate|grant|call|exec)\b", re.I
)
# module -> what to install
DRIVERS = {
    "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient",
}  # fmt: skip
_passwords = {}  # URL without a password -> the password that it came with, of this run only


def is_database(name):
    """Whether a name on the command line is the URL of a database."""
    return bool(ADDRESS.match(name)) and not OTHER_SCHEMES.match(name)


def without_password(source):
    """The URL as it may be shown and recorded; this run remembers the password.

    The path of an SQLite file becomes absolute, so that it is found again from any folder.

    Raises:
        InputError: it is no URL of a database, or holds a password where it cannot be told apart.
    """
    sqlalchemy = _sqlalchemy()
    try:
        url = sqlalchemy.make_url(source)
        backend = url.get_backend_name()
    except (ValueError, sqlalchemy.exc.ArgumentError):
        raise InputError(
            f"{without_passwords(source)}: this is no address of a database; write "
            "postgresql://USER@HOST/DATABASE or sqlite:///FILE."
        ) from None
    if "@" in (url.host or "") or any(SECRET.search(key) for key in url.query):
        raise InputError(
            f"{backend}: the password cannot be told from the address; give it in the environment "
            f"as {PASSWORD}."
        )
    database = url.database
    if backend == "sqlite":
        database = os.path.abspath(database or "")
    bare = sqlalchemy.URL.create(
        url.drivername, url.username, None, url.host, url.port, database, url.query
    ).render_as_string()
    if url.password is not None:
        _passwords[bare] = str(url.password)
    return bare


def read_rows(name, sql, rows):
    """The rows of a table or of a SELECT, a part at a time.

    Args:
        name: of `without_password`; sql: name of a table, or a SELECT; rows: of a part, at most.

    Yields:
        (list of column names, list of tuples); at least once, maybe without rows.

    Raises:
        InputError: no connection, a wrong password, no such table, a query that is refused or
            fails, a connection that breaks.
    """
    with _connected(name) as connection:
        if is_query(sql):
            statement, run = sql.strip().rstrip("; \n"), connection.exec_driver_sql
            options = {"no_parameters": True}  # so that % stays %
        else:
            statement, run, options = _whole_table(connection, name, sql), connection.execute, {}
        result = run(statement, execution_options={"yield_per": rows, **options})
        names, empty = list(result.keys()), True
        for part in result.partitions():
            yield names, part
            empty = False
        if empty:
            yield names, []


def is_query(sql):
    """Whether this is a SELECT, else it names a table.

    Raises:
        InputError: it would change the database, or holds several statements.
    """
    bare = NOT_BARE.sub(" ", sql).strip("; \n\t(")
    word, *more = bare.split(None, 1) or [""]
    query = word.lower() in ("select", "with") and bool(more)
    if query and (writing := WRITING.search(bare)):
        raise InputError(
            f"--sql: only one SELECT is sent, and none with {writing[0].upper()}; where that is a "
            "name, quote it."
        )
    if (query and ";" in bare) or (more and WRITING.fullmatch(word)):
        raise InputError("--sql: only one SELECT is sent; give that, or the name of a table.")
    return query


def _whole_table(connection, name, wanted):
    """SELECT * FROM the table, its name quoted as the database needs it."""
    sqlalchemy = _sqlalchemy()
    inspector = sqlalchemy.inspect(connection)
    first, _, last = wanted.rpartition(".")
    for schema, table in ((None, wanted), (first or None, last)):
        if inspector.has_table(table, schema=schema):
            everything = sqlalchemy.literal_column("*")
            return sqlalchemy.select(everything).select_from(sqlalchemy.table(table, schema=schema))
    there = [*inspector.get_table_names(), *inspector.get_view_names()]
    near = {each.lower(): each for each in there}
    found = difflib.get_close_matches(wanted.lower(), list(near), 1, 0.5)
    hint = f"did you mean '{near[found[0]]}'?" if found else f"it has {', '.join(there[:12])}."
    if not there:
        hint = "the database shows none at all to this user."
    raise InputError(f"--sql: {name} has no table '{wanted}'; {hint}")


@contextlib.contextmanager
def _connected(name):
    """A connection in a read-only transaction; all that goes wrong becomes an InputError."""
    sqlalchemy = _sqlalchemy()
    url, how = sqlalchemy.make_url(name), {}
    password = _passwords.get(name) or os.environ.get(PASSWORD)
    if url.get_backend_name() == "sqlite":
        if not os.path.isfile(url.database):
            raise InputError(f"{name}: there is no such file; check the path.")
        address = f"file:{quote(url.database)}?mode=ro"
        how["creator"] = lambda: sqlite3.connect(address, uri=True)
    elif password:
        url = url.set(password=password)
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, **how)
        with engine.connect() as connection:
            yield connection.execution_options(postgresql_readonly=True)
    except InputError:
        raise
    except ModuleNotFoundError as error:
        driver = DRIVERS.get(error.name, error.name)
        raise InputError(
            f"{name}: this database takes one more package; pip install {driver}."
        ) from None
    except sqlalchemy.exc.NoSuchModuleError:
        raise InputError(f"{name}: SQLAlchemy knows no such database; check the address.") from None
    except (sqlalchemy.exc.SQLAlchemyError, TypeError, ValueError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0].strip(". ")
        lost = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
        way_out = "correct --sql or the address"
        if isinstance(error, lost):
            way_out = "run the same command again once the database answers"
        if re.search("password|authenticat|access denied", reason, re.I):
            way_out = f"give the right password in the environment as {PASSWORD}"
        if password:
            reason = reason.replace(password, "***")
        raise InputError(
            f"{name}: cannot be read ({without_passwords(reason)}); {way_out}."
        ) from None


def _sqlalchemy():
    try:
        import sqlalchemy
    except ImportError:
        raise InputError(
            "--data: reading a database takes more packages; pip install sqlalchemy pyarrow, and "
            "the database's driver."
        ) from None
    return sqlalchemy
