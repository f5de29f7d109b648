"""Short texts are read on as many threads as take the least time, whatever else runs on the machine."""

import torch
from headstart_server.encoders import thread_choice
from headstart_server.encoders.streams import cores
from headstart_server.encoders.thread_choice import ThreadChoice, few_threads
from torch import nn


def _run(choice: ThreadChoice, seconds: dict[int, float], batches: int) -> list[int]:
    taken = []
    for _ in range(batches):
        taken.append(choice.next())
        choice.observe(taken[-1], seconds[taken[-1]])
    return taken


def test_the_faster_number_is_taken_and_the_other_tried_now_and_then() -> None:
    choice = ThreadChoice(4)
    taken = _run(choice, {1: 0.015, 4: 0.010}, 200)
    assert set(taken[: 2 * thread_choice._FIRST]) == {1, 4}
    later = taken[2 * thread_choice._FIRST :]
    assert later.count(1) == len(later) // thread_choice._TRY_EVERY > 0


def test_a_machine_that_gets_busy_or_idle_changes_the_choice() -> None:
    choice = ThreadChoice(2)
    _run(choice, {1: 0.015, 2: 0.010}, 50)
    assert _run(choice, {1: 0.015, 2: 0.040}, 50)[-1] == 1
    assert _run(choice, {1: 0.015, 2: 0.010}, 600)[-1] == 2


def test_a_slow_first_batch_says_nothing() -> None:
    choice = ThreadChoice(2)
    choice.observe(choice.next(), 3.0)
    assert _run(choice, {1: 0.015, 2: 0.010}, 20)[-1] == 2


def test_torchs_threads_are_as_they_were_and_one_core_is_no_choice() -> None:
    encoder, before = nn.Linear(1, 1), torch.get_num_threads()
    for _ in range(10):
        with few_threads(encoder, 3):
            assert torch.get_num_threads() in (1, cores())
        assert torch.get_num_threads() == before
    assert set(_run(ThreadChoice(1), {1: 0.01}, 100)) == {1}
