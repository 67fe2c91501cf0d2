"""Who has begun what and not ended it: what is left of an actor that died in the midst of a row.

Ray starts an actor that died again and gives it the same rows, for ever if it dies of one of them. An actor cannot
remember what it died of, so this is kept in a process of its own, for as long as an execution lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from urm_ray.pipeline.context import beside_driver

DIED = "its process ended"
"""What is known of an attempt that did not end, where nobody has noted more."""


@dataclass
class Attempt:
    """node: where it is made, if that is known. end: how it ended; `DIED` until somebody says otherwise."""

    node: str = ""
    end: str = DIED


class Ledger:
    """Attempts at things by name: rows by their id, units by their number.

    share: of `rows`, that may be put aside before the stage is stopped; a few may be in any case.
    """

    FEW = 10

    def __init__(self, stage: str, rows: int, share: float) -> None:
        self.stage, self.rows, self.share = stage, rows, share
        self.open: dict[str, list[Attempt]] = {}
        self.aside: dict[str, str] = {}

    def begin(self, key: str, node: str = "") -> list[str]:
        """Notes an attempt, and returns how each earlier one ended that was not the last."""
        earlier = self.earlier(key)
        self.open.setdefault(key, []).append(Attempt(node))
        return earlier

    def earlier(self, key: str) -> list[str]:
        """What `begin` would return. Attempts that ended with their node are forgotten: nothing is to blame for that
        but the node."""
        ended = self.open.get(key, [])
        if any(one.end == DIED and one.node for one in ended):
            lost = self.lost()
            self.open[key] = ended = [one for one in ended if one.end != DIED or one.node not in lost]
        return [one.end for one in ended]

    def lost(self) -> set[str]:
        """Nodes that are no more."""
        return set()

    def withdraw(self, key: str) -> None:
        """The attempt that was begun last is not made."""
        if not self.open.get(key, [])[:-1]:
            self.open.pop(key, None)
        else:
            self.open[key].pop()

    def why(self, key: str, reason: str) -> None:
        """Says of what the attempt failed that was begun last; another may follow."""
        if self.open.get(key):
            self.open[key][-1].end = reason

    def end(self, key: str) -> None:
        """The thing is done: its attempts are forgotten."""
        self.open.pop(key, None)

    def put_aside(self, key: str, reason: str) -> str | None:
        """Counts a row that is given up. Returns why the stage has to stop, once there are too many of them."""
        self.aside[key] = reason
        if len(self.aside) <= max(self.FEW, self.share * self.rows):
            return None
        return (
            f"{self.stage}: {len(self.aside)} of {self.rows} rows were put aside, more than put_aside_share allows"
            f" ({self.share:g}); the last because {reason}"
        )


class _OfNodes(Ledger):
    def lost(self) -> set[str]:
        return {node["NodeID"] for node in ray.nodes() if not node["Alive"]}


class SharedLedger:
    """A ledger that all actors of an execution write into; it may be pickled.

    It stands on the node of the driver, where it is made once it is needed, and ends with this object. Should it be
    lost all the same, a new one takes its place that knows of no attempts.
    """

    def __init__(self, stage: str, rows: int, share: float) -> None:
        self._of, self._actor, self._node = (stage, rows, share), None, ""

    @property
    def actor(self) -> Any:
        if self._actor is None:
            remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_OfNodes)
            self._actor = remote.options(label_selector=beside_driver()).remote(*self._of)
        return self._actor

    def __getstate__(self) -> dict[str, Any]:
        return {"_of": self._of, "_actor": self.actor, "_node": ""}

    def begin(self, key: str) -> list[str]:
        self._node = self._node or ray.get_runtime_context().get_node_id()
        return ray.get(self.actor.begin.remote(key, self._node))

    def earlier(self, key: str) -> list[str]:
        return ray.get(self.actor.earlier.remote(key))

    def withdraw(self, key: str) -> None:
        self.actor.withdraw.remote(key)  # calls of one process are done in their order

    def why(self, key: str, reason: str) -> None:
        ray.get(self.actor.why.remote(key, reason))

    def end(self, key: str) -> None:
        self.actor.end.remote(key)

    def put_aside(self, key: str, reason: str) -> str | None:
        return ray.get(self.actor.put_aside.remote(key, reason))


Ledgers = Ledger | SharedLedger
