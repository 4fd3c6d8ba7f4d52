"""Memo: computed once, also when two ask at once; errors are not kept; bounded."""

import threading

import pytest

from rmtviz.ui.memo import Memo


def test_the_second_asks_nothing():
    memo = Memo()
    assert memo("a", lambda: 1) == 1
    assert memo("a", lambda: pytest.fail("computed again")) == 1


def test_none_is_a_result_like_others():
    memo = Memo()
    assert memo("a", lambda: None) is None
    assert memo("a", lambda: pytest.fail("computed again")) is None


def test_two_threads_compute_once():
    memo, begun, go, made = Memo(), threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        assert go.wait(10)
        made.append(object())
        return made[-1]

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(memo("a", slow)), daemon=True)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert results == made * 4
    assert len(made) == 1


def test_another_key_need_not_wait():
    memo, begun, go = Memo(), threading.Event(), threading.Event()

    def slow():
        begun.set()
        return go.wait(10)

    thread = threading.Thread(target=memo, args=("slow", slow), daemon=True)
    thread.start()
    assert begun.wait(10)
    assert memo("quick", lambda: 1) == 1
    go.set()
    thread.join(10)


def test_one_result_may_need_another():
    memo = Memo()
    assert memo("outer", lambda: memo("inner", lambda: 2) + 1) == 3


def test_an_error_is_not_kept():
    memo = Memo()
    with pytest.raises(ZeroDivisionError):
        memo("a", lambda: 1 // 0)
    assert memo("a", lambda: 1) == 1


def test_who_waits_for_an_error_tries_again():
    memo, begun, go, results = Memo(), threading.Event(), threading.Event(), []

    def fails():
        begun.set()
        assert go.wait(10)
        raise ZeroDivisionError

    def first():
        with pytest.raises(ZeroDivisionError):
            memo("a", fails)

    threads = [
        threading.Thread(target=first, daemon=True),
        threading.Thread(target=lambda: results.append(memo("a", lambda: 1)), daemon=True),
    ]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(10)
    assert results == [1]


def test_only_so_many_are_kept_and_the_latest_asked_for_stay():
    memo = Memo(most=2)
    memo("a", lambda: 1)
    memo("b", lambda: 2)
    memo("a", lambda: pytest.fail("computed again"))
    memo("c", lambda: 3)
    assert memo("a", lambda: pytest.fail("computed again")) == 1
    assert memo("b", lambda: "again") == "again"


def test_nothing_is_left_of_what_failed():
    memo = Memo()
    for key in range(100):
        with pytest.raises(ZeroDivisionError):
            memo(key, lambda: 1 // 0)
    assert not memo._busy
