"""Work done side by side: the same results in the same order, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import work
from support.processes import is_alive, until

from mcverify.crew import Alone, Processes, crew
from mcverify.deadline import Deadline
from mcverify.errors import Disagreement, ElsewhereError, InputError, in_words


def silent(_: str) -> None:
    pass


def test_results_come_in_the_order_of_the_work_from_processes_that_are_kept() -> None:
    with crew(2, 5, silent) as hands:
        delays = (0.4, 0.0, 0.1, 0.0, 0.0)
        pending = [hands.submit(work.where, n, seconds) for n, seconds in enumerate(delays)]
        found = [each.result() for each in pending]
        assert [number for number, _ in found] == [0, 1, 2, 3, 4]
        pids = {pid for _, pid in found}
        assert len(pids) == 2
        assert os.getpid() not in pids
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize(("jobs", "pieces"), [(1, 9), (4, 1), (4, 0)])
def test_no_process_is_started_where_one_is_enough(jobs: int, pieces: int) -> None:
    hands = crew(jobs, pieces, silent)
    assert isinstance(hands, Alone)
    assert hands.submit(work.where, 7, 0.0).result() == (7, os.getpid())


def test_errors_are_those_that_one_process_tells_and_the_rest_goes_on() -> None:
    with Processes(2, silent) as hands:
        kinds = (work.refuse, work.disagree, work.divide, work.unsendable, work.vanish)
        pending = [hands.submit(function) for function in kinds]
        last = hands.submit(work.where, 1, 0.0)
        with pytest.raises(InputError, match="it is wrong") as wrong:
            pending[0].result()
        assert (wrong.value.where, wrong.value.hint) == ("a.S:3", "do better")
        with pytest.raises(Disagreement, match="the two differ") as differ:
            pending[1].result()
        assert differ.value.states == {"rax": 1}
        with pytest.raises(
            ElsewhereError, match=r"^ZeroDivisionError at work.py:\d+: division by zero$"
        ) as own:
            pending[2].result()
        assert "in divide" in own.value.traceback
        assert in_words(own.value) == own.value.message
        with pytest.raises(ElsewhereError, match="pickle"):
            pending[3].result()
        with pytest.raises(ElsewhereError, match=r"was killed by signal 9 \(Killed\)"):
            pending[4].result()
        assert last.result()[0] == 1


def test_what_a_process_was_at_is_told_and_shown() -> None:
    shown: list[str] = []
    with Processes(1, shown.append) as hands:
        pending = hands.submit(work.last_words, "memcpy: proof")
        with pytest.raises(ElsewhereError, match=r"ended with exit code 7 \(memcpy: proof\)"):
            pending.result()
    assert shown == ["0 of 1 done; memcpy: proof"]


def test_a_process_that_was_killed_while_it_waited_is_told_of() -> None:
    with Processes(1, silent) as hands:
        _, pid = hands.submit(work.where, 1, 0.0).result()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(pid))
        with pytest.raises(ElsewhereError, match=r"was killed by signal 9"):
            hands.submit(work.where, 2, 0.0).result()
        assert hands.submit(work.where, 3, 0.0).result()[0] == 3


def test_a_process_that_has_grown_makes_room_for_another() -> None:
    with Processes(1, silent, largest=0) as hands:
        pids = [hands.submit(work.where, n, 0.0).result()[1] for n in range(2)]
    assert len(set(pids)) == 2


@pytest.mark.parametrize(
    ("what", "number", "code"),
    [
        ("endless", signal.SIGINT, 130),
        ("endless", signal.SIGTERM, 130),
        ("endless", signal.SIGKILL, -signal.SIGKILL),
        ("solve", signal.SIGINT, 130),
    ],
)
def test_nothing_outlives_an_interrupt(tmp_path: Path, what: str, number: int, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, work.__file__, str(tmp_path), what], stderr=subprocess.PIPE, text=True
    )
    until(lambda: len(list(tmp_path.glob("*.pids"))) == 2)
    time.sleep(0.2)
    pids = [int(pid) for file in tmp_path.glob("*.pids") for pid in file.read_text().split()]
    assert len(pids) == 4
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == ("mcverify: interrupted\n" if code == 130 else "")
    until(lambda: not any(map(is_alive, pids)))
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [], "their folders are gone"


def test_an_interrupt_of_one_process_is_one_of_all() -> None:
    with Processes(1, silent) as hands:
        _, pid = hands.submit(work.where, 1, 0.0).result()
        pending = hands.submit(work.where, 2, 60.0)
        os.kill(pid, signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            pending.result()


def test_a_deadline_counts_from_when_it_arrives() -> None:
    import pickle

    there = pickle.loads(pickle.dumps(Deadline(100.0)))
    remaining = there.remaining()
    assert remaining is not None
    assert 90 < remaining <= 100
    assert pickle.loads(pickle.dumps(Deadline(None))).remaining() is None
