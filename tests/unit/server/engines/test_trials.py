"""The board of a sweep: what is best, and what nothing else is better than throughout."""

from dataclasses import replace

from headstart_server.engines.trials import Board, TrialReport


def _report(
    number: int, value: float | None, seconds: float = 1.0, size: int = 1, rows: int = 90, share: float = 1.0
) -> TrialReport:
    return TrialReport(
        number,
        9,
        {},
        "label.accuracy",
        value,
        train_rows=rows,
        share=share,
        head_seconds=seconds,
        size_bytes=size,
        failure="" if value is not None else "no",
    )


def _board(*reports: TrialReport) -> Board:
    board = Board()
    for each in reports:
        board.add(each)
    return board


def test_the_best_comes_first_and_what_failed_last() -> None:
    placed = _board(_report(1, 0.7), _report(2, None), _report(3, 0.9), _report(4, 0.9)).placed()
    assert [each.report.number for each in placed] == [3, 4, 1, 2]
    assert [each.best for each in placed] == [True, False, False, False]


def test_of_losses_the_smaller_is_better() -> None:
    reports = [TrialReport(number, 2, {}, "loss", value, train_rows=5) for number, value in ((1, 0.9), (2, 0.1))]
    assert [each.number for each in _board(*reports).ranked()] == [2, 1]


def test_the_front_has_who_gives_something_for_what_it_takes() -> None:
    reports = [_report(1, 0.9, 3.0, 30), _report(2, 0.8, 1.0, 30), _report(3, 0.8, 2.0, 40), _report(4, 0.5, 1.0, 1)]
    front = {each.report.number for each in _board(*reports).placed() if each.pareto}
    assert front == {1, 2, 4}


def test_the_front_counts_encoders_too() -> None:
    light = replace(_report(1, 0.8, 2.0, 20), encoder_seconds=1.0, encoder_bytes=10)
    heavy = replace(_report(2, 0.8, 1.0, 10), encoder_seconds=3.0, encoder_bytes=90)
    assert [each.pareto for each in _board(light, heavy).placed()] == [True, False]


def test_those_that_came_to_the_last_round_are_compared_with_each_other_alone() -> None:
    reports = [_report(1, 0.99, share=1 / 9), _report(2, 0.6), _report(3, 0.5, seconds=2.0)]
    placed = _board(*reports).placed()
    assert [each.report.number for each in placed] == [2, 3, 1]
    assert [each.pareto for each in placed] == [True, False, False]


def test_settings_that_leave_fewer_rows_are_compared_with_the_others() -> None:
    """Such as those that sample rows, or drop some: it is the value that counts."""
    placed = _board(_report(1, 0.6, rows=150), _report(2, 0.9, rows=90)).placed()
    assert [each.report.number for each in placed] == [2, 1]
    assert [each.pareto for each in placed] == [True, False]


def test_a_trial_that_is_told_again_is_there_once() -> None:
    assert [each.value for each in _board(_report(1, 0.5), _report(1, 0.7)).ranked()] == [0.7]


def test_where_all_failed_there_is_no_best() -> None:
    assert not any(each.best or each.pareto for each in _board(_report(1, None), _report(2, None)).placed())


def test_an_encoder_whose_time_nobody_knows_is_no_reason_to_be_on_the_front() -> None:
    timed, unknown = replace(_report(1, 0.9), encoder_seconds=0.005), _report(2, 0.8)
    assert [each.pareto for each in _board(timed, unknown).placed()] == [True, False]
