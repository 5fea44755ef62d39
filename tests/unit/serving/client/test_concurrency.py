"""`map_in_order`: results in the order of the items, errors in their place, items consumed lazily."""

import threading
import time

import pytest

from serving.client import map_in_order


def test_results_keep_their_order_and_no_more_than_in_flight_run_at_once():
    running, most, lock = 0, 0, threading.Lock()

    def slow(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002 * (number % 3))
        with lock:
            running -= 1
        return number

    assert list(map_in_order(slow, range(20), in_flight=4)) == list(range(20))
    assert 1 < most <= 4


def test_items_are_consumed_only_as_they_are_needed():
    consumed = []

    def items():
        for number in range(1000):
            consumed.append(number)
            yield number

    results = map_in_order(lambda number: number, items(), in_flight=3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert len(consumed) <= 5 + 2 * 3


def test_an_exception_takes_the_place_of_its_result():
    first, error, last = map_in_order(lambda number: 1 / number, [1, 0, 2], in_flight=2)
    assert (first, type(error), last) == (1.0, ZeroDivisionError, 0.5)


def test_an_interrupt_is_raised():
    def interrupt(number):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_in_order(interrupt, [1, 2], in_flight=1))
