"""What the documents say is true: commands exist, settings match, snippets run, links lead."""

from __future__ import annotations

import io
import re
import shlex
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import AdminSite
from django.core.checks import run_checks
from django.core.management import call_command, get_commands, load_command_class
from django.urls import URLPattern, URLResolver

import messaging
from messaging import conf, outbox, testing
from messaging.adapters.dummy import Dummy
from messaging.content import Text
from messaging.events import Status
from messaging.models import Message, MessageStatus, Provider, Sender, Template
from messaging.signals import message_received, message_status_changed
from project import settings as project_settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", *map(
    str, sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md"))
)]  # fmt: skip


def page(name: str) -> str:
    return (ROOT / name).read_text()


def snippets(name: str, language: str = "python") -> list[str]:
    """The fenced blocks of a page, also those inside lists."""
    found = []
    for indent, text in re.findall(
        rf"^( *)```{language}\n(.*?)^\1```$", page(name), re.MULTILINE | re.DOTALL
    ):
        lines = text.splitlines()
        found.append("\n".join(line.removeprefix(indent) for line in lines) + "\n")
    return found


def snippet(name: str, containing: str) -> str:
    [found] = [text for text in snippets(name) if containing in text]
    return found


def run(text: str, **names: Any) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "snippet", **names}
    exec(compile(text, "snippet", "exec"), space)
    return space


def table(name: str, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    _before, _heading, after = page(name).partition(f"## {heading}\n")
    assert after, f"{name} has no section {heading!r}"
    rows = re.findall(r"^\|(.+)\|$", re.split(r"\n## ", after)[0], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows[2:]]


# The first screen


@pytest.mark.parametrize("what", ["manage.py demo", "-m pytest"])
def test_each_of_the_two_commands_stands_on_a_line_of_its_own(what: str) -> None:
    line = (
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && "
        f".venv/bin/python {what}"
    )
    assert page("README.md").splitlines().count(line) == 1


def test_the_picture_is_well_formed_and_fetches_nothing() -> None:
    text = page("docs/flow.svg")
    ElementTree.fromstring(text)
    assert "href" not in text
    assert "docs/flow.svg" in page("README.md")


# Settings


def test_the_settings_table_is_that_of_the_code() -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in table("README.md", "Settings")}
    wanted = {name: repr(default) for name, default in conf.DEFAULTS.items()}
    assert rows.pop("ADAPTERS") == "the four below"
    assert len(wanted.pop("ADAPTERS").split(",")) == 4
    assert rows == wanted


def test_the_environment_example_is_that_of_the_project() -> None:
    read = set(re.findall(r'env(?:\.\w+)?\(\s*"(\w+)"', page("project/settings.py")))
    shown = set(re.findall(r"^#?(\w+)=", page(".env.example"), re.MULTILINE))
    assert len(read) > 5
    assert shown == read


def test_the_environment_example_holds_no_secret() -> None:
    values = dict(re.findall(r"^(\w+)=(.*)$", page(".env.example"), re.MULTILINE))
    assert values["SECRET_KEY"] == values["MESSAGING_ENCRYPTION_KEYS"] == ""
    assert values["DEBUG"] == "False"
    assert values["MESSAGING_ALLOWED_PRIVATE_HOSTS"] == ""


def test_the_queue_block_is_the_projects_and_has_nothing_to_be_warned_of(settings: Any) -> None:
    block = run(snippet("README.md", "Q_CLUSTER = {"))["Q_CLUSTER"]
    assert block == project_settings.Q_CLUSTER
    settings.Q_CLUSTER = block
    assert [item for item in run_checks() if (item.id or "").startswith("messaging.W01")] == []


