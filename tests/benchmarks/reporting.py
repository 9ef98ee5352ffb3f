"""What the benchmarks print beside their figures: the machine, and tables for a README."""

import datetime
import os
import platform
import statistics
from importlib import metadata
from pathlib import Path

TELLING = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # flags that matter for matrix products


def machine(*packages):
    """One line: processor, cores, telling flags, date, Python and the packages' versions."""
    model, flags = platform.processor() or platform.machine(), cpu_flags()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    found = [flag for flag in TELLING if flag in flags]
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {metadata.version(package)}" for package in packages]
    return (
        f"{model}, {os.cpu_count()} cores ({', '.join(found) or 'flags unknown'}), "
        f"{datetime.date.today()}; {', '.join(versions)}"
    )


def cpu_flags():
    """The processor's flags, as Linux tells them; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def markdown(frame):
    """A DataFrame of texts and numbers as a Markdown table, without its index."""
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.astype(str).to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def middle(values, form="{:.4g}"):
    """The median, and half the range behind ± where there are several values."""
    spread = f" ±{form.format((max(values) - min(values)) / 2)}" if len(values) > 1 else ""
    return form.format(statistics.median(values)) + spread
