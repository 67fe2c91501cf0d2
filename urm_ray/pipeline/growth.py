"""Lets pools that may grow do so beyond the nodes that are there."""

from __future__ import annotations

import time
from typing import Any

from ray.data._internal.actor_autoscaler.autoscaling_actor_pool import ActorPoolScalingRequest
from ray.data._internal.execution.execution_callback import ExecutionCallback


class Growth(ExecutionCallback):
    """Starts actors for which there is no room yet: such an actor is what autoscalers bring a node for.

    Ray Data lets a pool grow from `actors` to `max_actors` while its actors have as many calls before them as
    `actor_pool_util_upscaling_threshold` says, yet only into room that is there and that it does not put by for other
    operators, whichever nodes these may use. Where a pool has not grown for so long, it is doubled here. Its actors
    wait for nodes of its own kind, and start one by one as these come. Ray Data's requests for nodes name no labels
    and are for nodes of every shape that the cluster has, so that `context` puts them off.
    """

    LOOK_S = 1.0
    CROWDED_S = 5.0

    def __init__(self) -> None:
        self._looked = 0.0
        self._crowded_since: dict[int, float] = {}

    def on_execution_step(self, executor: Any) -> None:
        now = time.monotonic()
        if now - self._looked < self.LOOK_S:
            return
        self._looked = now
        threshold = executor._data_context.autoscaling_config.actor_pool_util_upscaling_threshold
        for operator, state in executor._topology.items():
            over = operator.has_completed() or (operator._inputs_complete and not state.total_enqueued_input_blocks())
            for pool in operator.get_autoscaling_actor_pools():
                room = pool.max_size() - pool.current_size()
                if over or room <= 0 or pool.num_pending_actors() or pool.get_pool_util() < threshold:
                    self._crowded_since.pop(id(pool), None)
                elif now - self._crowded_since.setdefault(id(pool), now) >= self.CROWDED_S:
                    more = min(room, pool.current_size())
                    pool.scale(
                        ActorPoolScalingRequest.upscale(delta=more, reason="its actors have more than they can do")
                    )
                    del self._crowded_since[id(pool)]
