"""An event loop in a thread of its own, in which an engine's requests are under way while its callers wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_PATIENCE_S = 5.0


class Background:
    """May be used from any number of threads at the same time."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="engine", daemon=True)
        self._thread.start()

    def all(self, coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """What the coroutines return, in order. The first error that one raises is raised once the others have been
        stopped."""
        return self.one(_all(coroutines))

    def one(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns; it is stopped when its caller is."""
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise

    def end(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Ends the thread, once `last` is done; nothing can be run after it."""

        async def stop() -> None:
            if last is not None:
                await last()
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(stop(), self.loop)
        if threading.current_thread() is not self._thread:  # garbage may be collected anywhere
            self._thread.join(_PATIENCE_S)


async def _all(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
