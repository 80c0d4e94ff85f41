"""Answers are shared, for a bounded time."""

import threading

import pytest

from engine import clock
from engine.ui import shared


@pytest.fixture(autouse=True)
def _fresh():
    shared.forget()
    yield
    shared.forget()


def test_an_answer_is_read_once_until_it_is_too_old(monkeypatch):
    now, asked = [100.0], []
    monkeypatch.setattr(clock, "elapsed", lambda: now[0])

    def read():
        return shared.read("k", 2, lambda: asked.append(1) or len(asked))

    assert [read(), read()] == [1, 1]
    now[0] += 2
    assert read() == 2


def test_those_who_ask_at_once_wait_for_one_query():
    started, finish, asked, got = threading.Event(), threading.Event(), [], []

    def query():
        asked.append(1)
        started.set()
        finish.wait(5)
        return "answer"

    threads = [threading.Thread(target=lambda: got.append(shared.read("k", 9, query))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    finish.set()
    for thread in threads:
        thread.join(5)
    assert (len(asked), got) == (1, ["answer"] * 8)


def test_an_error_is_raised_and_not_kept():
    with pytest.raises(ZeroDivisionError):
        shared.read("k", 9, lambda: 1 / 0)
    assert shared.read("k", 9, lambda: "fine") == "fine"


def test_the_number_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr(shared, "MOST", 3)
    for i in range(10):
        shared.read(i, 99, lambda i=i: i)
    assert list(shared._answers) == [7, 8, 9]
