"""Devices, messages, keys and projects, on a hub that only lives for each command."""

from pathlib import Path

import pytest

from gateway_hub.cli.session import connect
from tests.cli.conftest import Run
from tests.cli.test_upkeep import change_by_hand


def create_device(run: Run, *options: str) -> str:
    made = run("device", "create", "--name", "clinic", "--protocol", "medic", "--json", *options)
    return str(made.json()["id"])


def test_a_key_can_be_made_before_the_first_start(run: Run) -> None:
    ran = run(
        *("key", "create", "--name", "backend", "--scope", "messages:write"),
        *("--scope", "messages:read", "--json"),
    )
    assert ran.exit_code == 0
    made = ran.json()
    assert made["id"]
    assert made["key"].startswith("ghk_")
    assert made["scopes"] == ["messages:read", "messages:write"]


def test_a_key_is_listed_without_itself_and_can_be_revoked(run: Run) -> None:
    made = run("key", "create", "--name", "n", "--scope", "admin", "--json").json()
    (listed,) = run("key", "list", "--json").json()["data"]
    assert (listed["id"], listed["revoked_at"]) == (made["id"], None)
    assert made["key"] not in run("key", "list").out
    assert run("key", "revoke", made["id"]).exit_code == 0
    (revoked,) = run("key", "list", "--json").json()["data"]
    assert revoked["revoked_at"] is not None


def test_a_key_can_be_limited_to_a_tag(run: Run) -> None:
    made = run(
        *("key", "create", "--name", "n", "--scope", "messages:read", "--tag", "clinics", "--json")
    )
    assert made.json()["tag"] == "clinics"
    assert "clinics" in run("key", "list").out


def test_a_key_can_belong_to_another_project(run: Run) -> None:
    project = run("project", "create", "north", "--region", "TZ", "--json").json()
    made = run(
        *("key", "create", "--name", "n", "--scope", "admin", "--project", "north", "--json")
    )
    assert made.json()["project_id"] == project["id"]
    names = {item["name"] for item in run("project", "list", "--json").json()["data"]}
    assert names == {"default", "north"}
    assert "north" in run("project", "list").out


def test_projects_do_not_see_each_other(run: Run) -> None:
    run("project", "create", "north")
    device = create_device(run, "--project", "north")
    assert run("device", "show", device, "--project", "north").exit_code == 0
    assert run("device", "show", device).exit_code == 1
    assert run("device", "list", "--json").json()["data"] == []


def test_a_phone_is_registered_and_its_password_shown(run: Run) -> None:
    ran = run(
        "device", "create", "--name", "clinic", "--protocol", "medic", "--tag", "a", "--tag", "b"
    )
    assert ran.exit_code == 0
    shown = ran.out.splitlines()
    assert any(line.split() == ["tags", "a,", "b"] for line in shown)
    url = next(line.split()[-1] for line in shown if line.startswith("Webapp URL"))
    assert url.startswith("http://phone-")
    assert url.endswith("@127.0.0.1:8080/medic")
    assert "<svg" not in ran.out


@pytest.mark.parametrize("protocol", ["medic", "envaya"])
def test_an_address_that_no_phone_reaches_is_warned_of(run: Run, protocol: str) -> None:
    options = ["--name", "x", "--protocol", protocol, "--phone-number", "+255710000001"]
    ran = run("device", "create", *options, host="0.0.0.0")  # noqa: S104 - as the README has it
    assert "127.0.0.1:8080" in ran.out
    assert "GATEWAY_HUB_PUBLIC_URLS" in ran.err
    device = run("device", "list", "--json").json()["data"][0]["id"]
    assert run("device", "show", device).err == ""
    ran = run("device", "credentials", device, public_urls="http://192.168.1.20:8080")
    assert "192.168.1.20:8080" in ran.out
    assert ran.err == ""


def test_a_phone_that_is_set_up_already_is_taken_over(run: Run) -> None:
    options = ["--username", "old", "--password", "-", "--segments", "10", "--seconds", "60"]
    ran = run("device", "create", "--name", "x", "--protocol", "medic", *options, stdin="abc\n")
    assert ran.exit_code == 0
    assert "http://old:abc@" in ran.out
    assert "weak" in ran.err


def test_new_credentials_are_shown(run: Run) -> None:
    device = create_device(run)
    ran = run("device", "credentials", device, "--grace-seconds", "60", "--json")
    assert ran.json()["credentials"]["password"]
    assert "Webapp URL" in run("device", "credentials", device).out


def test_a_device_is_removed_when_it_is_meant(run: Run) -> None:
    device = create_device(run)
    assert run("device", "delete", device, stdin="n\n").exit_code == 1
    assert device in run("device", "list").out
    assert run("device", "delete", device, "--yes").exit_code == 0
    assert device not in run("device", "list").out


def test_a_message_is_queued_shown_and_cancelled(run: Run) -> None:
    device = create_device(run)
    ran = run(
        *("message", "send", "+255712345678", "-", "--device", device, "--priority", "5"),
        *("--reference", "r1", "--metadata", "a=1", "--metadata", "b=x=y", "--json"),
        stdin="Habari?\n",
    )
    sent = ran.json()
    assert (sent["status"], sent["text"], sent["priority"]) == ("queued", "Habari?", 5)
    assert sent["route"]["device_id"] == device
    assert sent["metadata"] == {"a": "1", "b": "x=y"}
    assert run("message", "show", sent["id"], "--json").json()["reference"] == "r1"
    assert "Habari?" in run("message", "list", "--status", "queued", "--direction", "outbound").out
    assert run("message", "cancel", sent["id"], "--json").json()["status"] == "cancelled"
    assert run("message", "list", "--status", "queued", "--json").json()["data"] == []