def test_the_messaging_block_passes_the_checks(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESSAGING_ENCRYPTION_KEYS", settings.MESSAGING["ENCRYPTION_KEYS"][0])
    settings.MESSAGING = run(snippet("README.md", '"ENCRYPTION_KEYS": os.environ'))["MESSAGING"]
    found = run_checks(include_deployment_checks=True)
    assert [item for item in found if (item.id or "").startswith("messaging.")] == []


def test_the_sqlite_block_is_the_projects() -> None:
    block = run(snippet("README.md", "django.db.backends.sqlite3"), BASE_DIR=ROOT)["DATABASES"]
    assert block["default"]["OPTIONS"] == {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    project = page("project/settings.py")
    for value in ("20", "IMMEDIATE", "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"):
        assert value in project


def test_the_apps_of_the_readme_are_those_the_project_lists() -> None:
    apps = run(snippet("README.md", "INSTALLED_APPS"))["INSTALLED_APPS"]
    assert apps == ["messaging", "import_export", "django_q"]
    assert set(apps) <= set(project_settings.INSTALLED_APPS)


# Snippets


@pytest.mark.parametrize("name", PAGES)
def test_every_snippet_is_python(name: str) -> None:
    for text in snippets(name):
        compile(text, name, "exec")


def test_the_addresses_are_included() -> None:
    [include] = run(snippet("README.md", "urlpatterns = ["))["urlpatterns"]
    assert isinstance(include, URLResolver)
    assert all(isinstance(item, URLPattern | URLResolver) for item in include.url_patterns)


def test_an_admin_site_of_ones_own() -> None:
    site = run(snippet("README.md", "AdminSite("))["site"]
    assert isinstance(site, AdminSite)
    assert site.is_registered(Message)


@pytest.fixture
def dummy(db: None) -> Sender:
    Dummy.clear()
    provider = Provider.objects.create(name="Nowhere", adapter="dummy")
    return Sender.objects.create(
        provider=provider, name="Desk", address="+447700900100", is_default=True
    )


def test_sending_from_python(dummy: Sender, capsys: pytest.CaptureFixture[str]) -> None:
    template = Template.objects.create(
        provider=dummy.provider, name="hello", body="Hello {{1}}!", status="approved"
    )
    done = run(snippet("README.md", "# An approved template"), template=template)
    assert capsys.readouterr().out == "The message is empty.\n"
    assert Message.objects.count() == 7
    assert done["message"].key == "order-1007-ready"
    assert set(Message.objects.values_list("kind", flat=True)) == {
        "text",
        "image",
        "location",
        "buttons",
        "template",
    }


def test_hearing_what_customers_write(
    dummy: Sender, django_capture_on_commit_callbacks: Any
) -> None:
    space = run(snippet("README.md", "message_received"))
    try:
        with testing.capture() as sent, django_capture_on_commit_callbacks(execute=True):
            testing.receive("Are you open?", from_="+447700900123")
    finally:
        assert message_received.disconnect(space["tell_the_opening_hours"])
    assert sent.texts == ["We are open from nine to six."]


def test_sending_thousands_from_python(dummy: Sender, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = ["07700 900123", "no number", "07700 900124"]
    run(snippet("README.md", "queue_many"), outbox=outbox, Text=Text, numbers=numbers)
    assert Message.objects.count() == 2
    assert capsys.readouterr().out.startswith("no number ")


def test_hearing_of_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    receiver = run(snippet("README.md", "def note_arrival"))["note_arrival"]
    try:
        message_status_changed.send_robust(
            Message, message_ids=[1, 2], status="delivered", source="poll"
        )
    finally:
        assert message_status_changed.disconnect(receiver)
    assert capsys.readouterr().out == "2 messages arrived, as told by poll\n"


def test_testing_ones_own_project(db: None) -> None:
    space = run(snippet("README.md", "testing.capture"))
    space["test_customers_hear_that_their_order_is_ready"](db)


def test_the_gateway_of_contributing_is_the_one_that_is_tested() -> None:
    text = page("CONTRIBUTING.md")
    assert page("tests/pigeon.py").strip() in text
    tests = page("tests/test_add_gateway.py")
    begin = tests.index("def test_a_text_leaves_as_documented")
    assert tests[begin : tests.index("# And ends here.")].strip() in text


# Commands


def test_every_documented_command_exists() -> None:
    known = get_commands()
    documented = {row[0].strip("`") for row in table("README.md", "Commands")}
    for name in PAGES:
        documented |= set(re.findall(r"manage\.py (\w+)", page(name)))
    assert {name for name in documented if name not in known} == set()


def test_the_examples_of_messaging_send(dummy: Sender) -> None:
    Template.objects.create(
        provider=dummy.provider, name="hello", body="Hello {{1}}!", status="approved"
    )
    lines = re.findall(r"^python manage\.py (messaging_send .+)$", page("README.md"), re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        # Nobody waits for a worker here.
        arguments = [word for word in shlex.split(line) if word != "--wait"]
        call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO())
    assert Message.objects.count() == len(lines) - 1  # one is a dry run


def test_every_command_is_documented_and_explains_itself() -> None:
    ours = {name for name, app in get_commands().items() if app in ("messaging", "project")}
    assert ours == {row[0].strip("`") for row in table("README.md", "Commands")}
    for name in ours:
        command = load_command_class(get_commands()[name], name)
        assert command.create_parser("manage.py", name).format_help()
        assert command.help


# Words and links


def test_every_state_is_explained() -> None:
    cells = [row[0] for row in table("README.md", "What is promised, and what is not")]
    words = {word.strip() for cell in cells for word in cell.replace("*", "").split(",")}
    labels = {str(MessageStatus(status).label) for status in Status}
    assert words == labels - {str(MessageStatus.RECEIVED.label)}


def test_every_status_is_in_the_architecture() -> None:
    text = " ".join(row[0] for row in table("docs/architecture.md", "The life of a message"))
    assert set(re.findall(r"`(\w+)`", text)) == {str(status) for status in Status}


def test_every_layer_is_in_the_architecture() -> None:
    config = tomllib.loads(page("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in config if contract["type"] == "layers"]
    wanted = [set(re.findall(r"\w+", layer)) for layer in layers]
    shown = [
        set(re.findall(r"`(\w+)`", row[1])) for row in table("docs/architecture.md", "The layers")
    ]
    present = {path.stem for path in (ROOT / "messaging").iterdir()}
    assert [row & present for row in shown] == [
        layer & present for layer in wanted if layer & present
    ]
    assert set().union(*shown) <= set().union(*wanted)


def test_the_invariants_are_complete() -> None:
    rows = table("SECURITY.md", "Invariants, and where each is tested")
    assert [row[0] for row in rows] == [f"I{number}" for number in range(1, 16)]
    assert all(row[2] for row in rows)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page(name), flags=re.S)):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _hash, anchor = target.partition("#")
        file = (folder / path).resolve() if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{name}: {target}"


def anchors(file: Path) -> set[str]:
    """The names GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


# Packaging


def test_requirements_are_those_of_the_package_the_demo_and_the_tests() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    wanted = {name(line) for line in [*project["dependencies"], *extras["demo"], *extras["test"]]}
    lines = [line for line in page("requirements.txt").splitlines() if line and line[0] != "#"]
    assert {name(line) for line in lines} == wanted


def name(requirement: str) -> str:
    return re.split(r"[<>=\[]", requirement)[0].lower()


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{messaging.__version__}]" in page("CHANGELOG.md")
