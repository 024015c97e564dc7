"""Threads of one rank that take tasks from a counter which all ranks share.

numpy, the kernel and the disk work outside Python's lock, so threads are enough; only the main thread
talks to MPI and to the journal.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from astrohpc.store.ranks import Ranks

Hand = TypeVar("Hand")
Made = TypeVar("Made")
_WAIT_S = 0.002  # rank 0 looks this often for what other ranks ask, while nothing comes back
_IDLE_WAIT_S = 0.1  # who answers nobody need only see that it is asked to stop


def share_out(
    count: int,
    hands: Sequence[Hand],
    labour: Callable[[Hand, int], Made],
    note: Callable[[int, Made], None],
    ranks: Ranks,
    stop: Callable[[], bool],
) -> bool:
    """Do tasks 0 to ``count`` - 1, one thread a hand, each task on one rank; whether we were stopped.

    ``note`` is told in the main thread what came of each. What a labour raises ends all of it.
    """
    orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[int, Made | BaseException]] = queue.SimpleQueue()

    def work(hand: Hand) -> None:
        while (number := orders.get()) is not None:
            try:
                results.put((number, labour(hand, number)))
            except BaseException as error:  # noqa: BLE001 - the main thread raises it
                results.put((number, error))

    threads = [threading.Thread(target=work, args=(hand,), daemon=True) for hand in hands]
    for thread in threads:
        thread.start()
    wait_s = _WAIT_S if ranks.size > 1 and ranks.rank == 0 else _IDLE_WAIT_S
    given = back = 0
    stopped = exhausted = False
    ranks.begin()
    try:
        while not exhausted or back < given:
            if not exhausted and stop():
                stopped = exhausted = True
            if not exhausted and given - back <= len(hands):  # one waits, so that no thread does
                number = ranks.next()
                exhausted = number >= count
                if not exhausted:
                    given += 1
                    orders.put(number)
                    continue
            ranks.poll()
            try:
                number, made = results.get(timeout=wait_s)
            except queue.Empty:
                continue
            back += 1
            if isinstance(made, BaseException):
                raise made
            note(number, made)
    finally:
        for _ in threads:
            orders.put(None)
        for thread in threads:
            thread.join()
    ranks.end()
    return stopped
