"""Many calls at once, their results in the order of the items."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, in_flight: int
) -> Generator[Result | Exception, None, None]:
    """Yield `function(item)` for each item, in order, with up to `in_flight` calls at once.

    A call that raises yields its exception in place of the result, so one bad photo does not end the rest. Items are
    consumed lazily: at most twice `in_flight` are held. Closing the generator early cancels calls not yet started.
    """
    with ThreadPoolExecutor(in_flight) as pool:
        source = iter(items)
        pending: deque[Future[Result]] = deque()
        try:
            for item in islice(source, 2 * in_flight):
                pending.append(pool.submit(function, item))
            while pending:
                first = pending.popleft()
                error = first.exception()
                for item in islice(source, 1):
                    pending.append(pool.submit(function, item))
                if error is None:
                    yield first.result()
                elif isinstance(error, Exception):
                    yield error
                else:
                    raise error
        finally:
            for future in pending:
                future.cancel()
