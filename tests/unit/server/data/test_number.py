"""Number features: parsed strictly, normalised as scikit-learn does, restored exactly."""

import math
from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics, restore
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from tests.support.tables import WHERE, cells, fitted

VALUES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=30)


def _statistics(feature: FittedFeature) -> NumberStatistics:
    assert isinstance(feature.statistics, NumberStatistics)
    return feature.statistics


def _transform(feature: FittedFeature, values: list[Any]) -> np.ndarray:
    return feature.transform(cells(values), WHERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0),
        (" 12 ", 12.0),
        ("\t-1.5\n", -1.5),
        ("+5", 5.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e5", 1e5),
        ("1E-3", 1e-3),
        ("1e-400", 0.0),
    ],
)
def test_a_number_is_read_whatever_surrounds_it(text: str, value: float) -> None:
    assert _transform(fitted(["0", "1"], "number", normalization="none"), [text])[0] == np.float32(value)


@pytest.mark.parametrize("word", ["", " ", "NA", "n/a", "NaN", "null", "None", "?", "-", "missing", "#N/A", None])
def test_words_for_a_missing_cell_are_filled_with_the_mean(word: str | None) -> None:
    feature = fitted(["1", "3", word], "number", normalization="none")
    assert _transform(feature, [word, "7"]).tolist() == [2.0, 7.0]


@pytest.mark.parametrize(
    "text", ["inf", "-Infinity", "1e400", "twelve", "1,5", "1_000", "0x10", "1d", "٣", "1 2", "true"]
)
def test_what_is_no_finite_number_is_refused_by_row(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"column 'column', row 5: ") as caught:
        fitted(["1", "2", "3", "4", text, "6"], "number")
    assert caught.value.reason == "BAD_CELL"
    with pytest.raises(InvalidInputError, match=r"row 2: "):
        _transform(fitted(["1", "2"], "number"), ["1", text])


def test_infinite_doubles_are_refused_by_row() -> None:
    with pytest.raises(InvalidInputError, match="row 2: inf is not finite"):
        fitted([1.0, math.inf], "number")


@given(VALUES.filter(lambda values: np.ptp(values) == 0 or np.ptp(values) > 1e-6 * np.abs(values).max() > 1e-6))
def test_zscore_is_scikit_learns(values: list[float]) -> None:
    reference = StandardScaler().fit(np.array(values)[:, None])
    probe = [*values, 0.0, 123.456]
    expected = reference.transform(np.array(probe)[:, None])[:, 0]
    assert np.allclose(_transform(fitted(values, "number"), probe), expected, rtol=1e-4, atol=1e-4)


@given(VALUES.filter(lambda values: max(values) - min(values) > 1e-3))
def test_minmax_is_scikit_learns(values: list[float]) -> None:
    reference = MinMaxScaler().fit(np.array(values)[:, None])
    expected = reference.transform(np.array(values)[:, None])[:, 0]
    assert np.allclose(_transform(fitted(values, "number", normalization="minmax"), values), expected, atol=1e-4)


@given(VALUES.filter(lambda values: np.subtract(*np.quantile(values, [0.75, 0.25])) > 1e-3))
def test_iq_is_scikit_learns_robust_scaler(values: list[float]) -> None:
    reference = RobustScaler().fit(np.array(values)[:, None])
    expected = reference.transform(np.array(values)[:, None])[:, 0]
    assert np.allclose(_transform(fitted(values, "number", normalization="iq"), values), expected, rtol=1e-4, atol=1e-4)


def test_log1p_standardises_the_logarithm() -> None:
    values = [0.0, 1.0, 10.0, 1000.0]
    expected = StandardScaler().fit_transform(np.log1p(values)[:, None])[:, 0]
    assert np.allclose(_transform(fitted(values, "number", normalization="log1p"), values), expected, atol=1e-6)


def test_log1p_refuses_what_has_no_logarithm() -> None:
    with pytest.raises(InvalidInputError, match="holds -2, but normalization log1p"):
        fitted([1.0, -2.0], "number", normalization="log1p")


@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, -3.3e-7, 0.0, 5.0])
@pytest.mark.parametrize("normalization", ["zscore", "minmax", "iq", "log1p"])
def test_a_constant_column_is_only_shifted(value: float, normalization: str) -> None:
    feature = fitted([value] * 10, "number", normalization=normalization)
    assert _statistics(feature).scale == 1.0
    other = np.log1p(value + 1) - np.log1p(value) if normalization == "log1p" else 1.0
    assert np.allclose(_transform(feature, [value, value + 1]), [0.0, other], atol=1e-6)


@given(VALUES, st.sampled_from(["zscore", "minmax", "iq", "none"]))
def test_restore_undoes_normalisation(values: list[float], normalization: str) -> None:
    feature = fitted(values, "number", normalization=normalization)
    statistics = _statistics(feature)
    restored = restore(_transform(feature, values), statistics)
    bound = 1e-6 * (abs(statistics.shift) + statistics.scale + np.abs(values).max() + 1)
    assert np.abs(restored - values).max() <= bound


def test_restore_undoes_log1p() -> None:
    values = [0.0, 0.5, 100.0, 12345.0]
    feature = fitted(values, "number", normalization="log1p")
    assert np.allclose(restore(_transform(feature, values), _statistics(feature)), values, rtol=1e-5, atol=1e-6)


def test_strategies_fill_missing_cells() -> None:
    values = [1.0, 1.0, 4.0, None]
    for strategy, fill_value, expected in (
        ("fill_with_mean", None, 2.0),
        ("fill_with_mode", None, 1.0),
        ("fill_with_const", "9", 9.0),
        ("fill_with_const", None, 0.0),
    ):
        feature = fitted(values, "number", normalization="none", missing_value_strategy=strategy, fill_value=fill_value)
        assert _transform(feature, [None])[0] == expected
    with pytest.raises(InvalidInputError, match="no finite number"):
        fitted(values, "number", missing_value_strategy="fill_with_const", fill_value="inf")


def test_a_cell_far_from_the_training_rows_stays_finite() -> None:
    feature = fitted([0.0, 1e-70], "number")
    assert np.isfinite(_transform(feature, [1e300, -1e300])).all()


def test_numbers_whose_spread_is_not_finite_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="so large"):
        fitted(["1e308", "-1e308", "1.7e308", "1.7e308"], "number")


def test_a_column_without_a_number_is_refused() -> None:
    with pytest.raises(InvalidInputError) as caught:
        fitted([None, "NA", ""], "number")
    assert caught.value.reason == "ALL_MISSING"


def test_an_output_without_a_logarithm_is_refused_by_row() -> None:
    """Its error would be measured of another number."""
    values = [1.0, 2.0, 3.0]
    output = fitted(values, "number", normalization="log1p", output=True)
    with pytest.raises(InvalidInputError, match=r"row 2.*-500 has no log1p"):
        output.transform(cells([1.0, -500.0]), WHERE)
    feature = fitted(values, "number", normalization="log1p")
    assert np.isfinite(_transform(feature, [1.0, -500.0])).all()
