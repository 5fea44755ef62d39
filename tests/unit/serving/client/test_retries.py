"""Retries: only while there is time, with a random delay before each."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client import retries
from serving.errors import UnreachableError


def test_an_unreachable_server_is_retried_only_while_there_is_time():
    attempts = []

    def fail(left_s):
        attempts.append(left_s)
        raise UnreachableError("nobody")

    with pytest.raises(UnreachableError):
        retries.call_with_retries(fail, timeout_s=0.01)
    assert len(attempts) == 1
    with pytest.raises(UnreachableError):
        retries.call_with_retries(fail, timeout_s=60)
    assert len(attempts) == 1 + retries.RETRIES + 1
    assert all(later < earlier for earlier, later in pairwise(attempts[1:]))


@given(st.integers(1, retries.RETRIES))
def test_delays_are_spread_but_bounded(retry):
    middle_s = retries.BASE_DELAY_S * 2 ** (retry - 1)
    assert 0.5 * middle_s <= retries.delay_before(retry) <= 1.5 * middle_s


def test_delays_differ_between_clients():
    assert len({retries.delay_before(1) for _ in range(20)}) > 1
