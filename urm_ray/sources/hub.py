"""Data sets by the name that they have on the hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from urm_ray.sources.registry import SourceError

_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def local_path(name: str) -> str:
    """A local file or folder as it is; OWNER/NAME or OWNER/NAME@REVISION as the folder of its snapshot in the hub's
    cache, which is downloaded if it is not there. SourceError where there is neither.

    The cache (`HF_HOME`) has to lie on storage that all nodes share.
    """
    if name and Path(name).expanduser().exists():
        return str(Path(name).expanduser().absolute())
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise SourceError(f"there is no file or folder {name!r}")
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        return snapshot_download(repository, repo_type="dataset", revision=revision or None, local_files_only=offline)
    except Exception as error:  # its errors have no common base but this
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = (
            "in the hub's cache, and the hub is switched off (HF_HUB_OFFLINE=1)" if offline else f"on the hub: {first}"
        )
        raise SourceError(f"there is no folder {name!r}, nor such a data set {where}") from None