def test_a_message_is_sent_in_plain_typography_if_that_is_asked(run: Run) -> None:
    curly = "it\N{RIGHT SINGLE QUOTATION MARK}s"
    sent = run("message", "send", "+255712345678", curly, "--transliterate", "--json").json()
    assert sent["text"] == "it's"
    assert run("message", "send", "+255712345678", curly, "--json").json()["text"] == curly


@pytest.mark.parametrize(("limit", "more"), [(1, True), (2, True), (3, False), (9, False)])
def test_a_list_is_cut_where_it_is_asked(run: Run, limit: int, more: bool) -> None:
    for text in ("a", "b", "c"):
        run("message", "send", "+255712345678", text)
    page = run("message", "list", "--limit", str(limit), "--json").json()
    assert len(page["data"]) == min(limit, 3)
    assert (page["next_cursor"] is not None) is more


def test_a_list_has_more_than_one_page(run: Run) -> None:
    for number in range(3):
        run("project", "create", f"p{number}")
    names = [item["name"] for item in run("project", "list", "--json").json()["data"]]
    assert names == ["p2", "p1", "p0", "default"]


@pytest.mark.parametrize("thing", ["device", "key", "message", "project", "webhook"])
def test_a_list_may_be_longer_than_a_page(run: Run, thing: str) -> None:
    ran = run(thing, "list", "--limit", "300", "--json")
    assert (ran.exit_code, ran.err) == (0, "")
    assert ran.json()["next_cursor"] is None


def test_webhook_deliveries_may_be_more_than_a_page(run: Run) -> None:
    ran = run("webhook", "deliveries", "019c1350-8a40-7c31-9a55-3f1c2b7d9e01", "--limit", "300")
    assert "There is no such webhook endpoint." in ran.err


def test_what_the_hub_refuses_is_one_line_and_exit_code_1(run: Run) -> None:
    ran = run("message", "send", "not a number", "x")
    assert (ran.exit_code, ran.out) == (1, "")
    assert ran.err == (
        "gateway-hub: The recipient must be a phone number or a short code. "
        "(invalid_input, HTTP 422); /to\n"
    )


def test_a_field_that_is_refused_is_named(run: Run) -> None:
    ran = run("message", "send", "+255712345678", "x", "--max-attempts", "99")
    assert ran.exit_code == 1
    assert "/max_attempts: " in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_repeat_with_the_same_idempotency_key_is_taken(run: Run) -> None:
    ran = run("message", "send", "+255712345678", "x", "--idempotency-key", "k1")
    assert ran.exit_code == 0


def test_the_data_folder_can_be_named(run: Run, folder: Path) -> None:
    made = run("key", "create", "--name", "n", "--scope", "admin", "--data-dir", "other", "--json")
    assert made.exit_code == 0
    assert (folder / "other" / "gateway-hub.sqlite3").exists()
    assert not (folder / "data").exists()


@pytest.fixture
def endpoint_id(run: Run) -> str:
    """A webhook endpoint, and after it a message: an event that it asks for."""
    with connect() as api:
        given = {"url": "https://backend.example.org/sms", "events": ["message.queued"]}
        made = api.post("webhook-endpoints", body=given)
    assert run("message", "send", "+255712345678", "x").exit_code == 0
    return str(made["id"])


def test_webhook_endpoints_are_listed_and_sent_to_again(
    run: Run, folder: Path, endpoint_id: str
) -> None:
    listed = run("webhook", "list", "--json").json()["data"]
    assert [item["id"] for item in listed] == [endpoint_id]
    assert "https://backend.example.org/sms" in run("webhook", "list").out

    def replay(*options: str) -> int:
        return int(run("webhook", "replay", endpoint_id, *options, "--json").json()["replayed"])

    def find(status: str) -> list[str]:
        ran = run("webhook", "deliveries", endpoint_id, "--status", status, "--json")
        return [item["event_id"] for item in ran.json()["data"]]

    assert replay("--since", "2020-01-01T00:00:00Z") == 1
    (event_id,) = find("pending")
    assert "message.queued" in run("webhook", "deliveries", endpoint_id).out
    assert replay("--event", event_id) == 1
    assert replay("--dead") == 0
    change_by_hand(folder, "UPDATE webhook_deliveries SET status = 'dead', next_attempt_at = NULL")
    assert (find("pending"), find("dead")) == ([], [event_id])
    assert replay("--dead") == 1
    assert (find("pending"), find("dead")) == ([event_id], [])


def test_a_webhook_endpoint_that_is_not_there_is_told(run: Run) -> None:
    unknown = "019c1350-8a40-7c31-9a55-3f1c2b7d9e01"
    assert run("webhook", "list", "--json").json()["data"] == []
    for command in (["deliveries", unknown, "--status", "dead"], ["replay", unknown, "--dead"]):
        ran = run("webhook", *command)
        assert (ran.exit_code, ran.out) == (1, "")
        assert "There is no such webhook endpoint." in ran.err


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="none"),
        pytest.param(["--dead", "--event", "a"], id="two"),
        pytest.param(["--dead", "--event", "a", "--since", "2020-01-01T00:00:00Z"], id="three"),
    ],
)
def test_a_replay_is_of_one_of_three(run: Run, options: list[str]) -> None:
    ran = run("webhook", "replay", "any", *options)
    assert ran.exit_code != 0
    assert "say one of --since, --event and --dead" in ran.err
