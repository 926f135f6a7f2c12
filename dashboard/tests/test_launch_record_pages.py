"""The page of a launch's record, its files, the command, and the count of bad releases stopped."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import subprocess
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import cmarkgfm
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from dashboard.comparison.outcome import Decision
from dashboard.launches.listing import bad_releases_stopped
from dashboard.launches.record import RecordKeeper
from dashboard.models import LaunchChoice, LaunchDecision, LaunchRecord, Participant
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.making import a_discrepancy
from dashboard.tests.test_launch_pages import LIST, begin, final, text
from kitchen_worker.contract.messages import utc_now
from restaurant.launches import end_launch, set_percent
from restaurant.models import Launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

FOREIGN = "=cmd|'<b>@team</b> https://evil.example`#1"


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


def page_of(launch: Launch) -> str:
    return f"{LIST}{launch.pk}/record/"


def ended(name: str = "November", *, word: str = "worse") -> Launch:
    launch = begin(name)
    Participant.objects.create(
        launch=launch.pk, version="vnext", role="candidate", orders=1234, handled=1230, failed=4,
        pairs=1200, matrix={"agree": 1190, "differ": 10}, builds=[[FOREIGN, 0.0, 1.0]],
    )  # fmt: skip
    end_launch(launch, author="bo", reason="over")
    if word:
        final(launch, word)
    return launch


def frozen(name: str = "November", **fields: Any) -> Launch:
    launch = ended(name, **fields)
    found = a_discrepancy(launch.pk, FOREIGN, control_value=FOREIGN, version_value="7")
    review([SeenRevision(found.pk, 0)], Decision.BUG, note=FOREIGN, author="cy")
    assert RecordKeeper().freeze(utc_now() + timedelta(minutes=5)) == {launch.pk}
    return launch


def get(client: Client, path: str, status: int = 200) -> Any:
    response = client.get(path)
    assert response.status_code == status
    return response


def test_a_running_launch_says_when_it_gets_its_record(client: Client) -> None:
    launch = begin()
    page = text(get(client, page_of(launch)))
    assert "No record yet" in page
    assert page_of(launch) not in get(client, f"{LIST}{launch.pk}/").content.decode()
    get(client, f"{page_of(launch)}json/", 404)


def test_an_ended_launch_links_to_its_record_which_is_being_frozen(client: Client) -> None:
    launch = ended()
    assert page_of(launch) in get(client, f"{LIST}{launch.pk}/").content.decode()
    assert "The record is being frozen" in text(get(client, page_of(launch)))


def test_the_page_shows_the_frozen_text_not_what_the_tables_say_now(client: Client) -> None:
    launch = frozen()
    Participant.objects.filter(launch=launch.pk).update(orders=9)
    page = text(get(client, page_of(launch)))
    assert "1,234" in page
    assert "WORSE" in page
    assert "vnext is worse." in page
    assert "bug by cy" in page
    assert "The defaults; nobody changed them." in page
    assert "bo a try" in page
    assert LaunchRecord.objects.get().sha256 in page
    assert "it was changed after it was frozen" not in page


def test_text_from_elsewhere_is_text_on_the_page(client: Client) -> None:
    page = get(client, page_of(frozen())).content.decode()
    assert "<b>@team" not in page
    assert html.escape(FOREIGN) in page


def test_a_later_decision_is_below_the_record_with_whether_it_opposed_the_verdict(
    client: Client,
) -> None:
    launch = frozen()
    hash_before = LaunchRecord.objects.get().sha256
    decided(launch, LaunchChoice.PROMOTE, word="worse", opposed=True)
    page = text(get(client, page_of(launch)))
    after = page.partition("After the record was frozen")[2]
    assert "ada decided to promote vnext against the verdict ; the verdict then: WORSE" in after
    assert "decided to promote" not in page.partition("After the record was frozen")[0]
    assert hash_before in page
    markdown = get(client, f"{page_of(launch)}md/").content.decode()
    assert "decided to promote **against the verdict**" in markdown


def decided(launch: Launch, choice: LaunchChoice, *, word: str, opposed: bool = False) -> None:
    LaunchDecision.objects.create(
        launch=launch.pk, version="vnext", choice=choice, step="decided", author="ada",
        reason="must", at=utc_now() + timedelta(hours=1), word=word, opposed=opposed,
    )  # fmt: skip


def test_a_record_that_was_changed_says_so(client: Client) -> None:
    launch = frozen()
    LaunchRecord.objects.update(body=LaunchRecord.objects.get().body.replace("1234", "1235"))
    assert "it was changed after it was frozen" in text(get(client, page_of(launch)))


def test_sha256sum_of_the_downloaded_file_is_the_hash_on_the_page(
    client: Client, tmp_path: Path
) -> None:
    launch = frozen()
    page = text(get(client, page_of(launch)))
    found = re.search(r"([0-9a-f]{64}) To check it: sha256sum (\S+)", page)
    assert found is not None
    response = get(client, f"{page_of(launch)}json/")
    assert f'filename="{found[2]}"' in response["Content-Disposition"]
    (tmp_path / found[2]).write_bytes(response.content)
    said = subprocess.run(
        ["sha256sum", found[2]], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert said.stdout.split()[0] == found[1]


def test_the_tables_are_csv_that_no_spreadsheet_calculates(client: Client) -> None:
    launch = frozen()
    file = get(client, f"{page_of(launch)}versions.csv/").content.decode()
    control, vnext, baseline = csv.DictReader(io.StringIO(file, newline=""))
    assert [one["role"] for one in (control, vnext, baseline)] == [
        "control", "candidate", "baseline",
    ]  # fmt: skip
    assert (vnext["orders"], vnext["failed"], vnext["pairs differ"]) == ("1234", "4", "10")
    assert vnext["builds"] == f"'{FOREIGN}"
    file = get(client, f"{page_of(launch)}discrepancies.csv/").content.decode()
    [row] = csv.DictReader(io.StringIO(file, newline=""))
    assert (row["path"], row["note"]) == (f"'{FOREIGN}", f"'{FOREIGN}")
    assert (row["state"], row["count"], row["decided_by"]) == ("bug", "10", "cy")


def test_markdown_has_every_section_and_makes_nothing_of_foreign_text_but_code(
    client: Client,
) -> None:
    launch = frozen(FOREIGN)
    file = get(client, f"{page_of(launch)}md/").content.decode()
    page = cmarkgfm.github_flavored_markdown_to_html(file)
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles == [
        "Verdict", "Decisions", "Versions", "Discrepancies", "Thresholds", "Rules", "Sample",
        "Changes", "After the record was frozen",
    ]  # fmt: skip
    assert set(re.findall(r"<(\w+)", page)) == {
        "h1", "h2", "p", "code", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li",
        "hr",
    }  # fmt: skip
    outside = re.sub(r"<code>.*?</code>", "", page, flags=re.DOTALL)
    assert "@team" not in outside
    assert "evil" not in outside
    assert LaunchRecord.objects.get().sha256 in page


def test_who_may_watch_may_read_and_nobody_else(
    client: Client, admin_client: Client, settings: Settings
) -> None:
    launch = frozen()
    settings.BOARD_PUBLIC = False
    for name in ("", "json/", "md/", "versions.csv/", "discrepancies.csv/"):
        assert get(client, page_of(launch) + name, 302)["Location"].startswith("/login")
        get(admin_client, page_of(launch) + name)


def test_what_does_not_exist_is_not_found(client: Client) -> None:
    launch = frozen()
    get(client, f"{page_of(launch)}pdf/", 404)
    get(client, f"{LIST}00000000-0000-0000-0000-000000000001/record/", 404)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("launch", "record", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_writes_the_same_files(client: Client) -> None:
    launch = frozen()
    assert command(str(launch.pk), "--format", "json") == LaunchRecord.objects.get().body
    assert json.loads(command("--format", "json"))["launch"]["id"] == str(launch.pk)
    files = (
        ("md", ["--format", "markdown"]),
        ("versions.csv", ["--format", "csv"]),
        ("discrepancies.csv", ["--format", "csv", "--table", "discrepancies"]),
    )
    for name, arguments in files:
        assert command(*arguments).encode() == get(client, f"{page_of(launch)}{name}/").content


def test_the_command_says_why_there_is_no_record() -> None:
    launch = begin()
    with pytest.raises(CommandError, match="after the launch has ended"):
        command()
    end_launch(launch, author="bo", reason="over")
    with pytest.raises(CommandError, match="is being frozen"):
        command(str(launch.pk))
    for wrong in ("x", "00000000-0000-0000-0000-000000000001"):
        with pytest.raises(CommandError, match="no such launch"):
            command(wrong)


STOPPED = [
    pytest.param("worse", True, None, 1, id="worse and stopped"),
    pytest.param("worse", False, "abandon", 1, id="worse and abandoned"),
    pytest.param("worse", True, "abandon", 1, id="both count once"),
    pytest.param("worse", False, None, 0, id="worse, but it ran to the end"),
    pytest.param("worse", True, "promote", 0, id="promoted all the same"),
    pytest.param("not yet", True, "abandon", 0, id="nothing proved it worse"),
    pytest.param("ready", False, "promote", 0, id="a good one"),
]


@pytest.mark.parametrize(("word", "is_stopped", "choice", "counted"), STOPPED)
def test_bad_releases_stopped_are_counted(
    client: Client, word: str, is_stopped: bool, choice: str | None, counted: int
) -> None:
    launch = begin()
    if is_stopped:
        set_percent(launch, "vnext", Decimal(0), author="bo", reason="stop")
    end_launch(launch, author="bo", reason="over")
    final(launch, word)
    if choice is not None:
        decided(launch, LaunchChoice(choice), word=word)
    assert bad_releases_stopped() == counted
    page = text(get(client, LIST))
    assert f"{counted} bad release{'' if counted == 1 else 's'} stopped" in page
    assert "candidates with the verdict worse that were abandoned, or had 0 % at the end" in page


def test_a_release_abandoned_while_it_was_worse_counts_whatever_the_final_verdict_says() -> None:
    launch = begin()
    decided(launch, LaunchChoice.ABANDON, word="worse")
    end_launch(launch, author="bo", reason="over")
    final(launch, "withheld")
    assert bad_releases_stopped() == 1
