"""The list of discrepancies, the page of one, and decisions taken on both."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.comparison.outcome import Decision
from dashboard.ingest.stream import read_roster
from dashboard.models import Discrepancy, ObservedOrder, Participant, Review
from dashboard.review.reviews import SeenRevision, review
from dashboard.tests.factories import START, a_launch, an_event, an_order
from dashboard.tests.making import a_discrepancy, record_events
from kitchen_worker.contract.messages import EventKind, Failure
from restaurant.models import DarkVersion, Launch
from restaurant.tests.making import end_launch

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

LIST = "/dashboard/discrepancies/"
REVIEW = "/dashboard/discrepancies/review/"


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.BOARD_PUBLIC = True


@pytest.fixture
def ada(client: Client) -> User:
    """A reviewer who is logged in."""
    user = User.objects.create_user("ada")
    user.user_permissions.add(
        *Permission.objects.filter(codename__in=["add_review", "add_rule", "add_replay"])
    )
    client.force_login(user)
    return user


def differ(launch: Launch, control: Any, version: Any, name: str = "vnext") -> str:
    """An order of which two versions made these results; gives its id."""
    order = an_order(launch, sample=(name,))
    events = [
        an_event(launch, order.uuid, "vlatest", result=control),
        an_event(launch, order.uuid, name, result=version),
    ]
    record_events(read_roster(launch), events, START)
    return str(order.uuid)


def fail(launch: Launch, message: str) -> str:
    order = an_order(launch)
    error = Failure(type="TooMany", message=message)
    events = [
        an_event(launch, order.uuid, "vlatest"),
        an_event(launch, order.uuid, kind=EventKind.FAILED, error=error),
    ]
    record_events(read_roster(launch), events, START)
    return str(order.uuid)


def shown(client: Client, path: str, **headers: str) -> str:
    response = client.get(path, headers=headers or None)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def text(response: Any) -> str:
    """What a person reads, in one line."""
    without_tags = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(html.unescape(without_tags).split())


def paths(page: str) -> list[str]:
    """The paths that are listed, in their order."""
    return re.findall(r'<span class="kind">[^<]*</span> <code>([^<]*)</code></a>', page)


def page_of(row: Discrepancy) -> str:
    return f"{LIST}{row.pk}/"


def only() -> Discrepancy:
    return Discrepancy.objects.get()


def seen(*rows: Discrepancy) -> list[str]:
    return [str(SeenRevision(row.pk, row.revision)) for row in rows]


def test_without_a_launch_the_list_leads_to_the_first_one(client: Client) -> None:
    assert "No launch yet" in shown(client, LIST)


def test_without_differences_the_list_says_what_will_come(client: Client) -> None:
    a_launch()

    page = shown(client, LIST)

    assert "No differences yet" in page
    assert "make rush" in page


def test_what_counts_most_is_listed_first_beside_its_noise(client: Client) -> None:
    launch = a_launch()
    for _ in range(3):
        differ(launch, {"cook": "Ana", "total": 1}, {"cook": "Bo", "total": 1})
    differ(launch, {"cook": "Ana", "total": 1}, {"cook": "Ana", "total": 2})
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"}, "vlatest-b")

    page = shown(client, LIST)

    assert paths(page) == ["cook", "total"]
    assert "noise 100" in page
    assert "noise 0" in page
    assert '"Ana"' in page
    assert '"Bo"' in page


def test_the_list_is_filtered_by_version_state_kind_and_text(client: Client) -> None:
    launch = a_launch()
    DarkVersion.objects.create(launch=launch, version="vmine", role="candidate", percent=100)
    launch = Launch.objects.prefetch_related("dark_versions").get()
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"})
    differ(launch, {"total": 1}, {"total": "1"})
    differ(launch, {"minutes": 1}, {"minutes": 2}, "vmine")
    review(
        [SeenRevision(Discrepancy.objects.get(path="cook").pk, 0)],
        Decision.NOISE,
        note="",
        author="ada",
    )

    assert sorted(paths(shown(client, LIST))) == ["cook", "minutes", "total"]
    assert paths(shown(client, f"{LIST}?version=vmine")) == ["minutes"]
    assert paths(shown(client, f"{LIST}?state=noise")) == ["cook"]
    assert sorted(paths(shown(client, f"{LIST}?state=open"))) == ["minutes", "total"]
    assert paths(shown(client, f"{LIST}?kind=type")) == ["total"]
    assert paths(shown(client, f"{LIST}?text=MINU")) == ["minutes"]
    assert "No discrepancies match these filters" in shown(client, f"{LIST}?text=nowhere")


def test_a_filter_that_cannot_be_read_filters_nothing(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})

    assert paths(shown(client, f"{LIST}?state=odd&kind=odd&launch=odd")) == ["cook"]
    assert client.get(f"{LIST}?launch=00000000-0000-4000-8000-000000000000").status_code == 404


def test_a_bug_of_an_earlier_launch_is_listed_until_it_is_seen(client: Client) -> None:
    earlier = a_launch(name="October")
    differ(earlier, {"total": 1}, {"total": 2})
    review([SeenRevision(only().pk, 0)], Decision.BUG, note="", author="ada")
    Launch.objects.update(ended_at=START + timedelta(hours=1))
    a_launch(started_at=START + timedelta(days=1))

    assert "Carried over from an earlier launch" in shown(client, LIST)


def test_htmx_gets_the_list_alone_and_the_address_follows(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})

    response = client.get(f"{LIST}?kind=value&text=", headers={"HX-Target": "discrepancies"})

    assert response.headers["HX-Replace-Url"] == f"{LIST}?kind=value"
    assert "<html" not in response.content.decode()
    assert 'id="badge"' in response.content.decode()


@pytest.mark.parametrize("path", ["/dashboard/", LIST, "/dashboard/rules/"])
def test_the_menu_says_how_many_wait_for_a_decision(client: Client, path: str) -> None:
    differ(a_launch(), {"cook": "Ana", "total": 1}, {"cook": "Bo", "total": 2})

    badge = re.search(r'id="badge"([^>]*)>(\d+)<', client.get(path).content.decode())

    assert badge is not None
    assert badge[2] == "2"
    assert "hidden" not in badge[1]


def test_the_restaurants_pages_read_no_table_of_the_dashboard(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})

    with django_assert_num_queries(0):
        client.get("/")


@pytest.mark.parametrize("path", [LIST, "page"])
def test_who_may_only_watch_sees_no_form(client: Client, path: str) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    client.force_login(User.objects.create_user("watcher"))

    page = shown(client, page_of(only()) if path == "page" else path)

    assert "cook" in page
    assert f'action="{REVIEW}"' not in page
    assert "with a rule" not in page
    response = client.post(REVIEW, {"seen": seen(only()), "decision": "bug"})
    assert response.status_code == 403
    assert only().state == Decision.OPEN


@pytest.mark.usefixtures("ada")
def test_many_are_decided_on_at_once_without_any_script(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana", "total": 1}, {"cook": "Bo", "total": 2})
    here = f"{LIST}?kind=value"

    response = client.post(
        REVIEW,
        {
            "seen": seen(*Discrepancy.objects.all()),
            "decision": "by_design",
            "note": "as agreed",
            "next": here,
        },
    )

    assert (response.status_code, response.headers["Location"]) == (303, here)
    assert set(Discrepancy.objects.values_list("state", flat=True)) == {"by_design"}
    assert set(Review.objects.values_list("author", "note")) == {("ada", "as agreed")}
    assert "as agreed" in shown(client, here)


@pytest.mark.usefixtures("ada")
def test_a_button_of_the_board_decides_without_any_script(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    page = shown(client, "/dashboard/")
    (address,) = re.findall(r'formaction="([^"]*)" name="decision" value="bug"', page)

    answer = client.post(address, {"decision": "bug", "next": "/dashboard/"})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/")
    assert only().state == "bug"


@pytest.mark.usefixtures("ada")
def test_htmx_gets_the_list_as_it_then_is(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})

    response = client.post(
        REVIEW,
        {"seen": seen(only()), "decision": "noise", "next": LIST},
        headers={"HX-Request": "true", "HX-Target": "discrepancies"},
    )
    page = response.content.decode()

    assert "<html" not in page
    assert f'value="{only().pk}:1"' in page
    assert 'data-state="noise"' in page
    assert "hidden" in re.search(r'id="badge"([^>]*)>0<', page)[1]  # type: ignore[index]


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("here", [LIST, "page"])
@pytest.mark.parametrize("part", [True, False])
def test_who_was_slower_is_told_and_loses_nothing(client: Client, here: str, part: bool) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    stale = seen(only())
    review([SeenRevision.read(stale[0])], Decision.NOISE, note="chance", author="bo")
    target = "discrepancies" if here == LIST else "review"

    response = client.post(
        REVIEW,
        {
            "seen": stale,
            "decision": "bug",
            "note": "my long note",
            "next": LIST if here == LIST else page_of(only()),
        },
        headers={"HX-Request": "true", "HX-Target": target} if part else None,
    )

    assert response.status_code == 409
    assert ("<html" in response.content.decode()) is not part
    said = text(response)
    assert "bo marked value cook as 'noise' at" in said
    assert "Your decision was not saved; your note is still in the form" in said
    assert "my long note" in said
    assert f'value="{only().pk}:1"' in response.content.decode(), "the next try sees the decision"
    assert only().state == Decision.NOISE
    assert Review.objects.count() == 1


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"decision": "bug"}, "Select at least one discrepancy."),
        ({"decision": "", "seen": "SEEN"}, "Choose a decision."),
        ({"decision": "odd", "seen": "SEEN"}, "There is no such decision."),
        ({"decision": "bug", "seen": "odd"}, "This page is out of date. Reload it."),
        ({"decision": "bug", "seen": "999:0"}, "There is no discrepancy 999."),
        ({"decision": "fixed", "seen": "SEEN"}, "is closed as fixed, by its replay"),
        ({"decision": "fixed", "seen": "SEEN", "replay": "9"}, "That replay does not exist."),
        ({"decision": "bug", "seen": "SEEN", "note": "x" * 4001}, "At most 4000 characters"),
    ],
)
def test_what_cannot_be_decided_is_said_and_what_was_typed_is_kept(
    client: Client, fields: dict[str, str], problem: str
) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    given = {name: seen(only())[0] if value == "SEEN" else value for name, value in fields.items()}

    response = client.post(REVIEW, {"note": "typed", **given, "next": LIST})

    assert response.status_code == 422
    assert problem in text(response)
    assert given.get("note", "typed") in text(response)
    assert not Review.objects.exists()


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("bad", ["https://elsewhere.example/", "//elsewhere.example", "odd", ""])
def test_a_decision_leads_to_no_other_site(client: Client, bad: str) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})

    response = client.post(REVIEW, {"seen": seen(only()), "decision": "bug", "next": bad})

    assert response.headers["Location"] == LIST


def test_who_is_not_logged_in_is_sent_to_the_login(client: Client) -> None:
    response = client.post(REVIEW, {"decision": "bug"})

    assert response.headers["Location"].startswith("/login/")


def test_the_page_of_one_shows_examples_and_where_their_orders_are(client: Client) -> None:
    launch = a_launch()
    order = differ(
        launch,
        {"lines": [{"n": 1}, {"n": 2}], "cook": "Ana"},
        {"lines": [{"n": 1}, {"n": 5}], "cook": "Bo"},
    )
    row = Discrepancy.objects.get(path="lines[].n")

    page = shown(client, page_of(row))

    assert f"/dashboard/orders/{order}/" in page
    assert "lines[1].n" in page
    assert "1 other difference of this order" in page
    assert "vnext returns a different value than vlatest." in page
    assert "Not reviewed yet" in page
    assert "git:1a2b3c" in page


def test_a_failure_shows_what_was_said(client: Client) -> None:
    fail(a_launch(), "21 of 'fries'")

    page = shown(client, page_of(only()))

    assert "TooMany: 21 of 'fries'" in page
    assert "handled it" in page
    assert "failed where vlatest handled the order" in page


@pytest.mark.usefixtures("ada")
def test_the_history_of_decisions_is_shown_with_who_when_and_why(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    for revision, (decision, note) in enumerate(
        [(Decision.BUG, "looks wrong"), (Decision.OPEN, "not sure"), (Decision.NOISE, "<chance>")]
    ):
        review([SeenRevision(only().pk, revision)], decision, note=note, author="bo")

    response = client.get(page_of(only()))
    said = text(response)

    assert said.index("<chance>") < said.index("not sure") < said.index("looks wrong")
    assert "<chance>" not in response.content.decode()
    assert "It does not count against vnext." in said


@pytest.mark.usefixtures("ada")
def test_a_rule_can_be_made_of_a_difference_but_not_of_a_failure(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"a b": [1, 2]}, {"a b": [2, 1]})
    fail(launch, "too many")

    order, failure = Discrepancy.objects.get(kind="order"), Discrepancy.objects.get(kind="failed")

    assert "?path=%5B%22a+b%22%5D&version=vnext&treatment=unordered" in shown(
        client, page_of(order)
    )
    assert "with a rule" not in shown(client, page_of(failure))


def test_the_newest_orders_come_as_a_part_or_as_a_page(client: Client) -> None:
    order = differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    path = f"{page_of(only())}orders/"

    assert f"/dashboard/orders/{order}/" in shown(client, path, **{"HX-Request": "true"})
    assert "<html" not in shown(client, path, **{"HX-Request": "true"})
    assert "Back to the discrepancy" in shown(client, path)


def test_a_discrepancy_whose_answers_are_gone_has_a_page(client: Client) -> None:
    differ(a_launch(), {"cook": "Ana"}, {"cook": "Bo"})
    ObservedOrder.objects.all().delete()

    assert "Under the current rules there is no difference." in shown(client, page_of(only()))
    assert client.get(f"{LIST}99999/").status_code == 404


@pytest.mark.parametrize("kind", ["csv", "jsonl", "md"])
def test_what_is_listed_can_be_had_as_a_file(client: Client, kind: str) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana", "total": 1}, {"cook": "Bo", "total": "1"})

    response = client.get(f"{LIST}export/{kind}/?kind=type")
    said = response.content.decode()

    assert "total" in said
    assert "cook" not in said
    if kind == "jsonl":
        assert json.loads(said)["path"] == "total"


def test_no_other_file_is_exported(client: Client) -> None:
    a_launch()

    assert client.get(f"{LIST}export/exe/").status_code == 404


@pytest.mark.parametrize("path", [LIST, "page"])
def test_no_page_costs_more_for_more(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries, path: str
) -> None:
    launch = a_launch()
    for number in range(30):
        differ(launch, {"cook": "Ana"}, {"cook": f"Bo {number}", f"field {number}": 1})
    row = Discrepancy.objects.get(path="cook")

    with django_assert_max_num_queries(14):
        page = shown(client, page_of(row) if path == "page" else path)

    assert " style=" not in page
    assert "onclick" not in page


def test_one_order_has_its_differences_marked_in_place(client: Client) -> None:
    launch = a_launch()
    order = differ(
        launch, {"cook": "Ana", "total": 1, "note": "x"}, {"cook": "Bo", "total": 2, "note": "x"}
    )
    cook, total = (Discrepancy.objects.get(path=path) for path in ("cook", "total"))
    review([SeenRevision(cook.pk, 0)], Decision.NOISE, note="", author="ada")

    page = shown(client, f"/dashboard/orders/{order}/")

    marks = re.findall(r'<a class="difference-mark" data-standing="(\w+)" href="([^"]+)"', page)
    assert marks == [("accepted", page_of(cook)), ("open", page_of(total))]
    said = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "vnext differs in 2 places: 1 counts against it, 1 accepted" in said


def test_one_order_that_failed_leads_to_its_discrepancy(client: Client) -> None:
    order = fail(a_launch(), "too many")

    page = shown(client, f"/dashboard/orders/{order}/")

    assert page_of(only()) in page
    assert "where the control handled the order" in page


def test_a_long_list_is_read_by_pages_and_exported_as_a_whole(client: Client) -> None:
    launch = a_launch()
    for number in range(60):
        a_discrepancy(launch.id, f"p{number:02}", count=100 - number)

    first, second = shown(client, LIST), shown(client, f"{LIST}?page=2&kind=value")

    assert (len(paths(first)), paths(second)) == (50, [f"p{number}" for number in range(50, 60)])
    assert "51 to 60 of 60" in re.sub(r"<[^>]+>", "", second)
    assert f'href="{LIST}?page=2"' in first
    assert f'href="{LIST}?kind=value"' in second
    assert paths(shown(client, f"{LIST}?page=99")) == paths(shown(client, f"{LIST}?page=2"))
    file = client.get(f"{LIST}export/jsonl/?page=2")
    assert len(file.content.splitlines()) == 60


@pytest.mark.parametrize("sign", ["\n", "\r\n", "\0", "\x7f", "\x85"])
@pytest.mark.usefixtures("ada")
def test_a_way_back_that_no_header_can_name_leads_to_the_list(client: Client, sign: str) -> None:
    row = a_discrepancy(a_launch().id)

    fields = {"seen": f"{row.pk}:0", "decision": "bug", "next": f"/dashboard/{sign}X-Evil: 1"}
    response = client.post(REVIEW, fields)

    assert (response.status_code, response["Location"]) == (303, LIST)


@pytest.mark.usefixtures("ada")
def test_a_way_back_in_any_script_is_quoted(client: Client) -> None:
    row = a_discrepancy(a_launch().id)

    response = client.post(
        REVIEW, {"seen": f"{row.pk}:0", "decision": "bug", "next": f"{LIST}?text=größe"}
    )

    assert response["Location"] == f"{LIST}?text=gr%C3%B6%C3%9Fe"


@pytest.mark.usefixtures("ada")
def test_a_rule_for_what_the_baseline_shows_too_is_for_every_version(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"cook": "Ana", "total": 1}, {"cook": "Bo", "total": 2})
    differ(launch, {"cook": "Ana"}, {"cook": "Bo"}, "vlatest-b")
    rows = {row.path: row for row in Discrepancy.objects.filter(version="vnext")}

    assert "rules/new/?path=cook&treatment=ignore" in shown(client, page_of(rows["cook"]))
    assert "path=total&version=vnext&treatment" in shown(client, page_of(rows["total"]))


def test_a_bug_that_is_carried_over_says_so_instead_of_counting(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"total": 1}, {"total": 2})
    row = only()
    review([SeenRevision(row.pk, 0)], Decision.BUG, note="", author="ada")
    assert "It counts against vnext" in text(client.get(page_of(row)))
    end_launch(launch)
    later = a_launch(name="December", started_at=START + timedelta(days=9))

    said = text(client.get(page_of(row)))

    assert "A bug from November that has not been seen in December yet" in said
    assert "counts against" not in said
    assert 'data-discrepancy="1" data-state="bug" data-role' in shown(client, LIST).replace(
        str(row.pk), "1"
    )
    differ(later, {"total": 1}, {"total": 2})
    assert "has not been seen in" not in text(client.get(page_of(row)))


def test_a_second_candidate_has_its_own_mark(client: Client) -> None:
    launch = a_launch()
    DarkVersion.objects.create(launch=launch, version="vother", role="candidate", percent=100)
    differ(launch, {"total": 1}, {"total": 2}, "vother")

    assert '<span class="version" data-role="candidate" data-place="2">' in shown(
        client, page_of(only())
    )
    assert 'class="of version" data-role="candidate" data-place="2"' in shown(client, LIST)


def test_numbers_are_read_in_thousands(client: Client) -> None:
    launch = a_launch()
    differ(launch, {"total": 1}, {"total": 2})
    Discrepancy.objects.update(count=12345, ignored=6789)
    Participant.objects.filter(version="vnext").update(pairs=23456)

    assert "12,345 of 23,456" in text(client.get(page_of(only())))
    assert "12,345 +6,789 ignored" in text(client.get(LIST))
