"""How the page shows a table: what is folded, what a phone shows, and where numbers lead."""

import base64

from dctdiff.report.layout import laid_out, order_of

TABLE = {
    "columns": ["dataset", "images", "NFE", "FD", "recall", "n"],
    "rows": [["d", "held-out", "n/a", "2.00", "n/a", "9"], ["d", "run", "10", "30.00", "0.5", "9"]],
    "numeric": [False, False, True, True, True, True],
    "caption": "c",
}
JOBS = [("evaluate_heldout", "d"), ("evaluate", "cell")]
TOLD = {"made-evaluate_heldout-d", "made-evaluate-cell"}


def test_what_every_row_says_is_said_once():
    shown = laid_out("quality", TABLE, "FD", JOBS, TOLD)
    assert shown["same"] == [("dataset", "d"), ("n", "9")]
    assert [column["name"] for column in shown["columns"]] == ["images", "NFE", "FD", "recall"]
    assert [[cell["text"] for cell in row] for row in shown["rows"]] == [row[1:5] for row in TABLE["rows"]]
    one = laid_out("quality", TABLE | {"rows": TABLE["rows"][:1]}, "FD", JOBS[:1], TOLD)
    assert one["same"] == [] and len(one["columns"]) == 6


def test_a_metric_is_shown_even_if_all_rows_have_the_same():
    table = TABLE | {"rows": [[*row[:3], "not run", *row[4:]] for row in TABLE["rows"]]}
    assert "FD" in [column["name"] for column in laid_out("quality", table, "FD", JOBS, TOLD)["columns"]]


def test_a_phone_shows_the_metric():
    shown = laid_out("quality", TABLE, "FD", JOBS, TOLD)
    assert [column["name"] for column in shown["columns"] if not column["wide"]] == ["images", "NFE", "FD"]


def test_measured_numbers_lead_to_their_job():
    made = [[cell["made"] for cell in row] for row in laid_out("quality", TABLE, "FD", JOBS, TOLD)["rows"]]
    assert made == [
        [None, None, "made-evaluate_heldout-d", None],  # recall: n/a
        [None, None, "made-evaluate-cell", "made-evaluate-cell"],
    ]
    silent = laid_out("quality", TABLE, "FD", JOBS, set())  # without records
    assert not any(cell["made"] for row in silent["rows"] for cell in row)


def test_counted_numbers_lead_to_the_job_that_counts():
    table = {"columns": ["run", "GMACs"], "rows": [["a", "1.0"], ["b", "2.0"]], "numeric": [False, True], "caption": ""}
    shown = laid_out("training", table, "FD", [None, None], {"made-tables"})
    assert [row[1]["made"] for row in shown["rows"]] == ["made-tables"] * 2


def test_numbers_and_times_are_sorted_by_their_value_and_words_come_last():
    fields = ["1:00:00", "0:59:59", "100", "9.5", "-1", "n/a", ""]
    assert sorted(fields, key=order_of) == ["-1", "9.5", "100", "0:59:59", "1:00:00", "n/a", ""]


def test_the_file_beside_a_table_is_that_of_the_stage(tmp_path):
    (tmp_path / "quality.csv").write_bytes(b"a,b\n1,2\n")
    data = laid_out("quality", TABLE, "FD", JOBS, TOLD, tmp_path / "quality.csv")["csv"]
    assert base64.b64decode(data.partition("base64,")[2]) == b"a,b\n1,2\n"
