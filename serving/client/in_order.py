"""Many calls under way at once, their results in the order of the questions."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    answer: Callable[[Item], Result], questions: Iterable[Item], *, in_flight: int
) -> Generator[Result | Exception, None, None]:
    """Yield the results in the questions' order, `in_flight` of them under way; an exception in its result's place.

    Questions are drawn as they are needed: at most twice `in_flight` are held. Stopping early cancels the rest.
    """
    with ThreadPoolExecutor(in_flight) as pool:
        source = iter(questions)
        waiting: deque[Future[Result]] = deque()
        try:
            for question in islice(source, 2 * in_flight):
                waiting.append(pool.submit(answer, question))
            while waiting:
                first = waiting.popleft()
                error = first.exception()
                for question in islice(source, 1):
                    waiting.append(pool.submit(answer, question))
                if error is None:
                    yield first.result()
                elif isinstance(error, Exception):
                    yield error
                else:
                    raise error
        finally:
            for future in waiting:
                future.cancel()
