"""Checkpoints of the families, written once a session."""

from __future__ import annotations

import pytest
from families.plain import Plain
from families.vlms import FAMILIES, save_vlm


@pytest.fixture(scope="session")
def vlms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plain]:
    """A chat VLM of each family, by its name."""
    folder = tmp_path_factory.mktemp("vlms")
    for name in FAMILIES:
        save_vlm(name, folder / name)
    return {name: Plain(name, str(folder / name)) for name in FAMILIES}


@pytest.fixture(scope="session", params=FAMILIES)
def vlm(request: pytest.FixtureRequest, vlms: dict[str, Plain]) -> Plain:
    return vlms[request.param]
