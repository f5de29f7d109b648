"""A model's view: it predicts as the client does, and shows all that the contract says of an evaluation."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from headstart.v1 import evaluation_pb2 as pb

from tests.page.browsing import Browsing, figure_of, table_of
from tests.page.conftest import Site

TEXT = "<b>great</b> great great film"


def test_a_row_is_predicted_as_the_client_predicts_it(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.url("#/models/{model}"))
    page.get_by_label("review", exact=True).fill(TEXT)
    page.get_by_label("category", exact=True).fill("drama")
    page.get_by_label("price", exact=True).fill("a lot")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_text("price must be a number such as 12.5, or empty.").wait_for()
    page.get_by_label("price", exact=True).fill("12.5")
    page.get_by_role("button", name="Predict", exact=True).click()
    table = page.get_by_role("region", name="Probabilities of verdict").locator("tbody tr")
    table.first.wait_for()
    with site.server.client() as client:
        rows = {"review": [TEXT], "category": ["drama"], "price": [12.5]}
        expected = client.predict(f"models/{site.model}", rows)["verdict"]
    assert page.locator(".answer .predicted").first.inner_text() == expected.values[0]
    assert table.first.locator("th").inner_text() == expected.values[0]
    assert table.count() == len(expected.classes)


def test_a_row_without_any_value_is_answered_or_refused_in_words(site: Site, browsing: Browsing) -> None:
    page = browsing.open(site.url("#/models/{model}"))
    page.get_by_role("button", name="Predict", exact=True).click()
    page.locator(".answer .card, .answer .notice").first.wait_for()


def test_an_image_travels_as_its_bytes(site: Site, browsing: Browsing) -> None:
    """The request alone: which models read images is the server's."""
    page = browsing.open("", blank=True)
    sent: list[Any] = []

    def with_image(route: Any) -> None:
        answer = route.fetch()
        model = answer.json()
        model["inputs"] = [{"column": "photo", "type": "image", "feature": "photo"}]
        route.fulfill(response=answer, json=model)

    def keep(route: Any) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(json={"outputs": []})

    page.route("**/api/v1/models/*", with_image)
    page.route("**/*:predict", keep)
    page.goto(site.url("#/models/{model}"))
    page.get_by_label("photo").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG"})
    with page.expect_response("**/*:predict"):
        page.get_by_role("button", name="Predict", exact=True).click()
    assert sent[0]["table"]["columns"] == [{"name": "photo", "bytes": {"values": ["iVBORw=="]}}]


def test_an_evaluation_is_shown_whole(site: Site, browsing: Browsing) -> None:
    """Messages of the contract in place of the server's, so that every field is set."""
    page = browsing.open("", blank=True)

    def evaluated(route: Any) -> None:
        answer = route.fetch()
        model = answer.json() | {"evaluation": [MessageToDict(one) for one in (classified(), numbered())]}
        route.fulfill(response=answer, json=model)

    page.route("**/api/v1/models/*", evaluated)
    page.goto(site.url("#/models/{model}"))
    page.get_by_role("heading", name="Evaluation").wait_for()
    by_class = page.get_by_role("region", name="Metrics by class").locator("tbody tr").all_inner_texts()
    assert [row.split() for row in by_class] == [["a", "6", "5", "0.800", "0.667", "0.727"]]
    matrix = page.get_by_role("region", name="Confusion matrix").locator("tbody tr").all_inner_texts()
    assert [row.split() for row in matrix] == [["a", "4", "2"], ["all", "others", "1", "3"]]
    calibration = table_of(figure_of(page, "Calibration"))
    assert calibration == [["0.8 to 0.9", "9", "85.0 %", "77.0 %"], ["0.9 to 1.0", "1", "95.0 %", "100.0 %"]]
    assert table_of(figure_of(page, "Predicted against target")) == [["1.5", "2", "0.5"], ["3", "2.5", "-0.5"]]
    worst = page.get_by_role("region", name="Rows with the largest loss").first.locator("tbody tr").inner_text()
    assert worst.split() == ["7", "a", "b", "99.0", "%", "4.6", "<i>bad</i>"]


def classified() -> pb.OutputEvaluation:
    bins = [
        pb.CalibrationBin(lower=0.8, upper=0.9, predictions=9, mean_probability=0.85, accuracy=0.77),
        pb.CalibrationBin(lower=0.9, upper=1.0, predictions=1, mean_probability=0.95, accuracy=1.0),
    ]
    wrong = pb.RowEvaluation(
        row=7, source="dataset", loss=4.6, target="a", predicted="b", probability=0.99, inputs={"review": "<i>bad</i>"}
    )
    return pb.OutputEvaluation(
        output="verdict",
        part=pb.OutputEvaluation.PART_TEST,
        rows=10,
        classes=[pb.ClassMetrics(label="a", rows=6, predicted_rows=5, precision=0.8, recall=2 / 3, f1=8 / 11)],
        class_count=2,
        confusion_matrix=pb.ConfusionMatrix(labels=["a", ""], counts=[4, 2, 1, 3]),
        calibration=bins,
        calibration_error=0.077,
        worst_rows=[wrong],
    )


def numbered() -> pb.OutputEvaluation:
    numbers = pb.NumberEvaluation(mean_error=0.0, targets=[1.5, 3.0], predictions=[2.0, 2.5])
    return pb.OutputEvaluation(output="score", part=pb.OutputEvaluation.PART_VALIDATION, rows=2, number=numbers)


def test_a_run_shows_the_evaluation_of_its_log(site: Site, browsing: Browsing) -> None:
    with site.server.client() as client:
        events = list(client.watch(f"trainJobs/{site.runs[1]}"))
    (output,) = next(event.model_evaluated.outputs for event in events if event.HasField("model_evaluated"))
    page = browsing.open(site.url("#/jobs/{other}"))
    page.get_by_role("region", name="Metrics by class").wait_for()
    by_class = page.get_by_role("region", name="Metrics by class").locator("tbody tr").all_inner_texts()
    expected = [[one.label, str(one.rows), str(one.predicted_rows)] for one in output.classes]
    assert [row.split()[:3] for row in by_class] == expected
    worst = page.get_by_role("region", name="Rows with the largest loss").locator("tbody th").all_inner_texts()
    assert worst == [str(row.row) for row in output.worst_rows]


def test_what_people_say_of_a_model_is_shown(site: Site, browsing: Browsing) -> None:
    with site.server.client() as client:
        client.models.update(site.model, description="<b>of May</b>", labels={"team": "search"})
        client.models.set_alias("reviews@production", site.model)
        page = browsing.open(site.url("#/models/{model}"))
        facts = page.locator("dl.tiles")
        facts.get_by_text("reviews@production").wait_for()
        assert facts.get_by_text("Label team").is_visible() and facts.get_by_text("search").is_visible()
        assert page.get_by_text("<b>of May</b>").is_visible()
        page = browsing.open(site.url("#/models"))
        page.get_by_text(f"{site.model} · reviews@production").wait_for()
        assert page.get_by_text("verdict accuracy, test").count() > 0
        client.models.delete_alias("reviews@production")
        client.models.update(site.model, description="", labels={})
