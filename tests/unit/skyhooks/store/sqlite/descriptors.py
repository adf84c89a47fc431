"""What a process has open."""

import os
from pathlib import Path


def open_files(path: Path) -> list[str]:
    """What this process has open of the store."""
    names = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except FileNotFoundError:
            continue
    return [name for name in names if name.startswith(str(path))]
